"""Labels told by one concept, against scikit-learn's areas and labels whose concept is planted."""

from __future__ import annotations

import dataclasses

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_concept_detection.baselines import mean_differences, probes
from interp_concept_detection.detection import ConceptDetection
from interp_concept_detection.labelled import halves
from interp_concept_detection.ranks import aurocs
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

test_contract = contract_tests("concept-detection")


def rows(n: int = 400, width: int = 5, labels: int = 3, seed: int = 0) -> Activations:
    """Rows whose first dimensions say, with noise, which labels a row has: the second and third by being low."""
    g = torch.Generator().manual_seed(seed)
    having = torch.rand(n, labels, generator=g) < 0.3
    x = torch.randn(n, width, generator=g)
    x[:, :labels] += 2.0 * having * torch.tensor([1.0, -1.0, -1.0])[:labels]
    return of_rows(x, labels=having, class_names=("a", "b", "c")[:labels])


def axes(width: int) -> AffineSpace:
    """Each dimension is a concept."""
    return AffineSpace(torch.eye(width), torch.eye(width))


def test_areas_are_those_of_scikit_learn_with_equal_values_among_them() -> None:
    g = np.random.default_rng(0)
    values, member = g.integers(0, 4, (60, 3)).astype(float), g.random((60, 2)) < 0.3
    expected = [[roc_auc_score(having, column) for column in values.T] for having in member.T]
    assert np.allclose(aurocs(values, member), expected, atol=1e-12)


def test_a_planted_concept_tells_its_label_and_is_named() -> None:
    activations, truth = dictionary_world(seed=1)
    score = interp.measure(truth, activations, by="concept-detection")
    assert score.value > 0.999 and len(score.values) == 5 and score.chance < 0.95
    assert all(f"class {i}: concept {i} 1.000" in score.notes[1 + i] for i in range(5))


@pytest.mark.parametrize(("n", "width"), [(400, 5), (40, 30)])
def test_the_value_is_that_of_choosing_by_hand(n: int, width: int) -> None:
    """Where there are few texts the halves choose different concepts."""
    held = rows(n, width)
    first, x, member = halves(held, 0).first, held.matrix().numpy(), held.labels.numpy()
    values = []
    for having in member.T:
        for seen in (first, ~first):
            each = [roc_auc_score(having[seen], column[seen]) for column in x.T]
            best = int(np.abs(np.array(each) - 0.5).argmax())
            sign = 1 if each[best] > 0.5 else -1
            values.append(roc_auc_score(having[~seen], sign * x[~seen, best]))
    expected = np.array(values).reshape(3, 2).mean(1)
    score = ConceptDetection().measure(axes(width), held)
    assert np.allclose(score.values.numpy(), expected, atol=1e-6) and score.value == pytest.approx(expected.mean())


def test_a_normal_shift_has_the_closed_form() -> None:
    """Two normal distributions 2 apart: the AUROC is Φ(2/√2), in whichever direction they lie."""
    score = interp.measure(axes(5), rows(n=20_000), by="concept-detection")
    assert score.value == pytest.approx(norm.cdf(2 / 2**0.5), abs=0.01)


def test_labels_that_mean_nothing_are_at_chance_on_other_texts() -> None:
    """Many concepts to choose from: what is best where it was chosen is nothing elsewhere."""
    values = []
    for seed in range(20):
        g = torch.Generator().manual_seed(seed)
        held = of_rows(torch.randn(60, 50, generator=g), labels=torch.arange(60) % 2)
        values.append(ConceptDetection(seed=seed).measure(axes(50), held).value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)


def test_rows_of_a_text_are_in_one_half_and_labels_in_equal_shares() -> None:
    g = torch.Generator().manual_seed(0)
    having = torch.rand(101, 3, generator=g) < torch.tensor([0.5, 0.2, 0.1])
    text = torch.arange(101).repeat_interleave(3)[torch.randperm(303, generator=g)]
    one = of_rows(torch.randn(303, 2, generator=g))
    held = dataclasses.replace(one, text_of=text, texts=one.texts[:101], units=one.units[:101], labels=having)
    for seed in range(5):
        first = halves(held, seed).first
        share = np.array([first[text.numpy() == i].mean() for i in range(101)])
        assert set(share) == {0.0, 1.0} and abs(share.sum() - 50.5) < 1
        for label in having.numpy().T:
            assert abs(share[label].mean() - 0.5) * label.sum() <= 4
    assert (halves(held, 0).first == halves(held, 0).first).all()
    assert (halves(held, 0).first != halves(held, 1).first).any()


def test_two_texts_of_each_label_are_enough() -> None:
    held = of_rows(torch.tensor([[0.0], [1.0], [0.1], [0.9]]), labels=torch.tensor([0, 1, 0, 1]))
    assert all(ConceptDetection(seed=seed).measure(axes(1), held).value == 1 for seed in range(10))


def test_the_baselines_are_those_of_numpy_and_scikit_learn() -> None:
    held = rows()
    x, member = held.matrix().double().numpy() * np.logspace(-1, 1, 5), held.labels.numpy()
    for i, having in enumerate(member.T):
        assert np.allclose(mean_differences(x, member)[i], x[having].mean(0) - x[~having].mean(0))
        peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 3)).fit(x, having)
        decision = x @ probes(x, member, 3.0)[i]
        assert np.allclose(decision - decision[0], peer.decision_function(x) - peer.decision_function(x)[0], atol=1e-8)


def test_the_notes_say_what_the_baselines_get_on_the_same_halves() -> None:
    held = rows(labels=1)
    first, x, having = halves(held, 0).first, held.matrix().numpy(), held.labels[:, 0].numpy()
    means, probe = [], []
    for seen in (first, ~first):
        direction = x[seen & having].mean(0) - x[seen & ~having].mean(0)
        means.append(roc_auc_score(having[~seen], x[~seen] @ direction))
        peer = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[seen], having[seen])
        probe.append(roc_auc_score(having[~seen], peer.decision_function(x[~seen])))
    score = ConceptDetection().measure(axes(5), held)
    told = f"difference of means {np.mean(means):.3f}, linear probe {np.mean(probe):.3f}."
    assert score.notes == (
        f"Beside {score.value:.3f}, on the same texts: {told}",
        f"a: concept 0 {score.value:.3f}, {told}",
    )


def test_a_concept_made_of_two_dimensions_is_told_by_neither_and_by_both_baselines() -> None:
    g = torch.Generator().manual_seed(0)
    label = torch.arange(2000) % 2
    x = torch.randn(2000, 6, generator=g) + label[:, None] * torch.tensor([1.5, 1.5, 0, 0, 0, 0])
    score = ConceptDetection().measure(axes(6), of_rows(x, labels=label[:, None] == 1))
    assert score.value == pytest.approx(norm.cdf(1.5 / 2**0.5), abs=0.03)
    probe = float(score.notes[0].split()[-1].rstrip("."))
    assert probe == pytest.approx(norm.cdf(1.5), abs=0.02)


def test_concepts_encoded_some_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    held = rows()
    whole = ConceptDetection().measure(axes(5), held)
    monkeypatch.setattr("interp_concept_detection.detection.CODES", 800)
    monkeypatch.setattr(type(held), "batches", lambda self: iter(self.matrix().split(7)))
    parts = ConceptDetection().measure(axes(5), held)
    assert parts.notes == whole.notes and parts.value == whole.value


def test_codes_of_other_concepts_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the numbers that are joined to the codes of a block no more are held than are in the block."""
    held, joined, cat = rows(), [], torch.cat

    def watched(parts: list[torch.Tensor]) -> torch.Tensor:
        joined.extend((part.untyped_storage().nbytes(), part.numel() * part.element_size()) for part in parts)
        return cat(parts)

    monkeypatch.setattr("interp_concept_detection.detection.CODES", 400)
    monkeypatch.setattr("torch.cat", watched)
    ConceptDetection().measure(axes(5), held)
    assert len(joined) >= 5 and all(kept == needed for kept, needed in joined)


@pytest.mark.parametrize("n", [400, 401])
def test_labels_with_too_few_texts_are_left_out_and_said(n: int) -> None:
    """The one text that has the label comes last, so into one half or the other."""
    held = rows(n)
    labels = torch.cat([held.labels, (torch.arange(n) == 3)[:, None], torch.ones(n, 1, dtype=torch.bool)], 1)
    score = ConceptDetection().measure(axes(5), dataclasses.replace(held, labels=labels, class_names=("a", "b", "c")))
    assert len(score.values) == 3 and score.notes[-1] == "Left out, with too few texts: class 3, class 4."


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(InputError, match="none of the labels class 0 can be scored: in each half of the 1 texts"):
        ConceptDetection().measure(axes(2), of_rows(torch.ones(1, 2), labels=torch.tensor([0])))
    with pytest.raises(InputError, match=r"ridge is 0\.0"):
        ConceptDetection(ridge=0.0)
    with pytest.raises(InputError, match="needs labels"):
        interp.measure(axes(2), of_rows(torch.ones(4, 2)), by="concept-detection")


def test_constant_rows_are_at_chance() -> None:
    score = ConceptDetection().measure(axes(2), of_rows(torch.ones(20, 2), labels=torch.arange(20) % 2))
    assert score.value == 0.5


def test_neither_rows_nor_random_states_are_touched() -> None:
    held = rows()
    before, state, numpy_state = held.matrix().clone(), torch.get_rng_state(), np.random.get_state()[2]
    ConceptDetection().measure(axes(5), held)
    assert torch.equal(held.matrix(), before) and torch.equal(state, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[2]
