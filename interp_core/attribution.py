"""Which words made the model answer so: the `Attribution` value and the `attribute` driver."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from interp_core import registry, storage
from interp_core.asking import Prepared, Session
from interp_core.errors import InterpWarning
from interp_core.given import Text, as_texts
from interp_core.granularity import Granularity
from interp_core.model import TextModel
from interp_core.options import take_options
from interp_core.provenance import MadeBy, made_by
from interp_core.question import Question
from interp_core.scoring import incomplete, name_of, scored, silent
from interp_core.targets import Target
from interp_core.text import Encoded, Unit
from jaxtyping import Bool, Float
from torch import Tensor

ENCODED = ("ids", "offsets", "special", "unit_of", "types")
WHOLE = ("prompt", "cut", "source", "borders", "turns")


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each unit of a text counts for each target.

    Attributes:
        text: the text, with its continuation when something generated is explained.
        units: u units.
        targets: k targets.
        scores: (k, u) signed where the method claims it; exactly zero where not applicable. In the unit of the score
            space.
        made_by: method, parameters, model and cost.
        error: (k, u) standard error, for methods that sample; zero where the answer is exact.
        applicable: (k, u) False for units that come after what is explained.
        intact: (k) the scores of the text as it is.
        score_space: `"logit"`, `"probability"` or `"log-probability"`.
        notes: what a reader should know.
        rows: how many rows of the model were evaluated for this text; what others shared or repeated is not counted.
    """

    text: str
    units: tuple[Unit, ...]
    targets: tuple[Target, ...]
    scores: Float[Tensor, "k u"]
    made_by: MadeBy
    error: Float[Tensor, "k u"] | None = None
    applicable: Bool[Tensor, "k u"] | None = None
    intact: Float[Tensor, " k"] | None = None
    score_space: str = "logit"
    notes: tuple[str, ...] = ()
    encoded: Encoded | None = None
    rows: int = 0

    @property
    def exact(self) -> bool:
        """Whether a method that samples has taken everything there was to take, so that nothing is left to chance."""
        return self.error is not None and not bool(self.error.any())

    @property
    def prompt_stop(self) -> int:
        """The character where an explained continuation begins; -1 if there is none."""
        return -1 if self.encoded is None else self.encoded.continuation

    @property
    def words(self) -> list[str]:
        """The texts of the units."""
        return [unit.text for unit in self.units]

    def top(self, target: int = 0, count: int = 5) -> list[tuple[str, float]]:
        """The applicable units that count most for a target, with their scores, by size of the score."""
        order = self.scores[target].abs().argsort(descending=True, stable=True).tolist()
        able = [i for i in order if self.applicable is None or bool(self.applicable[target, i])]
        return [(self.units[i].text, float(self.scores[target, i])) for i in able[:count]]

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file. Targets that are functions keep their label alone."""
        tensors = {"scores": self.scores, "error": self.error, "applicable": self.applicable, "intact": self.intact}
        if self.encoded is not None:
            tensors |= {name: getattr(self.encoded, name) for name in ENCODED}
        data = {
            "text": self.text,
            "units": [[u.start, u.stop, u.text] for u in self.units],
            "targets": [_plain(t) for t in self.targets],
            "score_space": self.score_space,
            "notes": self.notes,
            "rows": self.rows,
            "encoded": None if self.encoded is None else {name: getattr(self.encoded, name) for name in WHOLE},
            "made_by": self.made_by.to_json(),
        }
        return storage.save(path, "attribution", {k: v for k, v in tensors.items() if v is not None}, data)

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read what `save` wrote."""
        tensors, data = storage.load(path, "attribution")
        units = tuple(Unit(text, start, stop) for start, stop, text in data["units"])
        encoded = None
        if data["encoded"] is not None:
            whole = data["encoded"]
            whole |= {"borders": tuple(whole["borders"]), "turns": tuple((a, b) for a, b in whole["turns"])}
            fields: dict[str, Any] = {n: tensors.pop(n, None) for n in ENCODED}
            encoded = Encoded(data["text"], **fields, units=units, **whole)
        return cls(
            text=data["text"],
            units=units,
            encoded=encoded,
            targets=tuple(_target(fields) for fields in data["targets"]),
            made_by=MadeBy.from_json(data["made_by"]),
            score_space=data["score_space"],
            notes=tuple(data["notes"]),
            rows=data.get("rows", 0),
            **tensors,
        )

    def _repr_html_(self) -> str:
        from interp_core.reporting import fragment

        return fragment(self)


def _plain(target: Target) -> list[Any]:
    return [target.label, target.index, target.position, target.against, [_plain(part) for part in target.parts]]


def _target(fields: Sequence[Any]) -> Target:
    label, index, position, against, parts = fields
    return Target(label, index, position, against, parts=tuple(_target(part) for part in parts))


def attribute(
    model: TextModel,
    texts: Text | Sequence[Text],
    *,
    by: Any,
    targets: Any = None,
    granularity: Granularity = "word",
    **options: Any,
) -> list[Attribution]:
    """Score the units of texts for what the model answers.

    Args:
        model: the model.
        texts: one text or several; for a generator, the prompts. A text may be a pair of strings, as models that
            compare two texts or extract an answer (question, context) take, or a chat: a list of messages.
        by: the name of an attribution method, or an instance of one.
        targets: for a classifier None (the predicted class), `"all"`, a class by name or number, `interp.contrast(a,
            b)`, a function of the logits, a list of these, or one list a text. For the others one for all texts or a
            list of one each. A generator: None (the tokens of the model's own greedy continuation), the continuation
            to explain, a contrast of two next tokens or a function of the next token's logits. A masked language
            model: None, or what stands in the gap. A tagger: None (the words that have a tag), `"all"`,
            `interp.at(word, tag)` or a tuple of these. An extractor of answers: None, or the answer.
        granularity: the units, see `interp_core.granularity.divide`.
        **options: fields of `interp_core.options.Options` (`removal`, `score`, `output`, `layer`,
            `max_new_tokens`, `max_rows`, `progress`);
            anything else is a parameter of the method, when `by` is a name.

    Returns:
        One `Attribution` for each text, in order.

    Raises:
        InputError: a text, target or parameter that cannot be used; nothing is computed then.
        UnsupportedError: the method needs what this question does not offer.
    """
    chosen, parameters = take_options(options)
    method = registry.resolve(by, "attribution", parameters)
    corpus = as_texts(texts)
    session = Session(model, chosen)
    prepared = session.prepare(corpus, targets, granularity)
    numbers = {_key(p): i for i, p in reversed(list(enumerate(prepared)))}
    firsts = sorted(numbers.values())  # texts that occur again with the same targets are explained once
    works = [partial(explain, method)] * len(firsts)
    found = session.each([prepared[i] for i in firsts], works, f"attribute by {name_of(method)}")
    known = dict(zip(firsts, found, strict=True))
    results = [known[numbers[_key(p)]] for p in prepared]
    made = made_by(method, session.cost, model.name, session.settings(granularity))
    attributions = [
        replace(
            result,
            made_by=replace(made, settings={**made.settings, "removal": item.removal}),
            score_space=item.space,
            encoded=item.encoded,
        )
        for item, result in zip(prepared, results, strict=True)
    ]
    noted = [a for a in attributions if a.notes]
    if noted:
        warnings.warn(f"{len(noted)} of {len(attributions)} texts: {noted[0].notes[0]}", InterpWarning, stacklevel=2)
    return attributions


def _key(prepared: Prepared) -> tuple[Any, ...]:
    return (prepared.encoded.text, prepared.encoded.turns, prepared.encoded.borders, prepared.readout.targets)


def explain(method: Any, question: Question) -> Attribution:
    """One method on one question, its answer checked: the smallest whole use of a method.

    Raises:
        UnsupportedError: the method needs what the question does not offer.
        ModelError: the method gave something else than finite (k, u) scores.
    """
    scores, error = scored(method, question)
    return Attribution(
        text=question.text,
        units=question.units,
        targets=question.targets,
        scores=scores,
        made_by=MadeBy(name_of(method)),
        error=error,
        applicable=question.applicable,
        intact=question.intact(),
        notes=(*question.notes, *incomplete(method, question, scores), *silent(question, scores)),
        rows=question.rows,
    )
