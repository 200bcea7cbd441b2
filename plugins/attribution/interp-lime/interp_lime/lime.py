"""LIME: a weighted linear model of what happens when units are left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_core.statistics import check_sampling, portions
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Lime:
    """LIME: the weights of a linear model of the score on which units are kept, fitted close to the intact text.

    Variants are drawn as in the paper's code for text: the number of units to remove uniformly from 1 to u, then which.
    Each is weighted by its similarity to the intact text, exp(-(1 - cos)² / (2 kernel_width²)) with cos = sqrt(share of
    units kept), and a ridge regression of the scores on the kept units gives the weights.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it; they need
    not add up. Standard errors measure the distance from the weights of infinitely many variants; they are infinite
    where the variants do not determine the weights. The cost is at most `samples` rows of the model.

    Args:
        samples: maximum number of variants, at least 2, the intact text included. When all 2^u subsets fit, each is
            evaluated once and weighted by its probability of being drawn: the result is then that of infinitely many
            samples, and the seed has no effect.
        kernel_width: width of the similarity kernel, in units of cosine distance; positive.
        ridge: penalty on the squared weights; at least 0. It matters only where there are few more variants than units.
        tolerance: stop once no standard error is above it, in the unit of the score; positive. None takes all samples.
        seed: random seed of the variants.

    Raises:
        InputError: `samples` is below 2, `kernel_width` or `tolerance` is not positive, or `ridge` is negative.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="lime", targets="class 0")
        >>> [round(score, 2) for _, score in found.top(count=2)], found.exact
        ([3.0, -2.0], True)

    Source:
        Ribeiro et al. 2016, arXiv:1602.04938, equation 1 and section 3.4. Departs from it in that no features are
        selected first, since the units are few; in that repeated variants are evaluated once; and in that the intact
        text, evaluated once, counts as often as any other number of removed units, so that more samples refine one and
        the same result. Standard errors follow White 1980, Econometrica 48(4), with the leverages of MacKinnon, White
        1985 (HC3).
    """

    samples: int = 300
    kernel_width: float = 0.25
    ridge: float = 1e-6
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_sampling(self.samples, 2, self.tolerance)
        if self.kernel_width <= 0 or self.ridge < 0:
            raise InputError(f"{self}: a positive kernel_width and a ridge of at least 0 are needed.")

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target.

        Returns:
            The weights of the units, and their standard errors, which are 0 when all variants were evaluated.
        """
        u = len(question.units)
        if every_variant_fits(question, self.samples):
            keep = (torch.arange(2**u)[:, None] >> torch.arange(u)) % 2 == 1
            weight = draw_probability(keep) * similarity(keep, self.kernel_width)
            exact = weighted_ridge(keep.double(), question.masked(keep).double(), weight, self.ridge)
            return exact, torch.zeros_like(exact)
        generator = torch.Generator().manual_seed(self.seed)
        keep = torch.ones(1, u, dtype=torch.bool)
        found, error = torch.zeros(()), torch.zeros(())
        for count in portions(question.afford(self.samples - 1), self.tolerance):
            keep = torch.cat([keep, with_some_removed(count, u, generator)])
            weight = similarity(keep, self.kernel_width)
            weight[0] *= (len(keep) - 1) / u  # as often as another number of units removed
            fitted = keep.double(), question.masked(keep).double(), weight, self.ridge
            found, error = weighted_ridge(*fitted), standard_error(*fitted)
            if self.tolerance is not None and bool((error <= self.tolerance).all()):
                break
        return found, error


def every_variant_fits(question: Question, samples: int) -> bool:
    """Whether all 2^u variants are among so many samples and within the limit on rows."""
    u = len(question.units)
    room = samples if question.max_rows is None else min(samples, question.max_rows - question.rows)
    return u < 31 and 2**u <= room


def with_some_removed(count: int, u: int, generator: torch.Generator) -> Bool[Tensor, "p u"]:
    """Variants of which each number of units removed, from 1 to u, is equally likely."""
    gone = torch.randint(1, u + 1, (count, 1), generator=generator)
    place = torch.rand(count, u, generator=generator).argsort(dim=1).argsort(dim=1)
    return place >= gone


def draw_probability(keep: Bool[Tensor, "p u"]) -> Float[Tensor, " p"]:
    """How often each variant is drawn for every time that the intact one is taken: 1 / (u choose removed), times a
    constant.
    """
    u = torch.tensor(float(keep.shape[1]), dtype=torch.float64)
    gone = (~keep).sum(1).double()
    return torch.exp(torch.lgamma(gone + 1) + torch.lgamma(u - gone + 1) - torch.lgamma(u + 1))


def similarity(keep: Bool[Tensor, "p u"], width: float) -> Float[Tensor, " p"]:
    """Closeness to the intact text: 1 where everything is kept, falling with the number of units removed."""
    distance = 1 - keep.double().mean(dim=1).sqrt()
    return torch.exp(-(distance**2) / (2 * width**2))


def weighted_ridge(
    kept: Float[Tensor, "p u"], scores: Float[Tensor, "p k"], weight: Float[Tensor, " p"], ridge: float
) -> Float[Tensor, "k u"]:
    """Least squares with an intercept that is not penalised; of several solutions the shortest."""
    fitted: Tensor = scores.T @ pull_of(kept, weight, ridge)
    return fitted


def pull_of(kept: Float[Tensor, "p u"], weight: Float[Tensor, " p"], ridge: float) -> Float[Tensor, "p u"]:
    """How much the score of each variant moves each of the weights that are fitted."""
    share = (weight / weight.sum())[:, None]
    apart = kept - (share * kept).sum(0)
    spread = apart.T @ (share * apart) + ridge * torch.eye(kept.shape[1], dtype=kept.dtype)
    inverse: Tensor = torch.linalg.pinv(spread, hermitian=True)
    return share * (apart @ inverse)


def standard_error(
    kept: Float[Tensor, "p u"],
    scores: Float[Tensor, "p k"],
    weight: Float[Tensor, " p"],
    ridge: float,
) -> Float[Tensor, "k u"]:
    """How far the weights fitted are from those of ever more draws, where the first variant is fixed, not drawn.

    Each variant counts by what the fit without it would miss of its score. Infinite where the variants are too few to
    tell: no more different ones than unknowns, a unit that is always kept, or a weight that hangs on one variant alone.
    """
    p, u = kept.shape
    share, pull = (weight / weight.sum())[:, None], pull_of(kept, weight, ridge)
    apart, right = (values - (share * values).sum(0) for values in (kept, scores))
    leverage = (share + (pull * apart).sum(1, keepdim=True))[1:]
    unknown = len(kept.unique(dim=0)) <= u + 1 or int(torch.linalg.matrix_rank(apart.T @ apart, hermitian=True)) < u
    if unknown or float(leverage.max()) > 1 - 1e-9:
        return scores.new_full((scores.shape[1], u), torch.inf)
    missed = ((right - apart @ (pull.T @ right))[1:]) / (1 - leverage)  # (p - 1, k)
    pulled = pull[1:, None] * missed[:, :, None]  # (p - 1, k, u)
    error: Tensor = ((pulled - pulled.mean(0)).square().sum(0) * (p - 1) / (p - 2)).sqrt()
    return error
