"""Several layers of one model, read together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.activations import Activations
from interp_core.model._extraction import read
from interp_core.model._split import SplitModel
from interp_core.plugin import named_options
from interp_core.text import Granularity


@dataclass(frozen=True, eq=False)
class Layers:
    """Several layers of one model, read in one pass; made by `model.layers(…)`."""

    splits: tuple[SplitModel, ...]

    @named_options
    def activations(
        self,
        texts: Iterable[str],
        *,
        granularity: Granularity = "token",
        to: str | Path | None = None,
        predictions: bool = False,
        labels: Iterable[Any] | None = None,
        class_names: Sequence[str] | None = None,
        progress: bool = True,
    ) -> dict[str, Activations]:
        """What each layer holds for each unit of each text, by module path.

        Passes stop at the last of the layers unless predictions are wanted.

        Args:
            texts: the corpus: a list, an iterator, or a column of a `datasets.Dataset`.
            granularity: what a row stands for: the mean over the tokens of each unit, or for `"cls"` the one position
                that the classifier reads.
            to: a folder; rows are written there as they are read, a store for each layer. A run that was interrupted
                goes on from the last whole shard when it is given the same call again.
            predictions: also keep the class that the model gives to each text; of a multi-label head, which ones.
            labels: for each text the class that it is said to have, by number or name, or a row of booleans, one a
                class; kept beside.
            class_names: what these classes are called, where they are not those of the model.
            progress: show a bar on a terminal or notebook.

        Raises:
            InputError: an empty corpus or text, labels of another length, predictions of a model that has no classes,
                a folder that holds something else.
            LayerError: a layer runs twice in a pass, or has no row for each token.
        """
        folders = [None if to is None else Path(to) / split.path for split in self.splits]
        results = read(
            self.splits,
            texts,
            folders,
            granularity=granularity,
            predictions=predictions,
            labels=labels,
            class_names=class_names,
            progress=progress,
        )
        return {split.path: one for split, one in zip(self.splits, results, strict=True)}
