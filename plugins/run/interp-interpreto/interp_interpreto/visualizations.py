"""Plots for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import interp_core as interp
from interp_core.errors import UnsupportedError
from interp_core.reporting import Report

from interp_interpreto.attributions._output import AttributionOutput

Names = Sequence[str] | Mapping[int, str] | None


def plot_attributions(
    attribution_output: Any, *, classes_names: Names = None, save_path: str | Path | None = None
) -> Report:
    """Plot the words of texts, coloured by their scores, with a button for each class.

    Args:
        attribution_output: what an explainer returned, or one of these.
        classes_names: the names of the classes, as a list or by number.
        save_path: file that a whole page is written to as well.

    Returns:
        The plot, which notebooks display.

    Examples:
        >>> import torch
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import Occlusion, plot_attributions
        >>> tiny = tiny_classifier()
        >>> outputs = Occlusion(tiny.model, tiny.tokenizer)("so happy", targets=torch.tensor([[0, 2]]))
        >>> "joy" in plot_attributions(outputs[0], classes_names=["joy", "love", "fear"]).html
        True
    """
    outputs = attribution_output if isinstance(attribution_output, list | tuple) else [attribution_output]
    values = [one.attribution if isinstance(one, AttributionOutput) else one for one in outputs]
    return _saved(interp.plot_attributions(values, class_names=classes_names), save_path)


def plot_concepts(
    *,
    concepts_importances: Any,
    concepts_labels: Any = None,
    classes_names: Names = None,
    sample: Any = None,
    concepts_activations: Any = None,
    top_k: int = 10,
    save_path: str | Path | None = None,
) -> Report:
    """Plot the concepts that matter most to each class, with a button for each class.

    Args:
        concepts_importances: scores (classes, concepts), or a dict from class to the scores of its concepts.
        concepts_labels: a dict or list of the words or label of each concept; a dict from class to one of these where
            each class has concepts of its own.
        classes_names: the names of the classes, as a list or by number.
        sample: not offered; the error says what to do.
        concepts_activations: not offered.
        top_k: number of concepts shown for each class at first.
        save_path: file that a whole page is written to as well.

    Returns:
        The plot, which notebooks display.

    Raises:
        InputError: the scores or words have another shape.
        UnsupportedError: the concepts of the words of one text are asked for.

    Examples:
        >>> import torch
        >>> from interp_interpreto import plot_concepts
        >>> plot = plot_concepts(
        ...     classes_names=["calm", "sad"],
        ...     concepts_importances=torch.tensor([[0.1, 0.3], [0.6, 0.4]]),
        ...     concepts_labels={0: ["rain", "cold"], 1: ["joy"]},
        ... )
        >>> "rain, cold" in plot.html
        True
    """
    if sample is not None or concepts_activations is not None:
        raise UnsupportedError(
            "the concepts of one text are shown by interp.plot_concepts(importance, words, sample=…), with the "
            "importance of interp.importance(…)."
        )
    plot = interp.plot_concepts(concepts_importances, concepts_labels, class_names=classes_names, top=top_k)
    return _saved(plot, save_path)


class AttributionVisualization:
    """The plot of `plot_attributions` as an object, as in the first generation of interpreto.

    Args:
        attribution_output: what an explainer returned, or one of these.
        class_names: the names of the classes, as a list or by number.
        classes_names: the same.
        save_path: file that a whole page is written to as well.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> from interp_interpreto import AttributionVisualization, Occlusion
        >>> tiny = tiny_classifier()
        >>> (output,) = Occlusion(tiny.model, tiny.tokenizer)("so happy")
        >>> "happy" in AttributionVisualization(output).display().html
        True
    """

    def __init__(
        self,
        attribution_output: Any,
        *,
        class_names: Names = None,
        classes_names: Names = None,
        save_path: str | Path | None = None,
    ) -> None:
        names = classes_names if class_names is None else class_names
        self.report = plot_attributions(attribution_output, classes_names=names, save_path=save_path)

    def display(self) -> Report:
        """The plot, which notebooks display at the end of a cell."""
        return self.report

    def _repr_html_(self) -> str:
        shown: str = self.report._repr_html_()
        return shown


def _saved(plot: Report, save_path: str | Path | None) -> Report:
    if save_path is not None:
        plot.save(save_path)
    return plot
