"""What a result depends on, as one key: equal keys have equal results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from interp_core.model import WrappedModel

CHUNK = 2**20


def key_of(value: Any) -> str:
    """A key of JSON values: 64 characters."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def key_of_texts(texts: Iterable[Any], labels: Iterable[Any] | None) -> str:
    """A key of texts, pairs and chats, and of their labels."""
    return key_of([list(texts), None if labels is None else [str(label) for label in labels]])


def key_of_folder(folder: Path, options: Mapping[str, Any]) -> str:
    """A key of a model that lies in a folder: the bytes of its files, and how they are loaded."""
    return key_of([key_of_path(folder), {name: str(value) for name, value in options.items()}])


def key_of_path(path: Path) -> str:
    """A key of the bytes of a file, or of all files in a folder and below it, but hidden ones."""
    said = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        inner = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in inner.parts):
            said.update(f"{inner} {file.stat().st_size} ".encode())
            for chunk in _chunks(file):
                said.update(chunk)
    return said.hexdigest()


def key_of_model(model: WrappedModel) -> str:
    """A key of a model in memory: its weights, its configuration, and what its tokenizer makes of words."""
    said = hashlib.sha256(type(model.model).__name__.encode())
    for name, tensor in sorted([*model.model.named_parameters(), *model.model.named_buffers()], key=lambda one: one[0]):
        if isinstance(tensor, torch.Tensor):
            said.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            said.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    config: Any = getattr(model.model, "config", None)
    said.update(config.to_json_string().encode() if hasattr(config, "to_json_string") else b"")
    fast = getattr(model.tokenizer, "backend_tokenizer", None)
    said.update(fast.to_str().encode() if fast is not None else key_of(model.tokenizer.get_vocab()).encode())
    said.update(str(getattr(model.tokenizer, "chat_template", "")).encode())
    return said.hexdigest()


def releases() -> dict[str, str]:
    """The releases that all results depend on."""
    return {name: version(name) for name in ("interp-core", "torch", "transformers")}


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk
