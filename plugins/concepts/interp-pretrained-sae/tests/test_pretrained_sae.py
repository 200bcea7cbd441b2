"""Pretrained autoencoders: the numbers of the libraries they come from, what is refused, and where files are found.

What is in `fixtures/` was made once by those libraries, with the scripts beside it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.metrics import measure
from interp_core.testing import contract_tests
from interp_pretrained_sae import space as space_module
from interp_pretrained_sae.pretrained_sae import PretrainedSAE, load_sae
from interp_pretrained_sae.space import PretrainedSpace, Reading
from safetensors.torch import load_file, save_file
from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures"
SAELENS, MARKS = FIXTURES / "saelens", FIXTURES / "dictionary_learning"
GEMMA, GEMMA_FOLDER = FIXTURES / "gemma_scope", "layer_20/width_16k/average_l0_71"
MADE = sorted(file.parent for file in FIXTURES.rglob("golden.safetensors"))
HUB = "google/gemma-scope-2b-pt-res"

test_contract = contract_tests("pretrained-sae")  # with the example in the package
test_contract_of_scaled_rows = contract_tests("pretrained-sae", path=str(SAELENS / "layer-norm"))


def loaded(folder: Path) -> PretrainedSpace:
    """A fixture; the one whose factor is not in its file is told it."""
    return load_sae(folder, scale=0.37 if folder.name == "expected-average" else None)


def saelens(folder: Path, changes: dict[str, Any] | None = None, **weights: Tensor | None) -> Path:
    """The standard fixture of SAELens with some settings changed, and some weights changed or left out (None)."""
    config = json.loads((SAELENS / "standard" / "cfg.json").read_text()) | (changes or {})
    tensors = load_file(SAELENS / "standard" / "sae_weights.safetensors") | weights
    return written(folder, "sae_weights.safetensors", tensors, "cfg.json", config)


def marks(folder: Path, name: str, trainer: dict[str, Any] | None = None, **weights: Tensor | None) -> Path:
    """A fixture of dictionary_learning, changed in the same way."""
    config = json.loads((MARKS / name / "config.json").read_text())
    config["trainer"] |= trainer or {}
    tensors = load_file(MARKS / name / "ae.safetensors") | weights
    return written(folder, "ae.safetensors", tensors, "config.json", config)


def written(folder: Path, file: str, weights: dict[str, Tensor | None], beside: str, config: Any) -> Path:
    save_file({name: weight for name, weight in weights.items() if weight is not None}, folder / file)
    (folder / beside).write_text(json.dumps(config))
    return folder


# The numbers


def test_every_format_and_architecture_is_among_the_fixtures() -> None:
    assert len(list(SAELENS.iterdir())) == 16 and len(list(MARKS.iterdir())) == 7 and len(MADE) == 16 + 7 + 1


@pytest.mark.parametrize("folder", MADE, ids=lambda folder: folder.name)
def test_codes_and_reconstructions_are_those_of_the_library_that_trained_it(folder: Path) -> None:
    golden, space = load_file(folder / "golden.safetensors"), loaded(folder)
    codes = space.encode(golden["inputs"])
    assert torch.allclose(codes[:, : space.latents], golden["codes"], atol=1e-5, rtol=0)
    assert torch.equal(codes[:, : space.latents] != 0, golden["codes"] != 0)
    assert torch.allclose(space.decode(codes), golden["rows"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("folder", MADE, ids=lambda folder: folder.name)
def test_a_saved_space_is_the_same_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    space, x = loaded(folder), load_file(folder / "golden.safetensors")["inputs"]
    again = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert isinstance(again, PretrainedSpace)
    assert torch.equal(again.encode(x), space.encode(x)) and torch.equal(again(x), space(x))
    assert again.state_dict().keys() == space.state_dict().keys()
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in space.state_dict().items())
    assert (again.names, again.notes, again.layer) == (space.names, space.notes, space.layer)
    assert (again.reading, again.made_by) == (space.reading, space.made_by)


@pytest.mark.parametrize("name", ["jumprelu", "topk", "layer-norm"])
def test_many_rows_are_encoded_some_at_a_time_to_the_same_codes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space, x = loaded(SAELENS / name), torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    whole, seen = space.encode(x), []
    monkeypatch.setattr(space_module, "NUMBERS", 7 * space.concepts)
    monkeypatch.setattr(space_module, "LATENTS", 5)
    inner = space._codes
    monkeypatch.setattr(space, "_codes", lambda rows: (seen.append(len(rows)), inner(rows))[1])
    assert torch.allclose(space.encode(x), whole, atol=1e-6)
    assert seen == [7] * 7 + [1]


def test_gradients_are_the_same_when_rows_are_encoded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient() -> Tensor:
        x = torch.linspace(-2, 2, 120).reshape(10, 12).requires_grad_()
        space.encode(x).square().sum().backward()
        return x.grad

    space = loaded(SAELENS / "gated")
    whole = gradient()
    monkeypatch.setattr(space_module, "NUMBERS", 3 * space.concepts)
    assert whole.any() and torch.allclose(gradient(), whole, atol=1e-6)


def test_a_code_at_the_threshold_is_none_and_one_above_is_kept_whole() -> None:
    eye = torch.eye(3)
    space = PretrainedSpace(eye, eye, torch.zeros(3), torch.zeros(3), torch.tensor([0.5, 0.0, -2.0]))
    x = torch.tensor([[0.5, 0.0, -1.0], [0.75, 0.1, 0.1]])
    assert torch.equal(space.encode(x), torch.tensor([[0.0, 0.0, 0.0], [0.75, 0.1, 0.1]]))


def test_rows_alike_are_scaled_and_differentiated_without_nan() -> None:
    for name in ("constant-norm", "layer-norm"):
        space = loaded(SAELENS / name)
        x = torch.stack([torch.zeros(12), torch.ones(12)]).requires_grad_()
        codes = space.encode(x)
        codes.sum().backward()
        assert torch.isfinite(codes).all() and torch.isfinite(space.decode(codes)).all()
        assert torch.isfinite(x.grad).all()


def test_codes_of_scaled_rows_do_not_change_with_the_size_of_a_row() -> None:
    """Constant norm: the codes are of the direction alone, and what is decoded has the row's size."""
    space, x = loaded(SAELENS / "constant-norm"), torch.linspace(-1, 2, 12)[None]
    one, other = space.encode(x), space.encode(5 * x)
    assert torch.allclose(one[:, :-1], other[:, :-1], atol=1e-6) and torch.allclose(5 * one[:, -1], other[:, -1])
    assert torch.allclose(5 * space.decode(one), space.decode(other), atol=1e-5)
    assert one[0, -1] == pytest.approx(float(x.square().mean().sqrt()))


def test_a_rows_own_size_and_mean_are_concepts_after_the_latents() -> None:
    space, x = loaded(SAELENS / "layer-norm"), torch.linspace(-1, 2, 12)[None]
    assert (space.latents, space.concepts) == (24, 26)
    assert space.names[23:] == ["latent 23", "spread of the row", "mean of the row"]
    assert torch.allclose(space.encode(x)[0, 24:], torch.stack([x.std(), x.mean()]))
    assert torch.equal(space.dictionary[24:], torch.stack([space.offset, torch.ones(12)]))
    assert loaded(SAELENS / "constant-norm").names[23:] == ["latent 23", "size of the row"]
    assert loaded(SAELENS / "standard").names == [f"latent {i}" for i in range(24)]


def test_weights_in_half_precision_are_read_as_float32(tmp_path: Path) -> None:
    weights = load_file(SAELENS / "standard" / "sae_weights.safetensors")
    half = load_sae(saelens(tmp_path, **{name: weight.half() for name, weight in weights.items()}))
    assert half.dictionary.dtype == half.encoder.dtype == half.bias.dtype == half.offset.dtype == torch.float32
    assert torch.equal(half.encoder, weights["W_enc"].half().float().T)


def test_a_space_made_of_half_precision_holds_float32() -> None:
    eye, zero = torch.eye(3).half(), torch.zeros(3).half()
    space = PretrainedSpace(eye, eye, zero, zero, zero, reading=Reading(scaling="layer-norm"))
    assert {tensor.dtype for tensor in space.state_dict().values()} == {torch.float32}


def test_a_latent_without_a_direction_has_no_code_and_breaks_nothing(tmp_path: Path) -> None:
    weight = load_file(MARKS / "AutoEncoder" / "ae.safetensors")["decoder.weight"]
    weight[:, 5] = 0
    space = load_sae(marks(tmp_path, "AutoEncoder", **{"decoder.weight": weight}))
    codes = space.encode(torch.ones(1, 14))
    assert torch.isfinite(space.decode(codes)).all() and codes[0, 5].abs() < 1e-6


def test_weights_in_half_precision_are_computed_with_in_float32(tmp_path: Path) -> None:
    changes = {"architecture": "topk", "k": 3, "rescale_acts_by_decoder_norm": True}
    half = {name: w.half() for name, w in load_file(SAELENS / "standard" / "sae_weights.safetensors").items()}
    of_half = load_sae(saelens(tmp_path, changes, **half)).state_dict()
    expected = load_sae(saelens(tmp_path, changes, **{name: w.float() for name, w in half.items()})).state_dict()
    assert all(torch.equal(of_half[name], tensor) for name, tensor in expected.items())


def test_only_top_k_is_rescaled_by_the_lengths_of_directions(tmp_path: Path) -> None:
    """SAELens knows the setting for no other architecture."""
    space = load_sae(saelens(tmp_path, {"rescale_acts_by_decoder_norm": True}))
    assert torch.equal(space.dictionary, loaded(SAELENS / "standard").dictionary)


def test_a_dictionary_that_keeps_more_than_there_are_is_refused_where_it_is_made() -> None:
    eye = torch.eye(3)
    with pytest.raises(InputError, match=r"k=4 codes of 3 latents"):
        PretrainedSpace(eye, eye, torch.zeros(3), torch.zeros(3), reading=Reading(k=4))


def test_a_reading_of_release_0_1_keeps_as_many_codes() -> None:
    """Its files say `top`; what is saved again says `k`."""
    eye, zero = torch.eye(3), torch.zeros(3)
    space = PretrainedSpace(eye, eye, zero, zero, reading={"top": 2, "signed": False, "centred": True})
    assert space.reading == Reading(k=2) and space.encode(torch.tensor([[1.0, 2.0, 3.0]])).count_nonzero() == 2
    assert space.config()["reading"]["k"] == 2


# sparsify and Gemma Scope 2, by their definitions


def sparsify(folder: Path, config: dict[str, Any] | None = None, **weights: Tensor | None) -> Path:
    """An autoencoder of sparsify, 12 latents of rows of width 6, in the layout that its `save_to_disk` writes."""
    g = torch.Generator().manual_seed(0)
    shapes = {"encoder.weight": (12, 6), "encoder.bias": (12,), "W_dec": (12, 6), "b_dec": (6,)}
    tensors = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()} | weights
    said = {"activation": "topk", "expansion_factor": 2, "normalize_decoder": True, "num_latents": 0, "k": 3}
    said |= {"multi_topk": False, "skip_connection": False, "transcode": False, "d_in": 6} | (config or {})
    folder.mkdir(parents=True, exist_ok=True)
    return written(folder, "sae.safetensors", tensors, "cfg.json", said)


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
def test_sparsify_keeps_the_largest_of_a_row_or_of_each_group(activation: str, tmp_path: Path) -> None:
    folder = sparsify(tmp_path / "layers.3.mlp", {"activation": activation})
    w, space = load_file(folder / "sae.safetensors"), load_sae(tmp_path, subfolder="layers.3.mlp")
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    read = ((x - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]).relu()
    if activation == "topk":
        expected = torch.where(read >= read.sort(dim=1, descending=True).values[:, 2:3], read, 0)
    else:
        expected = torch.cat([torch.where(part == part.amax(1, True), part, 0) for part in read.split(4, dim=1)], dim=1)
    assert torch.allclose(space.encode(x), expected, atol=1e-5)
    assert torch.allclose(space(x), expected @ w["W_dec"] + w["b_dec"], atol=1e-5)
    again = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(again.encode(x), space.encode(x))
    assert space.layer == "layers.3.mlp" and f"({activation}), trained at 'layers.3.mlp'" in space.notes[0]


@pytest.mark.parametrize(
    ("config", "weights", "said"),
    [
        ({"transcode": True}, {}, r"is a transcoder, .* \(transcode\); only plain autoencoders"),
        ({"skip_connection": True}, {}, r"with a linear path beside its latents \(skip_connection\)"),
        ({}, {"W_skip": torch.ones(6, 6)}, r"with a linear path beside its latents"),
        ({"embed_skip": True}, {}, "on top of an affine map of the embeddings"),
        ({"gram_lookup": True}, {}, "a table of n-grams"),
        ({"signed": True}, {}, "codes below 0"),
        (
            {"activation": "jumprelu"},
            {},
            "activation 'jumprelu' of sparsify is not supported; those are: topk, groupmax",
        ),
        ({"k": None}, {}, "k is None in cfg.json; topk of 12 latents needs a count of 1 to 12"),
        ({"k": 5, "activation": "groupmax"}, {}, "k is 5 .* that divides it"),
        ({"num_latents": 24}, {}, r"cfg.json says 24 latents of rows of width 6; encoder.weight is \(12, 6\)"),
        ({}, {"W_dec": None}, "this file lacks W_dec"),
    ],
)
def test_what_sparsify_can_and_this_cannot_is_named(
    config: dict[str, Any], weights: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        load_sae(sparsify(tmp_path, config, **weights))


GEMMA_2_FOLDER = "resid_post/layer_12_width_16k_l0_medium"


def gemma_2(folder: Path, config: dict[str, Any] | None = None, **weights: Tensor | None) -> Path:
    """An autoencoder of Gemma Scope 2: tensors in small letters in safetensors; without `config`, no config.json."""
    g = torch.Generator().manual_seed(0)
    shapes = {"w_enc": (6, 12), "w_dec": (12, 6), "b_enc": (12,), "b_dec": (6,)}
    tensors = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    tensors |= {"threshold": torch.rand(12, generator=g)} | weights
    folder.mkdir(parents=True, exist_ok=True)
    written(folder, "params.safetensors", tensors, "config.json", config)
    if config is None:
        (folder / "config.json").unlink()
    return folder


TOLD = {
    "architecture": "jump_relu",
    "model_name": "gemma-v3-1b-pt",
    "hf_hook_point_in": "model.layers.12.output",
    "width": 16384,
}


@pytest.mark.parametrize("config", [TOLD, None])
def test_gemma_scope_2_is_a_jumprelu_of_what_it_reads(config: dict[str, Any] | None, tmp_path: Path) -> None:
    folder = gemma_2(tmp_path / "gemma-scope-2-1b-pt" / GEMMA_2_FOLDER, config)
    w, space = (
        load_file(folder / "params.safetensors"),
        load_sae(tmp_path / "gemma-scope-2-1b-pt", subfolder=GEMMA_2_FOLDER),
    )
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    read = x @ w["w_enc"] + w["b_enc"]
    expected = read * (read > w["threshold"])
    assert torch.allclose(space.encode(x), expected, atol=1e-5)
    assert torch.allclose(space(x), expected @ w["w_dec"] + w["b_dec"], atol=1e-5)
    layer = "model.layers.12.output" if config else "layer 12"
    assert space.notes[0] == f"An autoencoder of Gemma Scope 2, trained on gemma-3-1b-pt at {layer!r}."
    assert space.layer == layer


@pytest.mark.parametrize(
    ("place", "config", "weights", "said"),
    [
        ("transcoder_all/layer_0", TOLD, {}, "is a transcoder of Gemma Scope 2, which writes elsewhere than it reads"),
        ("crosscoder/layer_7_13", None, {}, "is a crosscoder of"),
        ("clt/width_262k", None, {}, "is a clt of"),
        ("a", TOLD | {"hf_hook_point_out": "model.layers.12.post"}, {}, "is a transcoder or crosscoder of"),
        ("a", None, {"affine_skip_connection": torch.ones(6, 6)}, "is a transcoder or crosscoder of"),
        ("a", None, {"w_dec": torch.ones(12, 2, 6)}, "is a transcoder or crosscoder of"),
        ("a", TOLD | {"architecture": "topk"}, {}, "the architecture 'topk' of Gemma Scope 2 is not supported"),
        ("a", None, {"threshold": None}, "this file lacks threshold"),
    ],
)
def test_what_gemma_scope_2_has_beside_autoencoders_is_refused(
    place: str, config: dict[str, Any] | None, weights: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    gemma_2(tmp_path / place, config, **weights)
    with pytest.raises(InputError, match=said):
        load_sae(tmp_path, subfolder=place)


def test_a_folder_of_many_layers_says_which_there_are(tmp_path: Path) -> None:
    for layer in range(5):
        sparsify(tmp_path / f"layers.{layer}")
    with pytest.raises(
        InputError, match=r"some in layers\.0, layers\.1, layers\.2 and 2 more: say subfolder="
    ) as error:
        load_sae(tmp_path)
    assert "ae.pt" not in str(error.value)


# Fitting


def test_fitting_loads_and_learns_nothing() -> None:
    x = load_file(SAELENS / "gated" / "golden.safetensors")["inputs"]
    space = fit_concepts(of_rows(x[:1]), by="pretrained-sae", path=str(SAELENS / "gated"))
    assert torch.equal(space.encode(x), load_sae(SAELENS / "gated").encode(x))
    assert space.made_by.parameters["path"] == str(SAELENS / "gated") and space.layer == "given"


def test_another_width_is_refused_with_both() -> None:
    with pytest.raises(InputError, match=r"reads rows of width 12, and 'given' has 5; split the model at 'blocks\.8"):
        PretrainedSAE(str(SAELENS / "gated")).fit(of_rows(torch.ones(4, 5)))


@pytest.mark.parametrize(
    ("folder", "layer", "told"),
    [
        (SAELENS / "standard", "transformer.h.7", False),  # what block 8 reads is what block 7 gives
        (SAELENS / "standard", "transformer.h.8", True),
        (SAELENS / "hook-z", "transformer.h.8.attn", False),
        (SAELENS / "standard", "embeddings", False),
        (MARKS / "AutoEncoder", "gpt_neox.layers.3", False),
        (MARKS / "AutoEncoder", "gpt_neox.layers.4", True),
        (GEMMA / GEMMA_FOLDER, "model.layers.20", False),
        (GEMMA / GEMMA_FOLDER, "model.layers.2", True),
        (GEMMA / GEMMA_FOLDER, "model.width.2", False),
    ],
)
def test_activations_of_another_block_are_told_apart(folder: Path, layer: str, told: bool) -> None:
    space = loaded(folder)
    rows = of_rows(torch.ones(2, space.width))
    object.__setattr__(rows, "layer", layer)
    notes = PretrainedSAE(str(folder)).fit(rows).notes
    note = f"It was trained at {space.layer!r}; these activations are of {layer!r}, another block."
    assert notes == (*space.notes, note) if told else notes == space.notes


def test_notes_say_where_it_comes_from() -> None:
    assert load_sae(MARKS, subfolder="GatedAutoEncoder").notes == (
        "A dictionary of dictionary_learning (GatedAutoEncoder), trained on EleutherAI/pythia-70m-deduped at "
        "'layer 3 resid_post_layer_3'.",
        f"Read from {MARKS}/GatedAutoEncoder.",
    )
    space = load_sae(SAELENS / "version-1")
    assert space.layer == "blocks.8.hook_resid_pre"
    assert space.notes[0] == (
        "An autoencoder of SAELens (standard), trained on gpt2-small at 'blocks.8.hook_resid_pre'."
    )
    assert "may have centred" in space.notes[1]
    assert len(load_sae(SAELENS / "version-5").notes) == 2  # it says that nothing was centred


def test_a_head_is_told(tmp_path: Path) -> None:
    told = {"metadata": {"hook_name": "blocks.1.attn.hook_z", "hook_head_index": 3}}
    assert "at 'blocks.1.attn.hook_z', head 3." in load_sae(saelens(tmp_path, told)).notes[0]


def test_a_space_that_is_loaded_says_how() -> None:
    made = load_sae(SAELENS, subfolder="topk", format="saelens").made_by
    assert (made.method, made.package) == ("pretrained-sae", "interp-pretrained-sae")
    assert made.parameters == {
        "path": str(SAELENS),
        "subfolder": "topk",
        "format": "saelens",
        "revision": None,
        "scale": None,
    }


# What is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "jumprelu_transcoder"}, "architecture 'jumprelu_transcoder' of SAELens is not supported"),
        ({"architecture": "temporal"}, "those are: standard, topk, abstopk, jumprelu, gated, batchtopk, matryoshka"),
        ({"activation_fn": "tanh-relu"}, "activation_fn 'tanh-relu'"),
        ({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3, "postact_fn": "tanh"}}, "'postact_fn': 'tanh'"),
        ({"architecture": "gated", "activation_fn": "topk", "activation_fn_kwargs": {"k": 3}}, "of a 'gated'"),
        ({"normalize_activations": "covariance_whitening"}, "normalize_activations 'covariance_whitening'"),
        ({"normalize_activations": "expected_average_only_in"}, r"not in the file. Say scale=…, which is √width"),
        ({"normalize_activations": True}, r"normalize_activations is 'expected_average_only_in'"),
        ({"reshape_activations": "hook_q"}, "reshape_activations 'hook_q'"),
        ({"architecture": "topk", "k": 25}, "k is 25; a 'topk' autoencoder of 24 latents"),
        ({"architecture": "topk", "k": 0}, "k is 0"),
        ({"architecture": "abstopk", "k": 2.5}, "k is 2.5"),
        ({"architecture": "topk"}, "k is 0"),
        ({"d_in": 13}, r"cfg.json says d_in 13, and W_enc is \(12, 24\)"),
        ({"d_sae": 23}, "cfg.json says d_sae 23"),
        ({"architecture": "jumprelu"}, "this file lacks threshold and has none beside"),
    ],
)
def test_what_saelens_can_and_this_cannot_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_sae(saelens(tmp_path, changes))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"b_enc": None}, "lacks b_enc"),
        ({"W_enc": None}, "needs a matrix called W_enc; this file has W_dec, b_dec, b_enc"),
        ({"W_enc": torch.ones(12)}, "needs a matrix called W_enc"),
        ({"W_skip": torch.ones(12, 12)}, "has W_skip beside them"),
        ({"scaling_factor": torch.full((24,), 1.1)}, "has scaling_factor beside them"),
        (
            {"b_enc": torch.ones(23)},
            r"b_enc of this 'standard' autoencoder of SAELens is \(23,\); \(24,\) was expected",
        ),
        ({"W_dec": torch.ones(12, 24)}, r"W_dec .* is \(12, 24\); \(24, 12\) was expected"),
    ],
)
def test_tensors_that_do_not_fit_are_named(weights: dict[str, Tensor | None], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_sae(saelens(tmp_path, **weights))


def test_a_scaling_factor_of_ones_changes_nothing(tmp_path: Path) -> None:
    space, x = load_sae(saelens(tmp_path, scaling_factor=torch.ones(24))), torch.ones(1, 12)
    assert torch.equal(space(x), loaded(SAELENS / "standard")(x))


def test_a_scale_is_refused_where_the_file_asks_for_none() -> None:
    with pytest.raises(InputError, match=r"scale=2\.0 was given, and normalize_activations is 'none'"):
        load_sae(SAELENS / "standard", scale=2.0)
    with pytest.raises(InputError, match=r"only autoencoders of SAELens may need it, and this is gemma-scope"):
        load_sae(GEMMA, subfolder=GEMMA_FOLDER, scale=2.0)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive"):
            PretrainedSAE(scale=scale)


@pytest.mark.parametrize(
    ("name", "trainer", "weights", "said"),
    [
        ("AutoEncoder", {"dict_class": "CrossCoder"}, {}, "dict_class in config.json is 'CrossCoder', which is not"),
        ("AutoEncoder", {"dict_class": None}, {}, "those are: AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpRelu"),
        ("AutoEncoder", {"dict_class": "GatedAutoEncoder"}, {}, "lacks decoder_bias, gate_bias, mag_bias, r_mag and"),
        ("AutoEncoder", {}, {"encoder.weight": None}, "needs a matrix called encoder.weight or W_enc"),
        ("AutoEncoderTopK", {"k": 9}, {}, "k is 4 in ae.safetensors and 9 in config.json"),
        ("AutoEncoderTopK", {"k": None}, {"k": None}, "k is None in ae.safetensors and None in config.json"),
        ("AutoEncoderTopK", {"k": 25}, {"k": None}, "k=25 codes of 24 latents"),
        ("BatchTopKSAE", {}, {"threshold": None}, "lacks threshold"),
    ],
)
def test_what_does_not_fit_a_class_of_dictionary_learning_is_named(
    name: str, trainer: dict[str, Any], weights: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        load_sae(marks(tmp_path, name, trainer, **weights))


def test_older_files_of_top_k_have_their_count_in_the_settings(tmp_path: Path) -> None:
    space, x = load_sae(marks(tmp_path, "AutoEncoderTopK", k=None, threshold=None)), torch.ones(1, 14)
    assert torch.equal(space.encode(x), loaded(MARKS / "AutoEncoderTopK").encode(x))


def test_a_threshold_that_was_never_learnt_keeps_positive_codes_and_is_told(tmp_path: Path) -> None:
    space = load_sae(marks(tmp_path, "BatchTopKSAE", threshold=torch.tensor(-1.0)))
    assert "Its threshold was never learnt, so that all positive codes are kept." in space.notes
    assert not space.threshold.any()
    assert not any("never learnt" in note for note in loaded(MARKS / "BatchTopKSAE").notes)
    assert not any(
        "never learnt" in note
        for note in load_sae(marks(tmp_path, "AutoEncoderTopK", threshold=torch.tensor(-1.0))).notes
    )


def test_settings_without_a_trainer_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, "ae.safetensors", {"x": torch.ones(1)}, "config.json", {"trainer": 3})
    with pytest.raises(InputError, match=r"dict_class in config\.json is None"):
        load_sae(folder)


def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "JumpReluAutoEncoder"
    weights = load_file(MARKS / name / "ae.safetensors")
    torch.save(weights | {"W_enc": weights["W_enc"].T.contiguous().T}, tmp_path / "ae.pt")
    shutil.copy(MARKS / name / "config.json", tmp_path)
    for place in (tmp_path, tmp_path / "ae.pt"):
        with pytest.raises(InputError, match=r"ae\.pt in .* is a pickle, which is never opened") as refused:
            load_sae(place)
    command = re.search(r'python -c "(.*?)"', str(refused.value))
    assert command is not None
    monkeypatch.chdir(tmp_path)
    exec(command[1], {})
    assert torch.equal(load_sae(tmp_path).encoder, loaded(MARKS / name).encoder)


def test_the_pickle_is_not_spoken_of_to_those_who_look_for_another_format(tmp_path: Path) -> None:
    (tmp_path / "ae.pt").touch()
    with pytest.raises(InputError, match=r"Expected are, for gemma-scope: params.npz.$"):
        load_sae(tmp_path, format="gemma-scope")


def test_an_array_of_python_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "params.npz", W_enc=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="damaged or no file of tensors"):
        load_sae(tmp_path)


@pytest.mark.parametrize("file", ["params.npz", "sae_weights.safetensors", "params.safetensors", "sae.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 and no more"])
def test_damaged_files_are_refused(file: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match="damaged or no file of tensors"):
        load_sae(tmp_path)


def test_one_array_in_place_of_several_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "params.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(InputError, match="damaged or no file of tensors"):
        load_sae(tmp_path)


def test_settings_that_are_missing_or_no_object_are_refused(tmp_path: Path) -> None:
    file = saelens(tmp_path) / "cfg.json"
    for content, said in ((None, "cfg.json is missing"), ("{", "is not JSON"), ("[1]", "holds a list")):
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(InputError, match=said):
            load_sae(tmp_path)


@pytest.mark.parametrize(
    "place", ["gemma-scope-2b-pt-transcoders/layer_1/width_16k", "gemma-scope-2b-pt-res/embedding/width_4k"]
)
def test_transcoders_and_embeddings_of_gemma_scope_are_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    shutil.copy(GEMMA / GEMMA_FOLDER / "params.npz", tmp_path / place)
    with pytest.raises(InputError, match=r"is one of the (transcoder|embedding)s of Gemma Scope"):
        load_sae(tmp_path, subfolder=place)


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("gemma-scope-2b-pt-res", "trained on gemma-2-2b: the residual stream after layer 20."),
        ("gemma-scope-9b-it-res", "trained on gemma-2-9b-it: the residual stream after layer 20."),
        ("gemma-scope-2b-pt-mlp", "trained on gemma-2-2b: what the MLP gives in layer 20."),
        ("gemma-scope-2b-pt-att", "trained on gemma-2-2b: what the heads give in layer 20."),
        ("my-embedding", "trained on a Gemma 2: something in layer 20."),
    ],
)
def test_the_path_says_what_gemma_scope_was_trained_on(repository: str, said: str, tmp_path: Path) -> None:
    shutil.copytree(GEMMA, tmp_path / repository)
    space = load_sae(tmp_path / repository, subfolder=GEMMA_FOLDER)
    assert said in space.notes[0] and space.layer == "layer 20"
    shutil.copy(GEMMA / GEMMA_FOLDER / "params.npz", tmp_path)
    assert "a layer that its path does not name" in load_sae(tmp_path).notes[0]


# Where files are


def test_without_a_path_there_is_nothing_to_load() -> None:
    with pytest.raises(InputError, match="pretrained-sae was given no path; say path=…"):
        fit_concepts(of_rows(torch.ones(2, 3)), by="pretrained-sae")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(
        InputError,
        match="'eleuther'; it is auto, saelens or dictionary-learning or sparsify or gemma-scope or gemma-scope-2",
    ):
        PretrainedSAE(format="eleuther")


@pytest.mark.parametrize("file", ["saelens/topk/sae_weights.safetensors", f"gemma_scope/{GEMMA_FOLDER}/params.npz"])
def test_a_file_of_weights_stands_for_its_folder(file: str) -> None:
    assert torch.equal(load_sae(FIXTURES / file).encoder, load_sae((FIXTURES / file).parent).encoder)


def test_a_folder_that_holds_several_formats_needs_one_named(tmp_path: Path) -> None:
    marks(saelens(tmp_path), "AutoEncoder")
    with pytest.raises(InputError, match="several formats; say format= one of saelens, dictionary-learning"):
        load_sae(tmp_path)
    assert (load_sae(tmp_path, format="saelens").width, load_sae(tmp_path, format="dictionary-learning").width) == (
        12,
        14,
    )
    assert load_sae(tmp_path / "ae.safetensors").width == 14


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "there is no folder"),
        ("a/b/c/nowhere", "there is no folder"),
        (
            "",
            "holds no sparse autoencoder that can be read. Expected are, for saelens: sae_weights.safetensors and cfg",
        ),
        ("notes.txt", "is not a file of weights that can be read"),
    ],
)
def test_where_nothing_is_the_message_says_what_was_expected(place: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=said):
        load_sae(tmp_path / place)
    with pytest.raises(InputError, match="there is no folder"):
        load_sae(tmp_path, subfolder="nowhere")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path, str], list[dict[str, Any]]]:
    """A hub that holds one folder: it hands over the files that it is asked for, and no others."""
    asked: list[dict[str, Any]] = []

    def serve(folder: Path, subfolder: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repo_id, *, revision: sorted(held))
        held = {f"{subfolder}/{file.name}".lstrip("/"): file for file in folder.iterdir()}

        def download(repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            wanted = sorted(filter_repo_objects([*held, "README.md"], allow_patterns=allow_patterns))
            asked.append({"id": repo_id, "revision": revision, "files": wanted})
            for name in wanted:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(held[name], tmp_path / name)
            return str(tmp_path)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        return asked

    return serve


def test_only_what_is_needed_is_downloaded_from_the_hub(hub: Any) -> None:
    asked = hub(GEMMA / GEMMA_FOLDER, GEMMA_FOLDER)
    space = load_sae(HUB, subfolder=GEMMA_FOLDER, revision="v2")
    assert asked == [{"id": HUB, "revision": "v2", "files": [f"{GEMMA_FOLDER}/params.npz"]}]
    assert torch.equal(space.encoder, load_sae(GEMMA, subfolder=GEMMA_FOLDER).encoder)
    assert space.notes == (
        "An autoencoder of Gemma Scope, trained on gemma-2-2b: the residual stream after layer 20.",
        f"Read from {HUB}/{GEMMA_FOLDER} at v2.",
    )


def test_a_repository_may_hold_one_autoencoder_at_its_top(hub: Any) -> None:
    asked = hub(SAELENS / "topk", "")
    fit_concepts(of_rows(torch.ones(2, 12)), by="pretrained-sae", path="me/topk")
    assert asked == [{"id": "me/topk", "revision": None, "files": ["cfg.json", "sae_weights.safetensors"]}]


def test_a_format_that_is_named_is_all_that_is_asked_for(hub: Any) -> None:
    asked = hub(SAELENS / "topk", "layer [3]")
    with pytest.raises(InputError, match=r"nothing to read in 'layer \[3\]/'. There are some in layer \[3\]: say subf"):
        load_sae("me/topk", subfolder="layer [3]/", format="gemma-scope")
    assert asked[0]["files"] == []


def test_a_repository_says_which_layers_it_holds_and_what_is_a_pickle_in_it(hub: Any, tmp_path: Path) -> None:
    hub(sparsify(tmp_path / "held"), "layers.3")
    with pytest.raises(
        InputError, match=r"nothing to read in 'its top folder'\. There are some in layers\.3: say subf"
    ):
        load_sae("me/many")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "ae.pt").touch()
    hub(tmp_path / "pickled", "layer_4")
    with pytest.raises(InputError, match=r"ae\.pt in 'me/pickled/layer_4' is a pickle, which is never opened"):
        load_sae("me/pickled", subfolder="layer_4")


def test_a_subfolder_is_meant_letter_by_letter(hub: Any) -> None:
    asked = hub(SAELENS / "topk", "layer [3]")
    load_sae("me/topk", subfolder="layer [3]/")
    assert asked[0]["files"] == ["layer [3]/cfg.json", "layer [3]/sae_weights.safetensors"]


def test_a_folder_comes_before_a_repository_of_the_same_name(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(SAELENS / "gated", "")
    monkeypatch.chdir(FIXTURES)
    assert torch.equal(load_sae("saelens/topk").encoder, load_sae(SAELENS / "topk").encoder)
    with pytest.raises(InputError, match="there is no folder 'saelens/topk/nowhere' and no such file"):
        load_sae("saelens/topk/nowhere")
    assert asked == []


def test_a_hub_that_cannot_be_reached_is_said_in_one_line() -> None:
    """The tests run offline: nothing is in the cache."""
    with pytest.raises(InputError, match=r"no folder 'nobody/nothing', and the hub gave nothing of that id: [^\n]+$"):
        load_sae("nobody/nothing")


# A real model


def identity(folder: Path, width: int, **changes: Any) -> Path:
    """An autoencoder that gives back what it reads: a latent for each side of each axis."""
    both = torch.cat([torch.eye(width), -torch.eye(width)])
    weights = {"W_enc": both.T, "W_dec": both, "b_enc": torch.zeros(2 * width), "b_dec": torch.zeros(width)}
    config = {"architecture": "standard", "d_in": width, "d_sae": 2 * width, **changes}
    return written(
        folder, "sae_weights.safetensors", {k: v.contiguous() for k, v in weights.items()}, "cfg.json", config
    )


@pytest.mark.parametrize("scaling", ["none", "constant_norm_rescale", "layer_norm"])
def test_code_times_slope_is_activation_times_slope_whatever_rows_are_scaled_to(scaling: str, tmp_path: Path) -> None:
    """Of a score that is linear in activations: the latents add up to it, with the mean where that was taken off."""
    space = load_sae(identity(tmp_path, 6, normalize_activations=scaling))
    x, weight = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    codes = space.encode(x).requires_grad_()
    (space.decode(codes) * weight).sum().backward()
    parts = codes * codes.grad
    whole = parts[:, : space.latents].sum(1) + (parts[:, -1] if scaling == "layer_norm" else 0)
    assert torch.allclose(whole, (x * weight).sum(1), atol=1e-4)


def test_activations_of_a_real_model_are_encoded_and_given_back(
    real_model: Any, real_texts: Any, tmp_path: Path
) -> None:
    split = real_model("emotion-minilm").split(-1)
    words = split.activations(real_texts("emotion")[:10], granularity="word", progress=False)
    for scaling in ("none", "layer_norm"):
        space = fit_concepts(
            words, by="pretrained-sae", path=str(identity(tmp_path, words.width, normalize_activations=scaling))
        )
        assert measure(space, words, by="explained-variance").value == pytest.approx(1, abs=1e-6)
        assert int((space.encode(words.matrix())[:, : space.latents] > 0).sum()) <= len(words) * words.width
