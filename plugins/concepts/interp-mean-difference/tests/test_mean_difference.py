"""The difference of means, against means taken by hand and numpy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import contract_tests
from interp_mean_difference.mean_difference import MeanDifference
from interp_mean_difference.means import class_means
from torch import Tensor

test_contract = contract_tests("mean-difference")

X = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [0.0, -2.0, 1.0], [0.0, 4.0, 3.0], [6.0, 0.0, 2.0]])
LABELS = torch.tensor([0, 0, 1, 1, 2])


def rows(seed: int = 0, n: int = 200, width: int = 6) -> tuple[Tensor, Tensor]:
    """Rows far from the origin, and three classes of which a row may have several or none."""
    g = torch.Generator().manual_seed(seed)
    having = torch.rand(n, 3, generator=g) < torch.tensor([0.5, 0.2, 0.4])
    return 10 + having.float() @ torch.randn(3, width, generator=g) + torch.randn(n, width, generator=g), having


def test_a_direction_leads_from_the_mean_of_the_rest_to_that_of_the_class() -> None:
    space = MeanDifference().fit(of_rows(X, labels=LABELS))
    expected = torch.tensor([[2 - 2, 2 - 2 / 3, 0 - 2], [0 - 10 / 3, 1 - 4 / 3, 2 - 2 / 3], [6 - 1, 0 - 1.5, 2 - 1]])
    assert torch.allclose(space.dictionary, expected, atol=1e-6)


@pytest.mark.parametrize("width", [6, 2])
@pytest.mark.parametrize("normalised", [False, True])
def test_codes_are_equally_far_from_zero_at_both_means(normalised: bool, width: int) -> None:
    x, having = rows(width=width)
    space = MeanDifference(normalised=normalised).fit(of_rows(x, labels=having))
    for i in range(3):
        inside, outside = x[having[:, i]].mean(0), x[~having[:, i]].mean(0)
        half = float((inside - outside).norm()) / 2 if normalised else 0.5
        codes = space.encode(torch.stack([inside, outside, (inside + outside) / 2]))[:, i]
        assert codes.tolist() == pytest.approx([half, -half, 0], abs=1e-4)


def test_normalised_directions_have_length_one_and_are_the_same() -> None:
    x, having = rows()
    plain, unit = (MeanDifference(normalised=n).fit(of_rows(x, labels=having)).dictionary for n in (False, True))
    assert torch.allclose(unit, torch.nn.functional.normalize(plain, dim=1), atol=1e-6)
    assert not torch.allclose(plain.norm(dim=1), torch.ones(3), atol=0.1)


@pytest.mark.parametrize("normalised", [False, True])
def test_a_concept_added_once_raises_its_own_code_by_one(normalised: bool) -> None:
    x, having = rows()
    space = MeanDifference(normalised=normalised).fit(of_rows(x, labels=having))
    raised = torch.stack([space.encode(x[:1] + d)[0] - space.encode(x[:1])[0] for d in space.dictionary])
    assert torch.allclose(raised.diagonal(), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("excluding", [False, True])
def test_the_mean_row_is_decoded_as_it_is(excluding: bool, normalised: bool) -> None:
    x, having = rows()
    labels = having.long().argmax(1) if excluding else having
    space = MeanDifference(normalised=normalised).fit(of_rows(x, labels=labels))
    mean = x.mean(0, keepdim=True)
    assert torch.allclose(space(mean), mean, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_common_offset_and_dimensions_of_all_sizes_leave_codes_and_reconstructions_in_place(
    classes: int, dtype: torch.dtype
) -> None:
    """Directions of classes that exclude each other depend on one another up to rounding, which offsets make large."""
    g = torch.Generator().manual_seed(classes)
    scale = torch.ones(48)
    scale[:3], scale[3:6] = 1e-3, 100.0
    label = torch.arange(240) % classes
    x = scale * (torch.randn(240, 48, generator=g) + 3 * torch.randn(48, generator=g)) + 1000
    x = (x + torch.randn(classes, 48, generator=g)[label]).to(dtype)
    space, own = MeanDifference().fit(of_rows(x, labels=label)), x.double()
    for i in range(classes):
        inside, outside = own[label == i].mean(0), own[label != i].mean(0)
        assert torch.allclose(space.dictionary[i].double(), inside - outside, atol=1e-4)
        codes = space.encode(torch.stack([inside, outside]).float())[:, i]
        assert codes.tolist() == pytest.approx([0.5, -0.5], abs=1e-2)
    spread = float((own - own.mean(0)).square().sum(1).mean().sqrt())
    assert float((space.mean.double() - own.mean(0)).norm()) < 3 * spread


def test_two_opposite_classes_have_opposite_codes() -> None:
    x, having = rows()
    space = MeanDifference().fit(of_rows(x, labels=having[:, 0].long()))
    assert torch.allclose(space.encode(x)[:, 0], -space.encode(x)[:, 1], atol=1e-4)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, having = rows()
    held = of_rows(x, labels=having)
    whole = class_means(held)
    monkeypatch.setattr(type(held), "batches", lambda self: iter(self.matrix().split(7)))
    parts = class_means(held)
    for one, other in zip(whole[2:], parts[2:], strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    assert torch.allclose(parts.overall, x.double().mean(0), atol=1e-12)
    assert torch.allclose(parts.inside[1], x.double()[having[:, 1]].mean(0), atol=1e-12)
    assert torch.allclose(parts.outside[1], x.double()[~having[:, 1]].mean(0), atol=1e-12)


def test_concepts_are_called_like_their_classes_where_these_are_known() -> None:
    names = ("a", "b", "c")
    assert MeanDifference().fit(of_rows(X, labels=LABELS, class_names=names)).names == ["a", "b", "c"]
    assert MeanDifference().fit(of_rows(X, labels=LABELS)).names == ["class 0", "class 1", "class 2"]
    two = of_rows(X, labels=LABELS[:, None] == torch.tensor([0, 1]), class_names=names)
    assert MeanDifference().fit(two).names == ["class 0", "class 1"]


def test_what_gives_no_direction_is_refused() -> None:
    with pytest.raises(InputError, match="each of the 1 rows has 'class 0'; a concept is learnt from rows with and"):
        MeanDifference().fit(of_rows(X[:1], labels=torch.tensor([0])))
    with pytest.raises(InputError, match="with and without 'class 0' have equal means"):
        MeanDifference().fit(of_rows(torch.full((4, 2), 0.1), labels=torch.tensor([0, 1, 0, 1])))
    with pytest.raises(UnsupportedError, match="needs labels"):
        fit_concepts(of_rows(X), by="mean-difference")


def test_means_that_differ_by_rounding_alone_are_equal() -> None:
    x = torch.logspace(-9, 9, 7)[:, None].repeat(401, 1)
    with pytest.raises(InputError, match="with and without 'class 0' have equal means"):
        MeanDifference().fit(of_rows(x, labels=(torch.arange(2807) < 700)[:, None]))


def test_a_space_with_more_classes_than_dimensions_survives_saving(tmp_path: Path) -> None:
    x, having = rows(width=2)
    space = MeanDifference().fit(of_rows(x, labels=having, class_names=("a", "b", "c")))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert torch.equal(loaded.encode(x), space.encode(x)) and loaded.names == ["a", "b", "c"]


def test_neither_rows_nor_random_states_are_touched() -> None:
    x, having = rows()
    before, state = x.clone(), torch.get_rng_state()
    MeanDifference().fit(of_rows(x, labels=having))
    assert torch.equal(x, before) and torch.equal(state, torch.get_rng_state())
