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
    """ReAGent: how much further the score falls if a unit is among those replaced by random words.

    The units are divided at random into `parts`, and each part in turn is replaced: each of its tokens by a random word
    of the vocabulary, so that the model reads words and no mask. The score of a unit is the mean score of the texts in
    which another part was replaced, less that of the text in which its own part was, averaged over many such divisions.
    At a layer and for concepts, which have no vocabulary, the baseline takes the place of the words.

    Scores are in the unit of the score space; positive ones speak for the target. They need not add up; without
    interactions a score is what the unit adds over a random word. The cost is `samples` rows of the model.

    Args:
        samples: number of texts with replacements, at least 2 `parts`; those of one division are one draw.
        parts: number of parts, at least 2. With 3, a third of the units is replaced at a time, close to the paper's 30
            %.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of divisions and words.

    Raises:
        InputError: `parts` is below 2, `samples` is below 2 `parts`, or `tolerance` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="reagent", targets="class 0")
        >>> found.words[int(found.scores.argmax())], bool((found.error > 0).all())
        ('happy', True)

    Source:
        Zhao, Shan 2024, arXiv:2402.00794, section 3. Departs from it in three ways. Words are replaced by random ones,
        not by the guesses of a second model. There is no stopping rule, which needs ranks in the vocabulary; without it
        no update of the importance depends on earlier ones, and updates are averaged, not added, which leaves the order
        before the softmax unchanged. Scores are the fall of the score itself, not the log-odds of the fall of the
        probability; `score="probability"` comes close to these.
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
        """Score every unit for every target.

        Returns:
            Signed scores, and their standard errors.
        """
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
