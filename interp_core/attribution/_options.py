"""How a question is put to a model: what a caller may choose beside the method and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution._removal import Removal
from interp_core.errors import InputError
from interp_core.text import Granularity


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a question is put to a model.

    Attributes:
        removal: what an absent unit is, see `interp_core.attribution.absence`.
        score: `"auto"` (log-probability where the answer is a token, else logit), `"logit"`, `"probability"`,
            `"log-probability"` or `"entropy"`.
        output: of generators, what one target is: `"token"`, or a granularity that groups the tokens of the
            continuation, such as `"word"`, `"sentence"`, or `"sample"` for all of it.
        layer: explain through the hidden states of this layer instead of the embeddings; a block number or a module
            path.
        max_new_tokens: the most tokens of a continuation that the model is asked for.
        max_rows: the most rows of the model that one text may take; methods that sample stop there and say how sure
            they are, others refuse. None for no limit.
        progress: show a bar on a terminal or notebook.
    """

    removal: Removal = "auto"
    score: str = "auto"
    output: Granularity = "token"
    layer: int | str | None = None
    max_new_tokens: int = 12
    max_rows: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_rows is not None and (not isinstance(self.max_rows, int) or self.max_rows < 1):
            raise InputError(f"max_rows is {self.max_rows!r}; a whole number of at least 1 is needed.")
