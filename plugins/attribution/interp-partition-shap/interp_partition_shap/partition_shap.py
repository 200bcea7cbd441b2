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
    """Owen values: Shapley values in which only the orders count that keep each branch of a tree together.

    The text is divided into two groups of neighbouring sentences, these again down to single sentences, then into
    clauses, words and units; where the units are no pieces of a text, into halves. The two parts of a group share what
    it adds: each gets the mean of what it adds without the other and with it, and so on within the part, in both of
    these contexts. Each level down has twice as many contexts: to divide a group at depth l takes 2 · 2^l variants,
    about 2/3 u² for all u units, where Shapley values take 2^u. On an additive score the two are equal. The
    scores always add up to score(intact) - score(emptied).

    When `samples` (or the cap on rows) does not suffice, the tree is followed level by level as far as it does, on the
    last level those groups first that leave most open. What a group that is not divided adds is then exact, and its
    units share it equally. Nothing is drawn at random, but the error says what is not known: the standard deviation
    of a unit's score if in each context one unit of the group, any of them, added all of it. It is 0 for units
    that were reached.

    Args:
        samples: how many variants at most, the intact and the empty text included; 512 are all that 24 units need, if
            the tree is balanced.

    Source: Owen 1977, Values of games with a priori unions, for two unions within two unions, and so on; the
        recursion, and equal shares where it ends, are those of the Partition explainer of shap (Lundberg 2020).
        Departs from it in its tree, in that it goes level by level, and in giving an error.
    """

    samples: int = 512

    def __post_init__(self) -> None:
        check_sampling(self.samples, 4, None)

    def attribute(self, question: Question) -> tuple[Float[Tensor, "k u"], Float[Tensor, "k u"]]:
        """Signed scores, and what equal shares leave open. A unit that matters to no target takes no part."""
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
