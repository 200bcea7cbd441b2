"""Does the works of one library on request, in that library's environment: a name in, a line of JSON out.

    python benchmarks/beside/serve.py LIBRARY '{"shared": "…", "texts": […]}'

Of each work the first run, which loads and tries things, is not counted, but for those that give numbers.
Only the standard library, torch and the library itself are needed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> None:
    """Answer until there is nothing more to read."""
    import torch

    torch.set_num_threads(1)
    library, asked = sys.argv[1], json.loads(sys.argv[2])
    works: dict[str, Any] = {}
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        module = importlib.import_module(f"by_{library}")
        known = {**module.WORKS, **getattr(module, "ERRORS", {})}
        for line in sys.stdin:
            name = line.strip()
            said: dict[str, Any] = {"has": name in known}
            try:
                if name in known and name not in works:
                    works[name] = known[name](asked)
                    if name in module.WORKS:
                        works[name]()
                if name in known:
                    torch.manual_seed(0)
                    start = time.process_time()
                    found = works[name]()
                    said["seconds"] = time.process_time() - start
                    said["numbers"] = found if isinstance(found, list) and isinstance(found[0], list) else None
            except Exception as error:  # what a library cannot do is a line of the table
                said["error"] = f"{type(error).__name__}: {error}"[:200]
            print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
