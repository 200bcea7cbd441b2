"""The training: schedules, units, dead concepts, and resuming with the same bits after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from interp_core.results import load_tensors, save_tensors
from interp_core.testing import dictionary_world
from interp_sae.autoencoder import Autoencoder
from interp_sae.checkpoint import FILE
from interp_sae.config import TrainingConfig
from interp_sae.input_scaling import geometric_median, input_scaling_of
from interp_sae.network import ForwardPass, Network
from interp_sae.sae import SAE, L1Network
from interp_sae.testing import Interrupted
from interp_sae.training import LOG_POINTS, Training
from torch import Tensor

WORLD = dictionary_world(rows=300)[0]  # 5 batches to a pass
SHORT = SAE(concepts=6, steps=24, batch_size=64, learning_rate=0.03, save_every=7)


def training_of(method: Autoencoder, activations: Activations = WORLD) -> Training:
    return Training(method, activations, method.network)


@pytest.fixture(scope="module")
def whole() -> ConceptSpace:
    """What is learnt without an interruption."""
    return SHORT.fit(WORLD)


@pytest.mark.parametrize("batches", [3, 16, 23])
def test_an_interrupted_training_is_resumed_with_the_same_bits(
    batches: int, whole: ConceptSpace, tmp_path: Path
) -> None:
    """Before the first checkpoint, and with one that is in the middle of the second, and of the last but one pass."""
    method = replace(SHORT, checkpoint=str(tmp_path / "kept"))
    with pytest.raises(KeyboardInterrupt):
        method.fit(Interrupted.of(WORLD, batches, 64))
    resumed = method.fit(Interrupted.of(WORLD, 24, 64))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert resumed.history == whole.history


@pytest.mark.parametrize("save_every", [1, 5])
def test_a_training_interrupted_at_the_end_of_a_pass_is_resumed_with_the_same_bits(
    save_every: int, whole: ConceptSpace, tmp_path: Path
) -> None:
    method = replace(SHORT, checkpoint=str(tmp_path), save_every=save_every)
    with pytest.raises(KeyboardInterrupt):
        method.fit(Interrupted.of(WORLD, 10, 64))
    assert training_of(method).step == 10
    assert torch.equal(method.fit(WORLD).dictionary, whole.dictionary)


def test_only_batches_left_over_are_learnt_from_after_an_interruption(tmp_path: Path) -> None:
    method = replace(SHORT, checkpoint=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        method.fit(Interrupted.of(WORLD, 16, 64))
    training = training_of(method)
    assert (training.step, training.position) == (14, 14 - 2 * 5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[SAE, ConceptSpace]:
    """A method whose training is finished, with its checkpoint, and what it gave."""
    method = replace(SHORT, checkpoint=str(tmp_path_factory.mktemp("checkpoint")))
    return method, method.fit(WORLD)


def test_a_finished_training_is_read_from_its_checkpoint(finished: tuple[SAE, ConceptSpace]) -> None:
    method, first = finished
    assert torch.equal(method.fit(Interrupted.of(WORLD, 0, 64)).dictionary, first.dictionary)
    assert [f.name for f in Path(str(method.checkpoint)).iterdir()] == [FILE]


def test_a_checkpoint_of_another_training_is_refused(finished: tuple[SAE, ConceptSpace]) -> None:
    method, _ = finished
    with pytest.raises(InputError, match=r"of another training \(seed 0, now 1\); name another folder"):
        replace(method, seed=1).fit(WORLD)
    with pytest.raises(InputError, match=r"rows 300, now 250"):
        method.fit(of_rows(WORLD.values[:250]))
    with pytest.raises(InputError, match=r"other values in the rows"):
        method.fit(of_rows(WORLD.values + 1))


def test_a_checkpoint_of_another_optimiser_is_refused_though_all_settings_are_the_same(
    finished: tuple[SAE, ConceptSpace], tmp_path: Path
) -> None:
    """In 0.1 the same learning rate was an angle; the package of top-k has a file that 0.1 wrote."""
    tensors, data = load_tensors(Path(str(finished[0].checkpoint)) / FILE, "training")
    del data["optimiser"]
    save_tensors(tmp_path / FILE, "training", {name: tensor.clone() for name, tensor in tensors.items()}, data)
    with pytest.raises(InputError, match=r"whose learning_rate was an angle, .* Name another folder"):
        replace(finished[0], checkpoint=str(tmp_path)).fit(WORLD)


def test_the_log_has_about_as_many_points_as_said_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOG_POINTS == 100
    monkeypatch.setattr("interp_sae.training.LOG_POINTS", 20)
    history = replace(SHORT, steps=50, learning_rate=0.05).fit(WORLD).history
    assert history["step"] == [*range(1, 51, 2), 50]
    assert set(history) == {"step", "loss", "mse", "explained variance", "l0", "dead"}
    assert {len(values) for values in history.values()} == {26}
    assert history["explained variance"][-1] > 0.9 > history["explained variance"][0]


def test_the_log_tells_the_error_in_the_units_of_the_activations() -> None:
    space, x = replace(SHORT, batch_size=300, steps=60).fit(WORLD), WORLD.values
    error = (space(x) - x).square()
    assert space.history["mse"][-1] == pytest.approx(float(error.mean()), rel=0.02)
    variance = 1 - float(error.sum() / (x - x.mean(0)).square().sum())
    assert space.history["explained variance"][-1] == pytest.approx(variance, abs=1e-3)
    assert space.history["l0"][-1] == pytest.approx(float((space.encode(x) > 0).sum(1).float().mean()), rel=0.02)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    config = TrainingConfig(steps=100, learning_rate=2.0, warmup=0.1, decay=0.2)
    rates = [config.learning_rate_at(step, width=7) for step in range(100)]
    assert rates[:10] == pytest.approx([2 * (i + 1) / 10 for i in range(10)])
    assert set(rates[10:80]) == {2.0}
    assert rates[80:] == pytest.approx([2 * (20 - i) / 20 for i in range(20)])


@pytest.mark.parametrize("width", [16, 400])
def test_by_default_a_direction_turns_by_up_to_a_tenth_in_a_step_whatever_the_width(width: int) -> None:
    """Adam's first step moves each coordinate by the learning rate, along or against it."""
    rate = TrainingConfig(warmup=0.0).learning_rate_at(0, width)
    assert rate == pytest.approx(0.1 / width**0.5)
    direction = torch.nn.Parameter(torch.nn.functional.normalize(torch.ones(width), dim=0))
    before, optimiser = direction.detach().clone(), torch.optim.Adam([direction], lr=rate)
    direction.grad = torch.tensor([1.0, -1.0]).repeat(width // 2)
    optimiser.step()
    assert float((direction.detach() - before).norm()) == pytest.approx(0.1, rel=1e-3)


def test_the_learning_rate_is_adams_for_all_parameters() -> None:
    """Its first step moves whatever has a gradient by the learning rate; directions are then brought to length 1."""
    training = training_of(replace(SHORT, warmup=0.0))
    before = {name: p.detach().clone() for name, p in training.network.named_parameters()}
    training._train_on(next(training._batches()).rows)
    for name in ("encoder", "bias", "mean"):
        moved = (training.network.get_parameter(name).detach() - before[name]).abs()
        assert float(moved.max()) == pytest.approx(0.03, rel=1e-3), name


def test_the_penalty_rises_from_nothing() -> None:
    method = SAE(steps=100, penalty=0.4, penalty_warmup=0.2)
    assert [method.penalty_weight(step) for step in (0, 9, 19, 99)] == pytest.approx([0.02, 0.2, 0.4, 0.4])
    assert SAE(steps=100, penalty=0.4, penalty_warmup=0.0).penalty_weight(0) == 0.4


def test_gradients_along_a_direction_are_taken_away_and_lengths_kept() -> None:
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


def test_adam_never_sees_a_gradient_along_a_direction() -> None:
    training = training_of(SHORT)
    before = training.network.dictionary.detach().clone()
    training._train_on(next(training._batches()).rows)
    seen = training.optimiser.state[training.network.dictionary]["exp_avg"]
    assert seen.any() and torch.allclose((seen * before).sum(1), torch.zeros(6), atol=1e-7)


def test_rows_are_scaled_to_a_mean_length_of_the_root_of_the_width() -> None:
    x = 40 * torch.randn(500, 9, generator=torch.Generator().manual_seed(0)) + 1000
    scaling = input_scaling_of(x, "layer")
    scaled = scaling.apply(x)
    assert float(scaled.norm(dim=1).mean()) == pytest.approx(3.0, rel=1e-3)
    assert float(scaling.variance) == pytest.approx(float(scaled.var(0, correction=0).mean()), rel=1e-3)


def test_the_geometric_median_is_where_unit_vectors_to_the_rows_cancel() -> None:
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:40] += 50
    away = x - geometric_median(x)
    assert (away / away.norm(dim=1, keepdim=True)).mean(0).norm() < 1e-4
    line = torch.tensor([[0.0], [0.0], [0.0], [1.0], [10.0]], dtype=torch.float64)
    assert float(geometric_median(line)) == pytest.approx(0.0, abs=1e-3)


def test_the_auxiliary_loss_is_the_share_of_the_residual_that_dead_concepts_miss() -> None:
    network = Network(3, 2, torch.Generator().manual_seed(0))
    rows = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    reconstruction = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    read = torch.tensor([[9.0, 1.5, -1.0], [9.0, 0.5, -2.0]])
    d = network.dictionary.detach()
    residual = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    expected = (residual - torch.tensor([[1.5], [0.5]]) * d[1]).square().sum() / 8  # one code: half of the width
    loss = network.auxiliary_loss(rows, ForwardPass(read, read.relu(), reconstruction), torch.tensor([1, 2]))
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)


class Buried(SAE):
    """One that starts with a concept that no row can activate."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        network = L1Network(self.concepts, sample.shape[1], generator)
        with torch.no_grad():
            network.bias[2] = -15.0
        return network


@pytest.mark.parametrize(
    ("given", "dead"), [({"aux_coefficient": 0.0}, 1), ({}, 0), ({"aux_coefficient": 0.0, "resample": 20}, 0)], ids=str
)
def test_dead_concepts_are_revived_unless_told_not_to(given: dict[str, Any], dead: int) -> None:
    method = Buried(concepts=5, steps=120, batch_size=128, learning_rate=0.08, patience=10, **given)
    space = method.fit(WORLD)
    assert max(space.history["dead"]) >= 0.2
    assert int((space.encode(WORLD.values) == 0).all(0).sum()) == dead
    assert space.history["dead"][-1] == pytest.approx(dead / 5)
    assert space.notes == (("1 of 5 concepts were active in no row of the last steps.",) if dead else ())


def test_resampling_is_over_after_half_of_the_steps() -> None:
    method = SAE(steps=100, resample=20)
    assert [step for step in range(101) if method.resample_at(step)] == [20, 40]
    assert not any(SAE(steps=100).resample_at(step) for step in range(101))


def test_resampled_concepts_point_to_the_rows_reconstructed_worst() -> None:
    rows = of_rows(torch.randn(90, 3, generator=torch.Generator().manual_seed(0)))
    training = training_of(replace(SHORT, concepts=4), rows)
    training._train_on(next(training._batches()).rows)
    batch = torch.tensor([[0.0, 0.0, 9.0], [1.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    network = training.network
    with torch.no_grad():
        network.mean.zero_()
    length = network.encoder.norm(dim=1).mean().detach()
    output = ForwardPass(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 3))
    resampled = network.resample(batch, output, torch.tensor([1, 3]))
    assert resampled.tolist() == [1, 3]
    assert torch.allclose(network.dictionary[[1, 3]], torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    assert torch.allclose(network.encoder[[1, 3]], 0.2 * length * network.dictionary[[1, 3]])
    training._reset_moments(resampled)
    for name in ("dictionary", "encoder", "bias"):
        moments = training.optimiser.state[getattr(network, name)]
        assert not moments["exp_avg"][resampled].any() and moments["exp_avg"][0].any(), name
    assert training.optimiser.state[network.mean]["exp_avg"].any()


def test_steps_are_counted_since_a_row_activated_a_concept() -> None:
    network = Network(3, 2, torch.Generator())
    for _ in range(4):
        codes = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
        network.update_activity(ForwardPass(codes, codes, codes[:, :2]))
    assert network.steps_since_active.tolist() == [4, 0, 0]


def test_half_precision_comes_close(whole: ConceptSpace) -> None:
    half = replace(SHORT, dtype="bfloat16").fit(WORLD)
    assert half.dictionary.dtype == torch.float32 and not torch.equal(half.dictionary, whole.dictionary)
    cosine = (half.dictionary * whole.dictionary).sum(1)
    assert float(cosine.min()) > 0.98


def test_nothing_is_said_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    SHORT.fit(WORLD)
    assert capfd.readouterr() == ("", "")


def test_a_new_variant_is_a_network_and_its_parameters() -> None:
    class Squared(Network):
        def penalty(self, rows: Tensor, output: ForwardPass) -> Tensor:
            return output.codes.square().mean()

    class Mine(Autoencoder):
        def network(self, sample: Tensor, generator: torch.Generator) -> Network:
            return Squared(self.concepts, sample.shape[1], generator)

        def penalty_weight(self, step: int) -> float:
            return 100.0

    given = {"concepts": 5, "steps": 30, "batch_size": 64}
    mine, plain = (
        method.fit(WORLD).encode(WORLD.values).square().mean() for method in (Mine(**given), Autoencoder(**given))
    )
    assert mine < 0.5 * plain
