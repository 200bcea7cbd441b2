"""What tokens cost."""

from __future__ import annotations

from interp_core.errors import InputError

MILLION = 1e6  # tokens, for which prices are said

Prices = tuple[float, float]


def check_prices(prices: Prices | None) -> None:
    """Refuse what is no pair of prices.

    Args:
        prices: of a million tokens of conversations and of answers; None for none.

    Raises:
        InputError: there are not two, or one is no number of at least 0.

    Examples:
        >>> from interp_llm.prices import check_prices
        >>> check_prices((0.15, 0.6))
    """
    if prices is None:
        return
    try:
        sent, received = prices
        sound = min(float(sent), float(received)) >= 0
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise InputError(
            f"prices is {prices!r}; what a million tokens sent, and a million received, cost was expected, such as "
            "(0.15, 0.6)."
        )


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
