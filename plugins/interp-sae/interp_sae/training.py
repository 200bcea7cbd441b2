"""The training of all sparse autoencoders: batches, schedules, revival of the dead, checkpoints, a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from interp_sae.checkpoint import restore, store
from interp_sae.frame import frame_of
from interp_sae.network import Pass

if TYPE_CHECKING:
    from interp_sae.autoencoder import Autoencoder

SAMPLE = 8192  # rows that are looked at before the start, at least
POINTS = 100  # of the log


class Run:
    """One training, from its start or its checkpoint.

    Rows come from `activations.batches`, shuffled anew for each pass, so no more than a batch and what Adam keeps is in
    memory. All draws are from one generator on the CPU, whatever the device.

    Args:
        method: the hyperparameters.
        activations: what is learnt from.
    """

    def __init__(self, method: Autoencoder, activations: Activations) -> None:
        self.method, self.activations = method, activations
        self.generator = torch.Generator().manual_seed(method.seed)
        sample = activations.sample(max(SAMPLE, method.concepts), self.generator)
        self.frame = frame_of(sample, activations.layer)
        self.network = method.network(self.frame.inside(sample), self.generator).to(method.device).train()
        self.optimiser = torch.optim.Adam(self._groups(), fused=True)
        self.step, self.position = 0, 0
        self.shuffle = self.generator.get_state()
        self.history: dict[str, list[float]] = {}
        restore(self)

    def _groups(self) -> list[dict[str, object]]:
        """Directions of width d take steps that are shorter by sqrt(d), so that they turn as far whatever d is."""
        turned = [p for name, p in self.network.named_parameters() if name in self.network.directions]
        rest = [p for name, p in self.network.named_parameters() if name not in self.network.directions]
        return [
            {"params": turned, "scale": self.activations.width**-0.5, "lr": 0.0},
            {"params": rest, "scale": 1.0, "lr": 0.0},
        ]

    def to_the_end(self) -> ConceptSpace:
        """All steps that are left, and what was learnt."""
        method, batches = self.method, self._batches()
        label = type(method).__name__
        with tqdm(total=method.steps, initial=self.step, desc=label, unit="step", disable=None, leave=False) as bar:
            while self.step < method.steps:
                self._improve(next(batches))
                self.step += 1
                bar.update()
                if method.checkpoint and (self.step % method.save_every == 0 or self.step == method.steps):
                    store(self)
        space = self.network.eval().to("cpu").space(self.frame)
        space.history = self.history
        dead = int((self.network.idle >= method.patience).sum())
        if dead:
            space.notes = (f"{dead} of {method.concepts} concepts were active in no row of the last steps.",)
        return space

    def _batches(self) -> Iterator[Float[Tensor, "b d"]]:
        """Batches without end; those of the first pass that were learnt from before the checkpoint are left out."""
        while True:
            self.shuffle = self.generator.get_state()
            for number, rows in enumerate(self.activations.batches(self.method.batch_size, generator=self.generator)):
                if number >= self.position:
                    self.position = number + 1
                    yield rows
            self.position = 0

    def _improve(self, rows: Float[Tensor, "b d"]) -> None:
        method, network = self.method, self.network
        for group in self.optimiser.param_groups:
            group["lr"] = method.learning_rate * group["scale"] * self._slowed()
        rows = self.frame.inside(rows).to(method.device)
        dead = (network.idle >= method.patience).nonzero().flatten()
        half = method.dtype == "bfloat16"
        with torch.autocast(torch.device(method.device).type, torch.bfloat16, enabled=half):
            passed: Pass = network(rows)
            loss = network.error(rows, passed) + method.weight(self.step) * network.penalty(rows, passed)
            if method.revival and len(dead):
                loss = loss + method.revival * network.revival(rows, passed, dead)
        self.optimiser.zero_grad()
        loss.backward()
        network.project()
        self.optimiser.step()
        network.constrain()
        network.watch(passed)
        if method.anew(self.step + 1) and len(dead):
            self._forget(network.restart(rows, passed, dead))
        if self.step % max(1, method.steps // POINTS) == 0 or self.step == method.steps - 1:
            self._log(rows, passed, loss)

    def _forget(self, turned: Int[Tensor, " e"]) -> None:
        """Take away Adam's memory of concepts that started anew."""
        for name, parameter in self.network.named_parameters():
            kept = self.optimiser.state[parameter] if name != "mean" else {}
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in kept:
                    kept[moment][turned] = 0.0

    def _slowed(self) -> float:
        """The share of the learning rate that this step has."""
        method = self.method
        begun = (self.step + 1) / max(1.0, method.warm_up * method.steps)
        left = (method.steps - self.step) / max(1.0, method.decay * method.steps)
        return min(1.0, begun, left)

    @torch.no_grad()
    def _log(self, rows: Float[Tensor, "b d"], passed: Pass, loss: Float[Tensor, ""]) -> None:
        error = float((rows - passed.back).square().mean())
        numbers = {
            "step": self.step + 1,
            "loss": float(loss),
            "mse": error / float(self.frame.scale) ** 2,
            "explained variance": 1 - error / float(self.frame.variance),
            "l0": float((passed.codes > 0).sum(1).float().mean()),
            "dead": float((self.network.idle >= self.method.patience).float().mean()),
        }
        for name, number in numbers.items():
            self.history.setdefault(name, []).append(number)
