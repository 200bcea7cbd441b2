"""The list that `attribute` returns, which shows itself as a whole."""

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
        """The attributions of some of the texts that were given.

        Args:
            attributions: the attributions.
            numbers: the numbers of their texts among those that were given.
        """
        found = cls(attributions)
        found._numbers = numbers
        return found

    @property
    def right(self) -> list[bool]:
        """Whether the answer is the true class, for each text of which both are known."""
        return [one.right for one in self if one.right is not None]

    @property
    def made_by(self) -> MadeBy:
        """How the first of them was made, and what all of them cost.

        Raises:
            InputError: there are none.
        """
        if not self:
            raise InputError("there are no attributions, so nothing is known of how they were made.")
        return self[0].made_by

    @property
    def numbers(self) -> list[int]:
        """The number of each text among those that were given, from 0; texts that were skipped count too."""
        if self._numbers is not None and len(self._numbers) == len(self):
            return list(self._numbers)
        skipped = {int(number) for one in self[:1] for number in one.made_by.settings.get("skipped", {})}
        return list(islice((number for number in count() if number not in skipped), len(self)))

    def one_line(self) -> str:
        """What the list holds, in less than a line."""
        right = f", {sum(self.right)} of {len(self.right)} right" if self.right else ""
        made = " and ".join(sorted({one.made_by.brief for one in self}))
        return f"{counted(len(self), 'text')}{right}{', by ' if made else ''}{made}"

    def summary(self) -> str:
        """A line for the whole, and the words that count most in each of the first texts."""
        more = [f"… and {len(self) - FEW} more"] * (len(self) > FEW)
        return "\n\n".join([self.one_line(), *(one.summary() for one in self[:FEW]), *more])

    def to_json(self) -> dict[str, Any]:
        """The attributions as JSON values."""
        return {"attributions": [one.to_json() for one in self]}

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of all attributions, with `text` for the number of the text among those that were given."""
        tables = [one.columns() for one in self]
        numbers = [number for number, table in zip(self.numbers, tables, strict=True) for _ in table["unit"]]
        names = tables[0] if tables else ()
        return {"text": numbers, **{name: [v for table in tables for v in table[name]] for name in names}}

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self else f"<p>{self.one_line()}</p>"

    def save(self, folder: str | Path) -> list[Path]:
        """Write each attribution to a file in a new or empty folder, see `interp.save`."""
        return save(list(self), folder)
