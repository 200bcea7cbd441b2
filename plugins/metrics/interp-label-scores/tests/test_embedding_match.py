"""Similarity of labels and texts, against scikit-learn's areas and vectors that are planted."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import AffineSpace, Interpretation, LabelledConcept
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.metrics import Score
from interp_core.statistics import interval_of_mean
from interp_core.testing import contract_tests, tiny_classifier
from interp_label_scores.embedding_match import EmbeddingMatch, auroc
from interp_label_scores.planted_features import planted_features
from sklearn.metrics import roc_auc_score

test_embedding_match_contract = contract_tests("embedding-match")

WORLD = planted_features()
LABELS = list(WORLD.words)


def measured(metric: Any, labels: Interpretation = WORLD.labels) -> Score:
    return interp.measure(labels, WORLD.space, WORLD.activations, by=metric)


def planted(texts: list[str]) -> np.ndarray:
    """A dimension a feature: 1 where a text has a word of it, or is its label."""
    has = [
        [bool(set(own) & set(text.split())) or text == label for label, own in WORLD.words.items()] for text in texts
    ]
    return np.array(has, dtype=np.float32)


def test_an_embedding_that_knows_the_features_tells_them_and_permuted_labels_are_at_chance() -> None:
    score = measured(EmbeddingMatch(embedder=planted))
    assert score.value > 0.99 and int(score.values.isfinite().sum()) == 12 and score.usage is None
    low, high = interval_of_mean(score.values - score.margins)
    assert 0.4 < score.chance < 0.5 and high - low < 0.1  # below 0.5: texts with one feature more have smaller cosines


def test_random_vectors_are_at_chance() -> None:
    def vectors(texts: list[str]) -> torch.Tensor:
        return torch.randn(len(texts), 64, generator=torch.Generator().manual_seed(0))

    low, high = measured(EmbeddingMatch(embedder=vectors)).interval
    assert low <= 0.5 <= high and high - low < 0.2


def test_the_lengths_of_vectors_do_not_matter() -> None:
    def stretched(texts: list[str]) -> np.ndarray:
        return planted(texts) * np.array([[1.0 + len(text) % 7] for text in texts])

    one, two = (measured(EmbeddingMatch(embedder=e)) for e in (planted, stretched))
    assert one.values.equal(two.values) and one.chance == pytest.approx(two.chance)


def test_vectors_that_are_all_equal_or_zero_have_half() -> None:
    assert measured(EmbeddingMatch(embedder=lambda texts: np.full((len(texts), 3), 0.1))).value == 0.5
    assert measured(EmbeddingMatch(embedder=lambda texts: np.zeros((len(texts), 3)))).value == 0.5


def test_the_area_is_that_of_scikit_learn_with_ties() -> None:
    g = np.random.default_rng(0)
    for _ in range(10):
        above, below = g.integers(0, 5, 7).astype(float), g.integers(0, 5, 9).astype(float)
        expected = roc_auc_score([1] * 7 + [0] * 9, np.concatenate([above, below]))
        assert auroc(above, below) == pytest.approx(expected)


def test_a_model_embeds_by_the_mean_over_tokens_of_its_last_layer() -> None:
    """The same value as from states that plain PyTorch averages."""
    model = tiny_classifier()

    def by_hand(texts: list[str]) -> torch.Tensor:
        means = []
        for text in texts:
            ids = model.tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
            own = ids.pop("special_tokens_mask")[0] == 0
            with torch.no_grad():
                states = model.model(**ids, output_hidden_states=True).hidden_states[-1][0]
            means.append(states[own].mean(0))
        return torch.stack(means)

    few = Interpretation(WORLD.labels.concepts[:5])
    by_model, by_split, expected = (
        measured(EmbeddingMatch(embedder=e, examples=10), labels=few) for e in (model, model.split(-1), by_hand)
    )
    assert by_model.values.equal(by_split.values)
    assert torch.allclose(by_model.values, expected.values, atol=0.011)  # one pair of a hundred may change places


def test_each_wording_is_embedded_once_and_all_together() -> None:
    calls: list[list[str]] = []

    def noted(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return planted(texts)

    measured(EmbeddingMatch(embedder=noted))
    assert len(calls) == 1 and len(set(calls[0])) == len(calls[0]) and set(LABELS) <= set(calls[0])


def test_an_embedder_is_needed() -> None:
    with pytest.raises(InputError, match=r"embedder is None; a function from a list of texts"):
        interp.measure(WORLD.labels, WORLD.space, WORLD.activations, by="embedding-match")


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.zeros(5), np.full((2, 2), np.nan)])
def test_what_is_not_one_finite_vector_a_text_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match="the embedder gave"):
        measured(EmbeddingMatch(embedder=lambda texts: wrong))


@pytest.mark.real
@pytest.mark.slow
def test_a_real_classifier_puts_the_name_of_a_class_near_the_texts_it_gives_that_class(
    real_model: Any, real_texts: Any
) -> None:
    model, texts = real_model("emotion-minilm"), real_texts("emotion")[:240]
    classes = model.split(-1).activations(texts, granularity="cls", predictions=True, progress=False).predictions
    held = of_rows(torch.nn.functional.one_hot(classes, 6).float(), texts)
    labels = Interpretation(tuple(LabelledConcept(k, name) for k, name in enumerate(model.labels)))
    space = AffineSpace(torch.eye(6), torch.eye(6))
    score = interp.measure(labels, space, held, by=EmbeddingMatch(embedder=model, examples=20))
    assert score.value > 0.9 and score.chance < 0.6 and int(score.values.isfinite().sum()) >= 5


def test_dense_codes_have_a_score_above_a_threshold() -> None:
    world = planted_features(dense=0.3)
    with pytest.raises(UnsupportedError, match=r"threshold=0\.2"):
        interp.measure(world.labels, world.space, world.activations, by=EmbeddingMatch(embedder=planted))
    method = EmbeddingMatch(embedder=planted, threshold=0.13)
    assert interp.measure(world.labels, world.space, world.activations, by=method).value > 0.99


def failing(_texts: list[str]) -> Any:
    raise ZeroDivisionError("of the embedder")


WRONG = {"nothing": lambda _: None, "words": lambda texts: list(texts), "ragged": lambda _: [[1.0], [1.0, 2.0]]}
WRONG |= {
    "a number": lambda _: 3.0,
    "fails": failing,
    "no function of texts": lambda: 3,
    "a model": torch.nn.Linear(2, 2),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_embedder_of_the_wrong_kind_is_answered_in_words(kind: str) -> None:
    with pytest.raises(ModelError, match=r"the embedder (failed on|gave).*expected"):
        measured(EmbeddingMatch(embedder=WRONG[kind]))


@pytest.mark.parametrize("kind", ["all-MiniLM-L6-v2", 5, torch.nn.Linear, object()])
def test_what_is_no_embedder_is_refused_before_anything_is_computed(kind: Any) -> None:
    with pytest.raises(InputError, match="a function from a list of texts to vectors"):
        measured(EmbeddingMatch(embedder=kind))
