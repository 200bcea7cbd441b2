"""Concepts of words on a whole corpus: peak memory and time of reading, learning and putting into words.

    python benchmarks/word_concepts.py MODEL TEXTS [concepts]

MODEL is a folder or hub id, TEXTS a file with a column `text` or the name of a data set. What is printed is the most
memory that the process has held so far, everything included.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time

import interp_core as interp
from interp_core.text import read_column


def main() -> None:
    """Read, learn, interpret."""
    model, texts = interp.load(sys.argv[1]), read_column(sys.argv[2])
    concepts = int(sys.argv[3]) if len(sys.argv) > 3 else 50
    start = time.perf_counter()

    def said(what: str) -> None:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{what:<48} peak {most:5.2f} GiB  {time.perf_counter() - start:6.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        held = model.split(-1).activations(texts, granularity="word", to=f"{folder}/store", progress=False)
        said(f"{len(texts):,} texts, {len(held):,} rows of width {held.width}")
        space = interp.fit_concepts(held, by="ica", concepts=concepts)
        said(f"{space.concepts} independent components")
        words = interp.interpret(space, held, by="top-inputs", source="unique-words", min_count=20)
        said("words for them")
        print(interp.measure(space, held, by="explained-variance"))
        said("explained variance")
    for concept in words.concepts[:5]:
        print(f"  {concept.concept}: {concept.title}")


if __name__ == "__main__":
    main()
