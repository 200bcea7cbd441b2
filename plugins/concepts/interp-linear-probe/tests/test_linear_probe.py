"""Linear probes: scikit-learn's decisions on raw rows, patterns that reconstruct, and honest scores."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace, fit_concepts, intervene
from interp_core.errors import InputError, UnsupportedError
from interp_core.statistics import interval_of_mean
from interp_core.testing import contract_tests, dictionary_world
from interp_linear_probe.classifier import Classifier, Line
from interp_linear_probe.held_out import best_threshold, held_out
from interp_linear_probe.labelled import labelled
from interp_linear_probe.linear_probe import LinearProbe
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.svm import LinearSVC
from torch import Tensor

test_contract = contract_tests("linear-probe")

SKLEARN = {
    "logistic": LogisticRegression(C=1 / 3, tol=1e-4, max_iter=1000),
    "ridge": RidgeClassifier(alpha=3),
    "svm": LinearSVC(C=1 / 3, tol=1e-4, max_iter=1000, random_state=0),
}


def rows(seed: int = 0, n: int = 300, width: int = 8, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Overlapping classes of unequal sizes, dimensions of unequal scales, off the origin; and the class of each row."""
    g = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, generator=g) ** 2 * classes).long()
    centres = torch.randn(classes, width, generator=g)
    x = centres[label] + torch.randn(n, width, generator=g)
    return x * torch.logspace(-2, 2, width) + 5 * torch.logspace(-2, 2, width), label


def by_one_number(x: Tensor, like: Tensor) -> np.ndarray:
    """Rows as the classifiers see them: less the mean of some rows, and divided by one number for all dimensions."""
    centre, number = like.double().mean(0), like.double().std(0, correction=0).quantile(0.5) * like.shape[1] ** 0.5
    return ((x.double() - centre) / number).numpy()


def untidy(classes: int, n: int = 240, width: int = 48, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Rows like those of a transformer, the class of each, and how far the classes are from the mean of the others.

    Three dimensions hardly vary, three vary a hundred times as much as the others, and all have a common offset.
    """
    g = torch.Generator().manual_seed(seed)
    scale = torch.ones(width)
    scale[:3], scale[3:6] = 1e-3, 100.0
    label = torch.arange(n) % classes
    centres = 4 * torch.nn.functional.normalize(torch.randn(classes, width, generator=g), dim=1) * (scale == 1)
    x = centres[label] + scale * (torch.randn(n, width, generator=g) + 3 * torch.randn(width, generator=g)) + 20
    return x, label, torch.stack([c - (centres.sum(0) - c) / (classes - 1) for c in centres])


def given(**columns: object) -> Activations:
    x, label = rows()
    return of_rows(x, labels=label, class_names=("a", "b", "c"), **columns)


@pytest.mark.parametrize("kind", sorted(SKLEARN))
def test_codes_are_the_decisions_of_scikit_learn_on_raw_rows(kind: str) -> None:
    x, label = rows()
    space = LinearProbe(kind=kind, ridge=3.0, folds=0).fit(given())
    unseen = rows(seed=1)[0]
    for i in range(3):
        peer = SKLEARN[kind].fit(by_one_number(x, x), label.numpy() == i)
        expected = peer.decision_function(by_one_number(unseen, x))
        assert np.abs(space.encode(unseen)[:, i].numpy() - expected).max() < 1e-5
        assert np.abs(expected).max() > 0.5


def test_several_classes_a_text_are_learnt_each_by_itself() -> None:
    x, label = rows()
    both = torch.stack([label == 0, label != 2, x[:, 0] > 0.05], 1)
    together = LinearProbe(folds=0).fit(of_rows(x, labels=both))
    for i in range(3):
        alone = LinearProbe(folds=0).fit(of_rows(x, labels=both[:, [i]]))
        assert torch.allclose(together.encode(x)[:, i], alone.encode(x)[:, 0], atol=1e-5)
    assert together.names == ["class 0", "class 1", "class 2"]


def test_concepts_are_called_like_their_classes() -> None:
    assert LinearProbe(folds=0).fit(given()).names == ["a", "b", "c"]


def independent_labels() -> Tensor:
    """Three labels of which a row may have any."""
    x, label = rows()
    return torch.stack([label == 0, x[:, 3] > x[:, 3].median(), x[:, 5] > x[:, 5].quantile(0.7)], 1)


def raised(space: ConceptSpace) -> Tensor:
    """By how much each direction raises each code."""
    x = space.decode(torch.zeros(1, space.concepts))
    return torch.stack([(space.encode(x + direction) - space.encode(x))[0] for direction in space.dictionary])


def test_decoded_codes_are_the_least_squares_reconstruction() -> None:
    x, having = rows()[0], independent_labels()
    space = LinearProbe(folds=0).fit(of_rows(x, labels=having))
    design = np.column_stack([space.encode(x).double().numpy(), np.ones(len(x))])
    expected = design @ np.linalg.lstsq(design, x.double().numpy(), rcond=None)[0]
    assert np.allclose(space(x).numpy(), expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max(0))


def test_a_concept_added_once_raises_its_own_code_by_one() -> None:
    space = LinearProbe(folds=0).fit(of_rows(rows()[0], labels=independent_labels()))
    assert torch.allclose(raised(space), torch.eye(3), atol=1e-3)


@pytest.mark.parametrize("kind", sorted(SKLEARN))
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_classes_that_exclude_each_other_raise_their_codes_against_one_another(classes: int, kind: str) -> None:
    """One decision fewer than classes can rise freely: what directions raise is a projection of that rank."""
    x, label, _ = untidy(classes)
    found = raised(LinearProbe(kind=kind, folds=0).fit(of_rows(x, labels=label))).double()
    assert torch.allclose(found @ found, found, atol=1e-3) and float(found.trace()) == pytest.approx(classes - 1, 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", sorted(SKLEARN))
def test_two_classes_are_one_direction_and_its_opposite_about_as_long_as_they_are_apart(
    kind: str, dtype: torch.dtype
) -> None:
    for seed in range(3):
        x, label, _ = untidy(2, seed=seed)
        x = x.to(dtype)
        space = LinearProbe(kind=kind, folds=0).fit(of_rows(x, labels=label))
        one, other = space.dictionary
        means = [x[label == i].float().mean(0) for i in (0, 1)]
        assert torch.equal(one, -other)
        assert 0.1 < float(other.norm() / (means[1] - means[0]).norm()) < 10
        assert float((space.encode(means[1][None] + other) - space.encode(means[1][None]))[0, 1]) == pytest.approx(
            0.5, abs=1e-2
        )


@pytest.mark.parametrize("kind", sorted(SKLEARN))
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_explained_variance_of_untidy_rows_is_a_share(classes: int, kind: str) -> None:
    x, label, _ = untidy(classes)
    explained = 1 - float(
        (x - LinearProbe(kind=kind, folds=0).fit(of_rows(x, labels=label))(x)).square().sum()
    ) / float((x - x.mean(0)).square().sum())
    assert 0 <= explained < 1


@pytest.mark.parametrize("kind", sorted(SKLEARN))
def test_dimensions_that_hardly_vary_have_no_part_in_a_decision(kind: str) -> None:
    """Each dimension by its own spread, 99.9 % of the weights lay there."""
    x, label, truth = untidy(6)
    space = LinearProbe(kind=kind, folds=0).fit(of_rows(x, labels=label))
    weight = torch.nn.functional.normalize(space.encoder, dim=1)
    assert float(weight[:, :3].norm(dim=1).max()) < 0.05
    assert float(torch.cosine_similarity(weight, truth).min()) > 0.7


def test_labels_that_almost_depend_on_one_another_are_told_by_the_labels() -> None:
    """Six classes that exclude each other, but for one row in 240 that has none."""
    x, label, _ = untidy(6)
    having = torch.nn.functional.one_hot(label, 6).bool()
    having[7] = False
    whole = LinearProbe(folds=0).fit(of_rows(x, labels=label)).dictionary
    almost = LinearProbe(folds=0).fit(of_rows(x, labels=having)).dictionary
    assert float(torch.cosine_similarity(whole, almost).min()) > 0.99


def test_a_label_given_twice_is_learnt_once_and_shared() -> None:
    x, label, _ = untidy(2)
    once = LinearProbe(folds=0).fit(of_rows(x, labels=(label == 1)[:, None])).dictionary
    twice = LinearProbe(folds=0).fit(of_rows(x, labels=(label == 1)[:, None].repeat(1, 2))).dictionary
    assert torch.allclose(twice, once.repeat(2, 1) / 2, rtol=1e-5, atol=1e-7)


def test_a_disturbed_dimension_is_in_the_weights_and_not_in_the_pattern() -> None:
    """Haufe et al. 2014, example 1: the second dimension holds only the noise of the first."""
    g = torch.Generator().manual_seed(0)
    label, noise = torch.rand(4000, generator=g) < 0.5, torch.randn(4000, generator=g)
    x = torch.stack([label + noise, noise + 0.1 * torch.randn(4000, generator=g)], 1)
    space = LinearProbe(kind="ridge", folds=0).fit(of_rows(x, labels=label[:, None]))
    assert float(space.encoder[0, 1] / space.encoder[0, 0]) < -0.9
    assert abs(float(space.dictionary[0, 1] / space.dictionary[0, 0])) < 0.1


def test_two_opposite_classes_are_learnt_too() -> None:
    x, label = rows(classes=2)
    space = LinearProbe(folds=0).fit(of_rows(x, labels=label))
    codes = space.encode(x)
    assert torch.allclose(codes[:, 0], -codes[:, 1], atol=1e-3) and torch.isfinite(space(x)).all()


def test_scores_are_those_of_texts_held_out() -> None:
    """Random classes of many rows a text: on seen texts they are told perfectly, on unseen ones at chance."""
    g = torch.Generator().manual_seed(0)
    texts = torch.randn(60, 90, generator=g)
    label = torch.arange(60) % 2
    x = texts.repeat_interleave(5, 0) + 0.01 * torch.randn(300, 90, generator=g)
    one = of_rows(x)
    held = dataclasses.replace(
        one, text_of=torch.arange(60).repeat_interleave(5), texts=one.texts[:60], units=one.units[:60], labels=label
    )
    space = LinearProbe(ridge=0.01).fit(held)
    member = held.membership()[:, 0].numpy()
    assert roc_auc_score(member, space.encode(x)[:, 0].numpy()) > 0.999
    assert abs(np.mean(space.history["auroc: class 0"]) - 0.5) < 0.2


def test_each_text_is_held_out_once_and_scored_by_the_other_folds() -> None:
    """As many folds as the rarer class has rows, two: each fold is fitted again here, by hand."""
    x = rows()[0][:4]
    data = labelled(of_rows(x, labels=torch.tensor([0, 1, 1, 0])))
    found = held_out(Classifier(), data, 1, 5)
    assert found is not None and len(found.auroc) == 2
    options = []
    for fold in ([0, 1], [0, 2]):
        score = {}
        for out in (fold, [i for i in range(4) if i not in fold]):
            line = Classifier().fit(np.delete(data.x, out, 0), np.delete(data.member[:, 1], out))
            decision = data.x[out] @ line.weight + line.bias
            score[out[0]] = (
                roc_auc_score(data.member[out, 1], decision),
                balanced_accuracy_score(data.member[out, 1], decision > 0),
            )
        options.append(sorted(score.values()))
    assert sorted(zip(found.auroc, found.accuracy, strict=True)) in options


def test_folds_have_equal_shares_of_the_class_that_is_scored() -> None:
    data = labelled(of_rows(rows()[0][:22], labels=torch.tensor([0] * 10 + [1] * 10 + [2] * 2)))
    for concept, folds in ((0, 5), (2, 2)):
        found = held_out(Classifier(), data, concept, 5)
        assert found is not None and len(found.auroc) == folds and bool(np.isfinite(found.auroc).all())


def test_decisions_above_zero_are_said_to_have_the_class() -> None:
    class Fixed(Classifier):
        def fit(self, x: np.ndarray, having: np.ndarray) -> Line:
            return Line(np.ones(1), 0.0, True)

    x = torch.tensor([0.5, -0.5] * 6)[:, None]
    found = held_out(Fixed(), labelled(of_rows(x, labels=(torch.arange(12) % 2 == 0)[:, None])), 0, 3)
    assert found is not None and found.accuracy == [1.0, 1.0, 1.0]


def test_scores_are_those_that_scikit_learn_finds_by_cross_validation() -> None:
    x, label = rows(n=2000)
    space = LinearProbe().fit(of_rows(x, labels=label))
    g = np.random.default_rng(0).permutation(2000)
    aurocs, accuracies = [], []
    for out in np.array_split(g, 5):
        seen = np.setdiff1d(g, out)
        peer = LogisticRegression().fit(by_one_number(x[seen], x[seen]), label[seen].numpy() == 0)
        unseen, truth = by_one_number(x[out], x[seen]), label[out].numpy() == 0
        aurocs.append(roc_auc_score(truth, peer.decision_function(unseen)))
        accuracies.append(balanced_accuracy_score(truth, peer.predict(unseen)))
    assert np.mean(space.history["auroc: class 0"]) == pytest.approx(np.mean(aurocs), abs=0.005)
    assert np.mean(space.history["balanced accuracy: class 0"]) == pytest.approx(np.mean(accuracies), abs=0.01)


def test_the_threshold_has_the_greatest_balanced_accuracy_of_all() -> None:
    g = np.random.default_rng(0)
    having = g.random(200) < 0.1
    decision = g.normal(size=200) + having
    every = max(balanced_accuracy_score(having, decision > t) for t in np.concatenate([decision - 1e-9, [9.0]]))
    assert balanced_accuracy_score(having, decision > best_threshold(having, decision)) == pytest.approx(every)
    assert best_threshold(np.array([False, True]), np.array([1.0, 2.0])) == 1.5
    assert best_threshold(np.array([True, False]), np.array([1.0, 2.0])) < 1  # worse than chance: all have it
    assert best_threshold(np.array([False, True]), np.array([1.0, 1.0])) < 1


def test_a_rare_class_has_a_threshold_below_the_classifiers_own() -> None:
    x, label = rows(n=1000)
    space = LinearProbe().fit(of_rows(x, labels=(label == 2)[:, None]))
    having, code = (label == 2).numpy(), space.encode(x)[:, 0].numpy()
    [threshold] = space.history["threshold"]
    assert threshold < 0
    assert balanced_accuracy_score(having, code > threshold) > balanced_accuracy_score(having, code > 0) + 0.02


def test_the_notes_say_for_each_class_how_well_it_is_told() -> None:
    space = fit_concepts(given(), by="linear-probe")
    for name, note in zip("abc", space.notes, strict=True):
        auroc, accuracy = (torch.tensor(space.history[f"{key}: {name}"]) for key in ("auroc", "balanced accuracy"))
        low, high = interval_of_mean(auroc)
        assert note.startswith(f"{name}, held out: AUROC {auroc.mean():.3f} [{low:.3f}, {min(1, high):.3f}]")
        assert f"balanced accuracy {accuracy.mean():.3f} [" in note and note.endswith("(5 folds by text).")


def test_a_class_of_one_text_is_learnt_but_not_scored() -> None:
    x = rows()[0]
    space = LinearProbe().fit(of_rows(x, labels=(torch.arange(300) == 7).long()))
    assert space.notes[0].startswith("class 0: fewer than two texts") and space.history == {"threshold": [0.0, 0.0]}


def test_without_folds_there_are_no_scores() -> None:
    space = LinearProbe(folds=0).fit(given())
    assert space.history == {} and space.notes == ()


def test_a_probe_that_was_stopped_says_so_and_prints_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes = LinearProbe(steps=1, folds=0).fit(given()).notes
    assert notes == ("The probes of a, b, c did not settle within 1 steps; allow more.",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "tree"}, "kind 'tree' is unknown; it is one of logistic, ridge, svm"),
        ({"ridge": 0.0}, "ridge 0.0"),
        ({"steps": 0}, "steps 0"),
        ({"tolerance": 0.0}, "tolerance 0.0"),
        ({"folds": 1}, "folds is 1; at least 2"),
        ({"folds": -2}, "folds is -2"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinearProbe(**changed)


def test_classes_that_all_rows_have_and_rows_without_classes_are_refused() -> None:
    x, _ = rows()
    with pytest.raises(InputError, match="each of the 1 rows has 'class 0'; a concept is learnt from rows with and"):
        LinearProbe().fit(of_rows(x[:1], labels=torch.tensor([0])))
    with pytest.raises(InputError, match="all 4 rows of 'given' are equal"):
        LinearProbe().fit(of_rows(torch.ones(4, 3), labels=torch.tensor([0, 1, 0, 1])))
    with pytest.raises(UnsupportedError, match="needs labels"):
        fit_concepts(of_rows(x), by="linear-probe")


def test_fewer_dimensions_than_classes_are_enough() -> None:
    x, label = rows()
    space = LinearProbe(folds=0).fit(of_rows(x[:, :1], labels=label))
    assert tuple(space.encode(x[:, :1]).shape) == (300, 3) and torch.isfinite(space(x[:, :1])).all()


def test_nothing_of_the_users_is_changed_and_names_are_saved(tmp_path: Path) -> None:
    held, before, numpy_before = given(), torch.get_rng_state(), np.random.get_state()[2]
    space = LinearProbe(kind="svm").fit(held)
    assert torch.equal(held.values, rows()[0])
    assert torch.equal(before, torch.get_rng_state()) and numpy_before == np.random.get_state()[2]
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    assert loaded.history == space.history and loaded.names == ["a", "b", "c"]


def test_the_seed_decides_the_folds() -> None:
    one, same, other = (LinearProbe(seed=s).fit(given()).history for s in (0, 0, 1))
    assert one == same and one["auroc: a"] != other["auroc: a"]


def test_planted_directions_are_told_by_their_own_concept() -> None:
    held, _ = dictionary_world()
    space = LinearProbe().fit(held)
    assert min(np.mean(space.history[f"auroc: class {i}"]) for i in range(5)) > 0.99


@pytest.mark.real
@pytest.mark.parametrize("name", ["emotion-minilm", "emotion-tiny"])
def test_steering_towards_either_of_two_classes_of_films_moves_its_decision_up(  # type: ignore[no-untyped-def]
    name: str, real_model, real_texts
) -> None:
    texts = real_texts("rotten_tomatoes")
    labels = [int(label == "positive") for label in real_texts("rotten_tomatoes", column="label")]
    split = real_model(name).split(-1)
    held = split.activations(
        [*texts[:100], *texts[-100:]], granularity="cls", labels=labels[:100] + labels[-100:], progress=False
    )
    held = dataclasses.replace(held, class_names=("negative", "positive"))
    x, gap = held.matrix(), class_gap(held)
    for kind in sorted(SKLEARN):
        space = fit_concepts(held, by="linear-probe", kind=kind, folds=0)
        assert torch.equal(space.dictionary[0], -space.dictionary[1])
        assert bool(((space.dictionary.norm(dim=1) / gap - 1).abs() < 9).all())
        assert float(space.dictionary.norm(dim=1).min()) > gap / 10
        assert 0 < 1 - float((x - space(x)).square().sum() / (x - x.mean(0)).square().sum()) < 1
        before = space.encode(x)
        for i in (0, 1):
            with intervene(split, space, add={i: 1.0}):
                moved = split.activations(held.texts[:8], granularity="cls", progress=False).matrix()
            assert torch.allclose(space.encode(moved)[:, i], before[:8, i] + 0.5, atol=0.01)


def class_gap(held: Activations) -> float:
    x, label = held.matrix(), held.labels
    assert label is not None
    return float((x[label == 1].mean(0) - x[label == 0].mean(0)).norm())


def test_emotions_are_told_about_as_well_as_by_the_classifier(real_model, real_texts) -> None:  # type: ignore[no-untyped-def]
    model, texts, labels = real_model("emotion-minilm"), real_texts("emotion"), real_texts("emotion", column="label")
    chosen = [i for name in model.labels for i in [j for j, label in enumerate(labels) if label == name][:15]]
    truth = torch.arange(len(model.labels)).repeat_interleave(15)
    held = model.split(-1).activations(
        [texts[i] for i in chosen], granularity="cls", predictions=True, labels=truth.tolist(), progress=False
    )
    seen = torch.arange(len(chosen)) % 15 < 10
    space = fit_concepts(held.select(seen), by="linear-probe", folds=0)
    rest = held.select(~seen)
    right = float((space.encode(rest.matrix()).argmax(1) == rest.labels).float().mean())
    own = float((rest.predictions == rest.labels).float().mean())
    print(f"linear probe {right:.3f}, the classifier {own:.3f}")
    assert right > own - 0.1
