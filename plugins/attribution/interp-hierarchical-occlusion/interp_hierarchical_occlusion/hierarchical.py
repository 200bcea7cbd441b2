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
    """Hierarchical occlusion: score(intact) - score(without the unit), for the units of the groups that matter most.

    A group is a document; in a text without documents a message, else a paragraph; a text of one paragraph is divided
    into about √u runs of consecutive units. Each group is left out as a whole. The groups that change the score most
    are then opened: each of their units is left out by itself with all else in place, as in occlusion. With up to 32
    units each unit is a group, and the scores are those of occlusion.

    Scores are in the unit of the score space; positive ones speak for the target, negative ones against it; they need
    not add up. Units of groups that are not opened have the score 0, which a note says. Like occlusion, the method does
    not see units that stand in for each other; a note says where groups do. The cost is one row for each group, and one
    for each unit of the groups that are opened.

    Args:
        share: least part of the groups' absolute changes, added up, that the opened groups hold, for each target; above
            0 and up to 1. With `max_rows`, as many groups are opened as fit.

    Raises:
        InputError: `share` is not above 0 and up to 1.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (found,) = interp.attribute(model, "happy not sad", by="hierarchical-occlusion", targets="class 0")
        >>> found.scores
        tensor([[ 3.,  0., -2.]])

    Source:
        Liu, Kandpal, Raffel 2024, arXiv:2411.15102 (AttriBoT), section 3.3, hierarchical attribution; without its
        pruning and proxy models, so that scores are those of occlusion.
    """

    share: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share}; a number above 0 and up to 1 was expected.")

    def attribute(self, question: Question) -> Float[Tensor, "k u"]:
        """Score every unit for every target: one variant for each group, and one for each unit of the opened groups.

        Returns:
            Signed scores, 0 for units of groups that were not opened.
        """
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
