"""How long `shapley-gp` takes until it is so near to exact Shapley values, beside Kernel SHAP of several libraries.

    python benchmarks/equal_error.py [--shared FOLDER] [--python LIBRARY=PATH …] [--write docs/benchmarks.md]

Sentences of 8 to 10 words, whose Shapley values are computed exactly; a word is removed by the mask token, and the
logit of the predicted class is explained. Each library runs with more and more samples. The error is the mean over
sentences of the greatest difference of a word, as a share of the greatest value of that sentence. The last table says
how long each takes until its error is that of ours, between the numbers of samples on straight lines of logarithms.
FOLDER holds `models/` and `data/`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy
from interp_core.text import read_column, word_spans
from measuring import write_between
from peers import Library, environment

SAMPLES = (24, 32, 48, 64, 96, 128, 192, 256, 384)
PLACES = {  # which library is asked in which environment
    "interp": ("shapley-gp", "kernel-shap"),
    "interpreto": ("interpreto",),
    "captum": ("captum", "shap"),
}
SENTENCES = 16


def sentences(shared: Path) -> list[str]:
    """Of 8 to 10 words, with white space between all of them and nowhere else."""
    texts = read_column(shared / "data" / "emotion" / "test.csv.gz")
    plain = [t for t in texts if len(t.split()) == len(word_spans(t)) and 8 <= len(t.split()) <= 10]
    return plain[:SENTENCES]


def curve(library: Library, name: str, exact: list[numpy.ndarray[Any, Any]]) -> list[tuple[int, float, float]]:
    """For each number of samples the error and the CPU seconds."""
    points = []
    library.run(f"{name}, 16 samples")  # what is loaded and tried once
    for samples in SAMPLES:
        work = f"{name}, {samples} samples"
        found = library.run(work)
        if found is None:
            print(f"{work}: {library.errors[work]}", file=sys.stderr)
            continue
        off = [
            float(numpy.abs(numpy.array(one) - whole).max() / numpy.abs(whole).max())
            for one, whole in zip(found, exact, strict=True)
        ]
        points.append((samples, sum(off) / len(off), library.seconds[work][0]))
        print(f"{name:12}{samples:6} samples  error {points[-1][1]:7.2%}  {points[-1][2]:6.2f} s", flush=True)
    return points


def seconds_until(points: list[tuple[int, float, float]], error: float) -> float:
    """The seconds until a curve is at an error; infinite if it never is."""
    before: tuple[float, float] | None = None
    for _, at, seconds in points:
        if at <= error:
            if before is None or before[0] <= at:
                return seconds
            share = numpy.log(before[0] / error) / numpy.log(before[0] / max(at, 1e-9))
            return float(before[1] * (seconds / before[1]) ** share)
        before = (at, seconds)
    return float("inf")


def table(curves: dict[str, list[tuple[int, float, float]]]) -> list[str]:
    """What the samples buy, and how long others take until they are as near."""
    others = [name for name in curves if name != "shapley-gp" and curves[name]]
    lines = [f"| samples | error | seconds | {' | '.join(f'{name}, times as long' for name in others)} |"]
    lines.append("|" + "---|" * (3 + len(others)))
    for samples, error, seconds in curves["shapley-gp"]:
        if error < 1e-4:
            break
        ratios = [seconds_until(curves[name], error) / seconds for name in others]
        most = [curves[name][-1][2] / seconds for name in others]
        said = [f"{r:.1f}" if r < float("inf") else f"> {m:.1f}" for r, m in zip(ratios, most, strict=True)]
        lines.append(f"| {samples} | {error:.2%} | {seconds:.2f} | {' | '.join(said)} |")
    return lines


def main() -> None:
    """Print the curves and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("INTERP_SHARED", "../shared")))
    parser.add_argument("--python", nargs="*", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    named = dict(one.split("=", 1) for one in asked.python)
    texts = sentences(asked.shared)
    model = interp.load(asked.shared / "models" / "emotion-minilm")
    truth = interp.attribute(model, texts, by="shapley", samples=1024, progress=False)
    exact = [found.scores[0].double().numpy() for found in truth]
    given = {
        "shared": str(asked.shared.resolve()),
        "texts": texts,
        "targets": [found.targets[0].index for found in truth],
    }
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for place, names in PLACES.items():
        python = sys.executable if place == "interp" else named.get(place) or environment(place)
        library = Library.started(place, python, given)
        curves |= {name: curve(library, name, exact) for name in names}
        library.process.kill()
    lines = table(curves)
    print(*lines, sep="\n")
    if asked.write:
        write_between(asked.write, "error", lines)


if __name__ == "__main__":
    main()
