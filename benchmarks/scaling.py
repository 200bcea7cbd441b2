"""How own work and memory grow with texts, tokens, targets, classes and concepts; exit 1 where faster than linearly.

    python benchmarks/scaling.py [--texts 20000] [--tokens 4096] [--write docs/benchmarks.md]

Models are random, of width 16, so that hardly anything but own work is measured: CPU seconds of one thread for a
sixteenth, an eighth … of each number and for the whole, less what the passes of the model took, which are counted.
Where twice as much takes more than two and a half times as long, it is said. Resident memory is what the process holds
once a result is gone. --write draws the curves beside the page, with matplotlib.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import interp_core as interp
import torch
import transformers
from interp_core.concepts import AffineSpace
from interp_core.testing import word_tokenizer
from measuring import passes_of, write_between

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
FASTER = 2.5  # times as long for twice as much
PARTS = (16, 8, 4, 2, 1)
LITTLE = 0.05  # seconds that say nothing about growth


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


@dataclass
class Curve:
    """What one kind of work takes.

    Attributes:
        name: what grows.
        counts: how many there are.
        seconds: own CPU seconds.
        passes: of the model.
        resident: megabytes that the process holds afterwards.
    """

    name: str
    counts: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it grows faster than linearly."""
        return any(more > FASTER * max(less, LITTLE) for less, more in pairwise(self.seconds))

    @property
    def line(self) -> str:
        """A line of Markdown."""
        ends = f"{self.seconds[0]:.2f} | {self.seconds[-1]:.2f} | {self.passes[0]} | {self.passes[-1]}"
        return f"| {self.name} | {self.counts[0]:,} | {self.counts[-1]:,} | {ends} | {self.resident[-1]:.0f} |"


def grown(name: str, whole: int, work: Callable[[int], tuple[Any, Callable[[], Any]]]) -> Curve:
    """Measure parts and the whole, and print them."""
    curve = Curve(name)
    for count in (whole // part for part in PARTS):
        model, run = work(count)
        with passes_of(model) as inside:
            start = time.process_time()
            cost = run()
            curve.seconds.append(time.process_time() - start - inside[0])
        curve.counts.append(count)
        curve.passes.append(cost.forwards)
        curve.resident.append(resident())
        took = f"{curve.seconds[-1]:8.2f} s, {cost.forwards} passes, resident {curve.resident[-1]:.0f} MB"
        print(f"{name:36}{count:8,}{took}", flush=True)
    if curve.over:
        print("grows faster than linearly")
    return curve


def drawn(curves: list[Curve], path: Path) -> None:
    """Draw the curves, one beside the other."""
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "interp", "font.size": 8})
    figure, axes = pyplot.subplots(1, len(curves), figsize=(2.4 * len(curves), 2.2), layout="constrained")
    for axis, curve in zip(axes, curves, strict=True):
        axis.plot(curve.counts, curve.seconds, marker="o", markersize=3, color="#2b6cb0")
        axis.set_xlim(0)
        axis.set_ylim(0)
        axis.set_title(curve.name.replace(", ", ",\n"), fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("own CPU seconds")
    figure.savefig(path, metadata={"Date": None})


def by_texts(count: int) -> tuple[Any, Callable[[], Any]]:
    """Saliency of many texts."""
    model, texts = classifier(), texts_of(count)
    return model.model, lambda: interp.attribute(model, texts, by="saliency", progress=False)[0].made_by.cost


def by_tokens(count: int) -> tuple[Any, Callable[[], Any]]:
    """Saliency of one long text."""
    model, texts = classifier(positions=count + 2), texts_of(1, count)
    return model.model, lambda: interp.attribute(model, texts, by="saliency", progress=False)[0].made_by.cost


def by_targets(count: int) -> tuple[Any, Callable[[], Any]]:
    """Slopes for some of many classes."""
    model, texts = classifier(256), texts_of(20)
    work = lambda: interp.attribute(model, texts, by="saliency", targets=[list(range(count))] * 20, progress=False)  # noqa: E731
    return model.model, lambda: work()[0].made_by.cost


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
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for work in (by_texts, by_tokens, by_targets, by_classes, by_concepts):
        work(50)[1]()  # what is loaded once
    curves = [
        grown("tokens of one text, saliency", asked.tokens, by_tokens),
        grown("targets, saliency of 20 texts", 256, by_targets),
        grown("classes, occlusion of 20 texts", 1_000, by_classes),
        grown("concepts, importance in 100 texts", 10_000, by_concepts),
        grown("texts, saliency", asked.texts, by_texts),
    ]
    if asked.write:
        picture = asked.write.with_name("scaling.svg")
        drawn(curves, picture)
        head = "| what grows | from | to | own seconds | … | passes | … | MB held in the end |"
        shown = f"![Own CPU seconds against the number of each]({picture.name})"
        lines = [head, "|---|---|---|---|---|---|---|---|", *(curve.line for curve in curves), "", shown]
        write_between(asked.write, "scaling", lines)
    return int(any(curve.over for curve in curves))


if __name__ == "__main__":
    sys.exit(main())
