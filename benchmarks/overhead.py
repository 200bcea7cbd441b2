"""What the toolkit costs beside the bare model: ratios measured in one run, on INTERP_TEST_DEVICE (the CPU by default).

    python benchmarks/overhead.py [folder with models/ and data/; ../shared by default]

Each line compares two ways to the same numbers, best of three after a warm-up.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import interp_core as interp
import torch
from interp_core.model import ModelRequest, OutputInjection, whole_text
from interp_core.text import read_column

SHARED = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("INTERP_SHARED", "../shared"))
DEVICE = os.environ.get("INTERP_TEST_DEVICE", "cpu")
TEXTS = 40 if DEVICE == "cpu" else 300


def seconds(work: Callable[[], object]) -> float:
    """The best of three, after one more to warm up."""
    found = []
    for _ in range(4):
        start = time.perf_counter()
        work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])


def bare(model: interp.TextModel, cost: object) -> Callable[[], object]:
    """As many rows and tokens as a run had, through the model alone, without gradients."""
    passes, rows = cost.forwards, cost.rows // max(1, cost.forwards)  # type: ignore[attr-defined]
    length = cost.tokens // cost.rows  # type: ignore[attr-defined]
    ids = torch.randint(5, 1000, (rows, length), device=model.device)

    def run() -> None:
        with torch.no_grad():
            for _ in range(passes):
                model.model(input_ids=ids, attention_mask=torch.ones_like(ids))

    return run


def main() -> None:
    """Print the table."""
    model = interp.load(SHARED / "models" / "emotion-minilm", tokens_per_batch=4096 if DEVICE == "cpu" else 65536)
    model.model.to(DEVICE)
    texts = read_column(SHARED / "data" / "emotion" / "test.csv.gz")[:TEXTS]
    print(f"{model.name} on {DEVICE}, {len(texts)} texts, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for by in ("lime", "occlusion", "integrated-gradients"):
        every = lambda by=by: interp.attribute(model, texts, by=by, progress=False)  # noqa: E731
        cost = every()[0].made_by.cost
        together = seconds(every)
        single = seconds(lambda by=by: [interp.attribute(model, t, by=by, progress=False) for t in texts])
        plain = seconds(bare(model, cost))
        print(
            f"{by:22} {together:7.2f} s for {cost.rows} rows in {cost.forwards} passes; "
            f"{together / plain:.2f} x the bare forward; text by text takes {single / together:.2f} x as long"
        )
    split = model.split(3)
    encoded = [model.encoder(text) for text in texts]
    states = [torch.zeros(1, len(e), model.config.hidden_size, device=DEVICE) for e in encoded]

    def resumed(entry: object) -> Callable[[], object]:
        from interp_core.model import BatchRunner

        requests = [
            ModelRequest(torch.tensor([len(e)]), whole_text(e, s), entry=entry)  # type: ignore[arg-type]
            for e, s in zip(encoded, states, strict=True)
        ]

        def run() -> object:
            with torch.no_grad():
                return BatchRunner(model).run(requests)

        return run

    short, full = seconds(resumed(split.entry)), seconds(resumed(OutputInjection(model.model, split.path)))
    print(f"going on from block 3 of 0-5: {full / short:.2f} x faster than the full pass with the layer replaced")
    held = model.split(-1).activations(texts, granularity="cls", progress=False)
    space = interp.fit_concepts(held, by="semi-nmf", concepts=6)
    importance = lambda: interp.importance(model.split(-1), space, held, progress=False)  # noqa: E731
    cost = importance().made_by.cost
    print(f"importance, last block, cls: {seconds(importance):.2f} s, {cost.forwards} passes over the head alone")


if __name__ == "__main__":
    main()
