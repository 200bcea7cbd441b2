"""The list of attributions that `attribute` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from interp_core.attribution._attribution import Attribution
from interp_core.errors import InputError
from interp_core.results import MadeBy, Value, counted, save

FEW = 10  # attributions that a summary tells one by one


class Attributions(Value, list[Attribution]):
    """The attributions of several texts: a list, in the order of the texts.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> results = interp.attribute(
        ...     model, ["so happy", "sad"], by="occlusion", labels=[0, 0], progress=False
        ... )
        >>> results
        Attributions(2 texts, 1 of 2 right, by occlusion on _BagOfWords)
        >>> results.right
        [True, False]
    """

    _numbers: Sequence[int] | None = None

    @classmethod
    def numbered(cls, attributions: Iterable[Attribution], numbers: Sequence[int]) -> Attributions:
        """Make the list for a subset of the texts that were given to `attribute`.

        Args:
            attributions: the attributions.
            numbers: the numbers of their texts among all that were given, from 0.

        Returns:
            The attributions, which know these numbers.
        """
        found = cls(attributions)
        found._numbers = numbers
        return found

    @property
    def right(self) -> list[bool]:
        """Whether the answer is the true class, for each text for which both are known."""
        return [one.right for one in self if one.right is not None]

    @property
    def made_by(self) -> MadeBy:
        """The provenance: how the first attribution was made, with the cost of the whole run.

        Raises:
            InputError: the list is empty.
        """
        if not self:
            raise InputError("there are no attributions, so nothing is known of how they were made.")
        return self[0].made_by

    @property
    def numbers(self) -> list[int]:
        """The number of each text among those given to `attribute`, from 0; skipped texts are counted."""
        if self._numbers is not None and len(self._numbers) == len(self):
            return list(self._numbers)
        skipped = {int(number) for one in self[:1] for number in one.made_by.settings.get("skipped", {})}
        return list(islice((number for number in count() if number not in skipped), len(self)))

    def one_line(self) -> str:
        """Describe the list in less than a line, as its `repr` does."""
        right = f", {sum(self.right)} of {len(self.right)} right" if self.right else ""
        made = " and ".join(sorted({one.made_by.brief for one in self}))
        return f"{counted(len(self), 'text')}{right}{', by ' if made else ''}{made}"

    def summary(self) -> str:
        """Describe the list: a line for the whole, and a summary of each of the first texts."""
        more = [f"… and {len(self) - FEW} more"] * (len(self) > FEW)
        return "\n\n".join([self.one_line(), *(one.summary() for one in self[:FEW]), *more])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {"attributions": [one.to_json() for one in self]}

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of all attributions; `text` is the number of the text among those given to `attribute`."""
        tables = [one.columns() for one in self]
        numbers = [number for number, table in zip(self.numbers, tables, strict=True) for _ in table["unit"]]
        names = tables[0] if tables else ()
        return {"text": numbers, **{name: [v for table in tables for v in table[name]] for name in names}}

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self else f"<p>{self.one_line()}</p>"

    def save(self, folder: str | Path) -> list[Path]:
        """Write each attribution to a numbered file in a folder.

        Args:
            folder: a new or empty folder, see `interp.save`.

        Returns:
            The paths of the files.

        Raises:
            InputError: the folder is not empty, or the list is.
        """
        return save(list(self), folder)
