"""The training: schedules, units, revival of the dead, and going on to the same bits after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.errors import InputError
from interp_core.testing import dictionary_world
from interp_sae.autoencoder import Autoencoder
from interp_sae.frame import frame_of, geometric_median
from interp_sae.network import Network, Pass
from interp_sae.sae import SAE, L1Network
from interp_sae.training import Run
from torch import Tensor

WORLD = dictionary_world()[0]
SHORT = SAE(concepts=6, steps=60, batch_size=64, learning_rate=0.1, save_every=7)


class Stopping(Activations):
    """Activations that fail after so many batches, and that are never read as a whole."""

    left = 10**9

    @classmethod
    def of(cls, activations: Activations, left: int = 10**9) -> Stopping:
        made = cls(**{f.name: getattr(activations, f.name) for f in fields(activations)})
        object.__setattr__(made, "left", left)
        return made

    def batches(self, rows: int = 8192, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
        assert rows == SHORT.batch_size and generator is not None
        for part in super().batches(rows, generator=generator):
            object.__setattr__(self, "left", self.left - 1)
            if self.left < 0:
                raise KeyboardInterrupt
            yield part

    def matrix(self) -> Tensor:
        raise AssertionError("all rows were read at once")


@pytest.mark.parametrize("left", [3, 40, 59])
def test_an_interrupted_training_goes_on_to_the_same_bits(left: int, tmp_path: Path) -> None:
    """800 rows in batches of 64 are 13 to a pass: checkpoints are in the middle of passes and at their ends."""
    whole = SHORT.fit(WORLD)
    method = replace(SHORT, checkpoint=str(tmp_path / "kept"))
    with pytest.raises(KeyboardInterrupt):
        method.fit(Stopping.of(WORLD, left))
    resumed = method.fit(Stopping.of(WORLD))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert resumed.history == whole.history


@pytest.mark.parametrize("save_every", [1, 13])
def test_a_training_interrupted_at_the_end_of_a_pass_goes_on_to_the_same_bits(save_every: int, tmp_path: Path) -> None:
    whole = SHORT.fit(WORLD)
    method = replace(SHORT, checkpoint=str(tmp_path), save_every=save_every)
    with pytest.raises(KeyboardInterrupt):
        method.fit(Stopping.of(WORLD, 26))
    assert torch.equal(method.fit(WORLD).dictionary, whole.dictionary)


def test_only_batches_left_over_are_learnt_from_after_an_interruption(tmp_path: Path) -> None:
    method = replace(SHORT, checkpoint=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        method.fit(Stopping.of(WORLD, 40))
    run = Run(method, WORLD)
    assert (run.step, run.position) == (35, 35 - 2 * 13)


def test_a_finished_training_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    method = replace(SHORT, checkpoint=str(tmp_path))
    first = method.fit(WORLD)
    assert torch.equal(method.fit(Stopping.of(WORLD, 0)).dictionary, first.dictionary)
    assert [f.name for f in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    method = replace(SHORT, checkpoint=str(tmp_path))
    method.fit(WORLD)
    with pytest.raises(InputError, match=r"of another training \(seed 0, now 1\); name another folder"):
        replace(method, seed=1).fit(WORLD)
    with pytest.raises(InputError, match=r"rows 800, now 700"):
        method.fit(of_rows(WORLD.values[:700]))
    with pytest.raises(InputError, match=r"other values in the rows"):
        method.fit(of_rows(WORLD.values + 1))


def test_the_log_has_a_hundred_points_and_the_last(tmp_path: Path) -> None:
    history = replace(SHORT, steps=250).fit(WORLD).history
    assert history["step"] == [*range(1, 251, 2), 250]
    assert set(history) == {"step", "loss", "mse", "explained variance", "l0", "dead"}
    assert {len(values) for values in history.values()} == {126}
    assert history["explained variance"][-1] > 0.9 > history["explained variance"][0]


def test_the_log_tells_the_error_in_the_units_of_the_activations() -> None:
    method = replace(SHORT, batch_size=800, steps=200)
    space, x = method.fit(WORLD), WORLD.values
    error = (space(x) - x).square()
    assert space.history["mse"][-1] == pytest.approx(float(error.mean()), rel=0.02)
    variance = 1 - float(error.sum() / (x - x.mean(0)).square().sum())
    assert space.history["explained variance"][-1] == pytest.approx(variance, abs=1e-3)
    assert space.history["l0"][-1] == pytest.approx(float((space.encode(x) > 0).sum(1).float().mean()), rel=0.02)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    run = Run(replace(SHORT, steps=100, warm_up=0.1, decay=0.2), WORLD)
    rates = []
    for step in range(100):
        run.step = step
        rates.append(run._slowed())
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert set(rates[10:80]) == {1.0}
    assert rates[80:] == pytest.approx([(20 - i) / 20 for i in range(20)])


def test_directions_turn_as_far_whatever_the_width() -> None:
    run = Run(SHORT, WORLD)
    network = dict(run.network.named_parameters())
    turned, rest = run.optimiser.param_groups
    assert {id(p) for p in turned["params"]} == {id(network["dictionary"]), id(network["encoder"])}
    assert {id(p) for p in rest["params"]} == {id(network["bias"]), id(network["mean"])}
    run._improve(next(run._batches()))
    assert turned["lr"] == pytest.approx(0.1 / 3 / 12**0.5) and rest["lr"] == pytest.approx(0.1 / 3)


def test_the_penalty_rises_from_nothing() -> None:
    method = SAE(steps=100, penalty=0.4, penalty_warm_up=0.2)
    assert [method.weight(step) for step in (0, 9, 19, 99)] == pytest.approx([0.02, 0.2, 0.4, 0.4])
    assert SAE(steps=100, penalty=0.4, penalty_warm_up=0.0).weight(0) == 0.4


def test_slopes_along_a_direction_are_taken_away_and_lengths_kept() -> None:
    network = Network(4, 3, torch.Generator().manual_seed(0))
    goal = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    (network.dictionary - goal).square().sum().backward()
    assert network.dictionary.grad is not None
    before = network.dictionary.grad.clone()
    network.project()
    unit = network.dictionary.detach()
    across = before - (before * unit).sum(1, keepdim=True) * unit
    assert torch.allclose(network.dictionary.grad, across, atol=1e-6)
    assert torch.allclose((network.dictionary.grad * unit).sum(1), torch.zeros(4), atol=1e-6)
    with torch.no_grad():
        network.dictionary.mul_(3)
    network.constrain()
    assert torch.allclose(network.dictionary, unit, atol=1e-6)


def test_adam_never_sees_a_slope_along_a_direction() -> None:
    run = Run(SHORT, WORLD)
    before = run.network.dictionary.detach().clone()
    run._improve(next(run._batches()))
    seen = run.optimiser.state[run.network.dictionary]["exp_avg"]
    assert seen.any() and torch.allclose((seen * before).sum(1), torch.zeros(6), atol=1e-7)


def test_rows_are_brought_to_a_mean_length_of_the_root_of_the_width() -> None:
    x = 40 * torch.randn(500, 9, generator=torch.Generator().manual_seed(0)) + 1000
    frame = frame_of(x, "layer")
    inside = frame.inside(x)
    assert float(inside.norm(dim=1).mean()) == pytest.approx(3.0, rel=1e-3)
    assert float(frame.variance) == pytest.approx(float(inside.var(0, correction=0).mean()), rel=1e-3)


def test_the_geometric_median_is_where_unit_vectors_to_the_rows_cancel() -> None:
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:40] += 50
    away = x - geometric_median(x)
    assert (away / away.norm(dim=1, keepdim=True)).mean(0).norm() < 1e-4
    line = torch.tensor([[0.0], [0.0], [0.0], [1.0], [10.0]], dtype=torch.float64)
    assert float(geometric_median(line)) == pytest.approx(0.0, abs=1e-3)


def test_what_dead_concepts_miss_is_a_share_of_what_is_left_over() -> None:
    network = Network(3, 2, torch.Generator().manual_seed(0))
    rows = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    back = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    read = torch.tensor([[9.0, 1.5, -1.0], [9.0, 0.5, -2.0]])
    d = network.dictionary.detach()
    left = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    expected = (left - torch.tensor([[1.5], [0.5]]) * d[1]).square().sum() / 8  # one code: half of the width
    found = network.revival(rows, Pass(read, read.relu(), back), torch.tensor([1, 2]))
    assert found.item() == pytest.approx(float(expected), rel=1e-5)


class Buried(SAE):
    """One that starts with a concept that no row can light."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        network = L1Network(self.concepts, sample.shape[1], generator)
        with torch.no_grad():
            network.bias[2] = -15.0
        return network


@pytest.mark.parametrize(
    ("given", "dead"), [({"revival": 0.0}, 1), ({}, 0), ({"revival": 0.0, "resample": 40}, 0)], ids=str
)
def test_dead_concepts_are_revived_unless_told_not_to(given: dict[str, Any], dead: int) -> None:
    method = Buried(concepts=5, steps=300, batch_size=128, learning_rate=0.1, patience=20, **given)
    space = method.fit(WORLD)
    assert int((space.encode(WORLD.values) == 0).all(0).sum()) == dead
    assert space.history["dead"][-1] == pytest.approx(dead / 5)
    assert space.notes == (("1 of 5 concepts were active in no row of the last steps.",) if dead else ())


def test_concepts_that_start_anew_point_to_the_rows_explained_worst() -> None:
    run = Run(replace(SHORT, concepts=4), of_rows(torch.randn(90, 3, generator=torch.Generator().manual_seed(0))))
    run._improve(next(run._batches()))
    rows = torch.tensor([[0.0, 0.0, 9.0], [1.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    network = run.network
    with torch.no_grad():
        network.mean.zero_()
    size = network.encoder.norm(dim=1).mean().detach()
    passed = Pass(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 3))
    turned = network.restart(rows, passed, torch.tensor([1, 3]))
    assert turned.tolist() == [1, 3]
    assert torch.allclose(network.dictionary[[1, 3]], torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    assert torch.allclose(network.encoder[[1, 3]], 0.2 * size * network.dictionary[[1, 3]])
    run._forget(turned)
    for name in ("dictionary", "encoder", "bias"):
        moments = run.optimiser.state[getattr(network, name)]
        assert not moments["exp_avg"][turned].any() and moments["exp_avg"][0].any(), name
    assert run.optimiser.state[network.mean]["exp_avg"].any()


def test_a_concept_is_dead_when_no_row_had_it_for_so_many_steps() -> None:
    network = Network(3, 2, torch.Generator())
    for _ in range(4):
        codes = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
        network.watch(Pass(codes, codes, codes[:, :2]))
    assert network.idle.tolist() == [4, 0, 0]


def test_half_precision_comes_close() -> None:
    half, full = (replace(SHORT, steps=100, dtype=dtype).fit(WORLD) for dtype in ("bfloat16", "float32"))
    assert half.dictionary.dtype == torch.float32 and not torch.equal(half.dictionary, full.dictionary)
    cosine = (half.dictionary * full.dictionary).sum(1)
    assert float(cosine.min()) > 0.98


def test_nothing_is_said_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    SHORT.fit(WORLD)
    assert capfd.readouterr() == ("", "")


def test_a_new_variant_is_a_network_and_its_parameters() -> None:
    class Squared(Network):
        def penalty(self, rows: Tensor, passed: Pass) -> Tensor:
            return passed.codes.square().mean()

    class Mine(Autoencoder):
        def network(self, sample: Tensor, generator: torch.Generator) -> Network:
            return Squared(self.concepts, sample.shape[1], generator)

        def weight(self, step: int) -> float:
            return 100.0

    strong = Mine(concepts=5, steps=50, batch_size=64).fit(WORLD).encode(WORLD.values).square().mean()
    assert (
        strong < 0.5 * Autoencoder(concepts=5, steps=50, batch_size=64).fit(WORLD).encode(WORLD.values).square().mean()
    )
