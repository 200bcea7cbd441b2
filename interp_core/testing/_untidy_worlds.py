"""Planted worlds as untidy as real models: units of several features, features in no unit, large dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from interp_core.activations import Activations, of_rows
from interp_core.attribution import FunctionRunner, Question
from interp_core.model import Target
from interp_core.text import NO_UNIT, Unit
from jaxtyping import Float, Int
from torch import Tensor

WIDTH = 6  # of a feature
LARGE, OFFSET = 100.0, 5.0  # the size of a dimension that is a hundred times larger; the length of the common offset


def untidy_world(seed: int = 0, units: int = 8, targets: int = 2) -> tuple[Question, Float[Tensor, "k u"]]:
    """Make a question with linear scores whose features are as untidy as those of a real model.

    A unit has one to three features, and some units are several words; the first and last feature and one in the middle
    are in no unit. One dimension of a feature is a hundred times larger than the others, one hardly varies, and all
    features share an offset. The baseline is not zero, and for a feature in no unit it is the feature itself.

    Args:
        seed: the seed of the features and weights.
        units: the number u of units.
        targets: the number k of targets.

    Returns:
        The question, and the contribution of each unit to each target (k, u), weight times (feature - baseline).

    Examples:
        >>> from interp_core.testing import untidy_world
        >>> question, contributions = untidy_world(units=4)
        >>> question.unit_of
        tensor([-1,  0,  1,  1, -1,  2,  2,  2,  3, -1])
        >>> [unit.text for unit in question.units]
        ['w0', 'w1 w1', 'w2', 'w3']
        >>> torch.allclose(contributions.sum(1), question.intact() - question.emptied(), atol=1e-3)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    x, baseline, unit_of = _features(units, generator)
    weight = torch.randn(targets, len(x), WIDTH, generator=generator) / _sizes()
    question = _question(lambda v: torch.einsum("pfd,kfd->pk", v, weight) + 0.5, x, baseline, unit_of)
    return question, question.pool((weight * (x - baseline)).sum(-1))


def decided_world(seed: int = 0, units: int = 8, targets: int = 1) -> tuple[Question, Float[Tensor, "k u"]]:
    """The same, with scores that are above 0 for the intact text and as far below 0 for the emptied one."""
    question, truth = untidy_world(seed, units, targets)
    runner = question.runner
    assert isinstance(runner, FunctionRunner)
    ends = question.intact(), question.emptied()
    sign, middle = (ends[0] - ends[1]).sign(), (ends[0] + ends[1]) / 2
    decided = _question(lambda v: sign * (runner.function(v) - middle), question.x, question.baseline, question.unit_of)
    return decided, truth * sign[:, None]


def lone_world(units: int, place: int, seed: int = 0) -> Question:
    """A question as untidy, with one target whose score depends on a single unit, and on that one's last feature only.

    The score is 0 for the baseline and 1.5 for the intact text, and curved in between: z + z²/2, where z is linear.
    """
    x, baseline, unit_of = _features(units, torch.Generator().manual_seed(seed))
    last = int((unit_of == place).nonzero()[-1])
    way = (x - baseline)[last] / _sizes().square()
    way = way / (way @ (x - baseline)[last])

    def curved(v: Tensor) -> Tensor:
        z = (v[:, last] - baseline[last]) @ way
        return (z + z.square() / 2)[:, None]

    return _question(curved, x, baseline, unit_of)


def _sizes() -> Float[Tensor, " d"]:
    """The standard deviation of each dimension."""
    sizes = torch.ones(WIDTH)
    sizes[1], sizes[2] = LARGE, 0.01
    return sizes


def _features(
    units: int, generator: torch.Generator
) -> tuple[Float[Tensor, "f d"], Float[Tensor, "f d"], Int[Tensor, " f"]]:
    owners = [NO_UNIT]
    for unit in range(units):
        owners += [NO_UNIT] * (unit == units // 2) * (units > 1) + [unit] * (1 + unit % 3)
    unit_of = torch.tensor([*owners, NO_UNIT])
    offset = OFFSET * torch.nn.functional.normalize(torch.randn(WIDTH, generator=generator), dim=0)
    x = offset + torch.randn(len(unit_of), WIDTH, generator=generator) * _sizes()
    absent = offset + torch.randn(WIDTH, generator=generator) * _sizes()
    return x, torch.where((unit_of == NO_UNIT)[:, None], x, absent), unit_of


def _question(
    function: Callable[[Float[Tensor, "p f d"]], Float[Tensor, "p k"]],
    x: Float[Tensor, "f d"],
    baseline: Float[Tensor, "f d"],
    unit_of: Int[Tensor, " f"],
) -> Question:
    names = [f"w{i} w{i}" if i % 4 == 1 else f"w{i}" for i in range(int(unit_of.max()) + 1)]
    starts = [sum(len(name) + 1 for name in names[:i]) for i in range(len(names))]
    units = [Unit(name, start, start + len(name)) for name, start in zip(names, starts, strict=True)]
    with torch.no_grad():
        targets = [Target(f"y{k}", k) for k in range(function(x[None]).shape[1])]
    runner = FunctionRunner(function, x, baseline, unit_of)
    return Question(runner, x=x, baseline=baseline, unit_of=unit_of, units=units, targets=targets, text=" ".join(names))


def untidy_rows(
    seed: int = 0, rows: int = 160, classes: int = 2, width: int = 12
) -> tuple[Activations, Float[Tensor, "k d"]]:
    """Make labelled activations as untidy as those of a transformer, with a planted direction for each class.

    Two dimensions are a hundred times larger than the others, three hardly vary, and all rows share an offset. The rows
    of a class are shifted along the direction of the class. The hardly varying dimensions shift with the class too, by
    half their standard deviation, so that a method that standardises each dimension is drawn to them although no model
    would notice.

    Args:
        seed: the seed of the activations and the directions.
        rows: the number n of rows, at least four for each class.
        classes: the number k of classes, of equal size.
        width: the width d of a row, at least k + 6.

    Returns:
        The activations (n, d), labelled with classes `class 0`, `class 1`, …, and the directions (k, d), of length 1,
        orthogonal to the offset; 0 in the dimensions that are large or hardly vary.

    Examples:
        >>> from interp_core.testing import untidy_rows
        >>> activations, directions = untidy_rows(classes=2)
        >>> activations.matrix().std(0).aminmax().max / activations.matrix().std(0).aminmax().min > 1e4
        tensor(True)
        >>> means = [activations.of_class(c, by="labels").matrix().mean(0) for c in (0, 1)]
        >>> bool((means[0] - means[1]) @ directions[0] > 1)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.ones(width)
    sizes[:2], sizes[2:5] = LARGE, 0.001
    labels = torch.arange(rows) % classes
    noise = torch.randn(rows, width, generator=generator)
    for c in range(classes):  # the class says nothing but what is planted
        noise[labels == c] -= noise[labels == c].mean(0)
    planted = torch.zeros(width, classes + 1)
    planted[5:] = torch.linalg.qr(torch.randn(width - 5, classes + 1, generator=generator)).Q
    directions, offset = planted[:, :classes].T.contiguous(), OFFSET * planted[:, classes]
    moved = 2.0 * directions[labels]
    moved[:, 2:5] = 0.5 * sizes[2:5] * (2.0 * labels[:, None] - classes + 1) / max(1, classes - 1)
    names = tuple(f"class {c}" for c in range(classes))
    return of_rows(offset + noise * sizes + moved, labels=labels, class_names=names), directions
