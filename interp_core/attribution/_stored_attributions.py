"""The attributions of a run in its folder, read on access."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

from interp_core.attribution._attribution import Attribution
from interp_core.attribution._attribution_state import classes_in, columns_of, fields_of, right_of
from interp_core.attribution._attributions import FEW, Attributions
from interp_core.errors import InputError
from interp_core.results import Cost, MadeBy, Packed, StoredShards, Value, counted


class StoredAttributions(Value, Sequence[Attribution]):
    """The attributions of many texts in a folder: a sequence in the order of the texts, read on access.

    Args:
        folder: a folder that `attribute(to=…)` has written.

    Raises:
        FolderError: the folder holds no run of `attribute`, or an incomplete one.

    Examples:
        >>> import tempfile
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> texts = (f"{mood} {i}" for i in range(100) for mood in ("happy", "sad"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = interp.attribute(model, texts, by="occlusion", to=f"{folder}/run", progress=False)
        ...     stored, stored[5].words, len(stored.columns()["score"])
        (StoredAttributions(200 texts, by occlusion on _BagOfWords), ['sad', '2'], 400)
    """

    def __init__(self, folder: str | Path) -> None:
        self.shards = StoredShards(Path(folder))
        self.shards.starts  # noqa: B018 - raises where there is no run

    @classmethod
    def load(cls, path: str | Path) -> StoredAttributions:
        """Open the attributions in a folder; only its manifest is read.

        Args:
            path: the folder.

        Returns:
            The attributions.

        Raises:
            FolderError: the folder holds no run of `attribute`, or an incomplete one.
        """
        return cls(path)

    def __len__(self) -> int:
        return int(self.shards.starts[-1])

    @overload
    def __getitem__(self, at: int) -> Attribution: ...
    @overload
    def __getitem__(self, at: slice) -> Attributions: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            chosen = range(*at.indices(len(self)))
            numbers = self.numbers if self.skipped else range(len(self))
            return Attributions.numbered((self[i] for i in chosen), [numbers[i] for i in chosen])
        number = range(len(self))[at]
        shard = self.shards.shard_of(number)
        return Attribution(**fields_of(self.shards.read(shard)[number - self.shards.starts[shard]]))

    def __iter__(self) -> Iterator[Attribution]:
        for states in self.shards.states():
            for state in states:
                yield Attribution(**fields_of(state))

    @cached_property
    def _told(self) -> list[dict[str, Any]]:
        return [self.shards.told(number) for number in range(self.shards.count)]

    @property
    def skipped(self) -> dict[int, str]:
        """The error of each text that was skipped, by the number of the text."""
        return {int(number): error for told in self._told for number, error in told["skipped"].items()}

    @property
    def made_by(self) -> MadeBy:
        """The provenance: how the first attribution was made, with the cost of the whole run except for the seconds.

        Raises:
            InputError: there are no attributions.
        """
        if not len(self):
            raise InputError("there are no attributions, so nothing is known of how they were made.")
        cost = Counter[str]()
        for told in self._told:
            cost.update(told["cost"])
        return replace(self[0].made_by, cost=Cost(**cost))

    @property
    def numbers(self) -> list[int]:
        """The number of each text among those given to `attribute`, from 0; skipped texts are counted."""
        skipped, given = self.skipped, sum(told["items"] for told in self._told)
        return [number for number in range(given) if number not in skipped]

    @property
    def right(self) -> list[bool]:
        """Whether the answer is the true class, for each text for which both are known."""
        known = (classes_in({**p.data["shared"], **own}) for p in self.shards.states() for own in p.data["own"])
        both = (right_of(one["label"], one["answer"]) for one in known)
        return [right for right in both if right is not None]

    @cached_property
    def _counts(self) -> dict[str, int]:
        counts = [told["right"] for told in self._told]
        return {name: sum(count.get(name, 0) for count in counts) for name in ("True", "False")}

    def one_line(self) -> str:
        """Describe the folder in less than a line, as its `repr` does."""
        known = sum(self._counts.values())
        right = f", {self._counts['True']:,} of {known:,} right" if known else ""
        lost = f", {len(self.skipped):,} skipped" if self.skipped else ""
        made = f", by {self.shards.manifest['method']} on {self.shards.manifest['model']}"
        return f"{counted(len(self), 'text')}{right}{lost}{made}"

    def summary(self) -> str:
        """Describe the folder: a line for the whole, and a summary of each of the first texts."""
        more = [f"… and {counted(len(self) - FEW, 'more text')}"] * (len(self) > FEW)
        return "\n\n".join([self.one_line(), *(one.summary() for one in islice(self, FEW)), *more])

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, all of them in memory."""
        return {"attributions": [one.to_json() for one in self]}

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The columns of all attributions, in memory; `text` is the number of the text among those given."""
        whole: dict[str, list[Any]] = {}
        for table in self.tables():
            for name, column in table.items():
                whole.setdefault(name, []).extend(column)
        return whole

    def tables(self) -> Iterator[dict[str, list[Any]]]:
        """Yield the columns of one shard at a time, for tables that do not fit in memory.

        Yields:
            The columns of a shard by name, as in `columns`.
        """
        numbers = iter(self.numbers)
        for states in self.shards.states():
            yield _table(states, numbers)

    def _repr_html_(self) -> str:
        return super()._repr_html_() if len(self) else f"<p>{self.one_line()}</p>"


def _table(states: Packed, numbers: Iterator[int]) -> dict[str, list[Any]]:
    """The columns of the attributions of a shard, without making them."""
    whole: dict[str, list[Any]] = {}
    shared = states.data["shared"]
    scores, error = (states.flat(name) for name in ("scores", "error"))
    applies = states.flat("applicable", "bool")
    for i, own in enumerate(states.data["own"]):
        data = {**shared, **own}
        units = [(word, start, stop) for start, stop, word in data["units"]]
        rows = columns_of([target[0] for target in data["targets"]], units, scores[i] or [], error[i], applies[i])
        known = classes_in(data)
        of_text = {name: known[name] for name in ("answer", "probability", "label")}
        of_text["right"] = right_of(known["label"], known["answer"])
        count = len(rows["unit"])
        table = {"text": [next(numbers)] * count, **rows, **{name: [value] * count for name, value in of_text.items()}}
        for name, column in table.items():
            whole.setdefault(name, []).extend(column)
    return whole
