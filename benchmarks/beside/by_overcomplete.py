"""The works, as overcomplete does them, with the step of its training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch
from overcomplete.optimization import SemiNMF
from overcomplete.sae import TopKSAE

Work = Callable[[], Any]


def _autoencoder(rows: int) -> Callable[[dict[str, Any]], Work]:
    def made(_asked: dict[str, Any]) -> Work:
        torch.manual_seed(0)
        network = TopKSAE(384, nb_concepts=3072, top_k=32)
        network.train()
        optimiser = torch.optim.Adam(network.parameters())
        given = torch.randn(rows, 384, generator=torch.Generator().manual_seed(1))

        def step() -> None:
            optimiser.zero_grad()
            _, _, reconstruction = network(given)
            (given - reconstruction).square().mean().backward()
            optimiser.step()

        return step

    return made


def _semi_nmf(asked: dict[str, Any]) -> Work:
    rows = torch.from_numpy(numpy.load(asked["rows"]))
    return lambda: SemiNMF(20).fit(rows)


WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "autoencoder step, 512 rows, 384 to 3,072, k 32": _autoencoder(512),
    "autoencoder step, 4,096 rows, 384 to 3,072, k 32": _autoencoder(4096),
    "semi-NMF, 20 concepts": _semi_nmf,
}
