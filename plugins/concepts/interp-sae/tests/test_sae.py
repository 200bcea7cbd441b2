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
from interp_sae.frame import Frame
from interp_sae.network import Network, Pass
from interp_sae.sae import SAE, L1Network
from interp_sae.selection import largest, largest_of_all
from interp_sae.space import SAESpace
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize
from torch.overrides import TorchFunctionMode

test_contract = contract_tests("sae", steps=160, learning_rate=0.15, batch_size=64)

QUICK: Any = {"steps": 150, "learning_rate": 0.1, "batch_size": 64}
PLANTED = SAE(concepts=24, steps=400, learning_rate=0.1, batch_size=128, penalty=0.2)


def planted(concepts: int = 24, width: int = 16, active: int = 2, rows: int = 3000) -> tuple[Tensor, Tensor]:
    """Rows that hold `active` of more directions than there are dimensions, off the origin, and the directions."""
    g = torch.Generator().manual_seed(0)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    held = torch.rand(rows, concepts, generator=g).argsort(1).argsort(1) < active
    codes = held * (0.5 + torch.rand(rows, concepts, generator=g))
    return codes @ directions + torch.randn(width, generator=g), directions


def matched(one: Tensor, other: Tensor) -> float:
    cosine = (normalize(one, dim=1) @ normalize(other, dim=1).T).abs()
    return float(cosine[linear_sum_assignment(-cosine.numpy())].mean())


@pytest.fixture(scope="module")
def space() -> SAESpace:
    found = fit_concepts(of_rows(planted()[0]), by=PLANTED)
    assert isinstance(found, SAESpace)
    return found


def test_more_planted_directions_than_dimensions_are_found(space: SAESpace) -> None:
    random = torch.randn(24, 16, generator=torch.Generator().manual_seed(1))
    assert matched(space.dictionary, planted()[1]) > 0.95
    assert matched(random, planted()[1]) < 0.7


def test_directions_have_length_one(space: SAESpace) -> None:
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(24), atol=1e-6)


def test_ten_times_the_activations_have_ten_times_the_codes(space: SAESpace) -> None:
    x = planted()[0]
    bigger = fit_concepts(of_rows(10 * x), by=PLANTED)
    one, ten = space.encode(x), bigger.encode(10 * x)
    assert ((one > 0) == (ten > 0)).float().mean() > 0.999
    assert torch.allclose(ten, 10 * one, atol=0.02)


def test_where_the_origin_is_does_not_matter(space: SAESpace) -> None:
    x = planted()[0]
    moved = fit_concepts(of_rows(x + 30), by=PLANTED)
    assert ((moved.encode(x + 30) > 0) == (space.encode(x) > 0)).float().mean() > 0.99


def test_a_greater_penalty_leaves_fewer_codes() -> None:
    x = planted()[0]
    counts = [
        float((SAE(concepts=24, penalty=p, **QUICK).fit(of_rows(x)).encode(x) > 0).sum(1).float().mean())
        for p in (0.02, 0.2, 0.5)
    ]
    assert counts[0] > counts[1] + 0.5 > counts[2] + 0.5


def test_the_penalty_is_the_sum_of_the_codes_over_the_length_of_a_mean_row() -> None:
    codes = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 6.0]])
    rows = torch.zeros(2, 4)
    network = L1Network(3, 4, torch.Generator())
    assert float(network.penalty(rows, Pass(codes, codes, rows))) == pytest.approx((3 + 6) / 2 / 4**0.5)


def test_the_error_is_the_mean_square_of_a_coordinate() -> None:
    rows, back = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    network = Network(3, 2, torch.Generator())
    assert float(network.error(rows, Pass(back, back, back))) == pytest.approx((1 + 9) / 4)


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = Network(5, 3, g)
    with torch.no_grad():
        for parameter in (network.encoder, network.bias, network.mean):
            parameter.add_(torch.randn(parameter.shape, generator=g))
    frame = Frame(torch.tensor([1.0, -2.0, 7.0]), torch.tensor(0.25), torch.tensor(1.0))
    x = 5 * torch.randn(40, 3, generator=g)
    inside = (x - frame.centre) * 0.25
    read = ((inside - network.mean) @ network.encoder.T + network.bias).detach()
    space = network.space(frame)
    assert torch.allclose(space.encode(x), read.relu() / 0.25, atol=1e-5)
    back = read.relu() @ network.dictionary.detach() + network.mean.detach()
    assert torch.allclose(space(x), back / 0.25 + frame.centre, atol=1e-4)


def test_thresholds_are_turned_into_the_units_of_the_activations() -> None:
    network = Network(2, 3, torch.Generator())
    frame = Frame(torch.zeros(3), torch.tensor(0.25), torch.tensor(1.0))
    space = network.read_by(frame, network.encoder, network.bias, torch.tensor([0.5, 0.0]), active=1)
    assert space.threshold.tolist() == [2.0, 0.0] and space.active == 1


def test_codes_are_what_is_read_above_thresholds_and_at_most_so_many() -> None:
    read = torch.tensor([[3.0, 0.5, 2.0, -1.0], [1.0, 0.9, 0.2, 0.1]])
    eye, zero = torch.eye(4), torch.zeros(4)
    space = SAESpace(eye, eye, zero, zero, threshold=torch.tensor([0.0, 0.6, 0.6, 0.0]))
    assert torch.equal(space.encode(read), torch.tensor([[3.0, 0.0, 2.0, 0.0], [1.0, 0.9, 0.0, 0.1]]))
    space = SAESpace(eye, eye, zero, zero, active=1)
    assert torch.equal(space.encode(read), torch.tensor([[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))


def test_a_threshold_below_zero_is_a_relu() -> None:
    eye, zero = torch.eye(2), torch.zeros(2)
    assert torch.equal(SAESpace(eye, eye, zero, zero, -1.0).encode(-0.5 * torch.ones(1, 2)), torch.zeros(1, 2))


def test_the_largest_codes_are_kept_of_each_row_and_of_all() -> None:
    codes = torch.tensor([[1.0, 5.0, 4.0], [2.0, 0.5, 0.1]])
    assert torch.equal(largest(codes, 1), torch.tensor([[0.0, 5.0, 0.0], [2.0, 0.0, 0.0]]))
    assert torch.equal(largest_of_all(codes, 1), torch.tensor([[0.0, 5.0, 4.0], [0.0, 0.0, 0.0]]))
    assert torch.equal(largest(codes, 9), codes) and torch.equal(largest_of_all(codes, 9), codes)


def test_a_row_is_encoded_alone_as_among_others(space: SAESpace) -> None:
    x = planted()[0][:200]
    alone = torch.cat([space.encode(row[None]) for row in x])
    assert torch.allclose(space.encode(x), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("active", [None, 3])
@pytest.mark.parametrize("entries", [1, 100, 24 * 199])
def test_codes_worked_out_some_rows_at_a_time_are_the_same(
    space: SAESpace, active: int | None, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, limited = planted()[0][:200], SAESpace(**dict(space.named_buffers()), active=active)
    whole = limited.encode(x)
    monkeypatch.setattr("interp_sae.space.CODES", entries)
    assert torch.equal(limited.encode(x), whole) and limited.encode(x[:0]).shape == (0, 24)


def test_no_more_numbers_are_worked_out_at_a_time_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Watched(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            sizes.extend([found.numel()] if isinstance(found, Tensor) and found.dtype == torch.float64 else [])
            return found

    monkeypatch.setattr("interp_sae.space.CODES", 100)
    space = SAESpace(torch.ones(10, 2), torch.ones(10, 2), torch.zeros(10), torch.zeros(2), active=2)
    with Watched():
        space.encode(torch.ones(95, 2))
    assert max(sizes) == 100


def test_slopes_reach_every_row_through_all_parts(space: SAESpace, monkeypatch: pytest.MonkeyPatch) -> None:
    x = planted()[0][:50].requires_grad_()
    (whole,) = torch.autograd.grad(space.encode(x).square().sum(), x)
    monkeypatch.setattr("interp_sae.space.CODES", 24 * 7)
    (parts,) = torch.autograd.grad(space.encode(x).square().sum(), x)
    assert torch.allclose(parts, whole, atol=1e-6) and (whole != 0).any(1).all()


def test_slopes_of_codes_are_the_encoder_where_they_are_active(space: SAESpace) -> None:
    x = planted()[0][:1].requires_grad_()
    codes = space.encode(x)
    lit = int(codes.argmax())
    codes[0, lit].backward()
    assert torch.allclose(x.grad[0], space.encoder[lit], atol=1e-6)


def test_more_concepts_than_dimensions_and_rows_of_one_dimension_are_fine() -> None:
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0))
    found = SAE(concepts=6, **QUICK).fit(of_rows(x))
    assert tuple(found.encode(x[:1]).shape) == (1, 6)
    assert (found(x) - x).square().mean() < 0.5 * x.var()


@pytest.mark.parametrize("x", [torch.ones(30, 4), torch.full((30, 4), 0.1), torch.zeros(9, 4), torch.randn(1, 4)])
def test_rows_that_do_not_differ_are_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match=f"the {len(x)} rows of 'given' are all equal; .* more varied"):
        SAE(concepts=1).fit(of_rows(x))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"concepts": 0, "steps": 0}, r"concepts=0, steps=0; at least 1"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0 must be above 0"),
        ({"revival": -1.0}, r"revival=-1\.0 at least 0"),
        ({"warm_up": 0.6, "decay": 0.6}, r"shares of the steps; together"),
        ({"warm_up": -0.1}, r"warm_up=-0\.1"),
        ({"dtype": "int8"}, r"dtype 'int8' is not one of float32, bfloat16"),
        ({"penalty": 0.0}, r"penalty=0\.0 must be above 0, since nothing else"),
        ({"penalty_warm_up": 1.5}, r"penalty_warm_up=1\.5 is a share"),
        ({"resample": -1}, r"resample=-1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SAE(), **wrong)


def test_a_layer_of_a_real_model_is_explained(real_model: Any, real_texts: Any, tmp_path: Any) -> None:
    split = real_model("emotion-minilm").split(-1)
    activations = split.activations(real_texts("emotion")[:60], granularity="cls", progress=False)
    found = fit_concepts(activations, by=SAE(concepts=32, steps=100, batch_size=64, penalty=0.05))
    x = activations.matrix()
    assert (found(x) - x).square().sum() < 0.5 * (x - x.mean(0)).square().sum()
    again = ConceptSpace.load(found.save(tmp_path / "space.safetensors"))
    assert torch.equal(again.encode(x), found.encode(x)) and again.history == found.history
