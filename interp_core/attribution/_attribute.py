"""The verb `attribute`: scores of units, for texts and what a caller wants to know about them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from interp_core.attribution._attribution import Attribution
from interp_core.attribution._method_call import explain, name_of
from interp_core.attribution._options import Options
from interp_core.attribution._removal import Removal
from interp_core.attribution._session import PreparedText, Session
from interp_core.errors import InterpWarning
from interp_core.model import WrappedModel
from interp_core.plugin import resolve
from interp_core.results import made_by
from interp_core.text import Granularity, Text, as_texts


def attribute(
    model: WrappedModel,
    texts: Text | Sequence[Text],
    *,
    by: Any,
    targets: Any = None,
    granularity: Granularity = "word",
    removal: Removal = "auto",
    score: str = "auto",
    output: Granularity = "token",
    layer: int | str | None = None,
    max_new_tokens: int = 12,
    max_rows: int | None = None,
    progress: bool = True,
    **parameters: Any,
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
        granularity: the units, see `interp_core.text.divide`.
        removal: what an absent unit is: `"mask"`, `"mean"`, `"zero"`, `"drop"`, `"attention"`, a vector, or `"auto"`
            (the mask token if there is one, else the mean embedding); see `interp_core.attribution.absence`.
        score: what is explained: `"auto"` (log-probability where the answer is a token, else logit), `"logit"`,
            `"probability"`, `"log-probability"` or `"entropy"`.
        output: of generators, what one target is: `"token"`, or a granularity that groups the tokens of the
            continuation, such as `"word"`, `"sentence"`, or `"sample"` for all of it.
        layer: explain through the hidden states of this layer instead of the embeddings; a block number or a module
            path.
        max_new_tokens: the most tokens of a continuation that the model is asked for.
        max_rows: the most rows of the model that one text may take; methods that sample stop there and say how sure
            they are, others refuse. None for no limit.
        progress: show a bar on a terminal or notebook.
        **parameters: parameters of the method, when `by` is a name.

    Returns:
        One `Attribution` for each text, in order.

    Raises:
        InputError: a text, target or parameter that cannot be used; nothing is computed then.
        UnsupportedError: the method needs what this question does not offer.
    """
    options = Options(
        removal=removal,
        score=score,
        output=output,
        layer=layer,
        max_new_tokens=max_new_tokens,
        max_rows=max_rows,
        progress=progress,
    )
    method = resolve(by, "attribution", parameters, attribute)
    corpus = as_texts(texts)
    session = Session(model, options)
    prepared = session.prepare(corpus, targets, granularity)
    numbers = {_key(p): i for i, p in reversed(list(enumerate(prepared)))}
    firsts = sorted(numbers.values())  # texts that occur again with the same targets are explained once
    works = [partial(explain, method)] * len(firsts)
    explained = session.each([prepared[i] for i in firsts], works, f"attribute by {name_of(method)}")
    known = dict(zip(firsts, explained, strict=True))
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


def _key(prepared: PreparedText) -> tuple[Any, ...]:
    return (prepared.encoded.text, prepared.encoded.turns, prepared.encoded.borders, prepared.readout.targets)
