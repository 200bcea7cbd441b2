"""Neurons: codes are the activations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.testing import contract_tests

test_contract = contract_tests("neurons")

X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 100


@pytest.mark.parametrize("x", [X, X[:1], torch.ones(4, 3), torch.ones(4, 1)])
def test_codes_are_the_activations_and_give_them_back_exactly(x: torch.Tensor) -> None:
    space = fit_concepts(of_rows(x), by="neurons")
    assert torch.equal(space.encode(x), x) and torch.equal(space(x), x)


def test_a_neuron_is_called_by_its_number(tmp_path: Path) -> None:
    space = fit_concepts(of_rows(X), by="neurons")
    assert space.names == ["neuron 0", "neuron 1", "neuron 2", "neuron 3", "neuron 4", "neuron 5"]
    assert ConceptSpace.load(space.save(tmp_path / "space.safetensors")).names == space.names


def test_a_code_follows_its_dimension_alone() -> None:
    x = X.clone().requires_grad_()
    fit_concepts(of_rows(X), by="neurons").encode(x)[:, 2].sum().backward()
    assert torch.equal(x.grad, torch.eye(6)[2].expand(50, 6))


def test_all_dimensions_of_a_real_layer_are_concepts(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(real_texts("emotion")[:5], granularity="word", progress=False)
    space = fit_concepts(held, by="neurons")
    assert space.concepts == held.width == 384 and torch.equal(space(held.matrix()), held.matrix())
