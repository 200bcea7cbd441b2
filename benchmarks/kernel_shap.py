"""How far Kernel SHAP is from exact Shapley values on real sentences, beside interpreto's with as many variants.

    INTERP_PEERS_PYTHON=path/to/python python benchmarks/kernel_shap.py [folder with models/ and data/; ../shared]

The other interpreter needs interpreto in its environment; without one, or if it fails, its line says so. Both remove a
word by the mask token and explain the logit of the predicted class; both run with the seeds 0, 1, 2.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import interp_core as interp
import torch
from interp_core.text import read_column, word_spans

SHARED = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("INTERP_SHARED", "../shared"))
DEVICE = os.environ.get("INTERP_TEST_DEVICE", "cpu")
SENTENCES, SAMPLES, SEEDS = 50, 128, 3

PEER = """
import importlib.metadata, json, sys, time
import torch
from interpreto import Granularity, KernelShap
from interpreto.attributions import InferenceModes
from transformers import AutoModelForSequenceClassification, AutoTokenizer

asked = json.load(sys.stdin)
model = AutoModelForSequenceClassification.from_pretrained(asked["model"], dtype=torch.float32)
rows = 0

def count(_module, _inputs, given):
    global rows
    rows += len(next(v for v in (given.get("input_ids"), given.get("inputs_embeds")) if v is not None))

model.register_forward_pre_hook(count, with_kwargs=True)
method = KernelShap(
    model.eval().to(asked["device"]), AutoTokenizer.from_pretrained(asked["model"]), batch_size=64,
    granularity=Granularity.WORD, inference_mode=InferenceModes.LOGITS, n_perturbations=asked["samples"],
    device=torch.device(asked["device"]),
)
scores, start = [], time.perf_counter()
for seed in range(asked["seeds"]):
    torch.manual_seed(seed)
    found = method(asked["texts"], torch.tensor(asked["targets"])[:, None])
    scores.append([one.attributions.flatten().tolist() for one in found])
print(json.dumps({"scores": scores, "rows": rows, "seconds": time.perf_counter() - start,
                  "version": importlib.metadata.version("interpreto")}))
"""


def sentences() -> list[str]:
    """Of 8 to 10 words, with white space between all of them and nowhere else."""
    texts = read_column(SHARED / "data" / "emotion" / "test.csv.gz")
    plain = [t for t in texts if len(t.split()) == len(word_spans(t)) and 8 <= len(t.split()) <= 10]
    return plain[:SENTENCES]


def peer(texts: list[str], targets: list[int]) -> dict[str, Any] | str:
    """What the other library finds, or why it could not be asked."""
    python = os.environ.get("INTERP_PEERS_PYTHON")
    if not python:
        return "not compared: set INTERP_PEERS_PYTHON to an interpreter that has interpreto"
    asked = {"model": str(SHARED / "models" / "emotion-minilm"), "texts": texts, "targets": targets}
    given = json.dumps({**asked, "samples": SAMPLES, "seeds": SEEDS, "device": DEVICE})
    try:
        done = subprocess.run([python, "-c", PEER], input=given, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"not compared: {error}"
    if done.returncode:
        return f"not compared: {python} said {(done.stderr.strip().splitlines() or ['nothing'])[-1]}"
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def miss(scores: list[list[list[float]]], exact: list[torch.Tensor]) -> float:
    """The mean over sentences and seeds of the greatest difference of a word."""
    return sum(float((torch.tensor(s) - e).abs().max()) for run in scores for s, e in zip(run, exact, strict=True)) / (
        len(scores) * len(exact)
    )


def line(name: str, error: float, gap: float, rows: int, seconds: float) -> str:
    """One line of the table."""
    return f"{name:18} greatest error {error:.4f}, off the difference by {gap:.4f}, {rows} rows in {seconds:.1f} s"


def main() -> None:
    """Print the table."""
    model = interp.load(SHARED / "models" / "emotion-minilm", tokens_per_batch=4096 if DEVICE == "cpu" else 65536)
    model.model.to(DEVICE)
    texts = sentences()
    print(
        f"{model.name} on {DEVICE}, {len(texts)} sentences of 8 to 10 words, {SAMPLES} variants each, {SEEDS} seeds; "
        "means over sentences"
    )
    start = time.perf_counter()
    truth = interp.attribute(model, texts, by="shapley", samples=1024, progress=False)
    exact = [found.scores[0] for found in truth]
    whole = sum(found.rows for found in truth)
    print(f"{'exact Shapley':18} {whole} rows in {time.perf_counter() - start:.1f} s")

    def off(scores: list[list[list[float]]]) -> float:
        gaps = [abs(sum(s) - float(e.sum())) for run in scores for s, e in zip(run, exact, strict=True)]
        return sum(gaps) / len(gaps)

    start = time.perf_counter()
    runs = [
        interp.attribute(model, texts, by="kernel-shap", samples=SAMPLES, seed=seed, progress=False)
        for seed in range(SEEDS)
    ]
    seconds = time.perf_counter() - start
    ours = [[found.scores[0].tolist() for found in run] for run in runs]
    rows = sum(found.rows for run in runs for found in run)
    held = [(f.scores[0] - e).abs() <= 1.96 * f.error[0] for run in runs for f, e in zip(run, exact, strict=True)]
    print(line("interp", miss(ours, exact), off(ours), rows, seconds), end="; ")
    print(f"two standard errors hold {torch.cat(held).float().mean():.1%} of the exact values")
    other = peer(texts, [found.targets[0].index for found in truth])
    if isinstance(other, str):
        print(f"{'interpreto':18} {other}")
        return
    theirs = other["scores"]
    name = f"interpreto {other['version']}"
    print(line(name, miss(theirs, exact), off(theirs), other["rows"], other["seconds"]))
    print(f"interp's error is {miss(ours, exact) / miss(theirs, exact):.2f} of interpreto's")


if __name__ == "__main__":
    main()
