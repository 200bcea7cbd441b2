"""Models in folders, as the command line is given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def saved(made: Any, folder: Path) -> Path:
    """The folder, with the model and its tokenizer in it."""
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder
