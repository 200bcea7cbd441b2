"""The options of a question to a model, apart from the method and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.attribution._removal import Removal
from interp_core.text import Granularity


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a question to a model, apart from the method and its parameters.

    Attributes:
        removal: what replaces an absent unit, see `interp_core.attribution.absence`.
        score: the score space: `"auto"` (log-probability where the answer is a token, else logit), `"logit"`,
            `"probability"`, `"log-probability"` or `"entropy"` (nats).
        output: for generators, what one target is: `"token"`, or a granularity that groups the tokens of the
            continuation, such as `"word"`, `"sentence"`, or `"sample"` for the whole continuation.
        layer: the layer whose hidden states are the features, as the number of a block or a module path; None for the
            embeddings.
        max_new_tokens: the maximum number of tokens that a generator writes when no continuation is given.
        max_rows: the maximum number of model rows for each text. Methods that sample draw fewer and report a larger
            standard error, other methods refuse. None for no limit.
        truncation: which text of a pair is cut when it is longer than the model takes: `"longest_first"`,
            `"only_first"` or `"only_second"`; every cut is in the notes.
        on_error: `"raise"`, or `"skip"`, to go on without a text that cannot be explained.
        progress: show a progress bar in a terminal or notebook.

    Examples:
        >>> from interp_core.attribution import Options
        >>> Options(score="probability", max_rows=64)
        Options(removal='auto', score='probability', output='token', layer=None, max_new_tokens=12, max_rows=64,
                truncation='longest_first', on_error='raise', progress=True)
    """

    removal: Removal = "auto"
    score: str = "auto"
    output: Granularity = "token"
    layer: int | str | None = None
    max_new_tokens: int = 12
    max_rows: int | None = None
    truncation: str = "longest_first"
    on_error: str = "raise"
    progress: bool = True
