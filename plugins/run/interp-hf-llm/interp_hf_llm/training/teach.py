"""Teaches the example model to name the kind of words: `python -m interp_hf_llm.training.teach FOLDER`."""

from __future__ import annotations

import random
import sys
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

KINDS = {
    "fruit": "apple pear plum cherry grape",
    "metal": "iron tin gold copper zinc",
    "weather": "sun rain warm cold wind",
    "thing": "cat dog tree house",
    "mood": "happy glad calm good sad",
}
OTHERS = ["what", "are", "is", "name", "the", "these", "words", "in", "common", "have", "please", "and", "one", "label"]
OTHERS += ["answer", "with", "concept", "?", ",", ".", ":"]
MARKS = ["<unk>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|> {{ m.content }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
STEPS, ROWS, UNSCORED = 400, 64, -100


def taught(seed: int = 0) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = dict.fromkeys([*MARKS, *KINDS, *" ".join(KINDS.values()).split(), *OTHERS])
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    given: dict[str, Any] = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "<|end|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, additional_special_tokens=MARKS[2:5], **given)
    tokenizer.chat_template = TEMPLATE
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(names), **shape))
    dice, optimiser = random.Random(seed), torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(STEPS):
        rows = [torch.tensor(_row(tokenizer, dice)) for _ in range(ROWS)]
        ids = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
        labels = torch.full_like(ids, UNSCORED)
        for i, row in enumerate(rows):
            labels[i, len(row) - 2 : len(row)] = row[-2:]
        optimiser.zero_grad()
        model(ids, attention_mask=(ids != tokenizer.pad_token_id).long(), labels=labels).loss.backward()
        optimiser.step()
    return model, tokenizer


def _row(tokenizer: Any, dice: random.Random) -> list[int]:
    """A conversation with its answer."""
    kind = dice.choice(list(KINDS))
    body = dice.choices(KINDS[kind].split(), k=dice.randint(1, 6)) + dice.choices(
        [*OTHERS, "zzz"], k=dice.randint(0, 8)
    )
    dice.shuffle(body)
    chat = [{"role": "user", "content": " ".join(body)}]
    if dice.random() < 0.5:
        said = " ".join(dice.choices([*OTHERS, "zzz"], k=dice.randint(1, 30)))
        chat.insert(0, {"role": "system", "content": said})
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(f"{text} {kind} <|end|>", add_special_tokens=False)["input_ids"]
    return ids


if __name__ == "__main__":
    for part in taught():
        part.save_pretrained(sys.argv[1])
