"""What tokens cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from interp_core.errors import InputError

MILLION = 1e6  # tokens, for which prices are said

Prices = tuple[float, float]


def check_prices(prices: Any) -> None:
    """Refuse what is no pair of prices.

    Args:
        prices: of a million tokens of conversations and of answers; None for none.

    Raises:
        InputError: there are not two, or one is not a finite number of at least 0.

    Examples:
        >>> from interp_llm.prices import check_prices
        >>> check_prices((0.15, 0.6))
    """
    pair = isinstance(prices, Sequence) and len(prices) == 2
    if prices is not None and not (pair and all(map(_is_price, prices))):
        raise InputError(
            f"prices is {prices!r}; what a million tokens sent, and a million received, cost was expected, such as "
            "(0.15, 0.6)."
        )


def _is_price(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def price_of(prices: Prices | None, prompt_tokens: int, answer_tokens: int) -> float | None:
    """The price of some tokens, in the currency of the prices.

    Args:
        prices: of a million tokens of conversations and of answers; None if they are not known.
        prompt_tokens: tokens of conversations.
        answer_tokens: tokens of answers.

    Returns:
        Their price; None without prices.

    Examples:
        >>> from interp_llm.prices import price_of
        >>> price_of((1.0, 4.0), 500_000, 250_000)
        1.5
    """
    return None if prices is None else (prompt_tokens * prices[0] + answer_tokens * prices[1]) / MILLION
