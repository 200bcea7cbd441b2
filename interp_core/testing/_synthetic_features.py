"""A planted world like the inside of a language model: more features than dimensions, most of them rare, many of them
parts of others.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.errors import InputError
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

EXPONENT, MOST = 0.5, 0.4  # of Zipf's law for the probabilities, and the highest of them
TREES, BRANCHES, IN_TREES = 32, 4, 2 / 3  # features to a tree, children of a node, share of the features in trees
FACTORS, SHARED = 8, 0.25  # of the copula: its rank, and the variance that is shared
NOISE, OFFSET = 0.01, 2.0  # of a coordinate; length of what all rows have in common
SPREADING = 100  # steps that take the directions apart
BLOCK = 4096


class SyntheticSpace(ConceptSpace):
    """The planted features. It knows the codes of the rows of its own world, by their bits, and of no others.

    Args:
        dictionary: (c, d), directions of length 1, more than there are dimensions.
        mean: (d), what all rows have in common.
        probability: (c), how often each feature fires, about.
        parent: (c), the feature without which each does not fire; -1 if none.
        keys: (n), a number for each row, ascending.
        place: (n), which row each key is of.
        start: (n + 1), where the codes of each row begin.
        feature: (m), which feature each code is of.
        size: (m), how large it is, above 0.
    """

    mean: Tensor
    probability: Tensor
    parent: Tensor
    keys: Tensor
    place: Tensor
    start: Tensor
    feature: Tensor
    size: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], **known: Tensor) -> None:
        super().__init__(dictionary)
        for name in ("mean", "probability", "parent", "keys", "place", "start", "feature", "size"):
            self.register_buffer(name, known[name])

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The codes that the rows were made of.

        Raises:
            InputError: a row is not of this world.
        """
        keys = _keys(values)
        at = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        strange = int((self.keys[at] != keys).sum())
        if strange:
            raise InputError(f"{strange} of {len(values)} rows are not of this world; their codes are not known.")
        rows = self.place[at]
        counts = self.start[rows + 1] - self.start[rows]
        which = torch.repeat_interleave(torch.arange(len(rows)), counts)
        inside = torch.arange(len(which)) - (counts.cumsum(0) - counts)[which]
        held = self.start[rows][which] + inside
        codes = torch.zeros(len(rows), self.concepts)
        codes[which, self.feature[held]] = self.size[held]
        return codes

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return codes @ self.dictionary + self.mean


def synthetic_world(
    seed: int = 0,
    rows: int = 20_000,
    *,
    features: int = 512,
    width: int = 128,
    active: float = 12.0,
    part: int = 0,
) -> tuple[Activations, SyntheticSpace]:
    """Rows made of many features in few dimensions, and the features with the codes of each row.

    Features fire by Zipf's law (at most in 0.4 of the rows), together or apart by a Gaussian copula of low rank. Two
    thirds of them stand in trees, in which one fires only where its parent does. How strongly varies from feature to
    feature and from row to row. Directions have length 1 and are as far apart as a hundred steps of descent bring them.

    Args:
        seed: of the features.
        rows: how many; more rows begin with the same ones.
        features: how many.
        width: of a row.
        active: how many features a row holds on average, about.
        part: of the rows: another part has other rows of the same features.

    Source: Chanin, Garriga-Alonso 2026, arXiv:2602.14687 (SynthSAEBench), on a smaller scale, with siblings that do not
    exclude one another, and with noise of 0.01 on each coordinate.
    """
    generator = torch.Generator().manual_seed(seed)
    dictionary = _spread(torch.randn(features, width, generator=generator))
    probability, parent = _frequencies(features, active), _forest(features, generator)
    loading = normalize(torch.randn(features, FACTORS, generator=generator), dim=1) * SHARED**0.5
    strength = 0.5 + torch.rand(features, generator=generator)
    mean = OFFSET * normalize(torch.randn(width, generator=generator), dim=0)
    draws = torch.Generator().manual_seed((seed + 1) * 1_000_003 + part)
    values: list[Tensor] = []
    counts, feature, size = [], [], []
    for lit in _firing(probability, parent, loading, draws, rows):
        codes = lit * strength * (1 + 0.3 * torch.randn(lit.shape, generator=draws)).clamp(min=0.1)
        noise = NOISE * torch.randn(len(lit), width, generator=draws)
        left = min(len(lit), rows - BLOCK * len(values))
        codes = codes[:left]
        values.append(codes @ dictionary + mean + noise[:left])
        held = codes.nonzero()
        counts.append((codes > 0).sum(1))
        feature.append(held[:, 1])
        size.append(codes[held[:, 0], held[:, 1]])
    activations = of_rows(torch.cat(values))
    keys = _keys(activations.matrix()).sort()
    start = torch.cat([torch.zeros(1, dtype=torch.long), torch.cat(counts).cumsum(0)])
    rest = {"keys": keys.values, "place": keys.indices, "start": start, "feature": torch.cat(feature)}
    known = {"mean": mean, "probability": probability, "parent": parent, "size": torch.cat(size), **rest}
    return activations, SyntheticSpace(dictionary, **known)


def _spread(noise: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
    """Directions that were taken apart: descent on the squares of their cosines."""
    found = normalize(noise, dim=1)
    for _ in range(SPREADING):
        cosine = (found @ found.T).fill_diagonal_(0.0)
        found = normalize(found - 0.1 * cosine @ found, dim=1)
    return found


def _frequencies(features: int, active: float) -> Float[Tensor, " c"]:
    """Probabilities by Zipf's law that add up to `active` before they are capped."""
    weight = torch.arange(1, features + 1, dtype=torch.float32) ** -EXPONENT
    return (active * weight / weight.sum()).clamp(max=MOST)


def _forest(features: int, generator: torch.Generator) -> Int[Tensor, " c"]:
    """A parent for each feature, which fires more often than it does."""
    members = torch.randperm(features, generator=generator)[: int(IN_TREES * features)].sort().values
    roots = max(1, len(members) // TREES)
    parent = torch.full((features,), -1)
    for place in range(roots, len(members)):
        parent[members[place]] = members[(place - roots) // BRANCHES]
    return parent


def _firing(
    probability: Float[Tensor, " c"],
    parent: Int[Tensor, " c"],
    loading: Float[Tensor, "c r"],
    draws: torch.Generator,
    rows: int,
) -> Iterator[Tensor]:
    """Which features fire in each row, a block at a time."""
    child = parent >= 0
    given = torch.where(child, probability / probability[parent.clamp(min=0)], probability).clamp(max=1 - 1e-6)
    level = torch.special.ndtri(1 - given.double()).float()
    own = (1 - SHARED) ** 0.5
    for _ in range(0, rows, BLOCK):
        together = torch.randn(BLOCK, loading.shape[1], generator=draws) @ loading.T
        lit = together + own * torch.randn(BLOCK, len(level), generator=draws) > level
        for feature in child.nonzero().flatten().tolist():  # parents come first
            lit[:, feature] &= lit[:, parent[feature]]
        yield lit


def _keys(values: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """A number for each row that depends on all of its bits, and on no rounding."""
    bits = values.detach().float().contiguous().view(torch.int32).long()
    factor = torch.randint(2**62, (values.shape[1],), generator=torch.Generator().manual_seed(7)) * 2 + 1
    return (bits * factor).sum(1)
