"""What an epoch of an autoencoder over stored activations takes, beside the bare loop over rows in memory.

    OMP_NUM_THREADS=1 python benchmarks/autoencoder_store.py [--rows 200000] [--repeat 3] [--folder for the store]

The bare loop takes the same steps: learning rate, network, loss with that of dead concepts, slopes, Adam, directions of
length 1. Its batches lie in memory, scaled and in order. What it learns is compared with what `fit` learns: the same
bits. `fit` also estimates the scaling, reads, shuffles and scales rows, keeps the log and makes the space. Bare and
`fit` run in turns, and the shortest of each counts; a "cold" store has been dropped from the system's cache before the
epoch, where the system can. Each ratio is of seconds on the clock; with it stand that of the CPU seconds of the thread
that trains, which does not depend on what else the machine does, and that of all threads, which reading ahead does not
lower.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from interp_core.activations import Activations, Store, of_rows
from interp_core.results import MadeBy
from interp_sae.autoencoder import Autoencoder
from interp_sae.config import DTYPES
from interp_sae.input_scaling import InputScaling, input_scaling_of
from interp_sae.network import Network
from interp_sae.sae import SAE
from interp_sae.training import SAMPLE_ROWS
from interp_topk_sae.topk import TopKSAE
from torch import Tensor

WIDTH, PLANTED, SHARD, BATCH = 256, 128, 20_000, 512
FROM_STORE, FROM_MEMORY = 1.15, 1.10  # of the bare loop, at most
CLOCKS = (time.perf_counter, time.thread_time, time.process_time)
METHODS: dict[str, tuple[type[Autoencoder], dict[str, Any]]] = {
    "sae, 1,024": (SAE, {"concepts": 1024}),
    "topk-sae, 2,048, k 32": (TopKSAE, {"concepts": 2048, "k": 32}),
}


@dataclass
class Spent:
    """The least seconds of several runs.

    Attributes:
        clock: on the clock.
        thread: of the CPU, by the thread that trains.
        process: of the CPU, by all threads.
    """

    clock: float = float("inf")
    thread: float = float("inf")
    process: float = float("inf")

    def time(self, work: Callable[[], Any]) -> Any:
        """Runs it once, and returns what it returns."""
        before = [read() for read in CLOCKS]
        made = work()
        clock, thread, process = (read() - start for read, start in zip(CLOCKS, before, strict=True))
        self.clock, self.thread = min(self.clock, clock), min(self.thread, thread)
        self.process = min(self.process, process)
        return made

    def beside(self, bare: Spent) -> str:
        """The three ratios."""
        others = f"{self.thread / bare.thread:.3f}, {self.process / bare.process:.3f}"
        return f"{self.clock / bare.clock:.3f} ({others})"


def make_store(folder: Path, rows: int) -> None:
    """Writes rows that each hold a few of 128 directions, shard by shard."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(PLANTED, WIDTH, generator=generator), dim=1)
    settings = {"layer": "given", "granularity": "sample", "class_names": [], "max_tokens": 0}
    store = Store(folder, {**settings, "made_by": MadeBy("given").to_json()}, [0.0])
    store.begin()
    for number, start in enumerate(range(0, rows, SHARD)):
        count = min(SHARD, rows - start)
        codes = torch.empty(count, PLANTED).exponential_(generator=generator)
        codes *= torch.rand(count, PLANTED, generator=generator) < 0.08
        texts = [f"row {start + i}" for i in range(count)]
        columns = {
            "values": codes @ directions + 0.02 * torch.randn(count, WIDTH, generator=generator),
            "text_of": torch.arange(count),
            "unit_of": torch.zeros(count, dtype=torch.long),
            "spans": torch.tensor([(0, len(text)) for text in texts]),
        }
        store.write(number, columns, texts, {"cost": {}, "cut": 0})
    store.finish(-(-rows // SHARD))


def drop_from_cache(folder: Path) -> bool:
    """Drops the files of a folder from the system's cache, where the system can."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def first_network(method: Autoencoder, rows: Activations) -> tuple[Network, InputScaling, torch.Generator]:
    """The network that a training begins with, its scaling, and the generator at the start of the first pass."""
    generator = torch.Generator().manual_seed(method.seed)
    sample = rows.sample(max(SAMPLE_ROWS, method.concepts), generator)
    scaling = input_scaling_of(sample, rows.layer)
    return method.network(scaling.apply(sample), generator).train(), scaling, generator


def bare_loop(method: Autoencoder, network: Network, batches: Sequence[Tensor]) -> None:
    """An epoch of the same network and optimiser, with nothing around it."""
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    for step, rows in enumerate(batches):
        optimiser.param_groups[0]["lr"] = method.learning_rate_at(step, WIDTH)
        dead = (network.steps_since_active >= method.patience).nonzero().flatten()
        with torch.autocast("cpu", torch.bfloat16, enabled=method.dtype == "bfloat16"):
            output = network(rows)
            loss = network.reconstruction_loss(rows, output)
            loss = loss + method.penalty_weight(step) * network.penalty(rows, output)
            if len(dead):
                loss = loss + method.aux_coefficient * network.auxiliary_loss(rows, output, dead)
        optimiser.zero_grad()
        loss.backward()
        network.project()
        optimiser.step()
        network.constrain()
        network.update_activity(output)


def measure(method: Autoencoder, stored: Activations, folder: Path, repeat: int) -> tuple[Spent, dict[str, Spent]]:
    """The times of the bare loop, and of `fit` by where the rows come from."""
    in_memory = of_rows(stored.matrix())
    first, scaling, generator = first_network(method, in_memory)
    batches = [scaling.apply(rows) for rows in in_memory.batches(BATCH, generator=generator)]
    method = replace(method, steps=len(batches))
    replace(method, steps=3).fit(in_memory)  # what is imported and set up once
    bare, spent = Spent(), {"memory": Spent(), "store": Spent(), "cold store": Spent()}
    for _ in range(repeat):
        network = copy.deepcopy(first)
        bare.time(partial(bare_loop, method, network, batches))
        for name, times in spent.items():
            if name == "cold store" and not drop_from_cache(folder):
                continue
            space = times.time(partial(method.fit, in_memory if name == "memory" else stored))
            assert torch.equal(space.dictionary, network.dictionary), f"{name}: other steps than those of the bare loop"
    return bare, spent


def main() -> int:
    """Print the table; 1 if a ratio is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    over = False
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        folder = Path(temporary) / "store"
        make_store(folder, asked.rows)
        print(
            f"{asked.rows:,} rows of width {WIDTH} ({asked.rows * WIDTH * 4 / 2**20:.0f} MiB), batches of {BATCH}, "
            f"{torch.get_num_threads()} threads of torch\nratios of seconds on the clock (thread, all threads)"
        )
        print(f"{'':24}{'':10}{'bare':>9}{'memory':>23}{'store':>23}{'cold store':>23}", flush=True)
        for (name, (kind, given)), dtype in product(METHODS.items(), DTYPES):
            method = kind(batch_size=BATCH, dtype=dtype, **given)
            bare, spent = measure(method, Activations.load(folder), folder, asked.repeat)
            ratios = "".join(f"{one.beside(bare):>23}" for one in spent.values())
            print(f"{name:24}{dtype:10}{bare.clock:8.1f}s{ratios}", flush=True)
            over |= spent["memory"].clock > FROM_MEMORY * bare.clock or spent["store"].clock > FROM_STORE * bare.clock
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
