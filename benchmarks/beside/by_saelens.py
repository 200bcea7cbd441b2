"""The works, as SAELens does them, with the step of its trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput

Work = Callable[[], Any]


def _autoencoder(rows: int) -> Callable[[dict[str, Any]], Work]:
    def made(_asked: dict[str, Any]) -> Work:
        network = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=384, d_sae=3072, k=32))
        optimiser = torch.optim.Adam(network.parameters())
        given = torch.randn(rows, 384, generator=torch.Generator().manual_seed(1))
        fed = TrainStepInput(
            sae_in=given,
            coefficients={},
            dead_neuron_mask=torch.zeros(3072, dtype=torch.bool),
            n_training_steps=0,
            is_logging_step=False,
        )

        def step() -> None:
            output = network.training_forward_pass(fed)
            optimiser.zero_grad()
            output.loss.backward()
            optimiser.step()

        return step

    return made


WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "autoencoder step, 512 rows, 384 to 3,072, k 32": _autoencoder(512),
    "autoencoder step, 4,096 rows, 384 to 3,072, k 32": _autoencoder(4096),
}
