"""The toolkit beside the libraries of its field, each in an environment of its own, on the same work, in turns.

    python benchmarks/peers.py [--shared FOLDER] [--python LIBRARY=PATH …] [--repeat N] [--write docs/benchmarks.md]

An environment that is not named is made below .venv/peers. A line is the CPU seconds of one thread, the median of N
turns, and how many times as long the other library took in the same turn, with the least and the greatest of the turns.
Each library does the work as its documentation says, loaded and tried before. FOLDER holds `models/` and `data/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import interp_core as interp
import numpy
import torch
from interp_core.text import read_column
from measuring import write_between

HERE = Path(__file__).parent
PEERS = {  # what is installed, and how it is called in the table
    "interpreto": ("interpreto", "interpreto"),
    "captum": ("captum transformers scikit-learn shap", "captum"),
    "inseq": ("inseq", "inseq"),
    "overcomplete": ("overcomplete matplotlib<3.9", "overcomplete"),
    "saelens": ("sae-lens", "SAELens"),
    "sklearn": ("scikit-learn", "scikit-learn"),
}
SENTENCE = "i feel so happy about the old house near the river where we used to play when we were young and free "


@dataclass
class Library:
    """A library that is running, and the seconds that it has taken for each work."""

    name: str
    process: subprocess.Popen[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def started(cls, name: str, python: Path | str, asked: dict[str, Any]) -> Library:
        """Start a library in its environment."""
        command = [str(python), str(HERE / "beside" / "serve.py"), name, json.dumps(asked)]
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        log = (Path(tempfile.gettempdir()) / f"beside-{name}.log").open("w")
        pipe = subprocess.PIPE
        return cls(name, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=quiet))

    def run(self, work: str) -> Any:
        """Do a work once, if the library has it; the numbers that it gives, if any."""
        if work in self.errors or self.process.stdin is None or self.process.stdout is None:
            return None
        try:
            self.process.stdin.write(work + "\n")
            self.process.stdin.flush()
            said = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        except (BrokenPipeError, ValueError) as error:
            said = {"error": str(error)}
        if "error" in said:
            self.errors[work] = said["error"]
        elif said["has"]:
            self.seconds.setdefault(work, []).append(said["seconds"])
        else:
            self.errors[work] = ""
        return said.get("numbers")


def environment(name: str) -> Path:
    """The Python of an environment with this library, made if there is none."""
    folder = HERE.parent / ".venv" / "peers" / name
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", f"torch=={torch.__version__.partition('+')[0]}"]
        subprocess.run(pip, check=True)
        subprocess.run([*pip[:-1], *PEERS[name][0].split()], check=True)
        (folder / ".ready").touch()
    return python


def asked_of(shared: Path, folder: Path) -> dict[str, Any]:
    """What every library is given: texts, a prompt with its answer, and rows of a layer."""
    texts = read_column(shared / "data" / "emotion" / "test.csv.gz")[:1000]
    model = interp.load(shared / "models" / "emotion-minilm")
    rows = model.split(2).activations(texts[:300], granularity="word", progress=False).matrix()
    numpy.save(folder / "rows.npy", rows.numpy())
    tokenizer = interp.load(shared / "models" / "lm-tiny").tokenizer
    ids = tokenizer(SENTENCE * 5)["input_ids"]
    prompt, answer = tokenizer.decode(ids[:75]), tokenizer.decode(ids[75:86])
    return {
        "shared": str(shared.resolve()),
        "texts": texts,
        "prompt": prompt,
        "answer": answer,
        "rows": str(folder / "rows.npy"),
    }


def table(ours: Library, peers: list[Library]) -> list[str]:
    """A line of Markdown for each work and library."""
    lines = ["| work | seconds here | beside | times as long there |", "|---|---|---|---|"]
    for work, own in ours.seconds.items():
        for peer in peers:
            theirs = peer.seconds.get(work, [])
            if theirs:
                ratios = [other / one for other, one in zip(theirs, own, strict=False)]
                spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                lines.append(f"| {work} | {median(own):.3f} | {PEERS[peer.name][1]} | {spread} |")
            elif peer.errors.get(work):
                lines.append(f"| {work} | {median(own):.3f} | {PEERS[peer.name][1]} | failed: {peer.errors[work]} |")
    return lines


def main() -> None:
    """Run everything in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("INTERP_SHARED", "../shared")))
    parser.add_argument("--python", nargs="*", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--only", nargs="*", default=[], metavar="LIBRARY")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    named = dict(one.split("=", 1) for one in asked.python)
    sys.path.insert(0, str(HERE / "beside"))
    from by_interp import WORKS

    with tempfile.TemporaryDirectory() as folder:
        given = asked_of(asked.shared, Path(folder))
        ours = Library.started("interp", sys.executable, given)
        names = [name for name in PEERS if not asked.only or name in asked.only]
        own = {"sklearn": sys.executable, **named}
        peers = [Library.started(name, own.get(name) or environment(name), given) for name in names]
        for work in WORKS:
            for _ in range(asked.repeat):
                for library in (ours, *peers):
                    library.run(work)
            print(*(line for line in table(ours, peers)[2:] if line.startswith(f"| {work} |")), sep="\n", flush=True)
        for library in (ours, *peers):
            library.process.kill()
    for work, error in ours.errors.items():
        print(f"{work}: {error}", file=sys.stderr)
    if asked.write:
        write_between(asked.write, "peers", table(ours, peers))


if __name__ == "__main__":
    main()
