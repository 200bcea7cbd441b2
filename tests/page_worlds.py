"""Pages of every kind, made of values without a model."""

from __future__ import annotations

import re
from typing import Any

import torch
from interp_core.activations import of_rows
from interp_core.attribution import Attribution, ComponentText
from interp_core.concepts import (
    ConceptCard,
    ConceptCards,
    ConceptSpace,
    Effect,
    Example,
    Importance,
    Interpretation,
    LabelledConcept,
)
from interp_core.metrics import Benchmark, Row, Score
from interp_core.model import Target
from interp_core.results import Cost, MadeBy
from interp_core.text import Encoded, Unit

HOSTILE = "</script><img src=x onerror=alert(1)>"
TEXTS = [
    "i feel so happy today and the sun was warm",
    "sad and cold, never calm",
    "the old dog was so sad that nobody laughed",
    "happy happy happy, what a warm day",
    "never so calm and never so happy",
    "a cold night and a sad song",
    "שלום עולם, איזה יום שמח",
    "今日はとても嬉しい 🙂👍🏽",
    "def f(x):\n    return x + 1;\n    y = 2;",
    "i was calm",
]
CLASSES = ("joy", "sadness", "anger", "fear", "love", "surprise", "calm", "shame")


def units_of(text: str) -> tuple[Unit, ...]:
    return tuple(Unit(m.group(), *m.span()) for m in re.finditer(r"\w+|[^\w\s]", text))


def attribution(place: int, method: str = "lime", classes: int = 8, *, error: bool = False) -> Attribution:
    """A text with scores that depend on its number and the method alone."""
    text = TEXTS[place % len(TEXTS)] + (f" {place}" if place >= len(TEXTS) else "")
    units = units_of(text)
    generator = torch.Generator().manual_seed(place + 1000 * len(method))
    scores = torch.randn(classes, len(units), generator=generator)
    scores = scores.abs() if method == "saliency" else scores
    intact = torch.randn(classes, generator=torch.Generator().manual_seed(place)) * 3
    answer = int(intact.argmax())
    names = CLASSES if classes <= len(CLASSES) else tuple(f"class {i}" for i in range(classes))
    return Attribution(
        text,
        units,
        tuple(Target(names[k], k) for k in range(classes)),
        scores,
        MadeBy(method, f"interp-{method}", "0.2.0", "Ribeiro et al. 2016, arXiv:1602.04938", {"samples": 9}, "tiny"),
        error=torch.full_like(scores, 0.25) if error else None,
        intact=intact,
        notes=("This text was cut.",) if place == 1 else (),
        rows=30,
        label=names[(answer + place % 2) % classes],
        answer=names[answer],
        probability=float(torch.softmax(intact, 0)[answer]),
    )


def many_classes() -> list[Any]:
    """Eight classes, three methods, one of them without signs, texts of several scripts."""
    several = [attribution(i, "lime", error=True) for i in range(10)]
    return [
        *several,
        *(attribution(i, "occlusion") for i in range(10)),
        *(attribution(i, "saliency") for i in range(5)),
    ]


def generated() -> list[Any]:
    """A chat with two documents, and an answer of three tokens."""
    text = "<doc>ana has a pear .</doc><doc>bob has a plum .</doc>\nuser: what has ana ?\nmodel: ana has pear"
    spans = [m.span() for m in re.finditer(r"<\w+>|</\w+>|\w+:?|[^\w\s]", text)]
    written = [i for i, (start, _) in enumerate(spans) if start > text.index("model:")]
    encoded = Encoded(
        text,
        torch.arange(len(spans)),
        torch.tensor(spans),
        torch.zeros(len(spans), dtype=torch.bool),
        prompt=written[0],
        turns=((text.index("user:"), text.index("\nmodel")),),
        roles=("user",),
        documents=((5, 21), (32, 48)),
    )
    units = tuple(Unit(text[a:b], a, b) for a, b in spans if text[a] != "<")
    targets = tuple(Target(f" {text[slice(*spans[i])]}", i, i) for i in written)
    scores = torch.zeros(len(targets), len(units))
    applicable = torch.zeros_like(scores, dtype=torch.bool)
    for k, i in enumerate(written):
        for j, unit in enumerate(units):
            applicable[k, j] = unit.start < spans[i][0]
            scores[k, j] = (5.0 if unit.start >= spans[written[0]][0] else 0.3 * (j % 4 - 1)) * applicable[k, j]
    return [Attribution(text, units, targets, scores, MadeBy("occlusion"), applicable=applicable, encoded=encoded)]


def components() -> list[Any]:
    """Two layers of three heads with an MLP each, in two texts."""
    names = ["embeddings", *(f"L{i}.{part}" for i in range(2) for part in ("H0", "H1", "H2", "MLP"))]
    found = []
    for place, text in enumerate(("so happy", "so sad")):
        ids = torch.arange(2)
        encoded = ComponentText(
            text,
            ids,
            torch.tensor([[0, 2], [3, len(text)]]),
            torch.zeros(2).bool(),
            units=tuple(Unit(name, 0, 0) for name in names),
            unit_of=torch.zeros(2, dtype=torch.long),
            over="heads",
            reference="so calm",
        )
        scores = torch.linspace(-1, 2, len(names))[None] * (place + 1)
        made = MadeBy("occlusion", settings={"score": "logit"})
        found.append(Attribution(text, encoded.units, (Target("joy", 0),), scores, made, encoded=encoded))
    return found


def concepts() -> list[Any]:
    """Three concepts with everything that a card can know, their importance for two classes, and an effect."""
    made = MadeBy("semi-nmf", cost=Cost(1))
    labelled = tuple(
        LabelledConcept(
            i,
            f"label {i}" if i else None,
            ((f"word{i}", 2.0), ("and", 1.0)),
            (Example(f"an example{i} here", 3, 11, 1.5), Example("a weaker one", 2, 8, 0.2)),
            score=0.5,
        )
        for i in range(3)
    )
    cards = tuple(
        ConceptCard(
            one,
            (("50 to 75 %", (Example("a middling one", 2, 10, 0.7),)),),
            active=0.1 * (i + 1),
            largest=1.5,
            counts=(9.0, 4.0, 1.0),
            raised=((" rage", 1.5),),
            lowered=((" calm", -0.5),),
            nearest=(((i + 1) % 3, 0.4),),
            importance={"joy": (1.0, 0.5)},
            effect={"joy": (-0.4, (-0.6, -0.2))},
            scores={"detection": 0.9},
        )
        for i, one in enumerate(labelled)
    )
    per_text = torch.tensor([[[3.0, 2.0, -1.0], [1.0, -2.0, 3.0]]]).expand(4, -1, -1)
    weights = Importance(per_text, ("joy", "sadness"), ("a", "b", "c"), MadeBy("occlusion"))
    effect = Effect(torch.randn(6, 2), ("joy", "sadness"), {"ablate": ["a"]}, MadeBy("effect"))
    return [ConceptSpace(torch.eye(3, 4)), ConceptCards(cards, made), weights, effect, of_rows(torch.eye(4))]


def trust() -> list[Any]:
    """Measures with and without a chance level, with curves, and methods compared."""
    curves = tuple(torch.linspace(0.1 * i, 1, 4 + i) for i in range(6))
    random = tuple(torch.linspace(0.1, 0.5, 4 + i) for i in range(6))
    values = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9, 0.7])
    insertion = Score(
        0.7,
        True,
        values,
        (0.55, 0.85),
        0.4,
        name="insertion",
        definition="an area",
        curves=curves,
        chance_curves=random,
    )
    others = [Score(0.3, False, chance=0.4, name="deletion"), Score(12.0, None, name="l0", notes=("take care",))]
    rows = (
        Row("lime", scores={"insertion": Score(0.7, True, interval=(0.6, 0.8), chance=0.4, margins=values - 0.4)}),
        Row("random", failures={"": "out of memory"}),
    )
    return [insertion, *others, Benchmark(rows, ("insertion",), "tiny", 8)]


def hostile() -> list[Any]:
    """Everything that a page shows is markup."""
    made = MadeBy(
        HOSTILE, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}
    )
    target, units = Target(HOSTILE, 0), (Unit(HOSTILE, 0, len(HOSTILE)),)
    several = [
        Attribution(
            text,
            units,
            (target, Target("b", 1)),
            torch.ones(2, 1),
            made,
            intact=torch.tensor([2.0, 1.0]),
            notes=(HOSTILE,),
            score_space=HOSTILE,
            label=HOSTILE,
            answer=HOSTILE,
            probability=0.5,
        )
        for text in (HOSTILE, HOSTILE + " 2")
    ]
    concept = LabelledConcept(0, HOSTILE, ((HOSTILE, 1.0),), (Example(HOSTILE, 3, 9, 1.0),), 0.5, HOSTILE)
    found = Interpretation((concept,), made, (HOSTILE,))
    weight = Importance(torch.ones(1, 1, 1), (HOSTILE,), (HOSTILE,), made, (HOSTILE,))
    score = Score(1.0, True, name=HOSTILE, definition=HOSTILE, made_by=made, notes=(HOSTILE,))
    compared = Benchmark(
        (Row(HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: score}), Row("b", failures={"": HOSTILE})), (HOSTILE,), HOSTILE, 8
    )
    return [several, found, weight, score, compared]


def everything() -> list[Any]:
    return [*many_classes(), *concepts(), *trust(), *components()]


def big_attributions(texts: int) -> list[Attribution]:
    """Texts of 30 words each by five methods, two of which have standard errors, for six classes."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(5000, (texts, 30), generator=generator).tolist()
    scores = torch.randn(texts, 5, 6, 30, generator=generator)
    targets, intact = tuple(Target(name, k) for k, name in enumerate(CLASSES[:6])), torch.randn(texts, 6)
    methods = [MadeBy(name) for name in ("lime", "kernel-shap", "occlusion", "integrated-gradients", "saliency")]
    known: dict[str, Any] = {"answer": "joy", "probability": 0.5}
    found = []
    for i, numbers in enumerate(drawn):
        words = [f"word{number}" for number in numbers]
        text = " ".join(words)
        for m, made in enumerate(methods):
            error = scores[i, m].abs() if m < 2 else None
            one = Attribution(text, units_of(text), targets, scores[i, m], made, error, intact=intact[i], **known)
            found.append(one)
    return found


def big_concepts(count: int) -> list[Any]:
    """Concepts with words, examples and their importance for six classes."""
    text = "a text of some length, as those of a corpus are, in which a concept is active somewhere in the middle"
    examples = tuple(Example(text, 20, 30, 3.0 - j) for j in range(5))
    concepts = tuple(
        LabelledConcept(i, f"label {i}", tuple((f"word{i + j}", 5.0 - j) for j in range(5)), examples)
        for i in range(count)
    )
    weights = Importance(torch.rand(1, 6, count), CLASSES[:6], tuple(map(str, range(count))), MadeBy("m"))
    return [weights, Interpretation(concepts, MadeBy("top-inputs"))]


KINDS = {f.__name__: f for f in (many_classes, generated, components, concepts, trust, hostile, everything)}
