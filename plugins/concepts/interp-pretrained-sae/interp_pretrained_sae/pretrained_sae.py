"""Concepts that others learnt: loading a trained sparse autoencoder."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from interp_core.activations import Activations
from interp_core.errors import InputError
from interp_core.results import Cost, made_by
from torch import Tensor

from interp_pretrained_sae import dictionary_learning, files, gemma_scope, gemma_scope_2, saelens, sparsify
from interp_pretrained_sae.space import PretrainedSpace

BLOCK = re.compile(r"(?:^|[^a-z])(?:blocks?|layers?|h)[._ ](\d+)")


@dataclass(frozen=True)
class PretrainedSAE:
    """Pretrained sparse autoencoder: loads one that was trained elsewhere; nothing is learnt from the activations.

    Codes are those of the library it comes from. It is of use only for the model and layer it was trained on: the width
    is checked, and a note says where the number of the block differs. Notes also say what it was trained on. Weights
    are read from safetensors and npz files, never from a pickle.

    Args:
        path: a folder, a file of weights, or the id of a repository on the hub.
        subfolder: subfolder of the folder or repository, many of which hold an autoencoder for each layer.
        format: file layout: `"saelens"` (sae_weights.safetensors, cfg.json), `"dictionary-learning"` (ae.safetensors,
            config.json), `"sparsify"` (sae.safetensors, cfg.json), `"gemma-scope"` (params.npz), `"gemma-scope-2"`
            (params.safetensors, config.json), or `"auto"`, which goes by the files that are there.
        revision: branch, tag or commit of the repository on the hub; None for its default branch.
        scale: positive number that activations are multiplied by before they are read. Needed by autoencoders of
            SAELens that say `expected_average_only_in`, whose files do not hold it, and refused by all others.

    Raises:
        InputError: `format` is unknown, or `scale` is not a positive number.

    Examples:
        >>> import interp_core as interp
        >>> import torch
        >>> from interp_core.activations import of_rows
        >>> from interp_pretrained_sae.pretrained_sae import PretrainedSAE
        >>> method = PretrainedSAE(**PretrainedSAE.CHECKED_WITH)  # an example with random weights
        >>> width = method.load().width
        >>> space = interp.fit_concepts(of_rows(torch.ones(2, width)), by=method)
        >>> space.width == width
        True

    Source:
        Bricken et al. 2023, transformer-circuits.pub/2023/monosemantic-features. Each format computes as the library it
        comes from, see `saelens.read`, `dictionary_learning.read`, `sparsify.read`, `gemma_scope.read` and
        `gemma_scope_2.read`.
    """

    CHECKED_WITH: ClassVar[dict[str, str]] = {"path": str(Path(__file__).parent / "example")}
    """What the conformance kit gives it: a small autoencoder of random weights, since without a path there is none."""

    path: str = ""
    subfolder: str = ""
    format: str = "auto"
    revision: str | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.format not in ("auto", *files.FORMATS):
            raise InputError(f"format is {self.format!r}; it is auto, {' or '.join(files.FORMATS)}.")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise InputError(f"scale is {self.scale}; a positive number is needed.")

    def fit(self, activations: Activations) -> PretrainedSpace:
        """Load the autoencoder, if it fits the activations.

        Returns:
            The space, with a note where it was trained at another block.

        Raises:
            InputError: there is no path, nothing there can be read, or the autoencoder has another width.
        """
        space = self.load()
        if space.width != activations.width:
            raise InputError(
                f"{self.path!r} reads rows of width {space.width}, and {activations.layer!r} has {activations.width}; "
                f"split the model at {space.layer or 'the layer it was trained on'!r}."
            )
        if _misplaced(space.layer, activations.layer):
            told = f"It was trained at {space.layer!r}; these activations are of {activations.layer!r}, another block."
            space.notes = (*space.notes, told)
        return space

    def load(self) -> PretrainedSpace:
        """Load the autoencoder, without activations to check it against.

        Returns:
            The space; its `layer` is the name of the layer it was trained at.

        Raises:
            InputError: there is no path, nothing there can be read, or `scale` was given for a format other than
                SAELens.
        """
        form, folder = files.locate(self.path, self.subfolder, self.format, self.revision)
        weights = files.weights_in(folder / files.FORMATS[form][0])
        if form != "saelens" and self.scale is not None:
            raise InputError(
                f"scale={self.scale} was given; only autoencoders of SAELens may need it, and this is {form}."
            )
        space = self._read(form, folder, weights)
        version = f" at {self.revision}" if self.revision else ""
        space.notes = (*space.notes, f"Read from {self.path}{'/' * bool(self.subfolder)}{self.subfolder}{version}.")
        return space

    def _read(self, form: str, folder: Path, weights: dict[str, Tensor]) -> PretrainedSpace:
        place = f"{self.path}/{self.subfolder}"
        if form == "gemma-scope":
            return gemma_scope.read(weights, place)
        beside = folder / files.FORMATS[form][1]
        if form == "gemma-scope-2":
            return gemma_scope_2.read(weights, files.settings_in(beside) if beside.is_file() else {}, place)
        settings = files.settings_in(beside)
        if form == "saelens":
            return saelens.read(weights, settings, self.scale)
        if form == "sparsify":
            return sparsify.read(weights, settings, folder.name)
        return dictionary_learning.read(weights, settings)


def load_sae(
    path: str | Path,
    *,
    subfolder: str = "",
    format: str = "auto",
    revision: str | None = None,
    scale: float | None = None,
) -> PretrainedSpace:
    """Load a sparse autoencoder that was trained elsewhere, without activations.

    Args:
        path: a folder, a file of weights, or the id of a repository on the hub.
        subfolder: subfolder of the folder or repository.
        format: file layout, or `"auto"`; see `PretrainedSAE`.
        revision: branch, tag or commit of the repository on the hub; None for its default branch.
        scale: positive number that activations are multiplied by before they are read, for some autoencoders of
            SAELens.

    Returns:
        The space: float32, on the CPU, with its provenance; its `layer` is the name of the layer it was trained at.

    Raises:
        InputError: there is nothing that can be read.
    """
    method, cost = PretrainedSAE(str(path), subfolder, format, revision, scale), Cost()
    with cost.timed():
        space = method.load().eval()
    space.made_by = made_by(method, cost)
    return space


def _misplaced(hook: str, layer: str) -> bool:
    """Whether the numbers of the blocks are known and differ; what a block reads is what the one before it gave."""
    trained, here = BLOCK.search(hook), BLOCK.search(layer)
    return bool(trained and here) and int(trained[1]) - ("resid_pre" in hook) != int(here[1])  # type: ignore[index]
