"""What an explanation costs beside the bare model, in under three minutes; exit 1 where a row is over its limit.

    python benchmarks/floor.py [--shared FOLDER] [--only PART,PART] [--repeat N] [--counts]

The floor of a row is the bare model with frozen weights over the distinct rows that the method asked for, sorted by
length, in the best of batches of 512, 1,024 and 4,096 tokens: in inference mode where only scores are asked for, with
one backward pass for each target where slopes are. Both run on one thread, in turns, and CPU seconds are compared; of
each the best turn counts. Rows, tokens with padding, passes and backward passes are counted beside it, and carry no
noise: with --counts nothing else is held to its limit, as on a busy machine.

FOLDER holds `models/` and `data/` (../shared by default).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import interp_core as interp
import torch
from interp_core.text import read_column
from torch import Tensor

BUDGETS = (512, 1024, 4096)
PADDING = 1.2  # at most so many tokens are run for each that is no padding
Work = Callable[[], Any]


@dataclass
class Seen:
    """What the model was called with: the lengths of the rows of each pass, and the tokens with padding."""

    lengths: list[int] = field(default_factory=list)
    tokens: int = 0
    passes: int = 0

    @property
    def padding(self) -> float:
        """Tokens that were run for each that is no padding."""
        return self.tokens / max(1, sum(self.lengths))


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: what is computed.
        ours: computes it.
        floors: from what `ours` called the model with, the ways to do no more than that; the fastest is the floor.
        limit: the most that `ours` may take, in floors.
        tokens: the most tokens that `ours` may run, in tokens of its rows without padding.
    """

    name: str
    ours: Work
    floors: Callable[[Seen], Sequence[Work]]
    limit: float
    tokens: float = PADDING


@contextmanager
def watched(model: Any) -> Iterator[Seen]:
    """Counts the rows of each pass of a model."""
    seen = Seen()

    def note(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        mask = given["attention_mask"]
        seen.lengths += mask.sum(1).tolist()
        seen.tokens += mask.shape[0] * int(given["input_ids"].shape[1])
        seen.passes += 1

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def batches(lengths: Sequence[int], budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Ids and masks of rows of these lengths, sorted, in batches of so many tokens."""
    todo = sorted(lengths, reverse=True)
    generator = torch.Generator().manual_seed(0)
    while todo:
        count = max(1, budget // todo[0])
        some, todo = torch.tensor(todo[:count]), todo[count:]
        mask = torch.arange(int(some[0])) < some[:, None]
        yield torch.randint(5, 2000, mask.shape, generator=generator), mask.long()


def forward(model: Any, lengths: Sequence[int], budget: int) -> Work:
    """The bare model over rows of these lengths."""

    def run() -> None:
        with torch.inference_mode():
            for ids, mask in given:
                model(input_ids=ids, attention_mask=mask)

    given = list(batches(lengths, budget))
    return run


def slopes(model: Any, lengths: Sequence[int], budget: int, targets: int) -> Work:
    """The bare model over rows of these lengths, and one backward pass for each target."""
    table = model.get_input_embeddings().weight.detach()

    def run() -> None:
        for ids, mask in given:
            leaf = table[ids].requires_grad_()
            logits = model(inputs_embeds=leaf, attention_mask=mask).logits.flatten(1)
            for k in range(targets):
                torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=k + 1 < targets)

    given = list(batches(lengths, budget))
    return run


def cpu_seconds(work: Work) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def frozen(model: Any) -> Any:
    """The model in evaluation mode with frozen weights."""
    return model.eval().requires_grad_(False)


class Table:
    """Runs rows and prints them.

    Args:
        repeat: how often each is run, in turns.
        counts: hold only the counts to their limits.
    """

    def __init__(self, repeat: int, counts: bool) -> None:
        self.repeat, self.counts, self.over = repeat, counts, list[str]()
        print(f"{'':44}{'ours':>8}{'floor':>8}{'ratio':>7}{'limit':>7}{'rows':>8}{'padded':>8}{'passes':>8}")

    def add(self, model: Any, row: Row) -> None:
        """Run a row and print it."""
        row.ours()  # what is tried once, and caches
        with watched(model) as seen:
            row.ours()
        floors = row.floors(seen)
        for floor in floors:
            floor()
        own: list[float] = []
        bare: list[float] = []
        for _ in range(self.repeat):
            bare += [cpu_seconds(floor) for floor in floors]
            own.append(cpu_seconds(row.ours))
        ratio = min(own) / min(bare)
        wrong = (not self.counts and ratio > row.limit) or seen.padding > row.tokens
        self.over += [row.name] * wrong
        print(
            f"{row.name:44}{min(own):8.3f}{min(bare):8.3f}{ratio:7.2f}{row.limit:7.2f}{len(seen.lengths):8}"
            f"{seen.padding:8.2f}{seen.passes:8}{'  over' if wrong else ''}",
            flush=True,
        )


def attributions(table: Table, model: interp.TextModel, texts: Sequence[str]) -> None:
    """Words of a classifier."""

    def ours(by: str, some: Sequence[str], targets: Any, **parameters: Any) -> Work:
        return lambda: interp.attribute(model, some, by=by, targets=targets, progress=False, **parameters)

    def by_scores(seen: Seen) -> list[Work]:
        return [forward(model.model, seen.lengths, budget) for budget in BUDGETS]

    few = texts[:12]
    for by in ("lime", "kernel-shap"):
        table.add(model.model, Row(f"{by}, 100 samples, 6 targets", ours(by, few, "all", samples=100), by_scores, 1.05))
    table.add(model.model, Row("sobol 32", ours("sobol", few[:6], "all", samples=32), by_scores, 1.1))
    for count, some in ((4, texts[:4]), (48, texts[:48])):
        table.add(
            model.model, Row(f"occlusion, {count} texts, 6 targets", ours("occlusion", some, "all"), by_scores, 1.05)
        )
    scored = interp.attribute(model, few, by="occlusion", progress=False)
    for by in ("insertion", "deletion"):
        work = lambda by=by: interp.measure(scored, model, by=by, chance=False, progress=False)  # noqa: E731
        table.add(model.model, Row(f"{by}, without chance", work, by_scores, 1.1))

    def gradients(by: str, some: Sequence[str], targets: Any, limit: float, each: int, **parameters: Any) -> None:
        count = 6 if targets == "all" else 1
        lengths = [len(model.encoder(text)) for text in some for _ in range(each)]
        floors = lambda _: [slopes(model.model, lengths, budget, count) for budget in BUDGETS]  # noqa: E731
        name = f"{by}, {len(some)} texts, {count} target{'s' * (count > 1)}"
        table.add(model.model, Row(name, ours(by, some, targets, **parameters), floors, limit, tokens=3.0))

    gradients("saliency", texts[:48], None, 1.2, 1)
    gradients("saliency", texts[:48], "all", 1.1, 1)
    for targets, limit in (("all", 1.05), (None, 1.1)):
        gradients("integrated-gradients", few, targets, limit, 10, steps=10)
        gradients("smoothgrad", few, targets, limit, 10, samples=10)
        gradients("gradient-shap", few, targets, limit, 16, samples=16)
    for by in ("square-grad", "vargrad"):
        gradients(by, few, None, 1.1, 10, samples=10)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("INTERP_SHARED", "../shared")))
    parser.add_argument("--only", default="")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--counts", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = interp.load(asked.shared / "models" / "emotion-minilm")
    frozen(model.model)
    texts = read_column(asked.shared / "data" / "emotion" / "test.csv.gz")[:1000]
    print(f"{model.name}, torch {torch.__version__}, one thread; CPU seconds, the best of {asked.repeat}")
    table = Table(asked.repeat, asked.counts)
    parts: dict[str, Work] = {"attributions": lambda: attributions(table, model, texts)}
    for name, part in parts.items():
        if not asked.only or name in asked.only.split(","):
            part()
    if table.over:
        print("over the limit:", ", ".join(table.over))
    return int(bool(table.over))


if __name__ == "__main__":
    sys.exit(main())
