"""The notebook docs/from-interpreto-concepts.ipynb at its own size: minutes and memory of each cell.

    python benchmarks/notebook_size.py TEXTS [MODEL]

TEXTS is a file with a column `text` or the name of a data set (the notebook's has 8,530 texts), MODEL a masked language
model. Without one, a EuroBERT of the notebook's shape is made, with 12 layers of width 768 and random weights, and a
tokenizer that is trained on the texts: what its concepts say is nonsense, what they cost is not. "bare" is the model
alone on the same texts in the same order, 64 at a time, as deep as the split.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch
import transformers
from interp_core.text import read_column
from interp_interpreto import ModelWithSplitPoints
from interp_interpreto.concepts import ICAConcepts
from interp_interpreto.concepts.interpretations import TopKInputs

SPLIT, BATCH = 10, 64


def made(texts: list[str]) -> tuple[Any, Any]:
    """A model of the notebook's shape, and a byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = ["<|pad|>", "<|begin|>", "<|end|>", "<|mask|>"]
    bytes_of = Tokenizer(models.BPE())
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_of.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=16_000, special_tokens=special, initial_alphabet=alphabet)
    bytes_of.train_from_iterator(texts, trainer)
    names = dict(zip(("pad_token", "bos_token", "eos_token", "mask_token"), special, strict=True))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_of, **names)
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "mask_token_id": 3}
    config = transformers.EuroBertConfig(vocab_size=len(tokenizer), num_hidden_layers=12, **tokens)
    return transformers.EuroBertForMaskedLM(config).eval(), tokenizer


def bare(model: Any, tokenizer: Any, texts: list[str]) -> float:
    """Seconds of the passes alone, sorted by length, through the blocks up to the split."""
    inner = model.model
    held, start = inner.layers, time.perf_counter()
    inner.layers = held[: SPLIT + 1]
    try:
        with torch.no_grad():
            ordered = sorted(texts, key=len)
            for at in range(0, len(ordered), BATCH):
                inner(**tokenizer(ordered[at : at + BATCH], padding=True, return_tensors="pt"))
    finally:
        inner.layers = held
    return time.perf_counter() - start


def main() -> None:
    """Run the cells."""
    texts = read_column(sys.argv[1])
    if len(sys.argv) > 2:
        model = transformers.AutoModelForMaskedLM.from_pretrained(sys.argv[2]).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[2])
    else:
        model, tokenizer = made(texts)
    last = time.perf_counter()

    def said(what: str) -> None:
        nonlocal last
        most, now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter()
        print(f"{what:<52} {(now - last) / 60:6.2f} min   peak {most:6,.0f} MB", flush=True)
        last = now

    said(f"{sum(p.numel() for p in model.parameters()) / 1e6:.0f} million parameters, {len(texts):,} texts")
    seconds = bare(model, tokenizer, texts)
    said("bare passes")
    split = ModelWithSplitPoints(model, tokenizer=tokenizer, split_points=f"model.layers.{SPLIT}.mlp")
    activations = split.get_activations(texts, activation_granularity=split.activation_granularities.WORD)
    ratio = (time.perf_counter() - last) / seconds
    rows = activations[split.split_points[0]]
    said(f"{len(rows):,} rows of width {rows.shape[1]}, {ratio:.2f} times bare")
    explainer = ICAConcepts(split, nb_concepts=50)
    explainer.fit(activations)
    said("50 independent components")
    words = explainer.interpret(
        TopKInputs,
        concepts_indices="all",
        source=TopKInputs.sources.LATENT_ACTIVATIONS,
        granularity=TopKInputs.granularities.WORD,
        inputs=texts,
        latent_activations=activations,
        k=10,
    )
    said("ten words for each")
    for concept, own in list(words.items())[:3]:
        print(f"  {concept}: {list(own)}")


if __name__ == "__main__":
    main()
