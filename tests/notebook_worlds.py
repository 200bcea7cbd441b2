"""What the notebooks load, on this machine: folders that are called like the models and data sets of the hub."""

from __future__ import annotations

import csv
import json
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import torch
from interp_demo import story


def classifier(folder: Path) -> None:
    """The classifier of the demonstration, under the name of interpreto's."""
    shutil.copytree(story.MODEL, folder / "nateraw" / "bert-base-uncased-emotion")


def byte_tokenizer(vocabulary: int = 600) -> Any:
    """A tokenizer of bytes that was trained on the texts: tokens hold the blank before a word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|begin|>", "<|end|>", "<|mask|>"]
    bytes_of = Tokenizer(models.BPE())
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_of.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bytes_of.train_from_iterator(story.corpus().texts, trainer)
    names = dict(zip(("pad_token", "bos_token", "eos_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=bytes_of, **names)


def filler(folder: Path) -> None:
    """A EuroBERT of twelve small layers, with a tokenizer of bytes."""
    from transformers import EuroBertConfig, EuroBertForMaskedLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = EuroBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=12,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        mask_token_id=3,
        max_position_embeddings=256,
    )
    there = folder / "EuroBERT" / "EuroBERT-210m"
    EuroBertForMaskedLM(config).save_pretrained(there)
    tokenizer.save_pretrained(there)


def data_set(folder: Path, name: str, config: str, texts: list[str]) -> None:
    """A data set of one column, in one configuration."""
    there = folder / name
    there.mkdir(parents=True)
    with (there / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    described = f"configs:\n- config_name: {config}\n  data_files:\n  - split: train\n    path: train.csv\n"
    (there / "README.md").write_text(f"---\n{described}---\n", encoding="utf-8")


class Namer(BaseHTTPRequestHandler):
    """A server of chat completions, which names each concept by the first word that it is shown."""

    def do_POST(self) -> None:
        """Answer."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((request, self.headers["Authorization"]))  # type: ignore[attr-defined]
        shown = request["messages"][-1]["content"].splitlines()[0].partition("| ")[2].split()
        message = {"role": "assistant", "content": f"texts such as {shown[0]}" if shown else "nothing"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"], "choices": [choice]}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
