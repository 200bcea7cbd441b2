"""Hierarchical occlusion: groups of units are left out one by one, then the units of the groups that matter."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import torch
from interp_core.attribution import Question
from interp_core.errors import InputError
from interp_occlusion.redundancy import note_redundancy
from jaxtyping import Bool, Float, Int
from torch import Tensor

FEW = 32  # units; leaving out each of so few costs little more than looking for those that matter


@dataclass(frozen=True)
class HierarchicalOcclusion:
    """score(intact) - score(without the unit), for the units of groups without which the score changes most.

    A group is a document; where there is none a message, else a paragraph; in a text of one paragraph, as many
    consecutive units as there are groups. Each group is left out as a whole. Then groups are opened, those that change
    the score most first, and each of their units is left out with all else in place, as in occlusion. Units of groups
    that are not opened get 0, which a note says. With up to 32 units all groups are opened.

    Like occlusion it does not see units that stand in for each other; a note says where groups do.

    Args:
        share: of the changes of the groups, added up without signs, that the groups which are opened hold at least, for
            each target. With a limit on rows, as many are opened as fit.

    Source: Liu, Kandpal, Raffel 2024, arXiv:2411.15102 (AttriBoT), section 3.3, hierarchical attribution; without its
        pruning and its proxy models, so that the scores are those of occlusion.
    """

    share: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share}; a number above 0 and up to 1 was expected.")

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """One variant a group, and one a unit of the groups that are opened."""
        number = _affordable(question, _numbers(question))
        groups = number[None] == torch.arange(int(number.max()) + 1)[:, None]  # (g, u)
        changes = question.intact()[:, None] - question.masked(~groups).T  # (k, g)
        opened = _opened(question, groups, changes, self.share)
        single = groups.sum(1) == 1
        scores = torch.zeros(len(changes), len(number))
        for g in single.nonzero().flatten().tolist():
            scores[:, groups[g]] = changes[:, g : g + 1]
        inside = groups[opened & ~single].any(0).nonzero().flatten()
        if len(inside):
            keep = torch.ones(len(inside), len(number), dtype=torch.bool)
            keep[torch.arange(len(inside)), inside] = False
            scores[:, inside] = question.intact()[:, None] - question.masked(keep).T
        closed = ~(opened | single)
        if bool(closed.any()):
            held = float((changes[:, closed].abs().sum(1) / changes.abs().sum(1).clamp(min=1e-12)).max())
            question.note(
                f"{int(groups[closed].sum())} units are in the {int(closed.sum())} of {len(groups)} groups that were "
                f"not opened, and have the score 0. Up to {held:.0%} of what leaving out groups changes is theirs."
            )
        note_redundancy(question, changes, groups)
        return scores


def _numbers(question: Question) -> Int[Tensor, " u"]:
    """The number of the group of each unit, from 0."""
    u = len(question.units)
    if u <= FEW:
        return torch.arange(u)
    given: Tensor = question.groups.unique(return_inverse=True)[1]
    if 0 < int(given.max()) < u - 1:
        return given
    return torch.arange(u) * isqrt(u) // u


def _affordable(question: Question, number: Int[Tensor, " u"]) -> Int[Tensor, " u"]:
    """Fewer groups, of neighbours, where the limit on rows leaves no room for those that there are and some units."""
    count = int(number.max()) + 1
    room = question.afford(count)
    return number if room == count else number * ((room + 1) // 2) // count


def _opened(
    question: Question, groups: Bool[Tensor, "g u"], changes: Float[Tensor, "k g"], share: float
) -> Bool[Tensor, " g"]:
    """The groups that change the score most, until they hold their share for each target or no row is left."""
    opened = torch.zeros(len(groups), dtype=torch.bool)
    total = changes.abs().sum(1)
    room = None if question.max_rows is None else question.max_rows - question.rows
    relative = (changes.abs() / total.clamp(min=1e-12)[:, None]).max(0).values
    for g in relative.argsort(descending=True, stable=True).tolist():
        if bool((changes[:, opened].abs().sum(1) >= share * total).all()):
            break
        cost = 0 if int(groups[g].sum()) == 1 else int(groups[g].sum())
        if room is not None and cost > room:
            continue
        opened[g] = True
        room = None if room is None else room - cost
    return opened
