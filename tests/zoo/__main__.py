"""Runs the zoo: `python -m zoo` in `tests/`, with the names of families or of none for all."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
import transformers

from zoo.building import CannotBuild, built, families
from zoo.checking import outcomes

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)


def main(names: list[str], into: Path) -> None:
    counted: Counter[str] = Counter()
    with into.open("w") as file:
        for family, head in families():
            if names and family not in names:
                continue
            start = time.process_time()
            try:
                found = outcomes(built(family, head))
                row = {"family": family, "head": head, "outcomes": [[o.check, o.verdict, o.reason] for o in found]}
            except CannotBuild as error:
                row = {"family": family, "head": head, "not built": str(error)}
                found = []
            row["seconds"] = round(time.process_time() - start, 2)
            counted.update(o.verdict for o in found)
            file.write(json.dumps(row) + "\n")
            file.flush()
            for one in found:
                if one.verdict in ("wrong", "raw"):
                    print(family, head, one.check, one.verdict, one.reason, flush=True)
    print(dict(counted))


if __name__ == "__main__":
    main(sys.argv[2:], Path(sys.argv[1]))
