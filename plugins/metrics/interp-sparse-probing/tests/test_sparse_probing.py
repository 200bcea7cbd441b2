"""Labels told by a few concepts, against scikit-learn, normal distributions and planted worlds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_concept_detection.labelled import halves
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, ConceptSpace
from interp_core.errors import InputError
from interp_core.testing import contract_tests, dictionary_world, untidy_rows
from interp_core.testing._planted_worlds import on_disk
from interp_sparse_probing.contrasts import columns_of, largest, mean_differences
from interp_sparse_probing.probes import decisions, learning_rows, line_of_columns, lines_of_rows, told
from interp_sparse_probing.probing import KSparseProbing
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

test_contract = contract_tests("k-sparse-probing")


def rows(n: int = 400, width: int = 6, labels: int = 3, seed: int = 0) -> Activations:
    """Rows whose first dimensions say, with noise, which labels a row has: the second and third by being low."""
    g = torch.Generator().manual_seed(seed)
    having = torch.rand(n, labels, generator=g) < 0.3
    x = torch.randn(n, width, generator=g)
    x[:, :labels] += 2.0 * having * torch.tensor([1.0, -1.0, -1.0])[:labels]
    return of_rows(x, labels=having, class_names=("a", "b", "c")[:labels])


def two_classes(shift: list[float], n: int = 20_000) -> Activations:
    """Normal rows of two classes, which lie `shift` apart."""
    g = torch.Generator().manual_seed(0)
    label = torch.arange(n) % 2
    return of_rows(torch.randn(n, len(shift), generator=g) + label[:, None] * torch.tensor(shift), labels=label)


def axes(width: int) -> AffineSpace:
    """Each dimension is a concept."""
    return AffineSpace(torch.eye(width), torch.eye(width))


class Rectified(ConceptSpace):
    """Codes are projections, rectified as those of sparse autoencoders are."""

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        return (values @ self.dictionary.T).relu()


def numbers(note: str) -> list[float]:
    """The balanced accuracies in a note: before each bracket."""
    return [float(one) for one in re.findall(r"(\d\.\d{3}) \(F1", note)]


def test_one_of_two_normal_dimensions_tells_as_much_as_the_closed_form() -> None:
    """The best threshold between two normal distributions that are 2 apart tells Φ(1) of both; two dimensions Φ(√2)."""
    held = two_classes([2.0, 2.0, 0.0, 0.0])
    score = interp.measure(axes(4), held, by="k-sparse-probing")
    assert score.value == pytest.approx(norm.cdf(1), abs=0.01)
    by_concepts, by_dimensions, whole = (numbers(note) for note in score.notes[:3])
    assert by_concepts == pytest.approx([norm.cdf(1), norm.cdf(2**0.5)], abs=0.01)
    assert by_dimensions == by_concepts and whole == pytest.approx([norm.cdf(2**0.5)], abs=0.01)
    assert KSparseProbing(k=2).measure(axes(4), held).value == pytest.approx(norm.cdf(2**0.5), abs=0.01)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_value_is_that_of_choosing_and_fitting_by_hand(k: int) -> None:
    held = rows()
    first, x, member = halves(held, 0).first, held.matrix().double().numpy(), held.labels.numpy()
    expected, f1, plain = [], [], []
    for having in member.T:
        for seen in (first, ~first):
            apart = np.abs(x[seen & having].mean(0) - x[seen & ~having].mean(0))
            best = np.argsort(-apart)[:k]
            peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 3, class_weight="balanced"))
            said = peer.fit(x[seen][:, best], having[seen]).predict(x[~seen][:, best])
            expected.append(balanced_accuracy_score(having[~seen], said))
            f1.append(f1_score(having[~seen], said))
            plain.append(accuracy_score(having[~seen], said))
    score = KSparseProbing(k=k, ridge=3.0).measure(axes(6), held)
    assert np.allclose(score.values.numpy(), np.array(expected).reshape(3, 2).mean(1), atol=1e-6)
    assert f"{k}: {np.mean(expected):.3f} (F1 {np.mean(f1):.3f}, accuracy {np.mean(plain):.3f})" in score.notes[0]
    assert score.notes[1] == score.notes[0].replace("the number of concepts", "raw dimensions chosen alike")


def test_the_probe_on_whole_rows_is_that_of_scikit_learn() -> None:
    held = rows(labels=1)
    first, x, having = halves(held, 0).first, held.matrix().double().numpy(), held.labels[:, 0].numpy()
    found = []
    for seen in (first, ~first):
        size = np.median(x[seen].std(0)) * 6**0.5
        peer = LogisticRegression(class_weight="balanced").fit((x[seen] - x[seen].mean(0)) / size, having[seen])
        said = peer.predict((x[~seen] - x[seen].mean(0)) / size)
        found.append(balanced_accuracy_score(having[~seen], said))
    score = KSparseProbing().measure(axes(6), held)
    assert numbers(score.notes[2]) == [pytest.approx(np.mean(found), abs=5e-4)]
    assert score.notes[3].endswith(f"whole rows {np.mean(found):.3f}.")


def test_planted_concepts_tell_their_labels_and_are_named() -> None:
    activations, truth = dictionary_world(seed=1)
    score = interp.measure(truth, activations, by="k-sparse-probing")
    assert score.value == 1 and len(score.values) == 5 and score.chance < 0.95 and score.interval == (1, 1)
    assert all(score.notes[3 + i].startswith(f"class {i}: concept {i} 1.000") for i in range(5))


def test_a_rare_label_is_told_and_its_f1_says_that_it_is_rare() -> None:
    """Four in a hundred rows have it: a probe that weighs all rows alike would say no to all of them."""
    g = torch.Generator().manual_seed(0)
    having = torch.arange(20_000)[:, None] % 25 == 0
    held = of_rows(torch.randn(20_000, 1, generator=g) + 2 * having, labels=having)
    score = KSparseProbing().measure(axes(1), held)
    right = norm.cdf(1)
    assert score.value == pytest.approx(right, abs=0.02)
    f1 = 2 * 0.04 * right / (0.04 + 0.04 * right + 0.96 * (1 - right))
    assert float(re.findall(r"F1 (\d\.\d+)", score.notes[0])[0]) == pytest.approx(f1, abs=0.03)


def test_labels_that_mean_nothing_are_at_chance_on_other_texts() -> None:
    """Many concepts to choose from: what is best where it was chosen is nothing elsewhere."""
    values = []
    for seed in range(20):
        g = torch.Generator().manual_seed(seed)
        held = of_rows(torch.randn(60, 50, generator=g), labels=torch.arange(60) % 2)
        values.append(KSparseProbing(k=5, seed=seed).measure(axes(50), held).value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("whiten", [False, True])
def test_differences_are_those_of_means_whatever_the_batches(whiten: bool) -> None:
    """With a large common offset, and a column that is constant."""
    held = rows(n=101)
    x = torch.cat([1e4 + held.matrix().double(), torch.full((101, 1), 7.0)], 1)
    dealt = halves(held, 0)
    expected = np.empty((2, 3, 7))
    for h, half in enumerate((dealt.first, ~dealt.first)):
        size = x.numpy()[half].std(0) if whiten else np.ones(7)
        for i, having in enumerate(dealt.member.T):
            apart = x.numpy()[half & having].mean(0) - x.numpy()[half & ~having].mean(0)
            expected[h, i] = np.divide(apart, size, out=np.zeros(7), where=size > 0)
    for batch in (1, 7, 101):
        assert np.allclose(mean_differences(x.split(batch), dealt, whiten=whiten), expected, atol=1e-6)


def test_a_giant_dimension_is_preferred_unless_codes_are_whitened() -> None:
    """Untidy rows: two dimensions a hundred times larger say nothing, and each dimension is a concept."""
    held, directions = untidy_rows(rows=400)
    found = KSparseProbing().measure(axes(12), held)
    assert all("concept 0" in note or "concept 1" in note for note in found.notes[3:5]) and found.value < 0.65
    assert KSparseProbing(whiten=True).measure(axes(12), held).value > 0.8
    planted = KSparseProbing().measure(Rectified(directions), held)
    assert planted.value == pytest.approx(norm.cdf(1), abs=0.05)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_codes_does_not_matter(scale: float) -> None:
    held = rows()
    score = KSparseProbing(k=2).measure(AffineSpace(torch.eye(6) / scale, scale * torch.eye(6)), held)
    assert score.value == pytest.approx(KSparseProbing(k=2).measure(axes(6), held).value, abs=1e-6)


def test_constant_codes_and_dead_concepts_are_at_chance() -> None:
    held = rows()
    for bias in (0.0, 3.0):
        silent = AffineSpace(torch.eye(6), torch.zeros(6, 6), bias=torch.full((6,), bias))
        assert KSparseProbing(k=2).measure(silent, held).value == 0.5
    assert KSparseProbing().measure(axes(2), of_rows(torch.ones(20, 2), labels=torch.arange(20) % 2)).value == 0.5


def test_equal_differences_are_chosen_in_order() -> None:
    sizes = np.array([[[1.0, 3.0, 3.0, 2.0, 3.0]]]).repeat(2, 0)
    assert largest(sizes, 4).tolist() == [[[1, 2, 4, 3]]] * 2


def test_more_concepts_than_rows_and_than_dimensions_are_measured() -> None:
    g = torch.Generator().manual_seed(0)
    held, wide = rows(n=40), Rectified(torch.randn(300, 6, generator=g))
    score = interp.measure(wide, held, by="k-sparse-probing", k=20)
    assert 0.5 <= score.value <= 1 and "20: " in score.notes[0] and "20: " not in score.notes[1]


def test_two_texts_of_each_label_are_enough() -> None:
    held = of_rows(torch.tensor([[0.0], [1.0], [0.1], [0.9]]), labels=torch.tensor([0, 1, 0, 1]))
    assert all(KSparseProbing(seed=seed).measure(axes(1), held).value == 1 for seed in range(10))


def test_labels_with_too_few_texts_are_left_out_and_said() -> None:
    held = rows()
    labels = torch.cat([held.labels, (torch.arange(400) == 3)[:, None]], 1)
    score = KSparseProbing().measure(axes(6), dataclasses.replace(held, labels=labels, class_names=()))
    assert len(score.values) == 3 and score.notes[-1] == "Left out, with too few texts: class 3."
    assert score.interval is None


def test_rows_of_a_text_share_its_label_and_its_half() -> None:
    """Each text has a row that tells the label and two that do not: the best threshold tells (1 + 1/3) / 2."""
    g = torch.Generator().manual_seed(0)
    label = torch.arange(600) % 2
    x = torch.randn(600, 3, 1, generator=g) * 0.01
    x[label == 1, 0] += 5
    one = of_rows(x.flatten(0, 1))
    held = dataclasses.replace(
        one, text_of=torch.arange(600).repeat_interleave(3), texts=one.texts[:600], units=one.units[:600], labels=label
    )
    assert KSparseProbing().measure(axes(1), held).value == pytest.approx(2 / 3, abs=1e-3)


def test_rows_in_bfloat16_give_about_the_same() -> None:
    held = rows()
    rounded = of_rows(held.matrix().bfloat16(), labels=held.labels, class_names=held.class_names)
    one, other = (KSparseProbing().measure(axes(6), some).value for some in (held, rounded))
    assert one == pytest.approx(other, abs=0.02)


def test_a_store_on_disk_gives_the_same(tmp_path: Path) -> None:
    activations, truth = dictionary_world(rows=350)
    stored = on_disk(activations, tmp_path / "store")
    one, other = (KSparseProbing(rows=40).measure(truth, some) for some in (activations, stored))
    assert one.value == other.value and one.notes == other.notes


def test_probes_learn_from_a_seeded_draw_where_there_are_more_rows() -> None:
    dealt = halves(rows(n=1000), 0)
    learnt = learning_rows(dealt, 100, 0)
    for half, own in zip((dealt.first, ~dealt.first), learnt, strict=True):
        for having, index in zip(dealt.member.T, own, strict=True):
            assert half[index].all() and having[index].sum() == 50 and len(set(index)) == 100
    for one, other, equal in (
        (learning_rows(dealt, 100, 0), learnt, True),
        (learning_rows(dealt, 100, 1), learnt, False),
    ):
        pairs = zip(chain(*one), chain(*other), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs) is equal
    score = KSparseProbing(rows=100).measure(axes(6), rows(n=1000))
    assert score.notes[-1] == "Probes were learnt from at most 100 rows of a half, drawn at random."
    assert score.value == pytest.approx(KSparseProbing().measure(axes(6), rows(n=1000)).value, abs=0.05)


def test_counts_are_those_of_scikit_learn() -> None:
    g = np.random.default_rng(0)
    having, said = g.random((2, 50)) < 0.3
    expected = (balanced_accuracy_score(having, said), f1_score(having, said), accuracy_score(having, said))
    assert told(said, having) == pytest.approx(expected)


def test_the_line_of_columns_is_that_of_scikit_learn() -> None:
    g = np.random.default_rng(0)
    x, having = g.normal(size=(80, 3)) * [1.0, 50.0, 0.01] + 4, np.arange(80) % 4 == 0
    x[having] += [1.0, 20.0, 0.02]
    line = line_of_columns(x, having, 2.0)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 2, class_weight="balanced")).fit(x, having)
    assert np.allclose(x @ line.weight + line.bias, peer.decision_function(x), atol=1e-6) and line.settled


def test_lines_of_whole_rows_are_those_of_scikit_learn_on_rows_divided_by_one_number() -> None:
    held = rows(labels=2)
    scaled = dataclasses.replace(held, values=held.matrix() * torch.tensor([1.0, 3.0, 1.0, 0.2, 1.0, 20.0]) + 3)
    dealt, x = halves(held, 0), scaled.matrix().double().numpy()
    found = decisions(scaled, lines_of_rows(scaled, dealt, learning_rows(dealt, 1000, 0), 2.0))
    for h, half in enumerate((dealt.first, ~dealt.first)):
        z = (x - x[half].mean(0)) / (np.median(x[half].std(0)) * 6**0.5)
        for i, having in enumerate(dealt.member.T):
            peer = LogisticRegression(C=1 / 2, class_weight="balanced").fit(z[half], having[half])
            assert np.allclose(found[h, :, i], peer.decision_function(z), atol=1e-4)


def test_columns_are_those_of_all_batches() -> None:
    x = torch.arange(24.0).reshape(6, 4)
    assert np.array_equal(columns_of(x.split(4), np.array([1, 3])), x[:, [1, 3]].numpy())


def test_codes_of_no_more_rows_than_fit_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held, sizes = rows(), []
    whole = KSparseProbing().measure(axes(6), held)

    class Watched(AffineSpace):
        def encode(self, values: torch.Tensor) -> torch.Tensor:
            sizes.append(len(values))
            return super().encode(values)

    monkeypatch.setattr("interp_sparse_probing.contrasts.CODES", 60)
    parts = KSparseProbing().measure(Watched(torch.eye(6), torch.eye(6)), held)
    assert parts.notes == whole.notes and parts.value == whole.value and set(sizes) == {10}


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(InputError, match="none of the labels class 0 can be scored"):
        KSparseProbing().measure(axes(2), of_rows(torch.ones(1, 2), labels=torch.tensor([0])))
    with pytest.raises(InputError, match=r"k 0, ridge 1\.0, rows 20000"):
        KSparseProbing(k=0)
    with pytest.raises(InputError, match="k is 7, but the space has 6 concepts"):
        interp.measure(axes(6), rows(), by="k-sparse-probing", k=7)
    with pytest.raises(InputError, match="needs labels"):
        interp.measure(axes(2), of_rows(torch.ones(4, 2)), by="k-sparse-probing")
    broken = rows().matrix()
    broken[5, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        KSparseProbing().measure(axes(6), of_rows(broken, labels=torch.arange(400) % 2))


def test_neither_rows_nor_random_states_are_touched() -> None:
    held = rows()
    before, state, numpy_state = held.matrix().clone(), torch.get_rng_state(), np.random.get_state()[2]
    KSparseProbing(rows=50).measure(axes(6), held)
    assert torch.equal(held.matrix(), before) and torch.equal(state, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[2] and torch.is_grad_enabled()


@pytest.mark.slow
def test_a_probe_tells_emotions_of_a_real_classifier(
    real_model: Callable[[str], interp.TextModel], real_texts: Callable[..., list[str]]
) -> None:
    """Whole rows of the last block nearly always tell the six emotions, two concepts of a top-k autoencoder less."""
    texts, labels = real_texts("emotion")[:800], real_texts("emotion", column="label")[:800]
    split = real_model("emotion-minilm").split(-1)
    held = split.activations(texts, granularity="cls", labels=labels, progress=False)
    space = interp.fit_concepts(held, by="topk-sae", concepts=64, k=4, steps=400)
    score = interp.measure(space, held, by="k-sparse-probing")
    one, two, five = numbers(score.notes[0])
    assert len(score.values) == 6 and score.interval is not None
    assert score.chance < one <= two + 0.02 <= five + 0.04 and five > 0.8
    assert numbers(score.notes[2])[0] > 0.85
