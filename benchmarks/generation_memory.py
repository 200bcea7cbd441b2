"""Peak memory of explaining a generator with a vocabulary of 32,000 over 512 tokens, beside that of the bare passes.

    python benchmarks/generation_memory.py

Each line is a process of its own; "above" is the peak above that of a process which has loaded the model and made one
pass over one row. The bare passes compute what `model(ids)` returns: the logits of every token.
"""

from __future__ import annotations

import resource
import subprocess
import sys

TOKENS, VOCABULARY, WORDS, ROWS = 512, 32_000, 16, 8
WAYS = ("loaded", "bare", "occlusion", "integrated-gradients")


def peak() -> float:
    """Of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(way: str) -> None:
    """One way, in this process; prints its peak."""
    import interp_core as interp
    import torch
    import transformers
    from interp_core.testing import word_tokenizer

    tokenizer = word_tokenizer()
    tokenizer.model_max_length = TOKENS
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=2, n_positions=TOKENS, pad_token_id=0
    )
    model = interp.TextModel(transformers.GPT2LMHeadModel(config).eval(), tokenizer, tokens_per_batch=ROWS * TOKENS)
    ids = torch.randint(5, 40, (ROWS, TOKENS))
    with torch.no_grad():
        model.model.transformer(ids[:1])
        if way == "bare":
            model.model(ids)
    if way in ("occlusion", "integrated-gradients"):
        prompt, given = "sun " * (TOKENS - WORDS - 1), " cat" * WORDS
        third = lambda text: [(i, i + 40) for i in range(0, len(text) - 40, 40)]  # noqa: E731 - fifty units
        options: dict[str, object] = {"steps": 8} if way == "integrated-gradients" else {}
        (found,) = interp.attribute(
            model, prompt.strip(), by=way, targets=given, granularity=third, progress=False, **options
        )
        cost = found.made_by.cost
        print(f"{len(found.targets)} tokens explained, {cost.rows} rows in {cost.forwards} passes", file=sys.stderr)
    print(peak())


def main() -> None:
    """Print the table."""
    logits = ROWS * TOKENS * VOCABULARY * 4 / 2**20
    print(f"vocabulary {VOCABULARY}, {TOKENS} tokens, {ROWS} rows a pass: all logits would be {logits:.0f} MiB")
    found = {}
    for way in WAYS:
        done = subprocess.run([sys.executable, __file__, way], capture_output=True, text=True, check=True)
        found[way] = float(done.stdout.split()[-1])
        said = [line for line in done.stderr.splitlines() if "explained" in line]
        print(f"{way:22} peak {found[way]:7.0f} MiB, {found[way] - found['loaded']:7.0f} above  {' '.join(said)}")


if __name__ == "__main__":
    run(sys.argv[1]) if len(sys.argv) > 1 else main()
