"""The two seeds, and what a sound method must find, on real trained models and real texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import interp_core as interp
import pytest
import torch
from interp_core.text import word_spans

pytestmark = [pytest.mark.slow, pytest.mark.real]

EMOTION_WORDS = {
    "sadness": (
        "sad sadness unhappy depressed miserable lonely hopeless heartbroken hurt gloomy ashamed guilty empty "
        "devastated disappointed worthless humiliated rotten awful lousy exhausted tearful melancholy unloved "
        "dull burdened embarrassed foolish"
    ),
    "joy": (
        "happy joy joyful glad delighted thrilled excited cheerful pleased satisfied content proud wonderful "
        "optimistic confident hopeful grateful blessed terrific fantastic calm eager energetic inspired "
        "ecstatic amused successful keen radiant appreciative invigorated accomplished"
    ),
    "love": (
        "love loving loved beloved adore tender affectionate caring passionate romantic sympathetic fond "
        "devoted compassionate longing sweet gentle lovely accepted supportive loyal nostalgic horny delicate "
        "sentimental naughty faithful"
    ),
    "anger": (
        "angry anger mad furious annoyed irritated irritable resentful bitter enraged outraged hostile "
        "frustrated jealous rude cranky agitated offended greedy selfish grumpy hateful aggravated "
        "dissatisfied envious impatient insulted petty"
    ),
    "fear": (
        "afraid fear fearful scared terrified frightened anxious nervous worried panicked uneasy apprehensive "
        "insecure vulnerable threatened paranoid shaken overwhelmed timid reluctant hesitant uncertain "
        "intimidated pressured restless helpless tortured unsure distressed distraught shy inhibited"
    ),
    "surprise": (
        "surprised amazed astonished stunned shocked amazing curious funny strange weird impressed dazed overwhelmed"
    ),
}
AT_LEAST = {"lime": 90, "integrated-gradients": 90, "occlusion": 85}
FEW: dict[str, dict[str, int]] = {"lime": {"samples": 40}, "integrated-gradients": {"steps": 4}}  # it gets no easier
Model = Callable[[str], interp.TextModel]
Texts = Callable[..., list[str]]


@pytest.fixture(scope="module")
def telling(real_model: Model, real_texts: Texts) -> list[tuple[str, str]]:
    """The first 100 test sentences of at most 80 characters that the model gets right and that hold one emotion word of
    their class, with that word."""
    model = real_model("emotion-minilm")
    labelled = zip(real_texts("emotion"), real_texts("emotion", column="label"), strict=True)
    short = [(text, label) for text, label in labelled if len(text) <= 80][:500]
    texts, labels = [text for text, _ in short], [label for _, label in short]
    held = model.split(-1).activations(texts, granularity="cls", predictions=True, progress=False)
    assert held.predictions is not None
    found = []
    for text, label, guess in zip(texts, labels, held.predictions.tolist(), strict=True):
        known = set(EMOTION_WORDS[label].split())
        inside = [text[a:b] for a, b in word_spans(text) if text[a:b] in known]
        if model.labels[guess] == label and len(inside) == 1:
            found.append((text, inside[0]))
    return found[:100]


@pytest.mark.parametrize("by", sorted(AT_LEAST))
def test_the_emotion_word_is_first(by: str, telling: list[tuple[str, str]], real_model: Model) -> None:
    assert len(telling) == 100
    found = interp.attribute(
        real_model("emotion-minilm"), [text for text, _ in telling], by=by, progress=False, **FEW.get(by, {})
    )
    hits = sum(
        max(zip(a.scores[0].tolist(), a.words, strict=True))[1] == word
        for a, (_, word) in zip(found, telling, strict=True)
    )
    print(f"{by}: the emotion word is first in {hits} of 100")
    assert hits >= AT_LEAST[by]


def test_integrated_gradients_are_complete(real_model: Model, real_texts: Texts) -> None:
    model, texts = real_model("emotion-minilm"), [text for text in real_texts("emotion") if len(text) <= 80][:12]
    off = {}
    for steps in (32, 64):
        found = interp.attribute(model, texts, by="integrated-gradients", steps=steps, progress=False)
        empty = interp.attribute(model, texts, by=_Gap(), progress=False)
        gaps = torch.stack([a.scores[0, 0] for a in empty])
        sums = torch.stack([a.scores.sum() for a in found])
        off[steps] = ((sums - gaps).abs() / gaps.abs()).sort().values
    print(f"relative completeness error: 32 steps median {off[32].median():.2g}, 64 steps worst {off[64].max():.2g}")
    assert float(off[32].median()) <= 0.001
    assert float(off[64].max()) <= 0.001


class _Gap:
    """score(text) - score(every unit removed), as the score of the first unit."""

    def attribute(self, question: interp.Question) -> torch.Tensor:
        scores = torch.zeros(len(question.targets), len(question.units))
        scores[:, 0] = question.intact() - question.emptied()
        return scores


@pytest.mark.parametrize("by", ["lime", "occlusion", "integrated-gradients"])
@pytest.mark.parametrize("name", ["emotion-minilm", "lm-tiny", "llama-tiny"])
def test_scores_are_the_same_alone_in_a_batch_and_however_the_tokenizer_pads(
    by: str, name: str, real_model: Model, real_texts: Texts
) -> None:
    model = real_model(name)
    texts = sorted(real_texts("emotion")[:40], key=len)[::8]
    options: dict[str, object] = {"targets": " and i love you" if model.head == "causal" else "all"}
    options |= {"lime": {"samples": 32}, "integrated-gradients": {"steps": 4}}.get(by, {})
    alone = [interp.attribute(model, text, by=by, progress=False, **options)[0] for text in texts]
    again = interp.attribute(model, texts[0], by=by, progress=False, **options)[0]
    assert torch.equal(again.scores, alone[0].scores)
    for side in ("left", "right"):
        padded = interp.TextModel(model.model, model.tokenizer)
        padded.tokenizer.padding_side = side
        together = interp.attribute(padded, texts, by=by, progress=False, **options)
        tolerance = 1e-5 * max(1.0, max(float(a.scores.abs().max()) for a in alone))
        for one, other in zip(alone, together, strict=True):
            assert torch.allclose(one.scores, other.scores, atol=tolerance)


def of_each_class(real_texts: Texts, count: int) -> list[str]:
    """The first training texts of each emotion."""
    labelled = list(zip(real_texts("emotion", "train"), real_texts("emotion", "train", "label"), strict=True))
    return [text for name in EMOTION_WORDS for text in [t for t, label in labelled if label == name][:count]]


def test_the_first_seed_runs(real_model: Model, real_texts: Texts) -> None:
    """Attribution of all classes, insertion, CLS rows, concepts, unique words, importance, quality, class-wise."""
    model, texts = real_model("emotion-minilm"), of_each_class(real_texts, 40)
    sentence = "Love and hate are two sides of the same coin."
    attributions = interp.attribute(model, sentence, by="lime", targets=torch.tensor([[0, 1, 2, 3, 4, 5]]))
    assert attributions[0].scores.shape == (6, 11)
    insertion = interp.measure(attributions, model, by="insertion")
    assert insertion.chance is not None and 0 <= insertion.value <= 1

    split = model.split(5)
    held = split.activations(texts, granularity="cls", predictions=True)
    assert held.values.shape == (240, 384)
    space = interp.fit_concepts(held, by="semi-nmf", concepts=20)
    words = interp.interpret(space, held, by="top-inputs", source="unique-words", top=5, min_count=8, lemmatize=True)
    importance = interp.importance(split, space, held, by="input-x-gradient")
    assert importance.scores.shape == (6, 20)
    check_words(words, texts)
    for k, name in enumerate(importance.targets):
        print(f"{name}: " + "; ".join(f"{words[i].title} ({score:.2f})" for i, score in importance.top(k, 3)))
    assert interp.plot_attributions(attributions[0], model.labels).html
    assert interp.plot_concepts(importance, words, class_names=model.labels).html

    quality = {name: interp.measure(space, held, by=name) for name in ("fid", "sparsity-ratio", "explained-variance")}
    variance = quality["explained-variance"]
    assert variance.value > 0.6 and variance.chance is not None and variance.value > variance.chance
    for name in model.labels:
        part = held.of_class(name)
        own = interp.fit_concepts(part, by="semi-nmf", concepts=20)
        mine = interp.importance(split, own, part, targets=[name])
        best = [i for i, _ in mine.top(0, 5)]
        labels = interp.interpret(own, part, by="top-inputs", source="unique-words", concepts=best, min_count=3)
        assert [c.concept for c in labels.concepts] == best and any(c.label for c in labels.concepts)
    assert interp.report(attributions, insertion, space, words, importance, *quality.values()).html


@pytest.mark.parametrize(
    ("name", "path"), [("llama-tiny", "model.layers.2.mlp"), ("emotion-minilm", "bert.encoder.layer.4")]
)
def test_the_second_seed_runs(name: str, path: str, real_model: Model, real_texts: Texts) -> None:
    """A module path as split point, word granularity, 50 ICA concepts, top 10 words each, one row a word."""
    model, texts = real_model(name), real_texts("rotten_tomatoes", "train")[:450]
    split = model.split(path)
    held = split.activations(texts, granularity="word")
    assert len(held) == sum(len(units) for units in held.units)
    assert [held.unit(i).text for i in range(5)] == [texts[0][a:b] for a, b in word_spans(texts[0])][:5]
    space = interp.fit_concepts(held, by="ica", concepts=50)
    words = interp.interpret(space, held, by="top-inputs", source="unique-words", top=10, min_count=5)
    assert len(words.concepts) == 50 and all(len(c.words) == 10 for c in words.concepts)
    check_words(words, texts)
    for concept in words.concepts[:6]:
        print(f"{concept.concept}: {[word for word, _ in concept.words]}")


def check_words(words: interp.Interpretation, texts: list[str]) -> None:
    """The words are words of the corpus, and none leads every concept."""
    spoken = {text[a:b].lower() for text in texts for a, b in word_spans(text)}
    leading: Counter[str] = Counter()
    for concept in words.concepts:
        assert all(word.lower() in spoken for word, _ in concept.words), concept
        leading.update({word for word, _ in concept.words[:3]})
    assert leading and leading.most_common(1)[0][1] <= 0.4 * len(words.concepts), leading.most_common(3)
