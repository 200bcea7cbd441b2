"""What a thousand concepts do in a million rows: exact top rows, and quantiles whose rank error is counted.

    python benchmarks/concept_activity.py [--rows N] [--concepts C]

Prints seconds, passes over the rows, the rank error, and the resident memory beside that of what is kept.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace, activity, numbered, with_rows
from torch import Tensor

WIDTH, TOP = 64, 10


class Rectified(ConceptSpace):
    """Concepts that are active in some two of a hundred rows."""

    def encode(self, values: Tensor) -> Tensor:
        return (values @ self.dictionary.T - 2.0).relu()


def of_file(path: Path, rows: int) -> Activations:
    """Activations whose values are read from a file when they are asked for."""
    draw = numpy.random.default_rng(0)
    values = numpy.lib.format.open_memmap(path, mode="w+", dtype=numpy.float32, shape=(rows, WIDTH))
    for start in range(0, rows, 10_000):
        values[start : start + 10_000] = draw.standard_normal((min(10_000, rows - start), WIDTH), dtype=numpy.float32)
    values.flush()
    return of_rows(torch.from_numpy(values))


def main() -> None:
    """Run it and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--concepts", type=int, default=1_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        activations = of_file(Path(folder) / "rows.npy", asked.rows)
        draw = torch.Generator().manual_seed(1)
        directions = torch.nn.functional.normalize(torch.randn(asked.concepts, WIDTH, generator=draw), dim=1)
        space = Rectified(directions)
        before, start = _resident(), time.process_time()
        found = activity(space, activations)
        print(f"activity: {time.process_time() - start:.1f} s, rank error {found.rank_error:.4f}, at most two passes")
        print(f"resident: {before} MB before, at most {_resident()} MB; 4,096 rows of a concept are "
              f"{asked.concepts * 4096 * 28 // 2**20} MB")  # fmt: skip
        start = time.process_time()
        keys, best = numbered(str(row) for row in range(asked.rows)), None
        for first, part in zip(range(0, asked.rows, 4096), activations.batches(4096), strict=True):
            best = with_rows(best, space.encode(part), first, keys[first : first + 4096], TOP)
        assert best is not None
        print(f"top {TOP}: {time.process_time() - start:.1f} s, one pass; the largest codes agree: "
              f"{torch.equal(best.values[0], found.largest)}")  # fmt: skip
        worst = 0.0
        for concept in range(0, asked.concepts, asked.concepts // 10 or 1):
            codes = torch.cat([(part @ directions[concept] - 2.0).relu() for part in activations.batches(2**16)])
            own = codes[codes > 0].sort().values
            shares = [i / 20 for i in range(1, 20)]
            at = torch.searchsorted(own, found.quantiles(concept, shares), right=True) / len(own)
            worst = max(worst, float((at - torch.tensor(shares)).abs().max()))
        print(f"worst error of rank in the quantiles of ten concepts, all of their rows sorted: {worst:.4f}")


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
