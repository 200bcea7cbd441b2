"""The matching pursuit autoencoder: a plain loop, and a residual that falls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from interp_matching_pursuit_sae.matching_pursuit import (
    MatchingPursuitNetwork,
    MatchingPursuitSAE,
    MatchingPursuitSpace,
    pursue,
)
from interp_sae.testing import FAMILY, K_SPARSE, SCALING, Check, Interrupted, Trained, name_of, space_is_the_network
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("matching-pursuit-sae", steps=80, learning_rate=0.05, batch_size=64)


@pytest.fixture(scope="module")
def trained() -> Trained:
    method = MatchingPursuitSAE(concepts=20, k=2, steps=100, learning_rate=0.05, batch_size=128)
    return Trained(method, recovery=0.9)


@pytest.mark.parametrize("check", [*FAMILY, *K_SPARSE], ids=name_of)
def test_family(check: Check, trained: Trained) -> None:
    check(trained)


def dictionary(concepts: int = 8, width: int = 5, seed: int = 0) -> Tensor:
    return normalize(torch.randn(concepts, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def plain_loop(row: np.ndarray, directions: np.ndarray, steps: int) -> np.ndarray:
    codes, residual = np.zeros(len(directions)), row.copy()
    for _ in range(steps):
        fits = directions @ residual
        best = int(fits.argmax())
        if fits[best] <= 0:
            break
        codes[best] += fits[best]
        residual -= fits[best] * directions[best]
    return codes


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_codes_are_those_of_a_plain_loop(steps: int) -> None:
    d, x = dictionary().double(), torch.randn(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = np.stack([plain_loop(row, d.numpy(), steps) for row in x.numpy()])
    assert np.allclose(pursue(x, d, steps).numpy(), expected, atol=1e-12)
    space = MatchingPursuitSpace(d, torch.ones(5), steps)
    assert np.allclose(space.encode((x + 1).float()).numpy(), expected, atol=1e-5)


def test_the_residual_gets_shorter_with_each_concept_taken() -> None:
    d, x = dictionary(), torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    length = torch.stack([(x - pursue(x, d, steps) @ d).norm(dim=1) for steps in range(6)])
    assert (length.diff(dim=0) <= 1e-6).all() and (length[-1] < 0.8 * length[0]).float().mean() > 0.9


def test_a_row_that_no_direction_fits_has_no_codes() -> None:
    assert not pursue(torch.tensor([[-1.0, -1.0]]), torch.eye(2), 3).any()


def test_it_is_not_orthogonal_matching_pursuit() -> None:
    """Codes of earlier steps are not solved for again when another is added."""
    d = normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), dim=1)
    codes = pursue(torch.tensor([[2.0, 1.0]]), d, 2)
    first = 3 / 2**0.5
    assert torch.allclose(codes, torch.tensor([[0.5, first]]), atol=1e-6)


def test_gradients_in_the_dictionary_pass_through_every_step() -> None:
    d, x = dictionary().double(), torch.randn(1, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def error(directions: Tensor) -> Tensor:
        return (x - pursue(x, directions, 3) @ directions).square().sum()

    assert torch.autograd.gradcheck(error, d.clone().requires_grad_())


def test_the_dictionary_reads_and_writes_and_nothing_else_is_trained() -> None:
    network = MatchingPursuitNetwork(6, 3, torch.Generator(), 2)
    assert {name for name, _ in network.named_parameters()} == {"dictionary", "mean"}


def test_the_space_is_the_network_in_the_units_of_the_activations() -> None:
    g = torch.Generator().manual_seed(0)
    network = MatchingPursuitNetwork(6, 3, g, 2)
    with torch.no_grad():
        network.mean.add_(torch.randn(3, generator=g))
    scaled = SCALING.apply(5 * torch.randn(40, 3, generator=g))
    assert torch.allclose(network(scaled).pre_activations, (scaled - network.mean) @ network.dictionary.T, atol=1e-6)
    space_is_the_network(network)


def test_dead_concepts_are_revived_and_training_is_resumed_after_an_interruption(tmp_path: Path) -> None:
    """The checkpoint of step 20 of 30; with k = 1 of 9 concepts some are dead by then."""
    x = dictionary_world(rows=200)[0]
    method = MatchingPursuitSAE(concepts=9, k=1, steps=30, batch_size=64, patience=5, save_every=20)
    whole = method.fit(x)
    assert max(whole.history["dead"][5:20]) > 0
    stopping = replace(method, checkpoint=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        stopping.fit(Interrupted.of(x, 25, 64))
    assert torch.equal(stopping.fit(x).dictionary, whole.dictionary)


@pytest.mark.parametrize("config", [{}, {"k": 0}])
def test_a_space_without_greedy_steps_is_refused(config: dict[str, int]) -> None:
    with pytest.raises(InputError, match="the number of greedy steps is needed, at least 1"):
        MatchingPursuitSpace(torch.eye(2), torch.zeros(2), **config)


def test_a_space_of_release_0_1_has_as_many_greedy_steps() -> None:
    space = MatchingPursuitSpace(torch.eye(2), torch.zeros(2), active=2)
    assert space.k == 2 and space.config() == {"k": 2}
