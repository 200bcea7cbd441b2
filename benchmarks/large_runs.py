"""Runs over many texts: memory and rate of a stream, two workers beside one, kills and resumption, and a sizing table.

    python benchmarks/large_runs.py [stream|workers|kills|sizing] [folder with models/ and data/; ../shared by default]

`stream`: occlusion of 100,000 short texts (the first six words of real ones) on `emotion-tiny`, to a folder; resident
memory and texts a second for each tenth of them, beside 1,000 texts; then the folder is read as a table of words.
`workers`: the same question with one and with two workers of one thread, by each executor, beside this process.
`kills`: local, processes and Ray, each killed at five random moments and started again; the files are compared byte by
byte with those of a run that was not. `sizing`: from measured times of shards, how long a corpus of 10^9 tokens takes
on one machine, ten and a hundred, with the loading of the model and the scheduling of shards simulated.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import heapq
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import interp_core as interp
import torch

PARTS = ("stream", "workers", "kills", "sizing")
SHARED = Path(next((a for a in sys.argv[1:] if a not in PARTS), os.environ.get("INTERP_SHARED", "../shared"))).resolve()
TEXTS, WORDS = 100_000, 6
WORKED = 3072  # texts of `workers`
EXECUTORS = ("processes", "ray")


def real_texts(words: int | None = None) -> Iterator[str]:
    """Texts of the emotion data set, over and over, each cut to some words."""
    with gzip.open(SHARED / "data" / "emotion" / "train.csv.gz", "rt", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for text in itertools.cycle(texts):
        yield " ".join(text.split()[:words])


def resident() -> float:
    """Resident memory of this process in MB, now and not at most."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def model() -> interp.TextModel:
    return interp.load(SHARED / "models" / "emotion-tiny")


def stream() -> None:
    """Memory and rate over the texts, and the time that reading the table takes."""
    small = 1000

    def timed(count: int, folder: str) -> tuple[Any, list[tuple[float, float]]]:
        marks: list[tuple[float, float]] = []

        def watched() -> Iterator[str]:
            for number, text in enumerate(itertools.islice(real_texts(WORDS), count)):
                if number % (count // 10) == 0:
                    marks.append((time.perf_counter(), resident()))
                yield text

        found = interp.attribute(explained, watched(), by="occlusion", to=folder, progress=False)
        return found, [*marks, (time.perf_counter(), resident())]

    torch.set_num_threads(1)
    explained = model()
    with tempfile.TemporaryDirectory() as place:
        timed(200, f"{place}/warm")
        _, marks = timed(small, f"{place}/small")
        few = small / (marks[-1][0] - marks[0][0])
        stored, marks = timed(TEXTS, f"{place}/large")
        many = TEXTS / (marks[-1][0] - marks[0][0])
        print(f"{small:,} texts: {few:.0f} a second; {TEXTS:,}: {many:.0f} a second, {many / few:.2f} of that")
        for (start, before), (stop, after) in itertools.pairwise(marks):
            print(f"  {TEXTS / 10 / (stop - start):6.0f} texts a second, {before:5.0f} to {after:5.0f} MB")
        files = [file for file in Path(place, "large").rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"  {len(files):,} files, {size:.0f} MB, {1e6 * size / TEXTS:.0f} bytes a text")
        start = time.perf_counter()
        rows = len(interp.load_results(f"{place}/large")[0].columns()["score"])
        print(f"  {rows:,} rows of the table in {time.perf_counter() - start:.1f} s; {len(stored):,} texts")


def workers() -> None:
    """Texts a second with one worker and with two, without the time that they take to start."""
    explained = model()
    texts = list(itertools.islice(real_texts(), WORKED))
    rates: dict[str, float] = {}
    for name, count in [("here", 1), *((name, count) for name in EXECUTORS for count in (1, 2))]:
        by = None if name == "here" else interp.method(name, workers=count)
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as place:
            start = time.perf_counter()
            interp.attribute(explained, texts, by="occlusion", to=f"{place}/run", executor=by, progress=False)
            whole = time.perf_counter() - start
            written = sorted(file.stat().st_mtime_ns for file in Path(place, "run").rglob("*.safetensors"))
        steady = (written[-1] - written[1]) / 1e9  # from the second shard on, when all workers have their model
        rates[f"{name} {count}"] = 64 * (len(written) - 2) / steady
        print(f"{name} {count}: {rates[f'{name} {count}']:.1f} texts a second, {whole:.1f} s in all", flush=True)
    for name in EXECUTORS:
        print(f"{name}: two workers are {rates[f'{name} 2'] / rates[f'{name} 1']:.2f} times as fast as one")


RUN = """
import sys
import interp_core as interp
import torch
from benchmark_texts import texts
if __name__ == "__main__":
    torch.set_num_threads(1)
    by = None if sys.argv[3] == "local" else interp.method(sys.argv[3], workers=2)
    model = interp.load(sys.argv[1])
    asked = {"by": "lime", "samples": 32, "shard_size": 16, "progress": False}
    interp.attribute(model, iter(texts), to=sys.argv[2], executor=by, **asked)
"""


def bytes_of(folder: Path) -> dict[str, str]:
    """A digest of each file in a folder, by its name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kills(count: int = 5, texts: int = 320) -> None:
    """Runs that are killed at random moments after their first shard, and go on to the same bytes."""
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        Path(place, "run.py").write_text(textwrap.dedent(RUN))
        some = list(itertools.islice(real_texts(), texts))
        Path(place, "benchmark_texts.py").write_text(f"texts = {some!r}\n")
        wholes = {}
        for name in ("local", *EXECUTORS):
            command = [sys.executable, f"{place}/run.py", str(SHARED / "models" / "emotion-tiny")]
            start = time.perf_counter()
            subprocess.run([*command, f"{place}/whole-{name}", name], check=True)
            whole = time.perf_counter() - start
            wholes[name] = bytes_of(Path(place, f"whole-{name}"))
            folder, killed = Path(place, f"killed-{name}"), 0
            shards = len(wholes[name]) - 1
            moments = sorted(dice.sample(range(1, shards), count))  # shards that are there when it is killed
            for moment in moments:
                child = subprocess.Popen([*command, str(folder), name], stderr=subprocess.DEVNULL)
                while len(list(folder.rglob("*.safetensors"))) < moment and child.poll() is None:
                    time.sleep(0.01)
                time.sleep(dice.random() * whole / shards)
                child.send_signal(signal.SIGKILL)
                killed += child.wait() == -signal.SIGKILL
            subprocess.run([*command, str(folder), name], check=True)
            same = bytes_of(folder) == wholes[name]
            print(f"{name}: killed {killed} times after {moments} of {shards} shards; same bytes: {same}", flush=True)
        print(f"the three executors wrote the same bytes: {all(one == wholes['local'] for one in wholes.values())}")


def simulated(shards: list[float], workers: int, loading: float, handing: float) -> float:
    """Seconds until the last shard is done: each worker loads the model, and one driver hands out the shards."""
    free = [loading] * workers
    heapq.heapify(free)
    driver = 0.0
    for seconds in shards:
        driver += handing
        heapq.heappush(free, max(heapq.heappop(free), driver) + seconds)
    return max(free)


def sizing(tokens: float = 1e9) -> None:
    """Hours, disk and core hours of a corpus, from the times and sizes of shards measured here on one thread."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    explained = model()
    loading = time.perf_counter() - start
    texts = list(itertools.islice(real_texts(), 1024))
    of_text = sum(len(explained.encoder(text)) for text in texts[:256]) / 256
    split = explained.split(-1)

    def attributed(place: str) -> None:
        interp.attribute(explained, texts, by="occlusion", to=place, progress=False)

    def read(place: str) -> None:
        split.activations(texts * 4, granularity="word", to=place, progress=False)

    for name, work, size, count in (("occlusion", attributed, 64, 1024), ("activations, words", read, 1024, 4096)):
        with tempfile.TemporaryDirectory() as place:
            work(f"{place}/run")
            files = sorted(Path(place, "run").rglob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)
            times = [(b.stat().st_mtime_ns - a.stat().st_mtime_ns) / 1e9 for a, b in itertools.pairwise(files)]
            disk = sum(file.stat().st_size for file in files) / count
        total = int(tokens / of_text)
        shards = random.Random(0).choices(times, k=min(total // size, 200_000))
        scale = (total // size) / len(shards)
        print(f"{name}: {median(times):.2f} s a shard of {size} texts, {disk:.0f} bytes a text")
        for machines in (1, 10, 100):
            cores = 16 * machines
            seconds = simulated(shards, cores, loading, 0.002) * scale
            print(
                f"  {machines:3} machines of 16 cores: {seconds / 3600:8.2f} hours, "
                f"{cores * seconds / 3600:,.0f} core hours, {total * disk / 1e9:,.0f} GB"
            )
    print(
        json.dumps({"texts": int(tokens / of_text), "tokens a text": round(of_text, 1), "loading": round(loading, 1)})
    )


if __name__ == "__main__":
    chosen = [part for part in sys.argv[1:] if part in PARTS] or list(PARTS)
    for part in chosen:
        print(f"== {part}", flush=True)
        {"stream": stream, "workers": workers, "kills": kills, "sizing": sizing}[part]()
