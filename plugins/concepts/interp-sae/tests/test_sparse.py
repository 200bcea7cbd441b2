"""Products with the codes that are not zero alone are those with all of them, and so are their slopes."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from interp_sae import sparse
from interp_sae.network import ForwardPass, Network
from interp_sae.selection import batch_topk, topk
from torch import Tensor

CONCEPTS, WIDTH, ROWS, FEW = 96, 12, 40, 3


class Keeping(Network):
    """Keeps a few codes of each row."""

    KEEPS_OR_DROPS: ClassVar[bool] = True

    def activate(self, pre_activations: Tensor) -> Tensor:
        return topk(pre_activations.relu(), FEW)


class KeepingOfAll(Keeping):
    """Keeps as many codes, of every other row."""

    def activate(self, pre_activations: Tensor) -> Tensor:
        return batch_topk(pre_activations.relu() * (torch.arange(ROWS) % 2)[:, None], FEW)


class KeepingMost(Keeping):
    """Keeps more than would be worth it."""

    def activate(self, pre_activations: Tensor) -> Tensor:
        return pre_activations.relu()


def trained(cls: type[Network], dense: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[ForwardPass, dict[str, Tensor]]:
    """The output and the slopes of the whole loss, dead concepts included."""
    monkeypatch.setattr(cls, "KEEPS_OR_DROPS", not dense)
    network = cls(CONCEPTS, WIDTH, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.bias.normal_(generator=torch.Generator().manual_seed(1))
    rows = 3 * torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(2))
    output = network(rows)
    loss = network.reconstruction_loss(rows, output) + output.codes.square().mean()
    (loss + network.auxiliary_loss(rows, output, torch.arange(5))).backward()
    return output, {
        name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("cls", [Keeping, KeepingOfAll, KeepingMost])
def test_few_codes_give_what_all_of_them_give(cls: type[Network], monkeypatch: pytest.MonkeyPatch) -> None:
    output, slopes = trained(cls, False, monkeypatch)
    expected, dense = trained(cls, True, monkeypatch)
    for one, other in zip(output, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert slopes.keys() == dense.keys() == {"dictionary", "encoder", "bias", "mean"}
    for name, slope in slopes.items():
        assert torch.allclose(slope, dense[name], atol=1e-5 * float(dense[name].abs().max())), name


def test_few_codes_are_taken_alone_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr("interp_sae.network.decode", lambda *given: decoded.append(given) or sparse.decode(*given))
    trained(Keeping, False, monkeypatch)
    assert len(decoded) == 1 and len(decoded[0][0]) <= ROWS * FEW
    trained(KeepingMost, False, monkeypatch)
    assert len(decoded) == 1


def test_half_precision_is_of_reading_where_few_codes_are_taken_alone() -> None:
    """What is read is rounded; sums of the few atoms are as exact as without it, and so are their slopes."""
    network = Keeping(CONCEPTS, WIDTH, torch.Generator().manual_seed(0))
    rows = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(2))
    exact = (rows @ network.encoder.T).detach()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(rows)
    rounding = float((output.pre_activations - exact).abs().max() / exact.abs().max())
    assert 1e-4 < rounding < 1e-2 and not output.pre_activations.requires_grad
    assert {part.dtype for part in output} == {torch.float32}
    assert torch.allclose(output.reconstruction, output.codes @ network.dictionary, atol=1e-5)
    output.reconstruction.square().sum().backward()
    assert network.dictionary.grad is not None
    assert torch.allclose(network.dictionary.grad, 2 * output.codes.T @ output.reconstruction, atol=1e-4)
