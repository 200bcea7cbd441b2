"""Holds the faces against the last release with griffe: a name that breaks without a warning turns `make lint` red.

Compared is with the last tag; where there is none, or the clone is too shallow to have it, with the commit below, the
first one that had faces. Without either, nothing can be compared, and that is said.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIRST = "82a959893dbe10c48dcca876cce5c13223ce90b8"
CHANGED = (  # on purpose, before a release had it; the changelog says what takes its place
    ".one_row_a_pass: ",
    "(tokens_per_batch): Parameter default was changed: DEFAULT_BUDGET -> None",
)


def git(*arguments: str) -> str:
    """What git says, or nothing where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def reference() -> str:
    """The commit to compare with; empty if there is none."""
    for name in (git("describe", "--tags", "--abbrev=0"), FIRST):
        if name and git("cat-file", "-t", f"{name}^{{commit}}"):
            return name
    return ""


def main() -> int:
    """Run `griffe check`, and print what breaks on a face."""
    before = reference()
    if not before:
        print("api: no release or reference commit is in this clone, so that nothing was compared.")
        return 0
    griffe = str(Path(sys.executable).with_name("griffe"))
    command = [griffe, "check", "interp_core", "--against", before, "--format", "oneline", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    said = f"{done.stdout}\n{done.stderr}".splitlines()
    broken = [line for line in said if line.strip() and not any(name in line for name in CHANGED)]
    failed = bool(done.returncode and (broken or not any(line.strip() for line in said)))
    print(f"api: compared with {before}: {'broken' if failed else 'nothing breaks'}.", *broken, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
