"""ReAGent: how much the score falls when a unit is among those replaced by other words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import averaged, check_sampling
from jaxtyping import Float, Int
from torch import Tensor

NUMBERS = 2**24  # of the features held at a time


@dataclass(frozen=True)
class Reagent:
    """How much more the score falls when a unit is replaced, with a third of the others, than when only others are.

    The units are dealt at random into parts, and one part after the other is replaced: each of its tokens by a random
    word of the vocabulary, so that the model reads words and no mask. A unit's score is the mean score of the texts in
    which another part was replaced, less that of the text in which its own was; the mean over many deals is positive
    where the unit speaks for the target, and without interactions it is what the unit is worth beyond a random word.
    At a layer, and on concepts, there is no vocabulary, and the baseline replaces.

    Args:
        samples: how many replaced texts; those of one deal are one draw.
        parts: how many parts the units are dealt into: 3 replaces about the paper's 30 % at a time.
        tolerance: stop once no standard error is above it, in units of the score; None for all samples.
        seed: of the draws.

    Source: Zhao, Shan 2024, arXiv:2402.00794, section 3. Departs from it in that words are replaced by random ones, in
        place of a second model's guesses; in that there is no stopping rule, which asks for ranks in the vocabulary:
        without it no update of the importance depends on those before, and they are averaged in place of added, the
        same order before the softmax; and in the fall of the score as it is, in place of the log-odds of the fall of
        the probability (`score="probability"` is close to them).
    """

    samples: int = 300
    parts: int = 3
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.parts < 2:
            raise InputError(f"parts is {self.parts}; at least 2 are needed, so that something is kept.")
        check_sampling(self.samples, 2 * self.parts, self.tolerance)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Signed scores and their standard errors."""
        generator = torch.Generator().manual_seed(self.seed)
        piece = max(1, NUMBERS // (self.parts * question.x.numel()))

        def draw(count: int) -> Float[Tensor, "n k u"]:
            pieces = [min(piece, count - start) for start in range(0, count, piece)]
            return torch.cat([self._deals(question, size, generator) for size in pieces])

        return averaged(draw, question.afford(self.samples // self.parts, rows_each=self.parts), self.tolerance)

    def _deals(self, question: Question, count: int, generator: torch.Generator) -> Float[Tensor, "n k u"]:
        part_of = torch.randint(self.parts, (count, len(question.units)), generator=generator)
        found = question.at(self._replaced(question, part_of, generator)).detach().cpu().double()
        scores: Tensor = found.unflatten(0, (count, self.parts)).transpose(1, 2)  # (n, k, parts)
        own = scores.gather(2, part_of[:, None].expand(-1, scores.shape[1], -1))
        others = (scores.sum(dim=2, keepdim=True) - own) / (self.parts - 1)
        return others - own

    def _replaced(
        self, question: Question, part_of: Int[Tensor, "n u"], generator: torch.Generator
    ) -> Float[Tensor, "p f d"]:
        """One text for each part of each deal."""
        gone = (part_of[:, None] == torch.arange(self.parts)[:, None]).flatten(0, 1)  # (n * parts, u)
        words = question.references(len(gone), generator)  # what is in no unit stays as it is in them
        return torch.where(gone[:, question.unit_of.cpu(), None].to(words.device), words, question.x)
