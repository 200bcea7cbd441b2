"""What a row or a score stands for, in the words of interpreto."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any

from interp_core.errors import InputError, InterpWarning, UnsupportedError


class Granularity(Enum):
    """The granularities of attributions, under the names of interpreto.

    Examples:
        >>> from interp_interpreto.commons import Granularity
        >>> Granularity.WORD.value
        'word'
    """

    ALL_TOKENS = "all_tokens"
    TOKEN = "token"
    WORD = "word"
    SENTENCE = "sentence"
    PART_SENTENCE = "part_sentence"
    DEFAULT = "all_tokens"  # noqa: PIE796 - an alias, as there


class ActivationGranularity(Enum):
    """The granularities of activations, under the names of interpreto.

    Examples:
        >>> from interp_interpreto.commons import ActivationGranularity
        >>> ActivationGranularity.CLS_TOKEN.value
        'cls_token'
    """

    ALL_TOKENS = "all_tokens"
    CLS_TOKEN = "cls_token"
    SAMPLE = "sample"
    SENTENCE = "sentence"
    TOKEN = "token"
    WORD = "word"


class GranularityAggregationStrategy(Enum):
    """How the numbers of tokens become those of larger units.

    Activations are means over the tokens of a unit. Scores of a unit are measured for the whole unit, or, where they
    come from gradients, summed over its tokens, so that they add up.

    Examples:
        >>> from interp_interpreto.commons import GranularityAggregationStrategy
        >>> GranularityAggregationStrategy.MEAN.value
        'mean'
    """

    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    SUM = "sum"
    SIGNED_MAX = "signed_max"
    FIRST = "first"
    LAST = "last"


_NAMES = {"all_tokens": "token", "cls_token": "cls", "part_sentence": "clause"}


def units_of(granularity: Any, kind: type[Enum]) -> str:
    """The granularity of interp for one of interpreto, given as a member of its class, or as the value of one.

    Raises:
        InputError: it is neither.
    """
    value = granularity.value if isinstance(granularity, Enum) else granularity
    if value not in {member.value for member in kind}:
        known = ", ".join(f"{kind.__name__}.{name}" for name in kind.__members__)
        raise InputError(f"the granularity is {granularity!r}; one of {known} was expected.")
    if value == "all_tokens":
        warnings.warn(
            "ALL_TOKENS is read as TOKEN: special tokens such as [CLS] are not units here, since they stand for no "
            "part of the text.",
            InterpWarning,
            stacklevel=4,
        )
    return _NAMES.get(str(value), str(value))


def check_aggregation(strategy: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a way to aggregate other than the allowed ones.

    Raises:
        UnsupportedError: it is another.
    """
    value = strategy.value if isinstance(strategy, Enum) else strategy
    if value not in allowed:
        raise UnsupportedError(
            f"the aggregation strategy is {strategy!r}, which interp does not offer; leave it out, or take tokens as "
            "units (granularity TOKEN) and aggregate them yourself."
        )
