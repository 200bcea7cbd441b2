"""Which source: the right sentence first on contexts never seen, and what a long context costs.

    python benchmarks/sources.py [lookup|long] [folder with models/; ../shared by default]

`lookup`: on `interp.lookup_model()`, how often the sentence that holds the answer has the highest score, and how often
its two copies have the two highest. `long`: 256 sources of 30 tokens and an answer of 50 on random weights of the size
of `llama-tiny` with 8,192 positions; the bare passes are those of the same variants one by one, without the toolkit.
CPU seconds of one thread.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import interp_core as interp
import torch
from interp_core.errors import InterpWarning
from measuring import cpu_seconds
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

PARTS = ("lookup", "long")
SHARED = Path(next((a for a in sys.argv[1:] if a not in PARTS), os.environ.get("INTERP_SHARED", "../shared")))
ONCE = {
    "occlusion": {},
    "lime": {"samples": 32},
    "kernel-shap": {"samples": 32},
    "context-cite": {"samples": 32},
    "shapley": {"samples": 32},  # at least two orders and their reverses
}
TWICE = {**ONCE, "lime": {}, "kernel-shap": {"samples": 128}, "context-cite": {}}
SOURCES, LENGTH, ANSWER, ABLATIONS = 256, 30, 50, 128


def ranks(method: Any, contexts: list[Any], model: interp.TextModel, removal: str) -> list[tuple[bool, Any]]:
    """For each context whether the sentences that hold the answer are the best ones, and its attribution."""
    found = []
    for context in contexts:
        (one,) = interp.attribute(
            model,
            context.prompt,
            by=method,
            targets=context.answer,
            granularity=list(context.sources),
            units=list(context.sources),
            removal=removal,
            score="log-odds",
            progress=False,
        )
        best = one.scores[0].topk(len(context.holding)).indices.tolist()
        found.append((sorted(best) == sorted(context.holding), one))
    return found


def lookup() -> None:
    """Print a table for each removal."""
    model = interp.lookup_model()
    once, twice = (interp.lookup_contexts(100, copies=copies, seed=1) for copies in (1, 2))
    for removal in ("drop", "mean", "attention"):
        print(f"removal={removal}: right source first | both copies first | a note on redundancy, of 100 contexts")
        for by, few in ONCE.items():
            single = ranks(interp.method(by, **few), once, model, removal)
            both = ranks(interp.method(by, **TWICE[by]), twice, model, removal)
            noted = sum(any("Methods that draw subsets" in note for note in one.notes) for _, one in both)
            rows = [round(sum(one.rows for _, one in found) / len(found)) for found in (single, both)]
            print(f"  {by:14} {sum(right for right, _ in single):4} ({rows[0]} rows) | ", end="")
            print(f"{sum(right for right, _ in both):4} ({rows[1]} rows) | {noted:4}", flush=True)


def long_context(tokenizer: Any, sources: int = SOURCES) -> tuple[str, list[tuple[int, int]], str]:
    """A prompt, the characters of its sources, and an answer; each word is one token."""
    words = [word for i in range(300, 2900) if (word := tokenizer.decode([i])).startswith(" ") and word[1:].isalpha()]
    words = [word for word in words if len(tokenizer(word)["input_ids"]) == 1]
    dice = random.Random(0)
    prompt, spans = "Read these.", []
    for _ in range(sources):
        sentence = "".join(dice.choices(words, k=LENGTH - 1)) + "."
        spans.append((len(prompt), len(prompt) + len(sentence)))
        prompt += sentence
    return f"{prompt} What do they say?", spans, "".join(dice.choices(words, k=ANSWER))


def long() -> None:
    """Print what methods cost, and what the variants of context-cite cost without the toolkit."""
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "models" / "llama-tiny")
    tokenizer.model_max_length = 8192
    config = LlamaConfig.from_pretrained(SHARED / "models" / "llama-tiny")
    config.max_position_embeddings = 8192
    torch.manual_seed(0)
    model = interp.TextModel(LlamaForCausalLM(config).eval(), tokenizer)
    prompt, spans, answer = long_context(tokenizer)
    length = len(model.encoder(prompt))
    print(f"{SOURCES} sources in a prompt of {length} tokens, and an answer of {ANSWER}")

    def asked(by: Any, removal: str) -> Any:
        (one,) = interp.attribute(
            model,
            prompt,
            by=by,
            targets=answer,
            output="sample",
            granularity=spans,
            units=spans,
            removal=removal,
            score="log-odds",
            progress=False,
        )
        return one.made_by.cost

    for name, by, removal in (
        ("context-cite", interp.method("context-cite", samples=ABLATIONS), "drop"),
        ("hierarchical-occlusion", interp.method("hierarchical-occlusion", share=0.3), "drop"),
        ("hierarchical-occlusion", interp.method("hierarchical-occlusion", share=0.3), "mean"),
    ):
        costs: list[Any] = []
        spent = cpu_seconds(lambda by=by, removal=removal, costs=costs: costs.append(asked(by, removal)))
        (cost,) = costs
        whole = cost.rows * (length + ANSWER)
        print(f"{name}, removal={removal}: {spent:.1f} s, {cost.rows} rows in {cost.forwards} passes, ", end="")
        print(f"{cost.tokens:,} tokens where whole rows have {whole:,}", flush=True)
        if name == "context-cite":
            print(
                f"  {spent / cpu_seconds(lambda: bare(model, prompt, spans, answer)):.2f} x the bare passes", flush=True
            )


def bare(model: interp.TextModel, prompt: str, spans: list[tuple[int, int]], answer: str) -> None:
    """The intact text and as many random halves, a pass each, with logits of the answer alone."""
    encoded = model.encoder(prompt)
    tail = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
    middle = encoded.offsets.double().mean(1)
    owner = torch.tensor([next((i for i, (a, b) in enumerate(spans) if a < m < b), -1) for m in middle.tolist()])
    keep = torch.rand(ABLATIONS, len(spans), generator=torch.Generator().manual_seed(0)) < 0.5
    with torch.no_grad():
        for row in [torch.ones(len(spans), dtype=torch.bool), *keep]:
            ids = torch.cat([encoded.ids[(owner < 0) | row[owner]], torch.tensor(tail)])[None]
            model.model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=ANSWER + 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", InterpWarning)
    for part in [a for a in sys.argv[1:] if a in PARTS] or PARTS:
        {"lookup": lookup, "long": long}[part]()
