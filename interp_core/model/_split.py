"""A model split above a layer: read what it holds there for a corpus, and go on from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from interp_core.activations import Activations
from interp_core.model._extraction import read
from interp_core.model._layer import Layer
from interp_core.plugin import named_options
from interp_core.text import Granularity


class SplitModel(Layer):
    """A model and one of its layers; made by `model.split(layer)`.

    Attributes:
        model: the model.
        path: the module whose output is read and replaced.
    """

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
    ) -> Activations:
        """What the layer holds for each unit of each text.

        The pass stops at the layer unless predictions are wanted.

        Args:
            texts: the corpus: a list, an iterator, or a column of a `datasets.Dataset`.
            granularity: what a row stands for: the mean over the tokens of each unit, or for `"cls"` the one position
                that the classifier reads.
            to: a folder; rows are written there as they are read, and the folder is the store. A run that was
                interrupted goes on from the last whole shard when it is given the same call again.
            predictions: also keep the class that the model gives to each text; of a multi-label head, which ones.
            labels: for each text the class that it is said to have, by number or name, or a row of booleans, one a
                class; kept beside.
            class_names: what these classes are called, where they are not those of the model.
            progress: show a bar on a terminal or notebook.

        Raises:
            InputError: an empty corpus or text, labels of another length, predictions of a model that has no classes,
                a folder that holds something else.
            LayerError: the layer runs twice in a pass, or has no row for each token.
        """
        return read(
            [self],
            texts,
            [to],
            granularity=granularity,
            predictions=predictions,
            labels=labels,
            class_names=class_names,
            progress=progress,
        )[0]
