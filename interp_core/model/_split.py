"""Models split above a layer, to read its activations for a corpus and to resume from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from interp_core.activations import Activations
from interp_core.model._extraction import read
from interp_core.model._layer import Layer
from interp_core.plugin import named_options
from interp_core.text import Granularity, Text


class SplitModel(Layer):
    """A model split above one of its layers, as made by `model.split(layer)`, to read activations and resume from them.

    Attributes:
        model: the model.
        path: the path of the module whose output is read and replaced.

    Examples:
        Read one row for each word of two texts.

        >>> from interp_core.testing import tiny_classifier
        >>> split = tiny_classifier().split(-1)
        >>> activations = split.activations(["so happy", "the cat was sad"], granularity="word", progress=False)
        >>> activations.values.shape
        torch.Size([6, 16])
        >>> activations.text_of
        tensor([0, 0, 1, 1, 1, 1])
    """

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
    ) -> Activations:
        """Read the activations of the layer for each unit of each text.

        Passes stop at the layer, unless predictions are requested.

        Args:
            texts: the corpus: a list, an iterator, or a column of a `datasets.Dataset`. A text is a string, a pair of
                strings or a chat, as in `attribute`.
            granularity: the units that rows stand for. A row is the mean over the tokens of a unit; for `"cls"` it is
                the position that the classifier reads, for `"last"` the last token, from which a generator continues.
            to: a folder in which rows are written as they are read, instead of memory. The same call resumes an
                interrupted run from its last complete shard.
            predictions: also keep the predicted class of each text; for a multi-label head, its predicted classes.
            labels: also keep these labels, one for each text: a class by number or name, or a row of booleans with one
                for each class.
            class_names: the names of the classes of the labels; those of the model by default.
            executor: where shards of texts are read: the name of an executor such as `"processes"` or `"ray"`, or an
                instance; None for this process. The model is sent to each worker once.
            progress: show a progress bar in terminals and notebooks.

        Returns:
            The activations (n, d), with n units in the order of the texts.

        Raises:
            InputError: the corpus or a text is empty, the granularity is unknown, labels do not fit the texts or
                classes, predictions are requested from a model without classes, or the folder holds something else.
            LayerError: the layer runs twice in a pass, has no state for each token, or has no single position for
                `"cls"`.
            ModelError: states are NaN or infinite, or a single text does not fit into memory.
        """
        return read(
            [self],
            texts,
            [to],
            granularity=granularity,
            predictions=predictions,
            labels=labels,
            class_names=class_names,
            executor=executor,
            progress=progress,
        )[0]
