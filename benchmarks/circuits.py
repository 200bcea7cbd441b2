"""Circuits of the model that looks up who holds what: how faithful a tenth of its edges is, on other contexts.

    python benchmarks/circuits.py [--texts 40] [--sentences 6 32]

For an object swap (the sentence that is asked for holds another object) and a name swap (the question is for another
name), edges are scored on some contexts and circuits measured on as many others. Printed are the faithfulness with 10 %
of the edges, that of random circuits of this size, and the curves over all sizes with their areas. Needs interp-lookup.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import interp_core as interp
import torch

SHARE = 0.1
METHODS = ("eap", "eap-ig", "edge-gates")
SWAPS = ("object_swap", "name_swap")


def asked(contexts: list[Any], swap: str) -> dict[str, Any]:
    """Texts, references and targets: the right answer less that of the swapped context."""
    swapped = [getattr(context, swap)() for context in contexts]
    return {
        "texts": [context.prompt for context in contexts],
        "references": [context.prompt for context in swapped],
        "targets": [
            interp.contrast(context.answer, other.answer) for context, other in zip(contexts, swapped, strict=True)
        ],
    }


def main() -> None:
    """Prints a table for each swap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--sentences", type=int, nargs=2, default=(6, 32))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    model = interp.lookup_model()
    contexts = interp.lookup_contexts(2 * given.texts, sentences=tuple(given.sentences), seed=1)
    chosen, others = contexts[: given.texts], contexts[given.texts :]
    for swap in SWAPS:
        for by in METHODS:
            start = time.perf_counter()
            one, other = asked(chosen, swap), asked(others, swap)
            circuit = interp.find_circuit(model, **one, by=by, share=SHARE, progress=False)
            found = time.perf_counter() - start
            measured = interp.faithfulness(circuit, model, **other, progress=False)
            print(f"\n{swap} by {by}: {found:.1f} s to find, {time.perf_counter() - start - found:.1f} s to measure")
            print(f"texts {measured.full:.2f}, references {measured.empty:.2f}")
            print(measured)
            print("\n".join(circuit.summary().splitlines()[1:6]))


if __name__ == "__main__":
    main()
