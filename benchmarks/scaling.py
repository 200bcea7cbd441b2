"""How own work and memory grow with texts, tokens, classes and concepts; exit 1 where they grow faster than linearly.

    python benchmarks/scaling.py [--texts 20000] [--tokens 4096]

Models are random, of width 16, so that hardly anything but own work is measured: CPU seconds of one thread for a tenth
and for the whole, less what the passes of the model took, which are counted. Where ten times as much takes more than
twelve times as long, it is said. Resident memory is what the process holds once a result is gone.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import interp_core as interp
import torch
import transformers
from interp_core.concepts import AffineSpace
from interp_core.testing import word_tokenizer
from measuring import passes_of

WORDS = [
    "so",
    "happy",
    "today",
    "the",
    "old",
    "dog",
    "was",
    "never",
    "calm",
    "cold",
    "night",
    "and",
    "rain",
    "i",
    "feel",
    "sad",
]
FASTER = 12.0  # times as long for ten times as much


def classifier(labels: int = 3, positions: int = 512) -> interp.TextModel:
    """A random classifier of width 16."""
    tokenizer = word_tokenizer()
    tokenizer.model_max_length = positions
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        num_labels=labels, max_position_embeddings=positions,
    )  # fmt: skip
    torch.manual_seed(0)
    return interp.TextModel(transformers.BertForSequenceClassification(config).eval(), tokenizer)


def texts_of(count: int, words: int = 12) -> list[str]:
    """Different texts of so many words."""
    draw = torch.Generator().manual_seed(0)
    picked = torch.randint(len(WORDS), (count, words), generator=draw).tolist()
    return [" ".join(WORDS[i] for i in row) for row in picked]


def resident() -> float:
    """Megabytes that the process holds; 0 where the system does not say."""
    gc.collect()
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages.exists() else 0.0


def grown(name: str, whole: int, work: Callable[[int], tuple[Any, Callable[[], Any]]]) -> bool:
    """Print what a tenth and the whole take; whether they grow faster than linearly."""
    seconds, memory, passes = [], [], []
    for count in (whole // 10, whole):
        model, run = work(count)
        with passes_of(model) as inside:
            start = time.process_time()
            cost = run()
            seconds.append(time.process_time() - start - inside[0])
        passes.append(cost.forwards)
        memory.append(resident())
    times = seconds[1] / seconds[0]
    over = times > FASTER
    took = f"{seconds[0]:8.2f} s{seconds[1]:8.2f} s{times:6.1f} times; passes {passes[0]}, {passes[1]}"
    held = f"resident {memory[0]:.0f} and {memory[1]:.0f} MB"
    print(f"{name:34}{whole:8,}{took}; {held}{'  faster than linear' if over else ''}", flush=True)
    return over


def by_texts(count: int) -> tuple[Any, Callable[[], Any]]:
    """Occlusion of many texts."""
    model, texts = classifier(), texts_of(count)
    return model.model, lambda: interp.attribute(model, texts, by="saliency", progress=False)[0].made_by.cost


def by_tokens(count: int) -> tuple[Any, Callable[[], Any]]:
    """Saliency of one long text."""
    model, texts = classifier(positions=count + 2), texts_of(1, count)
    return model.model, lambda: interp.attribute(model, texts, by="saliency", progress=False)[0].made_by.cost


def by_classes(count: int) -> tuple[Any, Callable[[], Any]]:
    """Occlusion for all of many classes."""
    model, texts = classifier(count), texts_of(20)
    work = lambda: interp.attribute(model, texts, by="occlusion", targets="all", progress=False)  # noqa: E731
    return model.model, lambda: work()[0].made_by.cost


def by_concepts(count: int) -> tuple[Any, Callable[[], Any]]:
    """Importance of many concepts."""
    model, texts = classifier(), texts_of(100)
    split = model.split(-1)
    held = split.activations(texts, granularity="cls", progress=False)
    drawn = torch.randn(count, 16, generator=torch.Generator().manual_seed(0))
    space = AffineSpace(drawn, drawn / 16)
    return model.model, lambda: interp.importance(split, space, held, progress=False).made_by.cost


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=4096)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    by_texts(50)[1]()  # what is loaded once
    rows: list[tuple[str, int, Callable[[int], tuple[Any, Callable[[], Any]]]]] = [
        ("tokens of one text, saliency", asked.tokens, by_tokens),
        ("classes, occlusion of 20 texts", 1_000, by_classes),
        ("concepts, importance in 100 texts", 10_000, by_concepts),
        ("texts, saliency", asked.texts, by_texts),
    ]
    over = [grown(*row) for row in rows]
    return int(any(over))


if __name__ == "__main__":
    sys.exit(main())
