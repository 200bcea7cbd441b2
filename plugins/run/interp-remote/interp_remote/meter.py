"""Counts what the answers of a server took, and lets nothing be asked whose answer could go beyond a limit."""

from __future__ import annotations

import threading

from interp_core.errors import InputError, LLMError
from interp_core.results import Usage
from interp_llm.prices import Prices, price_of

ADDED = 8  # tokens, at most, that a server puts around a prompt


class OverBudgetError(LLMError):
    """Nothing was asked, since that could have gone beyond a limit."""


class Meter:
    """The tokens of answers, and limits on them. A call is counted before it is made, with the most tokens that it can
    have, as a token is at least one byte of a prompt; so what answers take never passes a limit. Tries without an
    answer are not counted, as a server does not say what they took: those before an answer, and those of a call that
    ends without one.

    Args:
        max_tokens: the most tokens, sent and received; None for no limit.
        max_cost: the most that they may cost, in the currency of the prices; None for no limit.
        prices: what a million tokens sent, and a million received, cost.

    Raises:
        InputError: a limit is no positive number, or `max_cost` is given without prices.

    Examples:
        >>> from interp_remote.meter import Meter
        >>> meter = Meter(max_tokens=30)
        >>> meter.enter("so happy", 1)  # at most 8 bytes and 8 more, and 1 received
        True
        >>> meter.leave(14, 1)
        >>> meter.enter("so happy", 1)
        False
    """

    def __init__(
        self, max_tokens: int | None = None, max_cost: float | None = None, prices: Prices | None = None
    ) -> None:
        for name, limit in (("max_tokens", max_tokens), ("max_cost", max_cost)):
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0):
                raise InputError(f"{name} is {limit!r}; a positive number was expected, or None for no limit.")
        if max_cost is not None and prices is None:
            raise InputError(
                f"max_cost={max_cost} needs prices=, what a million tokens sent, and a million received, cost, such as "
                "(0.15, 0.6)."
            )
        self.max_tokens, self.max_cost, self.prices = max_tokens, max_cost, prices
        self.sent = self.received = self.requests = 0
        self.under_way: dict[int, tuple[int, int]] = {}  # the most tokens of each call, by thread
        self.changed = threading.Condition()

    @property
    def spent(self) -> Usage:
        """What the answers took, and how many calls there were."""
        price = price_of(self.prices, self.sent, self.received)
        return Usage(self.requests, prompt_tokens=self.sent, answer_tokens=self.received, price=price)

    def enter(self, prompt: str, answer: int) -> bool:
        """Count a call that this thread is about to make. Waits for calls under way where these decide.

        Args:
            prompt: what is sent.
            answer: the most tokens that are received.

        Returns:
            False if it could go beyond a limit, so that it must not be made.
        """
        most = len(prompt.encode(errors="replace")) + ADDED, answer
        with self.changed:
            while not self._fits([*self.under_way.values(), most]):
                if not self.under_way or not self._fits([most]):
                    return False
                self.changed.wait()
            self.under_way[threading.get_ident()] = most
            return True

    def leave(self, sent: int, received: int) -> None:
        """Count what the answer to the call of this thread took; 0 for none."""
        with self.changed:
            del self.under_way[threading.get_ident()]
            self.sent, self.received, self.requests = self.sent + sent, self.received + received, self.requests + 1
            self.changed.notify_all()

    def _fits(self, calls: list[tuple[int, int]]) -> bool:
        sent = self.sent + sum(prompt for prompt, _ in calls)
        received = self.received + sum(answer for _, answer in calls)
        price = price_of(self.prices, sent, received) or 0.0
        within = self.max_tokens is None or sent + received <= self.max_tokens
        return within and (self.max_cost is None or price <= self.max_cost)

    def __str__(self) -> str:
        """The limits, and what was spent, as a sentence."""
        limits = {"max_tokens": self.max_tokens, "max_cost": self.max_cost}
        named = ", ".join(f"{name}={limit:g}" for name, limit in limits.items() if limit is not None)
        price = self.spent.price
        paid = "" if price is None else f" for {price:.4g}"
        return (
            f"the next prompt could go beyond {named}: {self.sent + self.received} tokens ({self.sent} sent, "
            f"{self.received} received) were spent{paid} in {self.requests} requests"
        )
