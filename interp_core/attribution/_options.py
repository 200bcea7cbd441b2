"""The options of `attribute` that do not concern the method and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interp_core.attribution._removal import Removal
from interp_core.text import Granularity, Region


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `attribute` that do not concern the method and its parameters.

    Attributes:
        units: the part of a text that is explained: None (all of it), `"documents"` or `"messages"` of a chat,
            `"prompt"` (all before the continuation), a role such as `"user"`, character spans [start, stop), or a
            function from the text to such spans. The rest of the text is in no unit and stays unchanged.
        removal: what replaces an absent unit, see `interp_core.attribution.absence`.
        score: the score space: `"auto"` (log-probability where the answer is a token, else logit), `"logit"`,
            `"probability"`, `"log-probability"`, `"log-odds"` (log p - log(1 - p), where p is the probability of the
            whole target; it does not saturate as p approaches 1) or `"entropy"` (nats).
        output: for generators, what one target is: `"token"`, or a granularity that groups the tokens of the
            continuation, such as `"word"`, `"sentence"`, or `"sample"` for the whole continuation.
        layer: the layer whose hidden states are the features, as the number of a block or a module path; None for the
            embeddings.
        over: the components whose gates are the features, see `attribute`; None for the units of the text.
        reference: what a closed gate lets through, with `over` only: a text, one for each text, `"mean"` or `"zero"`.
        align: how a reference of another length is aligned: `"left"`, `"right"`, or None to refuse it.
        max_new_tokens: for generators, the maximum number of tokens to generate when no continuation is given.
        max_rows: the maximum number of model rows for each text. Methods that sample draw fewer and report a larger
            standard error; others raise a `BudgetError`. None for no limit.
        truncation: which text of a pair is cut when the pair is longer than the model accepts: `"longest_first"`,
            `"only_first"` or `"only_second"`; every cut is in the notes.
        on_error: `"raise"`, or `"skip"` to go on without texts that cannot be explained.
        progress: show a progress bar in a terminal or notebook.

    Examples:
        >>> from interp_core.attribution import Options
        >>> Options(score="probability", max_rows=64)
        Options(units=None, removal='auto', score='probability', output='token', layer=None, over=None,
                reference=None, align=None, max_new_tokens=12, max_rows=64, truncation='longest_first',
                on_error='raise', progress=True)
    """

    units: Region = None
    removal: Removal = "auto"
    score: str = "auto"
    output: Granularity = "token"
    layer: int | str | None = None
    over: Any = None
    reference: Any = None
    align: str | None = None
    max_new_tokens: int = 12
    max_rows: int | None = None
    truncation: str = "longest_first"
    on_error: str = "raise"
    progress: bool = True
