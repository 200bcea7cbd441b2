"""The training of all sparse autoencoders: batches, optimiser, dead concepts, checkpoints, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from interp_core.display import progress_bar
from interp_core.errors import InputError
from interp_core.results import parameters_of
from jaxtyping import Float, Int
from torch import Tensor

from interp_sae.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from interp_sae.config import TrainingConfig
from interp_sae.input_scaling import InputScaling, input_scaling_of
from interp_sae.network import ForwardPass, Network
from interp_sae.prefetching import batches_ahead, prefetched

SAMPLE_ROWS = 8192  # that the input scaling is estimated from, at least
LOG_POINTS = 100  # of the history
FREE_SETTINGS = ("device", "checkpoint", "save_every")  # may differ when a training is resumed

NetworkFactory = Callable[[Tensor, torch.Generator], Network]
"""Makes the network from a sample of scaled rows and the generator of all draws."""


class Batch(NamedTuple):
    """A batch, and the place in the order of the rows that a training is at once it has learnt from it.

    Attributes:
        rows: (b, d) as they are in the activations, on the CPU.
        shuffle: state of the generator at the start of the pass over the activations.
        position: batches of this pass up to this one.
    """

    rows: Float[Tensor, "b d"]
    shuffle: Tensor
    position: int


class Training:
    """One training, from its start or its checkpoint.

    Rows come from `activations.batches`, shuffled for each pass. Another thread reads and shuffles them while a step
    runs, so that memory holds what is shuffled at a time, the batches that are ready and what Adam keeps. All draws are
    from one generator on the CPU, whatever the device; once the training runs, only that thread draws.

    Args:
        config: the hyperparameters.
        activations: what is learnt from.
        network: see `NetworkFactory`.

    Raises:
        InputError: all rows are equal, or the checkpoint belongs to another training.
    """

    def __init__(self, config: TrainingConfig, activations: Activations, network: NetworkFactory) -> None:
        self.config, self.activations = config, activations
        self.generator = torch.Generator().manual_seed(config.seed)
        sample = activations.sample(max(SAMPLE_ROWS, config.concepts), self.generator)
        self.scaling = input_scaling_of(sample, activations.layer)
        self.network = network(self.scaling.apply(sample), self.generator).to(config.device).train()
        self.device = self.network.steps_since_active.device
        self.scaling_there = self.scaling.to(self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), fused=True)
        self.step, self.position = 0, 0
        self.none_dead_before = 0  # this step
        self.shuffle = self.generator.get_state()
        self.history: dict[str, list[float]] = {}
        state = load_checkpoint(config.checkpoint) if config.checkpoint else None
        if state:
            self.load_state_dict(state)

    def run(self) -> ConceptSpace:
        """Takes all steps that are left, and returns the space that was learnt."""
        config, left = self.config, self.config.steps - self.step
        ahead = batches_ahead(config.batch_size, self.activations.width)
        with (
            progress_bar(None, type(config).__name__, total=config.steps, initial=self.step) as bar,
            closing(prefetched(islice(self._batches(), left), min(ahead, left + 1))) as batches,
        ):
            for batch in batches:
                self._train_on(batch.rows)
                self.step, self.shuffle, self.position = self.step + 1, batch.shuffle, batch.position
                bar.update()
                if config.checkpoint and (self.step % config.save_every == 0 or self.step == config.steps):
                    save_checkpoint(config.checkpoint, self.state_dict())
        space = self.network.eval().to("cpu").space(self.scaling)
        space.history = self.history
        dead = len(self._dead())
        if dead:
            space.notes = (f"{dead} of {config.concepts} concepts were active in no row of the last steps.",)
        return space

    def state_dict(self) -> TrainingState:
        """The state after the last step, for a checkpoint."""
        return TrainingState(
            settings=self._settings(),
            network=self.network.state_dict(),
            optimiser=self.optimiser.state_dict()["state"],
            input_scaling=self.scaling._asdict(),
            shuffle=self.shuffle,
            step=self.step,
            position=self.position,
            history=self.history,
        )

    def load_state_dict(self, state: TrainingState) -> None:
        """Resumes from a state.

        Raises:
            InputError: it belongs to a training with other hyperparameters or activations.
        """
        self._check_same_training(state)
        self.network.load_state_dict(state["network"])
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state["optimiser"], "param_groups": groups})
        self.scaling = InputScaling(**state["input_scaling"])
        self.scaling_there = self.scaling.to(self.device)
        self.shuffle = state["shuffle"]
        self.generator.set_state(self.shuffle)
        self.step, self.position, self.history = state["step"], state["position"], state["history"]
        self.none_dead_before = 0

    def _settings(self) -> dict[str, Any]:
        config = {name: value for name, value in parameters_of(self.config).items() if name not in FREE_SETTINGS}
        size = {"rows": len(self.activations), "width": self.activations.width, "layer": self.activations.layer}
        return {"method": type(self.config).__name__, **config, **size}

    def _check_same_training(self, state: TrainingState) -> None:
        before, now = state["settings"], self._settings()
        differences = [
            f"{name} {before.get(name)!r}, now {now.get(name)!r}"
            for name in sorted({*now, *before})
            if before.get(name) != now.get(name)
        ]
        centre = state["input_scaling"]["centre"]
        if not differences and not torch.allclose(centre, self.scaling.centre, rtol=1e-4, atol=1e-6):
            differences = ["other values in the rows"]
        if differences:
            raise InputError(
                f"the checkpoint in {str(self.config.checkpoint)!r} is of another training ({'; '.join(differences)}); "
                "name another folder, or train with the same settings."
            )

    def _batches(self) -> Iterator[Batch]:
        """Batches without end, from where the current pass was left; pinned, so that a GPU copies them on its own."""
        batch_size, done = self.config.batch_size, self.position
        while True:
            shuffle = self.generator.get_state()
            for number, rows in enumerate(self.activations.batches(batch_size, generator=self.generator), 1):
                if number > done:
                    yield Batch(rows.pin_memory() if self.device.type == "cuda" else rows, shuffle, number)
            done = 0

    def _dead(self) -> Int[Tensor, " e"]:
        """The dead concepts.

        Counts of idle steps rise by 1 at most, so that the device is asked, and waited for, only when one can have
        become dead since it was asked last.
        """
        idle, patience = self.network.steps_since_active, self.config.patience
        if self.step < self.none_dead_before:
            return idle.new_empty(0)
        dead = (idle >= patience).nonzero().flatten()
        if not len(dead):
            self.none_dead_before = self.step + patience - int(idle.max())
        return dead

    def _train_on(self, rows: Float[Tensor, "b d"]) -> None:
        config, network = self.config, self.network
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate_at(self.step, self.activations.width)
        rows = self.scaling_there.apply(rows.to(self.device, non_blocking=self.device.type == "cuda"))
        dead = self._dead()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.dtype == "bfloat16"):
            output: ForwardPass = network(rows)
            loss = network.reconstruction_loss(rows, output)
            loss = loss + config.penalty_weight(self.step) * network.penalty(rows, output)
            if config.aux_coefficient and len(dead):
                loss = loss + config.aux_coefficient * network.auxiliary_loss(rows, output, dead)
        self.optimiser.zero_grad()
        loss.backward()
        network.project()
        self.optimiser.step()
        network.constrain()
        network.update_activity(output)
        if config.resample_at(self.step + 1) and len(dead):
            self._reset_moments(network.resample(rows, output, dead))
        if self.step % max(1, config.steps // LOG_POINTS) == 0 or self.step == config.steps - 1:
            self._log(rows, output, loss)

    def _reset_moments(self, resampled: Int[Tensor, " e"]) -> None:
        """Sets Adam's moments of resampled concepts to 0."""
        for name, parameter in self.network.named_parameters():
            moments = self.optimiser.state[parameter] if name != "mean" else {}
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in moments:
                    moments[moment][resampled] = 0.0

    @torch.no_grad()
    def _log(self, rows: Float[Tensor, "b d"], output: ForwardPass, loss: Float[Tensor, ""]) -> None:
        measured = (
            loss,
            (rows - output.reconstruction).square().mean(),
            (output.codes > 0).count_nonzero() / len(rows),
            (self.network.steps_since_active >= self.config.patience).float().mean(),
        )
        value, error, l0, dead = torch.stack(measured).tolist()  # the device is waited for once
        numbers = {
            "step": self.step + 1,
            "loss": value,
            "mse": error / float(self.scaling.scale) ** 2,
            "explained variance": 1 - error / float(self.scaling.variance),
            "l0": l0,
            "dead": dead,
        }
        for name, number in numbers.items():
            self.history.setdefault(name, []).append(number)
