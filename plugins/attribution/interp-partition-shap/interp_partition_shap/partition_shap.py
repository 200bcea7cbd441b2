"""Partition SHAP: Owen values down the tree of the sentences, clauses, words and units of a text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.attribution import Question
from interp_core.statistics import check_sampling
from jaxtyping import Bool, Float
from torch import Tensor

from interp_partition_shap.tree import Branch, grown, levels_of


@dataclass(frozen=True)
class PartitionShap:
    """Partition SHAP: Owen values, Shapley values over only those orders that keep the branches of a tree together.

    The text is divided into two groups of neighbouring sentences, these in turn down to single sentences, then into
    clauses, words and units; units that are no pieces of a text are halved. The two parts of a group share what the
    group adds: each gets the mean of what it adds without the other part and with it, and so on within the part, in
    both of these contexts.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it. They always
    add up to score(intact) - score(emptied), and equal Shapley values where the score is additive. To divide a group at
    depth l takes 2 · 2^l variants, since each level doubles the contexts; all u units take about 2/3 u² variants, where
    Shapley values take 2^u.

    When `samples` or `max_rows` does not suffice, the tree is followed level by level as far as it does, on the last
    level in the order of how much a group leaves open. What an undivided group adds is then exact, and its units share
    it equally. Nothing is drawn at random; the error of such a unit is the standard deviation its score would have if,
    in each context, a single random unit of the group added everything. Units that were reached have the error 0.

    Args:
        samples: maximum number of variants, at least 4, the intact and the empty text included. 512 suffice for 24
            units if the tree is balanced.

    Raises:
        InputError: `samples` is below 4.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="partition-shap", targets="class 0")
        >>> found.scores, found.exact
        (tensor([[ 3.,  0., -2.]]), True)

    Source:
        Owen 1977, Values of games with a priori unions, applied to unions within unions. The recursion, and equal
        shares where it ends, are those of the Partition explainer of shap (Lundberg 2020). Departs from it in its tree,
        in going level by level, and in giving an error.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, None)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Score every unit for every target. A unit that is applicable to no target takes no part.

        Returns:
            Signed scores, and the error that equal shares leave, which is 0 for units that were reached.
        """
        able = question.applicable.any(dim=0)
        members = able.nonzero().flatten().tolist()
        root = Group.root(grown(members, levels_of(question.text, question.units)), question)
        room = question.afford(self.samples - 2) if root.branch.parts else 0
        answer = torch.zeros(2, *question.applicable.shape, dtype=torch.float64)
        level = [root]
        while level:
            level.sort(key=lambda group: float(group.open(question.applicable).sum()), reverse=True)
            divided = []
            for group in level:
                if group.branch.parts and group.cost <= room:
                    divided.append(group)
                    room -= group.cost
                else:
                    answer[:, :, list(group.branch.units)] = group.shares(question.applicable)
            level = divide(divided, question)
        return answer[0], answer[1]


@dataclass(frozen=True, eq=False)
class Group:
    """A branch of the tree in all its contexts.

    Attributes:
        branch: the units.
        without: (c, n) for each context the units that are there before those of the branch.
        before: (c, k) the scores without the units of the branch.
        after: (c, k) the scores with them.
    """

    branch: Branch
    without: Bool[Tensor, "c n"]
    before: Float[Tensor, "c k"]
    after: Float[Tensor, "c k"]

    @classmethod
    def root(cls, branch: Branch, question: Question) -> Group:
        """All units, in the only context there is."""
        nothing = torch.zeros(1, len(question.units), dtype=torch.bool)
        return cls(branch, nothing, question.emptied()[None].double(), question.intact()[None].double())

    @property
    def cost(self) -> int:
        """How many variants it takes to divide it."""
        return 2 * len(self.without)

    def open(self, applicable: Bool[Tensor, "k n"]) -> Float[Tensor, " k"]:
        """The standard deviation of a unit's score if one of those that matter, any of them, added all."""
        count = applicable[:, list(self.branch.units)].sum(dim=1).clamp(min=1)
        return (self.after - self.before).square().mean(dim=0).sqrt() * (count - 1).sqrt() / count

    def shares(self, applicable: Bool[Tensor, "k n"]) -> Float[Tensor, "2 k m"]:
        """What the group adds on average over its contexts, in equal shares, and what that leaves open."""
        matter = applicable[:, list(self.branch.units)]
        share = (self.after - self.before).mean(dim=0) / matter.sum(dim=1).clamp(min=1)
        return torch.stack([share, self.open(applicable)])[:, :, None] * matter

    def with_part(self, which: int) -> Bool[Tensor, "c n"]:
        """The contexts with one of the two parts."""
        keep = self.without.clone()
        keep[:, list(self.branch.parts[which].units)] = True
        return keep


def divide(groups: list[Group], question: Question) -> list[Group]:
    """The two parts of each group: in each of its contexts, one part comes before the other or after it."""
    if not groups:
        return []
    keep = [group.with_part(which) for group in groups for which in (0, 1)]
    scores = list(question.masked(torch.cat(keep)).double().split([len(k) for k in keep]))
    parts = []
    for i, group in enumerate(groups):
        for own, other in ((2 * i, 2 * i + 1), (2 * i + 1, 2 * i)):
            parts.append(
                Group(
                    group.branch.parts[own % 2],
                    torch.cat([group.without, keep[other]]),
                    torch.cat([group.before, scores[other]]),
                    torch.cat([scores[own], group.after]),
                )
            )
    return parts
