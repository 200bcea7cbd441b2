"""Breaks the core on purpose, in a seeded sample of places, and counts how often the tests notice: `make mutants`."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
STATES = {0: "survived", 1: "killed", 3: "killed", 5: "not reached", 33: "not reached", 36: "killed", None: "not run"}


def known() -> dict[str, int | None]:
    """Each mutant with the exit code of the tests on it; None if they have not run."""
    codes: dict[str, int | None] = {}
    for file in sorted(MUTANTS.rglob("*.py.meta")):
        codes |= json.loads(file.read_text())["exit_code_by_key"]
    return codes


def run(names: list[str], check: bool = True) -> None:
    """Run the tests that reach some mutants, on each of them."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", *names]
    subprocess.run(command, cwd=ROOT, check=check, stdout=subprocess.DEVNULL)


def main() -> None:
    """Draw the sample, run it, and print the survivors and the share that was killed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sample", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    if not known():
        run(["nothing"], check=False)  # makes all mutants, and ends with an error, since none has that name
    names = sorted(known())
    if not names:
        sys.exit("there are no mutants; `mutmut run` says why.")
    drawn = random.Random(given.seed).sample(names, min(given.sample, len(names)))
    run(drawn)
    codes = known()
    states = {name: STATES.get(codes[name], "killed") for name in drawn}  # a crash or a time-out is noticed too
    for name, state in sorted(states.items()):
        if state != "killed":
            print(f"{state}: {name}")
    counts = Counter(states.values())
    share = counts["killed"] / len(drawn)
    print(f"{counts['killed']} of {len(drawn)} killed ({share:.0%}), drawn from {len(names)}: {dict(counts)}")


if __name__ == "__main__":
    main()
