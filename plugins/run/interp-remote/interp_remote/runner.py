"""The question about one text of a served model, and what computes its scores from log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from interp_core.attribution import Question
from interp_core.errors import ModelError, UnsupportedError
from interp_core.model import Readout, Target
from interp_core.text import NO_UNIT, DividedText
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp_remote.asker import Asker, Prompts
from interp_remote.reply import Reply, Span

Ask = Callable[[Any], Any]
SERVED = (
    "A completions server says the log-probabilities of the tokens of a prompt, and nothing of what goes on inside: it "
    "has neither gradients nor layers, and so no concepts. Load the model with interp.load(path) to ask for them."
)
COARSE = 2.0**-24  # half the distance of 1 from the next number below, in the 32 bits that servers compute in


@dataclass(frozen=True)
class Part:
    """A piece of what is put after the prompt, whose log-probability counts.

    Attributes:
        after: what is put after the prompt.
        start: the character at which the piece begins.
        stop: the character after it.
    """

    after: str
    start: int
    stop: int


@dataclass(eq=False)
class RemoteRunner:
    """Computes the scores of a question about one text of a served model.

    Attributes:
        asker: asks the server.
        encoded: the text in units.
        readout: the targets and the score space.
        ask: sends prompts to the asker, possibly together with those of other texts.
        retokenised: for each variant, whether tokens that are not removed are others than in the text, in the prompt
            and in the continuation.
        saturated: the number of scores that were too near to certainty for log-odds.
    """

    asker: Asker
    encoded: DividedText
    readout: Readout
    ask: Ask
    retokenised: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    saturated: int = 0

    def __post_init__(self) -> None:
        own, text = self.encoded.continuation, str(self.encoded.text)
        self.prompt = text if own < 0 else text[:own]
        self.parts = [parts_of(target, self.encoded) for target in self.readout.targets]
        self.after = list(dict.fromkeys(part.after for pair in self.parts for part in pair))
        spans = self.encoded.offsets.tolist()
        self.opens = bool(spans) and spans[0] == [0, 0]
        self.unit_of = [NO_UNIT] * len(self.prompt)
        for (start, stop), unit in zip(spans, self.encoded.unit_of.tolist(), strict=True):
            if unit != NO_UNIT:
                self.unit_of[start:stop] = [unit] * (stop - start)
        self.pieces: list[Span] = list(dict.fromkeys((a, b) for a, b in spans if a < b))

    def at(self, x: Float[Tensor, "p f d"]) -> Float[Tensor, "p k"]:
        if not bool(((x == 0) | (x == 1)).all()):
            raise UnsupportedError(
                f"a served model reads a text in which a unit is (1) or is not (0); there is none with {_other(x)} of "
                "one. Choose a method or metric that removes whole units, such as occlusion, lime or insertion."
            )
        return self.masked(x[:, :, 0].cpu() == 1)

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        rows = self._replies(keep)
        return torch.tensor(
            [[self._score(pair, replies, prompt) for pair in self.parts] for prompt, replies in rows]
        ).reshape(len(keep), len(self.parts))

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        """For a token the number of the one that the model prefers in its place, for several 1 if it prefers them.

        Raises:
            UnsupportedError: the server does not say which token it prefers.
        """
        rows = self._replies(keep)
        return torch.tensor(
            [[self._decision(pair[0], replies, len(prompt)) for pair in self.parts] for prompt, replies in rows]
        ).reshape(len(keep), len(self.parts))

    def gradients(self, x: Float[Tensor, "p f d"]) -> Iterator[Float[Tensor, "k f d"]]:
        """There are none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"gradients were asked for. {SERVED}")

    def moved(self, x: Float[Tensor, "f d"]) -> RemoteRunner:
        """There are no other features.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            f"the features of a served model are whether a unit is there, so they cannot be moved. {SERVED}"
        )

    def known(self) -> Tensor | None:
        """The scores (k) of the text itself, if the server has said them."""
        if not all(self.asker.known(self.prompt + after) for after in self.after):
            return None
        return self.masked(torch.ones(1, len(self.encoded.units), dtype=torch.bool))[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores should know."""
        coarse = (
            f"{self.saturated} scores lie where the server's log-probabilities are 0 to within rounding; there the "
            "log-odds are cut at 16.6."
        )
        again = (
            "The server reads the continuation as other tokens than those that the model wrote it with; what is scored "
            "are the tokens that it reads."
        )
        unchecked = (
            "Whether the server's log-probabilities of a prompt are those of its tokens could not be checked: after it "
            "the model writes nothing, or what is read as other tokens."
        )
        rewritten = any(self.prompt + after in self.asker.rewritten for after in self.after)
        moved = retokenised_note(list(self.retokenised.values()))
        return (*moved, *[again] * rewritten, *[unchecked] * (not self.asker.checked), *[coarse] * bool(self.saturated))

    def _without(self, keep: Sequence[bool]) -> str:
        """The prompt without the units that are not kept. A text needs a token in front of what is scored: if the
        server puts none there, an empty prompt keeps its first.
        """
        kept = "".join(c for c, unit in zip(self.prompt, self.unit_of, strict=True) if unit == NO_UNIT or keep[unit])
        return kept if kept or self.opens else self.prompt[slice(*self.pieces[0])]

    def _replies(self, keep: Bool[Tensor, "p u"]) -> list[tuple[str, dict[str, Reply]]]:
        """For each variant its prompt, and the reply to it with each text that is put after it."""
        rows = keep.tolist()
        prompts = [self._without(row) for row in rows]
        asked: Prompts = tuple(dict.fromkeys(prompt + after for prompt in prompts for after in self.after))
        replies = dict(zip(asked, self.ask(asked), strict=True))
        for row, prompt in zip(rows, prompts, strict=True):
            for after in self.after * (not all(row)):
                self._compare(row, prompt, after, replies[prompt + after])
        return [(prompt, {after: replies[prompt + after] for after in self.after}) for prompt in prompts]

    def _compare(self, row: Sequence[bool], prompt: str, after: str, reply: Reply) -> None:
        """See whether the tokens of a variant are those of the text without the removed ones."""
        if reply.text in self.retokenised:
            return
        text, edge = str(self.encoded.text), len(self.prompt)
        stays = [(a, b) for a, b in self.pieces if a >= edge or self.unit_of[a] == NO_UNIT or row[self.unit_of[a]]]
        own = [text[a:b] for a, b in stays if b <= edge]
        later = [text[a:b] for a, b in stays if b > edge]
        got = [reply.text[a:b] for a, b in reply.pieces if b <= len(prompt)]
        got_later = [reply.text[a:b] for a, b in reply.pieces if b > len(prompt)]
        emptied = not any(row) and not own  # the first token of the prompt stays
        same = "".join(got_later) == after if not later else got_later == later
        self.retokenised[reply.text] = self.asker.retokenised[reply.text] = (not emptied and got != own, not same)

    def _score(self, pair: Sequence[Part], replies: dict[str, Reply], prompt: str) -> float:
        first, *other = [self._in_space(_logprob(part, replies[part.after], len(prompt))) for part in pair]
        return first - other[0] if other else first

    def _decision(self, part: Part, replies: dict[str, Reply], prompt: int) -> int:
        """See `decides`."""
        reply = replies[part.after]
        inside = _inside(part, reply, prompt)
        best = [reply.best[i] for i in inside]
        if None in best:
            raise UnsupportedError(
                "this server does not say which token it prefers (top_logprobs), so its decisions are not known; "
                "choose a metric of scores."
            )
        if len(inside) == 1:
            return self.asker.number_of(str(best[0]))
        return int(all(reply.text[slice(*reply.spans[i])] == one for i, one in zip(inside, best, strict=True)))

    def _in_space(self, logprob: float) -> float:
        space: str = self.readout.space
        if space == "probability":
            return math.exp(logprob)
        if space == "log-odds":
            self.saturated += logprob > -COARSE
            logprob = min(logprob, -COARSE)
            return logprob - math.log(-math.expm1(logprob))
        return logprob


class RemoteQuestion(Question):
    """A question about one text of a served model: a feature for each unit, 1 where it is there and 0 where not."""

    lacks: ClassVar[str] = f" {SERVED}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of the tokens of the variants that were asked about so far, and what else is to be known."""
        return self.runner.notes  # type: ignore[attr-defined, no-any-return]

    @notes.setter
    def notes(self, value: tuple[str, ...]) -> None:
        pass


def question_about(runner: RemoteRunner, max_rows: int | None) -> RemoteQuestion:
    """The question whose scores a runner computes.

    Args:
        runner: the runner.
        max_rows: the most variants that may be asked about; None for no limit.
    """
    units = runner.encoded.units
    return RemoteQuestion(
        runner,
        x=torch.ones(len(units), 1),
        baseline=torch.zeros(len(units), 1),
        unit_of=torch.arange(len(units)),
        units=units,
        targets=runner.readout.targets,
        text=runner.encoded.text,
        offers=frozenset(),
        removal="drop",
        max_rows=max_rows,
        intact=runner.known(),
    )


def parts_of(target: Target, encoded: DividedText) -> list[Part]:
    """What is scored for a target: a piece of the continuation, or what is compared in its place.

    Args:
        target: of a contrast, the parts are what is compared; of several tokens, the tokens.
        encoded: the text.
    """
    if target.against is not None:
        return [Part(part.label, 0, len(part.label)) for part in target.parts]
    own = encoded.continuation
    spans = [encoded.offsets[position].tolist() for position in target.positions]
    start, stop = min(a for a, _ in spans), max(b for _, b in spans)
    return [Part(str(encoded.text)[own:], start - own, stop - own)]


def retokenised_note(moved: Sequence[tuple[bool, bool]]) -> tuple[str, ...]:
    """The note on texts whose tokens were others after a removal; none if all were as in the text.

    Args:
        moved: for each variant, whether tokens of the prompt are, and whether some of the continuation are.

    Examples:
        >>> from interp_remote.runner import retokenised_note
        >>> retokenised_note([(False, False), (True, False)])[0].split(":")[0]
        'In 1 of 2 prompts (50 %) tokens moved that were not removed'
    """
    others, later = sum(any(one) for one in moved), sum(own for _, own in moved)
    if not others:
        return ()
    also = f" (in {later}, of the continuation)" if later else ""
    share = f"{others} of {len(moved)} prompts ({100 * others / len(moved):.0f} %)"
    return (
        f"In {share} tokens moved that were not removed{also}: the server reads characters, and cuts what is left into "
        "tokens anew. Such scores hold the effect of the other tokens too.",
    )


def _inside(part: Part, reply: Reply, prompt: int) -> list[int]:
    """The tokens that begin in a piece, and for a piece that follows the prompt also one that reaches into it."""
    begins = ((max(start - prompt, 0), stop) for start, stop in reply.spans)
    return [i for i, (begin, stop) in enumerate(begins) if part.start <= begin < part.stop and stop > prompt]


def _logprob(part: Part, reply: Reply, prompt: int) -> float:
    """The log-probability of a piece.

    Raises:
        ModelError: it holds the first token of all, of which there is none.
    """
    values = [reply.logprobs[i] for i in _inside(part, reply, prompt)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        raise ModelError(
            f"without some units the first token of {reply.text[:40]!r} reaches into what is explained, and a server "
            "says no log-probability of a first token. Choose larger units, or a prompt with more in front."
        )
    return math.fsum(known)


def _other(x: Tensor) -> float:
    return round(float(x[(x != 0) & (x != 1)].flatten()[0]), 3)
