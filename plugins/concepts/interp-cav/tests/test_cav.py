"""Concept activation vectors against scikit-learn's normals."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from interp_cav.cav import CAV
from interp_core.activations import of_rows
from interp_core.concepts import Change, ConceptSpace, effect, fit_concepts
from interp_core.errors import InputError, UnsupportedError
from interp_core.testing import contract_tests
from sklearn.linear_model import LogisticRegression
from torch import Tensor

test_contract = contract_tests("cav")


def rows(n: int = 300, width: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows off the origin, with dimensions of unequal scales, and three classes of unequal sizes."""
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, generator=g) ** 2 * 3).long()
    x = torch.randn(3, width, generator=g)[label] + torch.randn(n, width, generator=g)
    return (x + 3) * torch.logspace(-1, 1, width), label


def test_vectors_are_unit_normals_and_codes_distances_from_the_plane() -> None:
    x, label = rows()
    space = CAV().fit(of_rows(x, labels=label))
    number = float(x.double().std(0, correction=0).quantile(0.5)) * 6**0.5  # one for all dimensions
    scaled = ((x.double() - x.double().mean(0)) / number).numpy()
    for i in range(3):
        peer = LogisticRegression().fit(scaled, label.numpy() == i)
        weight = peer.coef_[0] / number
        expected = peer.decision_function(scaled) / np.linalg.norm(weight)
        assert np.allclose(space.dictionary[i].numpy(), weight / np.linalg.norm(weight), atol=1e-5)
        assert np.allclose(space.encode(x)[:, i].numpy(), expected, atol=1e-4)


def test_random_rows_are_drawn_by_the_seed() -> None:
    x, label = rows()
    one, same, other = (CAV(against="random", seed=s).fit(of_rows(x, labels=label)).dictionary for s in (0, 0, 1))
    rest = CAV().fit(of_rows(x, labels=label)).dictionary
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(one, rest, atol=1e-4)


def test_a_plane_against_random_rows_lies_halfway_where_that_against_a_large_rest_does_not() -> None:
    g = torch.Generator().manual_seed(0)
    having = torch.arange(2000) < 100
    x = torch.randn(2000, 1, generator=g) + 2 * having[:, None]
    half = {a: CAV(against=a).fit(of_rows(x, labels=having[:, None])) for a in ("rest", "random")}
    plane = {a: float(-space.encode(torch.zeros(1, 1))) for a, space in half.items()}
    assert plane["random"] == pytest.approx(1, abs=0.2) and plane["rest"] > 1.7


def test_random_rows_are_all_there_are_where_the_class_is_the_larger_part() -> None:
    x, label = rows()
    held = of_rows(x, labels=(label < 2)[:, None])
    assert torch.allclose(CAV(against="random").fit(held).dictionary, CAV().fit(held).dictionary, atol=1e-5)


@pytest.mark.parametrize("against", ["rest", "random"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_mean_row_is_decoded_as_it_is(classes: int, against: str) -> None:
    x, label = rows()
    space = CAV(against=against).fit(of_rows(x, labels=label.clamp(max=classes - 1)))
    mean = x.mean(0, keepdim=True)
    assert torch.allclose(space(mean), mean, rtol=1e-5, atol=1e-3)


def untidy(classes: int, n: int = 240, width: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """Rows like those of a transformer, the class of each, and the way to each class from the others.

    Three dimensions hardly vary, three vary a hundred times as much as the others, and all have a common offset.
    """
    g = torch.Generator().manual_seed(0)
    scale = torch.ones(width)
    scale[:3], scale[3:6] = 1e-3, 100.0
    label = torch.arange(n) % classes
    centres = 4 * torch.nn.functional.normalize(torch.randn(classes, width, generator=g), dim=1) * (scale == 1)
    x = centres[label] + scale * (torch.randn(n, width, generator=g) + 3 * torch.randn(width, generator=g)) + 20
    return x, label, torch.stack([c - (centres.sum(0) - c) / (classes - 1) for c in centres])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["logistic", "ridge", "svm"])
@pytest.mark.parametrize("classes", [2, 6])
def test_vectors_of_untidy_rows_lead_to_their_class(classes: int, kind: str, dtype: torch.dtype) -> None:
    """Each dimension by its own spread, they led along those that hardly vary."""
    x, label, truth = untidy(classes)
    vectors = CAV(kind=kind).fit(of_rows(x.to(dtype), labels=label)).dictionary
    assert float(vectors[:, :3].norm(dim=1).max()) < 0.05
    assert float(torch.cosine_similarity(vectors, truth).min()) > 0.7


def test_two_classes_have_opposite_vectors() -> None:
    x, label, _ = untidy(2)
    one, other = CAV().fit(of_rows(x, labels=label)).dictionary
    assert torch.equal(one, -other)


@pytest.mark.real
def test_vectors_of_emotions_lead_to_them(real_model, real_texts) -> None:  # type: ignore[no-untyped-def]
    """At a layer where three dimensions of 384 hardly vary: towards the mean of the class, and its logit rises."""
    model, texts, labels = real_model("emotion-minilm"), real_texts("emotion"), real_texts("emotion", column="label")
    chosen = [i for name in model.labels for i in [j for j, label in enumerate(labels) if label == name][:20]]
    split = model.split(-1)
    held = split.activations(
        [texts[i] for i in chosen], granularity="cls", labels=[labels[i] for i in chosen], progress=False
    )
    space, x = fit_concepts(held, by="cav"), held.matrix()
    number = float(x.std(0).median()) * 384**0.5
    for i, vector in enumerate(space.dictionary):
        having = held.labels == i
        apart = x[having].mean(0) - x[~having].mean(0)
        peer = LogisticRegression().fit(((x - x.mean(0)) / number).numpy(), having.numpy()).coef_[0]
        own, theirs = (float(torch.cosine_similarity(v, apart, dim=0)) for v in (vector, torch.from_numpy(peer)))
        assert own > 0.5 and abs(own - theirs) < 0.1
        change = effect(split, space, held.select(torch.arange(120) % 20 == 0), Change(add={i: 3.0}), progress=False)
        assert bool((change.per_text[:, i] > 0).all())


def test_concepts_are_called_like_their_classes_and_saved(tmp_path: Path) -> None:
    x, label = rows()
    space = CAV().fit(of_rows(x, labels=label, class_names=("a", "b", "c")))
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert loaded.names == ["a", "b", "c"] and torch.equal(loaded.encode(x), space.encode(x))


def test_a_classifier_that_was_stopped_says_so_and_prints_nothing() -> None:
    x, label = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = CAV(steps=1).fit(of_rows(x, labels=label)).notes
    assert notes == ("The classifiers of class 0, class 1, class 2 did not settle within 1 steps; allow more.",)
    assert CAV().fit(of_rows(x, labels=label)).notes == ()


def test_what_cannot_be_is_refused() -> None:
    x, _ = rows()
    with pytest.raises(InputError, match="against 'all' is unknown; it is one of rest, random"):
        CAV(against="all")
    with pytest.raises(InputError, match="kind 'tree' is unknown"):
        CAV(kind="tree")
    with pytest.raises(InputError, match="all 4 rows of 'given' are equal"):
        CAV().fit(of_rows(torch.ones(4, 2), labels=torch.tensor([0, 1, 0, 1])))
    with pytest.raises(InputError, match="each of the 1 rows has 'class 0'"):
        CAV().fit(of_rows(x[:1], labels=torch.tensor([0])))
    with pytest.raises(UnsupportedError, match="needs labels"):
        fit_concepts(of_rows(x), by="cav")


def test_fewer_dimensions_than_classes_are_enough() -> None:
    x, label = rows()
    space = CAV(kind="ridge").fit(of_rows(x[:, :2], labels=label))
    assert tuple(space.encode(x[:, :2]).shape) == (300, 3) and torch.isfinite(space(x[:, :2])).all()


def test_neither_rows_nor_random_states_are_touched() -> None:
    x, label = rows()
    before, state, numpy_state = x.clone(), torch.get_rng_state(), np.random.get_state()[2]
    CAV(against="random").fit(of_rows(x, labels=label))
    assert torch.equal(x, before) and torch.equal(state, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[2]
