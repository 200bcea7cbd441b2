"""What it takes in memory to learn concepts from 1,000,000 rows of width 384 that lie in a store on disk (1.5 GB).

Each method runs in a process of its own: what is printed is the most memory it held above what the same process held
when everything was imported and the store was opened.

    python benchmarks/large_activations.py [rows] [folder for the store]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from interp_core.activations import Activations, Store
from interp_core.concepts import fit_concepts
from interp_core.plugin import implementation
from interp_core.results import MadeBy

WIDTH, PLANTED, SHARD = 384, 64, 20_000
METHODS = {
    "pca": {"concepts": 20},
    "kmeans": {"concepts": 20},
    "semi-nmf": {"concepts": 20},
    "topk-sae": {"concepts": 512},
}
LIMIT = 1.5 * 2**30


def make_store(folder: Path, rows: int) -> None:
    """Rows that each hold a few of 64 directions, written shard by shard."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(PLANTED, WIDTH, generator=generator), dim=1)
    settings = {
        "layer": "given",
        "granularity": "sample",
        "class_names": [],
        "max_tokens": 0,
        "made_by": MadeBy("given").to_json(),
    }
    store = Store(folder, settings, [0.0])
    store.begin()
    for number, start in enumerate(range(0, rows, SHARD)):
        count = min(SHARD, rows - start)
        codes = torch.empty(count, PLANTED).exponential_(generator=generator)
        codes *= torch.rand(count, PLANTED, generator=generator) < 0.08
        values = codes @ directions + 0.02 * torch.randn(count, WIDTH, generator=generator)
        texts = [f"row {start + i}" for i in range(count)]
        columns = {
            "values": values,
            "text_of": torch.arange(count),
            "unit_of": torch.zeros(count, dtype=torch.long),
            "spans": torch.tensor([(0, len(text)) for text in texts]),
        }
        store.write(number, columns, texts, {"cost": {}, "cut": 0})
    store.finish(-(-rows // SHARD))


def held() -> int:
    """The most memory this process has held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def one(folder: Path, method: str) -> None:
    """Learn by one method and print what it took."""
    implementation(get(method))
    if find_spec("sklearn"):
        import sklearn.cluster  # noqa: F401 - so that its own size is not counted
    activations = Activations.load(folder)
    before, start = held(), time.perf_counter()
    space = fit_concepts(activations, by=method, **METHODS[method])
    seconds, above = time.perf_counter() - start, held() - before
    verdict = "within" if above <= LIMIT else "MORE THAN"
    print(
        f"{method:<10} {space.concepts:>4} concepts  {above / 2**20:7.0f} MiB above the bare process "
        f"({verdict} 1.5 GiB)  {seconds:6.0f} s",
        flush=True,
    )


def main() -> None:
    """Make the store once, then learn from it by each method."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        make_store(Path(folder) / "store", rows)
        print(f"{rows:,} rows of width {WIDTH}: {rows * WIDTH * 4 / 2**20:.0f} MiB on disk", flush=True)
        for method in METHODS:
            subprocess.run([sys.executable, __file__, "--one", str(Path(folder) / "store"), method], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
