"""A model with the layers at which it is split, and the activations that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import interp_core as interp
import torch
from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_core.model import SplitModel, TextModel
from interp_core.results import MadeBy
from interp_core.text import divide
from jaxtyping import Float
from torch import Tensor

from interp_interpreto._models import on_device, text_model
from interp_interpreto.attributions._inputs import texts_of
from interp_interpreto.commons import (
    ActivationGranularity as ActivationGranularity,
)
from interp_interpreto.commons import (
    GranularityAggregationStrategy,
    check_aggregation,
    units_of,
)

PREDICTIONS = "predictions"
WHOLE = ("cls", "sample", "given")  # granularities of one row for each text


class SplitActivations(dict[Any, Any]):
    """Activations by layer, and the predicted class of the text of each row: a dict that knows which text a row is of.

    Attributes:
        of: the `Activations` of each layer, by module path.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> tiny = tiny_classifier()
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points=[1])
        >>> word = split.activation_granularities.WORD
        >>> activations = split.get_activations(["so happy", "sad"], word, include_predicted_classes=True)
        >>> activations[1].shape, activations[split.split_points[0]].shape, activations["predictions"].shape
        (torch.Size([3, 16]), torch.Size([3, 16]), torch.Size([3]))
    """

    def __init__(self, split_model: ModelWithSplitPoints, of: Mapping[str, Activations], flat: bool) -> None:
        self._model, self.of = split_model, dict(of)
        self._put = {path: one.matrix() if flat else _by_text(one) for path, one in of.items()}
        super().__init__(self._put)
        first = next(iter(of.values()))
        if first.predictions is not None:  # one for each row, so that the same choice of rows fits all entries
            of_rows = first.predictions[first.text_of]
            self[PREDICTIONS] = of_rows if flat else first.predictions

    def whole(self, path: str) -> Activations | None:
        """The activations of a layer as they were read; None if its entry is another by now."""
        own, held = self.of.get(path), self.get(path)
        if own is None or held is not self._put[path]:
            return None
        return own

    def __missing__(self, key: Any) -> Any:
        """The rows of a layer that is named by its number."""
        if isinstance(key, int) and not isinstance(key, bool):
            path = self._model.model.layer_path(key)
            if path in self:
                return self[path]
        raise InputError(f"there are no activations of {key!r}; there are of {', '.join(map(repr, self))}.")


def _by_text(activations: Activations) -> list[Tensor]:
    counts = torch.bincount(activations.text_of, minlength=len(activations.texts))
    return list(activations.matrix().split(counts.tolist()))


class ModelWithSplitPoints:
    """A model that is split at one or more layers, to read activations there and to go on from them.

    Args:
        model_or_repo_id: a model of transformers, which is only called, or the folder or hub id of one to load.
        split_points: a block by number, a module by path, or a list of either.
        tokenizer: the tokenizer; loaded with the model if that is named.
        automodel: the class to load with, such as `AutoModelForSequenceClassification`.
        batch_size: accepted, without effect; batches are sized by tokens.
        device_map: device to load a named model on; for a given model, the device where it lies.
        **kwargs: for a named model, further options of `from_pretrained`, such as `revision`.

    Attributes:
        model: the model with its tokenizer.

    Raises:
        InputError: the model cannot be loaded or used, lies elsewhere, or an option is for loading only.
        LayerError: there is no such layer.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import ModelWithSplitPoints
        >>> tiny = tiny_classifier()
        >>> split = ModelWithSplitPoints(tiny.model, tokenizer=tiny.tokenizer, split_points="bert.encoder.layer.0")
        >>> split.split_points
        ['bert.encoder.layer.0']
    """

    activation_granularities = ActivationGranularity
    aggregation_strategies = GranularityAggregationStrategy

    def __init__(
        self,
        model_or_repo_id: Any,
        split_points: Any = None,
        *,
        tokenizer: Any = None,
        automodel: Any = None,
        batch_size: int = 1,
        device_map: Any = None,
        **kwargs: Any,
    ) -> None:
        self.batch_size = batch_size
        self.model = _loaded(model_or_repo_id, tokenizer, automodel, device_map, kwargs)
        self.split_points = split_points

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self.model.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.model.device

    @property
    def split_points(self) -> list[str]:
        """The module paths of the layers."""
        return list(self._splits)

    @split_points.setter
    def split_points(self, points: Any) -> None:
        listed = points if isinstance(points, list | tuple) else [points]
        if not listed or any(isinstance(point, bool) or not isinstance(point, str | int) for point in listed):
            raise InputError(
                f"split_points is {points!r}; the number of a block, a module path, or a list of these was expected."
            )
        self._splits = {split.path: split for split in map(self.model.split, listed)}

    def at(self, split_point: Any = None) -> SplitModel:
        """The model split at one of the layers.

        Args:
            split_point: its path or number; the only one, if None.

        Raises:
            InputError: it is none of the layers, or there are several and none is named.
        """
        if split_point is None and len(self._splits) == 1:
            return next(iter(self._splits.values()))
        known = ", ".join(map(repr, self._splits))
        if split_point is None:
            raise InputError(f"the model is split at {known}; say which is meant: split_point=….")
        path = self.model.layer_path(split_point)
        if path not in self._splits:
            raise InputError(f"the model is not split at {split_point!r}; it is at {known}.")
        return self._splits[path]

    def get_activations(
        self,
        inputs: Any,
        activation_granularity: Any,
        aggregation_strategy: Any = GranularityAggregationStrategy.MEAN,
        *,
        include_predicted_classes: bool = False,
        flatten_activations: bool = True,
        tqdm_bar: bool = False,
    ) -> SplitActivations:
        """The activations of texts, at all layers in one pass.

        Args:
            inputs: the texts, or what the tokenizer has made of them.
            activation_granularity: what a row stands for.
            aggregation_strategy: `MEAN`: the row of a unit is the mean over its tokens.
            include_predicted_classes: also keep the class that the model predicts for each text.
            flatten_activations: rows (n, d) of all texts; otherwise a list with the rows of each text.
            tqdm_bar: show a progress bar.

        Returns:
            Tensors by module path, and `"predictions"`: the class of the text of each row, or of each text where rows
            are listed by text.

        Raises:
            InputError: a text or granularity cannot be used, or the model has no classes to predict.
        """
        check_aggregation(aggregation_strategy, ("mean",))
        texts = texts_of(inputs, self.tokenizer)
        units = units_of(activation_granularity, ActivationGranularity)
        layers = self.model.layers(*self._splits)
        read = layers.activations(texts, granularity=units, predictions=include_predicted_classes, progress=tqdm_bar)
        return SplitActivations(self, read, flatten_activations)

    def get_split_activations(self, activations: Any, split_point: Any = None) -> Tensor:
        """The tensor of one layer, of what `get_activations` returned or a dict that was made of it.

        Args:
            activations: the dict, or the tensor of the only layer.
            split_point: the layer; the only one, if None.

        Raises:
            InputError: it is not there.
        """
        if isinstance(activations, Tensor):
            return activations
        path = self.at(split_point).path
        if not isinstance(activations, Mapping) or path not in activations:
            held = ", ".join(map(repr, activations)) if isinstance(activations, Mapping) else type(activations).__name__
            raise InputError(f"activations of {path!r} were expected; there are {held}.")
        found: Any = activations[path]
        return torch.cat(found) if isinstance(found, list) else found

    def rows(self, activations: Any, split: SplitModel, texts: Any = None, units: str = "") -> Activations:
        """The activations of one layer as interp has them.

        Args:
            activations: what `get_activations` returned, a dict that was made of it, or a tensor (n, d).
            split: the layer.
            texts: the texts that the rows are of, for a dict or tensor that no longer says so.
            units: what a row stands for, with `texts`.

        Raises:
            InputError: there are not as many rows as units of the texts, or the layer is not there.
        """
        whole = activations.whole(split.path) if isinstance(activations, SplitActivations) else None
        if whole is not None:
            return whole
        values = self.get_split_activations(activations, split.path).detach().float().cpu()
        if values.ndim != 2:
            raise InputError(f"the activations have shape {tuple(values.shape)}; (rows, width) was expected.")
        names = [f"row {i}" for i in range(len(values))] if texts is None else texts_of(texts, self.tokenizer)
        return _as_activations(split, values, names, "given" if texts is None else units)


def _as_activations(split: SplitModel, values: Float[Tensor, "n d"], texts: list[str], units: str) -> Activations:
    """Rows with the units that they stand for."""
    if units in WHOLE:
        spans: list[tuple[Any, ...]] = [(interp.Unit(text, 0, len(text)),) for text in texts]
    else:
        spans = [tuple(divide(split.model.encoder(text), units).units) for text in texts]
    counts = torch.tensor([len(own) for own in spans], dtype=torch.long)
    if int(counts.sum()) != len(values):
        raise InputError(f"{len(values)} rows were given for {int(counts.sum())} units {units!r} of the texts.")
    text_of = torch.arange(len(texts)).repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    return Activations(
        values=values,
        text_of=text_of,
        unit_of=torch.arange(len(values)) - first[text_of],
        texts=tuple(texts),
        units=tuple(spans),
        layer=split.path,
        granularity=units,
        made_by=MadeBy("given", model=split.model.name),
    )


def _loaded(model: Any, tokenizer: Any, automodel: Any, device_map: Any, options: dict[str, Any]) -> TextModel:
    if isinstance(model, str):
        name = "" if automodel is None else getattr(automodel, "__name__", str(automodel))
        task = name.partition("AutoModelFor")[2] or "auto"
        if name and task == "auto":
            raise InputError(f"automodel is {name}; a class such as AutoModelForSequenceClassification was expected.")
        places = {} if device_map is None else {"device_map": device_map}
        loaded = interp.load(model, task=task, **places, **options)
        return loaded if tokenizer is None else interp.TextModel(loaded.model, tokenizer)
    if options:
        raise InputError(f"{next(iter(options))} is for loading a model, and one was given; leave it out.")
    wrapped = text_model(model, tokenizer)
    on_device(wrapped, device_map)
    return wrapped


def with_blanks(activations: Activations, tokenizer: Any) -> Activations:
    """The activations with units that begin with the blank before them, where the tokens of the model do.

    Args:
        activations: rows of words or tokens.
        tokenizer: the tokenizer.
    """
    if not _joins_blanks(tokenizer):
        return activations
    import dataclasses

    def widened(text: str, units: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(
            interp.Unit(text[u.start - 1 : u.stop], u.start - 1, u.stop)
            if u.start and text[u.start - 1] == " " and not u.text.startswith(" ")
            else u
            for u in units
        )

    pairs = zip(activations.texts, activations.units, strict=True)
    return dataclasses.replace(activations, units=tuple(widened(str(text), own) for text, own in pairs))


def _joins_blanks(tokenizer: Any) -> bool:
    """Whether the token of a word holds the blank before it, as those of byte-level and sentencepiece models do."""
    ids = tokenizer("a b", add_special_tokens=False)["input_ids"]
    return any(str(tokenizer.convert_ids_to_tokens(i)).startswith(("\u0120", "\u2581", " ")) for i in ids[1:])
