"""What an explanation costs beside the bare model, in under three minutes; exit 1 where a row is over its limit.

    python benchmarks/floor.py [--shared FOLDER] [--only PART,PART] [--repeat N] [--counts] [--write docs/benchmarks.md]

The floor of a row is the bare model with frozen weights over the distinct rows that the method asked for, sorted by
length, in the best of batches of 512, 1,024 and 4,096 tokens: in inference mode where only scores are asked for, with
one backward pass for each target where slopes are. Methods that sample slopes also ask for the scores of the text, from
which the class is known, and of the baseline. Both run on one thread, in turns, and CPU seconds are compared; of each
the best turn counts. Rows, tokens with padding and passes are counted beside it, and carry no noise: with --counts
nothing else is held to its limit, as on a busy machine.

FOLDER holds `models/` and `data/` (../shared by default).
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import interp_core as interp
import torch
import transformers
from interp_core.errors import InterpWarning
from interp_core.text import read_column
from measuring import Work, cpu_seconds, passes_of, write_between
from torch import Tensor

BUDGETS = (512, 1024, 4096)
OWN = 4.0  # milliseconds
PROMPT = "i feel so happy about the old house near the river where we used to play when we were young and free"
LITTLE = 1.0  # seconds in which a row that is fast is run again and again
PADDING = 1.2  # at most so many tokens are run for each that is no padding


@dataclass
class Seen:
    """What the model was called with: the lengths of the rows, of those without slopes, and the tokens with padding."""

    lengths: list[int] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    tokens: int = 0
    passes: int = 0


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
    """Counts the rows of each pass of a model, if there is one."""
    seen = Seen()
    if model is None:
        yield seen
        return

    call = type(model).__call__

    def noted(module: Any, *args: Any, **given: Any) -> Any:  # a hook would be seen by the toolkit
        if module is model:
            mask = given["attention_mask"]
            seen.lengths += (lengths := mask.sum(1).tolist())
            seen.scored += [] if torch.is_grad_enabled() else lengths
            seen.tokens += mask.shape[0] * int(given["input_ids"].shape[1])
            seen.passes += 1
        return call(module, *args, **given)

    type(model).__call__ = noted
    try:
        yield seen
    finally:
        type(model).__call__ = call


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


def frozen(model: Any) -> Any:
    """The model in evaluation mode with frozen weights."""
    return model.eval().requires_grad_(False)


class Table:
    """Runs rows and prints them.

    Args:
        repeat: how often each is run, in turns; up to four times as often where that takes little time.
        counts: hold only the counts to their limits.
    """

    def __init__(self, repeat: int, counts: bool) -> None:
        self.repeat, self.counts, self.over = repeat, counts, list[str]()
        self.lines = [
            "| work | seconds | floor | ratio | at most | rows | tokens for each that is no padding | passes |"
        ]
        self.lines.append("|---|---|---|---|---|---|---|---|")
        print(f"{'':44}{'ours':>8}{'floor':>8}{'ratio':>7}{'limit':>7}{'rows':>8}{'padded':>8}{'passes':>8}")

    def add(self, model: Any, row: Row) -> None:
        """Run a row and print it."""
        with watched(model) as seen:
            own = [cpu_seconds(row.ours)]
        floors = row.floors(seen)
        bare = [cpu_seconds(floor) for floor in floors]
        best = floors[bare.index(min(bare))]
        for _ in range(min(4 * self.repeat, max(self.repeat, round(LITTLE / own[0])))):
            own.append(cpu_seconds(row.ours))
            bare.append(cpu_seconds(best))
        ratio, padded = min(own) / min(bare), seen.tokens / max(1, sum(seen.lengths))
        wrong = (not self.counts and ratio > row.limit) or padded > row.tokens
        self.over += [row.name] * wrong
        numbers = f"{min(own):.3f} | {min(bare):.3f} | {ratio:.2f} | {row.limit:.2f}"
        self.lines.append(f"| {row.name} | {numbers} | {len(seen.lengths)} | {padded:.2f} | {seen.passes} |")
        print(
            f"{row.name:44}{min(own):8.3f}{min(bare):8.3f}{ratio:7.2f}{row.limit:7.2f}{len(seen.lengths):8}"
            f"{padded:8.2f}{seen.passes:8}{'  over' if wrong else ''}",
            flush=True,
        )


def attributions(table: Table, model: interp.TextModel, texts: Sequence[str]) -> None:
    """Words of a classifier."""

    def ours(by: str, some: Sequence[str], targets: Any, **parameters: Any) -> Work:
        return lambda: interp.attribute(model, some, by=by, targets=targets, progress=False, **parameters)

    def by_scores(seen: Seen) -> list[Work]:
        return [forward(model.model, seen.lengths, budget) for budget in BUDGETS]

    for by in ("occlusion", "saliency"):
        ours(by, texts[:2], None)()  # what is tried once
    for by in ("lime", "kernel-shap"):
        work = ours(by, texts[:2], "all", samples=100)
        table.add(model.model, Row(f"{by}, 100 samples, 6 targets", work, by_scores, 1.05))
    table.add(model.model, Row("sobol 32", ours("sobol", texts[:1], "all", samples=32), by_scores, 1.1))
    for some in (texts[:4], texts[:8]):
        name = f"occlusion, {len(some)} texts, 6 targets"
        table.add(model.model, Row(name, ours("occlusion", some, "all"), by_scores, 1.05))
    scored = interp.attribute(model, texts[:8], by="occlusion", progress=False)
    for by in ("insertion", "deletion"):
        work = lambda by=by: interp.measure(scored, model, by=by, chance=False, progress=False)  # noqa: E731
        table.add(model.model, Row(f"{by}, without chance", work, by_scores, 1.1))

    def gradients(by: str, some: Sequence[str], targets: Any, limit: float, each: int, **parameters: Any) -> None:
        count = 6 if targets == "all" else 1
        lengths = [len(model.encoder(text)) for text in some for _ in range(each)]

        def floor(seen: Seen, budget: int) -> Work:
            slopes_of = slopes(model.model, lengths, budget, count)
            scores_of = forward(model.model, seen.scored if each > 1 else [], budget)
            return lambda: (slopes_of(), scores_of())

        name = f"{by}, {len(some)} texts, {count} target{'s' * (count > 1)}"
        floors = lambda seen: [floor(seen, budget) for budget in BUDGETS[:2]]  # noqa: E731
        table.add(model.model, Row(name, ours(by, some, targets, **parameters), floors, limit))

    gradients("saliency", texts[:48], None, 1.2, 1)
    gradients("saliency", texts[:16], "all", 1.1, 1)
    for some, targets, limit in ((texts[:3], "all", 1.05), (texts[:4], None, 1.1)):
        gradients("integrated-gradients", some, targets, limit, 10, steps=10)
        gradients("smooth-grad", some, targets, limit, 10, samples=10)
        gradients("gradient-shap", some, targets, limit, 16, samples=16)
    for by in ("square-grad", "var-grad"):
        gradients(by, texts[:4], None, 1.1, 10, samples=10)


def rows_of_layers(table: Table, model: interp.TextModel, texts: Sequence[str]) -> None:
    """Activations, and how much concepts matter."""

    def body(blocks: int) -> Any:
        short = copy.deepcopy(model.model.base_model)
        short.encoder.layer, short.pooler = short.encoder.layer[:blocks], None
        return short

    for name, layer, granularity, limit in (("last block", -1, "cls", 1.05), ("block 2", 2, "word", 1.1)):
        work = lambda at=model.split(layer), g=granularity: at.activations(texts, granularity=g, progress=False)  # noqa: E731, B008
        bare = body(6 if layer == -1 else 3)
        floors = lambda seen, bare=bare: [forward(bare, seen.lengths, budget) for budget in BUDGETS]  # noqa: E731
        table.add(model.model, Row(f"activations, {len(texts)} texts, {granularity}, {name}", work, floors, limit))

    split = model.split(-1)
    held = split.activations(texts, granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="semi-nmf", concepts=20)
    rows = held.matrix()

    def head() -> None:
        with torch.no_grad():
            codes = space.encode(rows)
            rest = rows - space.decode(codes)
        leaf = codes.requires_grad_()
        logits = model.model.classifier(model.model.bert.pooler((rest + space.decode(leaf))[:, None]))
        for k in range(6):
            torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=True)

    work = lambda: interp.importance(split, space, held, progress=False)  # noqa: E731
    table.add(model.model, Row(f"importance, {len(texts)} texts, 20 concepts, 6 targets", work, lambda _: [head], 2.0))


def generation(table: Table, model: interp.TextModel) -> None:
    """A prompt of 75 tokens and 11 that follow."""
    ids = model.tokenizer(" ".join([PROMPT] * 4))["input_ids"]
    prompt, answer = model.tokenizer.decode(ids[:75]), model.tokenizer.decode(ids[75:86])
    work = lambda by: interp.attribute(model, prompt, by=by, targets=answer, progress=False)  # noqa: E731
    encoded = work("saliency")[0].encoded
    rows = 1 + len(work("occlusion")[0].units) - len(answer.split())
    lengths = [len(encoded)] * rows
    floors = lambda _: [forward(model.model, lengths, budget) for budget in BUDGETS]  # noqa: E731
    own = Row("generation, occlusion", lambda: work("occlusion"), floors, 0.9, tokens=0.7)
    table.add(model.model, own)
    count = len(encoded) - encoded.prompt
    floors = lambda _: [_next_slopes(model.model, encoded.ids, encoded.prompt, count)]  # noqa: E731
    table.add(model.model, Row("generation, saliency", lambda: work("saliency"), floors, 1.2, tokens=2.0))


def _next_slopes(model: Any, ids: Tensor, prompt: int, count: int) -> Work:
    """One pass over a text, and a backward pass for each of its last tokens."""
    table = model.get_input_embeddings().weight.detach()

    def run() -> None:
        leaf = table[ids][None].requires_grad_()
        logits = model(inputs_embeds=leaf).logits[0, prompt - 1 : -1].log_softmax(-1)
        for k in range(count):
            torch.autograd.grad(logits[k, ids[prompt + k]], leaf, retain_graph=True)

    return run


def together(table: Table, model: interp.TextModel, texts: Sequence[str]) -> None:
    """Many short texts in one call, beside one call for each."""
    short = sorted(texts, key=len)[:300]
    work = lambda some: interp.attribute(model, some, by="occlusion", progress=False)  # noqa: E731
    one_by_one = lambda: [work(text) for text in short]  # noqa: E731
    table.add(model.model, Row("300 short texts, beside one by one", lambda: work(short), lambda _: [one_by_one], 0.5))


def autoencoder(table: Table) -> None:
    """A step of a top-k autoencoder, beside the same with dense products."""
    from interp_topk_sae.topk import TopKNetwork

    def step(rows: Tensor, sparse: bool) -> Work:
        network = TopKNetwork(3072, 384, torch.Generator().manual_seed(0), 32)
        network.KEEPS_OR_DROPS = sparse  # type: ignore[misc]
        optimiser = torch.optim.Adam(network.parameters(), fused=True)

        def run() -> None:
            output = network(rows)
            optimiser.zero_grad()
            network.reconstruction_loss(rows, output).backward()
            network.project()
            optimiser.step()
            network.constrain()
            network.update_activity(output)

        return run

    for count, limit in ((512, 0.8), (4096, 0.6)):
        rows = torch.randn(count, 384, generator=torch.Generator().manual_seed(1))
        dense = step(rows, sparse=False)
        name = f"autoencoder step, {count} rows, 384 to 3,072, k 32"
        table.add(None, Row(name, step(rows, sparse=True), lambda _, dense=dense: [dense], limit))


def own_work(table: Table, tokenizer: Any, texts: Sequence[str]) -> None:
    """What a text costs besides the model: saliency on models of width 16."""
    found = {}
    for layers in (6, 24):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=32, num_labels=6,
        )  # fmt: skip
        model = interp.TextModel(transformers.BertForSequenceClassification(config).eval(), tokenizer)
        work = lambda m=model: interp.attribute(m, texts, by="saliency", progress=False)  # noqa: E731
        work()
        spent: list[float] = []
        for _ in range(3 * table.repeat):
            with passes_of(model.model) as inside:
                spent.append(cpu_seconds(work) - inside[0])
        found[layers] = 1000 * min(spent) / len(texts)
    table.lines += [
        "",
        f"Own work a text, on models of width 16 with 6 and 24 layers: {found[6]:.1f} and {found[24]:.1f} ms.",
    ]
    print(f"own work a text, width 16: {found[6]:.1f} ms with 6 layers, {found[24]:.1f} with 24; at most 4, and alike")
    if not table.counts and (max(found.values()) > OWN or abs(found[24] / found[6] - 1) > 0.2):
        table.over.append("own work a text")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("INTERP_SHARED", "../shared")))
    parser.add_argument("--only", default="")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", ".* 10 nodes of the integral", InterpWarning)  # so few are asked for here
    model = interp.load(asked.shared / "models" / "emotion-minilm")
    generator = interp.load(asked.shared / "models" / "lm-tiny")
    frozen(model.model), frozen(generator.model)
    texts = read_column(asked.shared / "data" / "emotion" / "test.csv.gz")[:1000]
    print(f"{model.name}, torch {torch.__version__}, one thread; CPU seconds, the best of {asked.repeat + 1} or more")
    table = Table(asked.repeat, asked.counts)
    parts: dict[str, Work] = {
        "attributions": lambda: attributions(table, model, texts),
        "layers": lambda: rows_of_layers(table, model, texts[:200]),
        "generation": lambda: generation(table, generator),
        "together": lambda: together(table, interp.load(asked.shared / "models" / "emotion-tiny"), texts),
        "autoencoder": lambda: autoencoder(table),
        "own": lambda: own_work(table, model.tokenizer, texts[:100]),
    }
    for name, part in parts.items():
        if not asked.only or name in asked.only.split(","):
            part()
    if asked.write:
        write_between(asked.write, "floor", table.lines)
    if table.over:
        print("over the limit:", ", ".join(table.over))
    return int(bool(table.over))


if __name__ == "__main__":
    sys.exit(main())
