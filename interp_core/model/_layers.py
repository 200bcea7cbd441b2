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
from interp_core.text import Granularity, Text


@dataclass(frozen=True, eq=False)
class Layers:
    """Several layers of one model, as made by `model.layers(…)`, to read their activations in the same passes.

    Attributes:
        splits: the model split at each of the layers.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> layers = tiny_classifier().layers(0, -1)
        >>> by_path = layers.activations(["so happy", "sad"], granularity="word", progress=False)
        >>> {path: tuple(activations.values.shape) for path, activations in by_path.items()}
        {'bert.encoder.layer.0': (3, 16), 'bert.encoder.layer.1': (3, 16)}
        >>> by_path["bert.encoder.layer.0"].made_by.cost.forwards
        1
    """

    splits: tuple[SplitModel, ...]

    @named_options
    def activations(
        self,
        texts: Text | Iterable[Text],
        *,
        granularity: Granularity = "token",
        to: str | Path | None = None,
        predictions: bool = False,
        labels: Iterable[Any] | None = None,
        class_names: Sequence[str] | None = None,
        executor: Any = None,
        progress: bool = True,
    ) -> dict[str, Activations]:
        """Read the activations of each layer for each unit of each text.

        Passes stop at the last of the layers, unless predictions are requested.

        Args:
            texts: the corpus: a list, an iterator, or a column of a `datasets.Dataset`. A text is a string, a pair of
                strings or a chat, as in `attribute`.
            granularity: the units that rows stand for. A row is the mean over the tokens of a unit; for `"cls"` it is
                the position that the classifier reads, for `"last"` the last token, from which a generator continues.
            to: a folder in which rows are written as they are read, instead of memory, with a store for each layer. The
                same call resumes an interrupted run from its last complete shard.
            predictions: also keep the predicted class of each text; for a multi-label head, its predicted classes.
            labels: also keep these labels, one for each text: a class by number or name, or a row of booleans with one
                for each class.
            class_names: the names of the classes of the labels; those of the model by default.
            executor: where shards of texts are read: the name of an executor such as `"processes"` or `"ray"`, or an
                instance; None for this process. The model is sent to each worker once.
            progress: show a progress bar in terminals and notebooks.

        Returns:
            The activations (n, d) of each layer, by module path, with n units in the order of the texts.

        Raises:
            InputError: the corpus or a text is empty, the granularity is unknown, labels do not fit the texts or
                classes, predictions are requested from a model without classes, or the folder holds something else.
            LayerError: a layer runs twice in a pass, has no state for each token, or has no single position for
                `"cls"`.
            ModelError: states are NaN or infinite, or a single text does not fit into memory.
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
            executor=executor,
            progress=progress,
        )
        return {split.path: one for split, one in zip(self.splits, results, strict=True)}
