"""Which columns of the projections of an attention are the queries, keys and values of which heads."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from interp_core.model import Site, WrappedModel, calling_here, module_at
from torch import Tensor

Group = tuple[int, int]  # the number of a group of heads, and how many there are
Columns = list[tuple[str, Group, str, slice]]  # "Q", "K" or "V", the group, the projection and its columns
_APART = re.compile(r"w?(q|k|v)(uery|ey|alue)?(_?(proj|lin|layer))?")


def columns_of(model: WrappedModel, site: Site, linear: Sequence[str]) -> Columns:
    """The columns of each head, or group of heads that share keys and values.

    Three projections are told apart by their names; those in one are where they must be for a change of them to reach
    the heads that it should, which is tried.

    Args:
        model: the model, at rest.
        site: the heads.
        linear: the paths of the projections that the attention is read with.

    Returns:
        In the order queries, keys, values; empty if they cannot be told apart.
    """
    heads = len(site.names)
    named = {m[1].upper(): path for path in linear if (m := _APART.fullmatch(path.rpartition(".")[2].lower()))}
    if len(linear) == 3 and named.keys() == {"Q", "K", "V"}:
        widths = {letter: _width(model, path) for letter, path in named.items()}
        size = widths["V"] // groups if (groups := _groups(widths, heads)) else 0
        if not size:
            return []
        counts = {"Q": heads, "K": groups, "V": groups}
        return [
            (letter, (i, counts[letter]), named[letter], _block(i, widths[letter] // counts[letter]))
            for letter in "QKV"
            for i in range(counts[letter])
        ]
    if len(linear) != 1:
        return []
    blocks = _width(model, linear[0]) * heads // site.width
    groups, odd = divmod(blocks - heads, 2)
    if odd or groups < 1 or heads % groups or blocks * site.width != _width(model, linear[0]) * heads:
        return []
    for order in (_one_after_the_other(heads, groups), _group_by_group(heads, groups)):
        if _reaches(model, site, linear[0], order):
            size = site.width // heads
            found = [(letter, group, linear[0], _block(i, size)) for i, (letter, group) in enumerate(order)]
            return sorted(found, key=lambda one: ("QKV".index(one[0]), one[1][0]))
    return []


def _width(model: WrappedModel, path: str) -> int:
    module = module_at(model.model, path)
    weight = module.get_parameter("weight")
    return int(weight.shape[1] if type(module).__name__ == "Conv1D" else weight.shape[0])


def _groups(widths: dict[str, int], heads: int) -> int:
    """How many groups of heads share keys and values; 0 if the widths do not tell."""
    size, rest = divmod(widths["Q"], heads)
    if rest or widths["K"] % size or heads % (widths["K"] // size):
        return 0
    groups = widths["K"] // size
    return 0 if widths["V"] % groups else groups


def _block(number: int, size: int) -> slice:
    return slice(number * size, (number + 1) * size)


def _one_after_the_other(heads: int, groups: int) -> list[tuple[str, Group]]:
    """All queries, then all keys, then all values, as GPT-2 and Phi-3 have them."""
    counts = {"Q": heads, "K": groups, "V": groups}
    return [(letter, (i, count)) for letter, count in counts.items() for i in range(count)]


def _group_by_group(heads: int, groups: int) -> list[tuple[str, Group]]:
    """For each group its queries, keys and values, as GPT-NeoX, BLOOM and Falcon have them."""
    each = heads // groups
    return [
        part
        for g in range(groups)
        for part in (*(("Q", (g * each + i, heads)) for i in range(each)), ("K", (g, groups)), ("V", (g, groups)))
    ]


def _reaches(model: WrappedModel, site: Site, path: str, order: Sequence[tuple[str, Group]]) -> bool:
    """Whether a change of each block, at one token, reaches only the heads that it should; of values, all of them."""
    ids = model.some_ids()
    rows = len(order) + 1
    size = site.width // len(site.names)
    seen: list[Tensor] = []
    meant = calling_here()

    def disturb(_module: object, _inputs: object, output: Tensor) -> Tensor:
        if not meant():
            return output
        changed = output.clone()
        for row in range(len(order)):
            changed[row, 1, _block(row, size)] += 1 + output[row, 1].abs().mean()
        return changed

    def note(_module: object, inputs: tuple[Tensor, ...]) -> None:
        if meant():
            seen.append(inputs[0])

    hooks = [
        module_at(model.model, path).register_forward_hook(disturb),
        module_at(model.model, site.path).register_forward_pre_hook(note),
    ]
    try:
        model.forward(ids.expand(rows, -1), torch.ones_like(ids).expand(rows, -1))
    finally:
        for hook in hooks:
            hook.remove()
    heads = (seen[0][:-1] - seen[0][-1]).unflatten(-1, (len(site.names), size))  # (blocks, t, h, width)
    moved = heads.abs().amax((1, 3)) > 1e-6 * float(seen[0].abs().max())  # (blocks, h)
    for row, (letter, (group, count)) in enumerate(order):
        each = len(site.names) // count
        own = torch.zeros_like(moved[row])
        own[group * each : (group + 1) * each] = True
        if bool((moved[row] & ~own).any()) or (letter == "V" and not torch.equal(moved[row], own)):
            return False
    return True
