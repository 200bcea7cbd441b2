"""ContextCite: lasso regression of scores on random halves of the units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import check_sampling, widening
from jaxtyping import Bool, Float
from torch import Tensor

from interp_context_cite.lasso import fitted

SURE = 0.9  # probability from which on a score is said to saturate


@dataclass(frozen=True)
class ContextCite:
    """ContextCite: the weights of a lasso that predicts the score from which units are kept, fitted to random halves.

    Each variant keeps each unit with probability 1/2. The lasso fits score = intercept + sum of the weights of the
    units that are kept, and gives most units a weight of exactly 0, so that a few sources among hundreds are found with
    fewer variants than there are units. Unlike in LIME, variants close to the intact text do not count more. With
    growing `samples` the weights converge to Banzhaf values: what a unit adds on average to a random half of the
    others.

    Scores are in the unit of the score space. Positive ones speak for the target, negative ones against it; they need
    not add up. The standard errors are those of an estimate of the Banzhaf value. They include the shrinkage of the
    lasso, estimated on held-out variants, so that a weight of 0 has an error too, and intervals are rather too wide
    than too narrow. The cost is `samples` rows of the model.

    Args:
        samples: number of variants, at least 4. When all 2^u subsets of the u units fit, each is evaluated once: the
            result is then exact, its error is 0 and the seed has no effect.
        penalty: weight of the sum of the absolute weights, on columns of mean 0 and standard deviation 1, in the unit
            of the score for each token of a target; at least 0. The code of the paper has 0.01, on log-odds. None
            chooses it by cross-validation in five folds, which suits every score space.
        seed: random seed of the variants.

    Raises:
        InputError: `samples` is below 4, or `penalty` is negative.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="context-cite", targets="class 0")
        >>> found.scores, found.exact
        (tensor([[ 3.,  0., -2.]]), True)

    Source:
        Cohen-Wang et al. 2024, arXiv:2409.00729, section 3. The score of the paper is `score="log-odds"`; a note says
        where another score space saturates. The default choice of the penalty is not that of the paper. Standard errors
        follow the debiased lasso with a known design, Javanmard, Montanari 2014, arXiv:1306.3171, with residuals of
        held-out folds.
    """

    samples: int = 64
    penalty: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, None)
        if self.penalty is not None and self.penalty < 0:
            raise InputError(f"penalty is {self.penalty}; a number of at least 0 was expected, or None.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target. A unit that is applicable to no target is always kept.

        Returns:
            The weights of the units, and their standard errors.
        """
        able = question.applicable.any(dim=0)
        every = _all_fit(question, int(able.sum()), self.samples)
        keep = torch.ones(self.samples, len(able), dtype=torch.bool)
        if every:
            keep = keep[:1].repeat(2 ** int(able.sum()), 1)
            keep[:, able] = (torch.arange(len(keep))[:, None] >> torch.arange(int(able.sum()))) % 2 == 1
        else:
            keep = keep[: question.afford(self.samples)]
            generator = torch.Generator().manual_seed(self.seed)
            keep[:, able] = torch.rand(len(keep), int(able.sum()), generator=generator) < 0.5
        scores = question.masked(keep).double()
        _note_saturation(question, scores)
        answer = torch.zeros(2, *question.applicable.shape, dtype=torch.float64)
        for k, target in enumerate(question.targets):
            columns = question.applicable[k]
            penalty = None if self.penalty is None else self.penalty * max(1, len(target.parts))
            found = _exact if every else _sampled
            answer[:, k, columns] = found(keep[:, columns], scores[:, k], penalty)
        return answer[0], answer[1]


def _note_saturation(question: Question, scores: Float[Tensor, "p k"]) -> None:
    """Note if scores are of a space in which variants that are all but certain of a target look alike."""
    readout = getattr(question.runner, "readout", None)
    space = "" if readout is None else readout.space
    if space not in ("probability", "log-probability"):
        return
    most, k = (scores if space == "probability" else scores.exp()).max(0).values.max(0)
    if float(most) > SURE:
        question.note(
            f"Variants have a probability of up to {float(most):.3g} of {question.targets[int(k)].label!r}, where "
            f"scores of the space {space!r} hardly differ; score='log-odds', on which context-cite is defined, tells "
            "them apart."
        )


def _all_fit(question: Question, u: int, samples: int) -> bool:
    """Whether all 2^u variants are among so many samples and within the limit on rows."""
    room = samples if question.max_rows is None else min(samples, question.max_rows - question.rows)
    return u < 31 and 2**u <= room


def _exact(keep: Bool[Tensor, "p u"], scores: Float[Tensor, " p"], penalty: float | None) -> Float[Tensor, "2 u"]:
    """The lasso on all variants, whose columns are orthogonal: each weight is shrunk by itself."""
    pulls = (2 * keep.double() - 1).T @ scores / len(scores)
    weights = 2 * torch.nn.functional.softshrink(pulls, penalty or 0.0)
    return torch.stack([weights, torch.zeros_like(weights)])


def _sampled(keep: Bool[Tensor, "p u"], scores: Float[Tensor, " p"], penalty: float | None) -> Float[Tensor, "2 u"]:
    """The lasso on some variants. With less than four there is nothing to judge it by, and the errors are infinite."""
    if len(scores) < 4:
        return torch.stack([torch.zeros(keep.shape[1]), torch.full((keep.shape[1],), torch.inf)]).double()
    weights, error = fitted(keep.double().numpy(), scores.numpy(), penalty)
    return torch.stack([torch.from_numpy(weights), torch.from_numpy(error) * widening(len(scores) - 1)])
