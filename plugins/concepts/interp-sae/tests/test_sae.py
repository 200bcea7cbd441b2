"""The L1 autoencoder and the space of all autoencoders: formulas by hand, units, a planted dictionary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_sae.network import ForwardPass, Network
from interp_sae.sae import SAE, L1Network
from interp_sae.selection import batch_topk, topk
from interp_sae.space import SAESpace
from interp_sae.testing import FAMILY, SCALING, Check, Trained, mean_l0, name_of, planted_rows, space_is_the_network
from torch import Tensor
from torch.overrides import TorchFunctionMode

test_contract = contract_tests("sae", steps=80, learning_rate=0.08, batch_size=64)

QUICK: Any = {"steps": 40, "learning_rate": 0.05, "batch_size": 64}


@pytest.fixture(scope="module")
def trained() -> Trained:
    method = SAE(concepts=20, steps=250, learning_rate=0.04, batch_size=128, penalty=0.3)
    return Trained(method, recovery=0.95)


@pytest.fixture(scope="module")
def space(trained: Trained) -> SAESpace:
    assert isinstance(trained.space, SAESpace)
    return trained.space


@pytest.mark.parametrize("check", FAMILY, ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


@pytest.fixture(scope="module")
def quick(trained: Trained) -> ConceptSpace:
    return fit_concepts(of_rows(trained.rows), by=SAE(concepts=20, **QUICK))


def test_ten_times_the_activations_have_ten_times_the_codes(trained: Trained, quick: ConceptSpace) -> None:
    bigger = fit_concepts(of_rows(10 * trained.rows), by=SAE(concepts=20, **QUICK))
    one, ten = quick.encode(trained.rows), bigger.encode(10 * trained.rows)
    assert ((one > 0) == (ten > 0)).float().mean() > 0.999
    assert torch.allclose(ten, 10 * one, atol=0.02)


def test_where_the_origin_is_does_not_matter(trained: Trained, quick: ConceptSpace) -> None:
    x = trained.rows
    moved = fit_concepts(of_rows(x + 30), by=SAE(concepts=20, **QUICK))
    assert ((moved.encode(x + 30) > 0) == (quick.encode(x) > 0)).float().mean() > 0.99


def test_a_greater_penalty_leaves_fewer_codes() -> None:
    x = planted_rows()[0]
    counts = [mean_l0(SAE(concepts=20, penalty=p, **QUICK).fit(of_rows(x)), x) for p in (0.02, 0.2, 0.5)]
    assert counts[0] > counts[1] + 0.5 > counts[2] + 0.5


def test_the_penalty_is_the_sum_of_the_codes_over_the_length_of_a_mean_row() -> None:
    codes = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 6.0]])
    rows = torch.zeros(2, 4)
    network = L1Network(3, 4, torch.Generator())
    assert float(network.penalty(rows, ForwardPass(codes, codes, rows))) == pytest.approx((3 + 6) / 2 / 4**0.5)


def test_the_error_is_the_mean_square_of_a_coordinate() -> None:
    rows, back = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    network = Network(3, 2, torch.Generator())
    assert float(network.reconstruction_loss(rows, ForwardPass(back, back, back))) == pytest.approx((1 + 9) / 4)


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = Network(5, 3, g)
    with torch.no_grad():
        for parameter in (network.encoder, network.bias, network.mean):
            parameter.add_(torch.randn(parameter.shape, generator=g))
    x = 5 * torch.randn(40, 3, generator=g)
    scaled = (x - SCALING.centre) * 0.25
    read = ((scaled - network.mean) @ network.encoder.T + network.bias).detach()
    space = network.space(SCALING)
    assert torch.allclose(space.encode(x), read.relu() / 0.25, atol=1e-5)
    reconstruction = read.relu() @ network.dictionary.detach() + network.mean.detach()
    assert torch.allclose(space(x), reconstruction / 0.25 + SCALING.centre, atol=1e-4)
    space_is_the_network(network)


def test_thresholds_are_turned_into_the_units_of_the_activations() -> None:
    network = Network(2, 3, torch.Generator())
    space = network.space_of(SCALING, network.encoder, network.bias, threshold=torch.tensor([0.5, 0.0]), k=1)
    assert space.threshold.tolist() == [2.0, 0.0] and space.k == 1


def test_codes_are_what_is_read_above_thresholds_and_at_most_k() -> None:
    read = torch.tensor([[3.0, 0.5, 2.0, -1.0], [1.0, 0.9, 0.2, 0.1]])
    eye, zero = torch.eye(4), torch.zeros(4)
    space = SAESpace(eye, eye, zero, zero, threshold=torch.tensor([0.0, 0.6, 0.6, 0.0]))
    assert torch.equal(space.encode(read), torch.tensor([[3.0, 0.0, 2.0, 0.0], [1.0, 0.9, 0.0, 0.1]]))
    space = SAESpace(eye, eye, zero, zero, k=1)
    assert torch.equal(space.encode(read), torch.tensor([[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))


def test_a_threshold_below_zero_is_a_relu() -> None:
    eye, zero = torch.eye(2), torch.zeros(2)
    assert torch.equal(SAESpace(eye, eye, zero, zero, -1.0).encode(-0.5 * torch.ones(1, 2)), torch.zeros(1, 2))


def test_a_space_of_release_0_1_keeps_as_many_codes_of_a_row() -> None:
    """Its files say `active`; what is saved again says `k`."""
    eye, zero = torch.eye(3), torch.zeros(3)
    space = SAESpace(eye, eye, zero, zero, active=2)
    assert (space.encode(torch.ones(1, 3)) > 0).sum() == 2 and space.config() == {"k": 2}
    assert SAESpace(eye, eye, zero, zero, active=None).k is None


def test_the_largest_codes_are_kept_of_each_row_and_of_all() -> None:
    codes = torch.tensor([[1.0, 5.0, 4.0], [2.0, 0.5, 0.1]])
    assert torch.equal(topk(codes, 1), torch.tensor([[0.0, 5.0, 0.0], [2.0, 0.0, 0.0]]))
    assert torch.equal(batch_topk(codes, 1), torch.tensor([[0.0, 5.0, 4.0], [0.0, 0.0, 0.0]]))
    assert torch.equal(topk(codes, 9), codes) and torch.equal(batch_topk(codes, 9), codes)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("entries", [1, 100, 20 * 199])
def test_codes_computed_some_rows_at_a_time_are_the_same(
    trained: Trained, space: SAESpace, k: int | None, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, limited = trained.rows[:200], SAESpace(**dict(space.named_buffers()), k=k)
    whole = limited.encode(x)
    monkeypatch.setattr("interp_sae.space.CODES", entries)
    assert torch.equal(limited.encode(x), whole) and limited.encode(x[:0]).shape == (0, 20)


def test_no_more_numbers_are_computed_at_a_time_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Sizes(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            sizes.extend([result.numel()] if isinstance(result, Tensor) and result.dtype == torch.float64 else [])
            return result

    monkeypatch.setattr("interp_sae.space.CODES", 100)
    space = SAESpace(torch.ones(10, 2), torch.ones(10, 2), torch.zeros(10), torch.zeros(2), k=2)
    with Sizes():
        space.encode(torch.ones(95, 2))
    assert max(sizes) == 100


def test_gradients_reach_every_row_through_all_parts(
    trained: Trained, space: SAESpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = trained.rows[:50].clone().requires_grad_()
    (whole,) = torch.autograd.grad(space.encode(x).square().sum(), x)
    monkeypatch.setattr("interp_sae.space.CODES", 20 * 7)
    (parts,) = torch.autograd.grad(space.encode(x).square().sum(), x)
    assert torch.allclose(parts, whole, atol=1e-6) and (whole != 0).any(1).all()


def test_gradients_of_codes_are_the_encoder_where_they_are_active(trained: Trained, space: SAESpace) -> None:
    x = trained.rows[:1].clone().requires_grad_()
    codes = space.encode(x)
    active = int(codes.argmax())
    codes[0, active].backward()
    assert torch.allclose(x.grad[0], space.encoder[active], atol=1e-6)


def test_more_concepts_than_dimensions_and_rows_of_one_dimension_are_fine() -> None:
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0))
    space = SAE(concepts=6, **QUICK).fit(of_rows(x))
    assert tuple(space.encode(x[:1]).shape) == (1, 6)
    assert (space(x) - x).square().mean() < 0.5 * x.var()


@pytest.mark.parametrize("x", [torch.ones(30, 4), torch.full((30, 4), 0.1), torch.zeros(9, 4), torch.randn(1, 4)])
def test_rows_that_do_not_differ_are_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match=f"the {len(x)} rows of 'given' are all equal; .* more varied"):
        SAE(concepts=1).fit(of_rows(x))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"concepts": 0, "steps": 0}, r"concepts=0, steps=0; at least 1"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0 must be above 0"),
        ({"aux_coefficient": -1.0}, r"aux_coefficient=-1\.0 at least 0"),
        ({"warmup": 0.6, "decay": 0.6}, r"shares of the steps; together"),
        ({"warmup": -0.1}, r"warmup=-0\.1"),
        ({"dtype": "int8"}, r"dtype 'int8' is not one of float32, bfloat16"),
        ({"penalty": 0.0}, r"penalty=0\.0 must be above 0, since nothing else"),
        ({"penalty_warmup": 1.5}, r"penalty_warmup=1\.5 is a share"),
        ({"resample": -1}, r"resample=-1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SAE(), **wrong)


def test_a_layer_of_a_real_model_is_explained(real_model: Any, real_texts: Any, tmp_path: Any) -> None:
    split = real_model("emotion-minilm").split(-1)
    activations = split.activations(real_texts("emotion")[:40], granularity="cls", progress=False)
    space = fit_concepts(activations, by=SAE(concepts=32, steps=60, batch_size=40, penalty=0.05, learning_rate=0.03))
    x = activations.matrix()
    assert (space(x) - x).square().sum() < 0.5 * (x - x.mean(0)).square().sum()
    again = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(again.encode(x), space.encode(x)) and again.history == space.history
