"""How well sparse autoencoders find planted features when all of them light as many concepts.

    python benchmarks/saes.py [features] [width] [steps] [method,method,...]

Needs the packages of the sparse autoencoders, interp-planted, interp-reconstruction and interp-sparsity. They are
trained on a small world of the kind of SynthSAEBench, as many concepts as features; what is printed is measured on
other rows of that world. Of a method with a penalty, penalties are tried until it lights as many concepts as the
others, within a tenth; its seconds are those of all tries.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import interp_core as interp
import torch
from interp_core.concepts import ConceptSpace
from interp_core.testing import synthetic_world
from interp_sae.space import SAESpace
from torch.nn.functional import normalize

FEATURES, WIDTH, STEPS = 256, 64, 1500
ROWS, TEST, TRIES = 40_000, 5_000, 5
COUNTED = ("topk-sae", "batch-topk-sae", "matryoshka-sae", "matching-pursuit-sae", "archetypal-sae")
PENALISED = {"sae": 0.3, "gated-sae": 0.5, "jumprelu-sae": 0.01}  # with the penalty that is tried first
METRICS = ("planted-mcc", "planted-f1", "planted-uniqueness", "explained-variance", "l0", "dead-concepts")
PUBLISHED = """Published for SynthSAEBench-16k at equal L0 (Chanin, Garriga-Alonso 2026): matching pursuit has the
highest explained variance and the lowest F1; Matryoshka and batch top-k the best F1; L1 the worst of the rest."""


def random_space(truth: ConceptSpace, k: int) -> SAESpace:
    """As many random directions, of which the largest of each row are kept."""
    noise = torch.randn(truth.concepts, truth.width, generator=torch.Generator().manual_seed(1))
    unit = normalize(noise, dim=1)
    return SAESpace(unit, unit, torch.zeros(truth.concepts), truth.get_buffer("mean"), k=k)


def lit(space: ConceptSpace, activations: Any) -> float:
    """How many concepts a row has."""
    return float(interp.measure(space, activations, by="l0").value)


def trained(method: str, activations: Any, test: Any, k: int, given: dict[str, Any]) -> tuple[ConceptSpace, str]:
    """A space with about so many concepts a row, and what that took."""
    if method in COUNTED:
        return interp.fit_concepts(activations, by=method, k=k, **given), ""
    penalty, tried = PENALISED[method], {}
    for _ in range(TRIES):
        space = interp.fit_concepts(activations, by=method, penalty=penalty, **given)
        tried[penalty] = (lit(space, test), space)
        if abs(tried[penalty][0] / k - 1) < 0.1:
            break
        above = [p for p, (count, _) in tried.items() if count > k]  # too many: the penalty is too small
        below = [p for p, (count, _) in tried.items() if count <= k]
        penalty = (max(above) * min(below)) ** 0.5 if above and below else 2 * max(above) if above else min(below) / 2
    best = min(tried, key=lambda p: abs(tried[p][0] - k))
    return tried[best][1], f"penalty {best:.3g}"


def line(name: str, space: ConceptSpace, beside: tuple[Any, Any], seconds: float, note: str = "") -> str:
    """One line of the table."""
    test, truth = beside
    values = [
        interp.measure(space, test, *((truth,) if metric.startswith("planted") else ()), by=metric).value
        for metric in METRICS
    ]
    return f"{name:22}" + "".join(f"{value:>9.3f}" for value in values) + f"{seconds:9.1f}  {note}"


def main() -> None:
    """Print the table."""
    features, width, steps = [int(a) for a in sys.argv[1:4]] + [FEATURES, WIDTH, STEPS][len(sys.argv[1:4]) :]
    methods = sys.argv[4].split(",") if len(sys.argv) > 4 else [*COUNTED, *PENALISED]
    k = round(features**0.5 / 2)
    world = {"features": features, "width": width, "active": float(k)}
    activations, _ = synthetic_world(rows=ROWS, **world)
    test, truth = synthetic_world(rows=TEST, part=1, **world)
    print(f"{features} features in {width} dimensions, {k} a row; {ROWS} rows, {steps} steps; measured on {TEST}")
    print(
        f"{'':22}"
        + "".join(f"{name[-9:]:>9}" for name in ("MCC", "F1", "unique", "explained", "L0", "dead", "seconds"))
    )
    print(line("the planted features", truth, (test, truth), 0.0))
    print(line("random directions", random_space(truth, k), (test, truth), 0.0), flush=True)
    given = {"concepts": features, "steps": steps, "batch_size": 512}
    for method in methods:
        start = time.perf_counter()
        space, note = trained(method, activations, test, k, given)
        print(line(method, space, (test, truth), time.perf_counter() - start, note), flush=True)
    print(PUBLISHED)


if __name__ == "__main__":
    main()
