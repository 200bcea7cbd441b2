"""A planted world that resembles the activations of language models: more features than dimensions, most rare, many
of them in hierarchies.
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

EXPONENT, MOST = 0.5, 0.4  # of Zipf's law for the probabilities, and the highest probability
TREES, BRANCHES, IN_TREES = 32, 4, 2 / 3  # features of a tree, children of a node, share of the features in trees
FACTORS, SHARED = 8, 0.25  # of the copula: its rank, and the shared variance
NOISE, OFFSET = 0.01, 2.0  # standard deviation of the noise of a coordinate; length of the mean of all rows
SPREADING = 100  # descent steps that spread the directions
ROWS_AT_A_TIME = 4096


class SyntheticSpace(ConceptSpace):
    """The planted features of a synthetic world, which encode only rows of this world, recognised by their bits.

    Args:
        dictionary: (c, d) the directions, of length 1, more than there are dimensions.
        **known: the other tensors, by the names of the attributes.

    Attributes:
        mean: (d) the mean, added to all rows.
        probability: (c) the approximate probability that each feature fires.
        parent: (c) the feature without which each feature does not fire; -1 if none.
        keys: (n) a hash of each row, ascending.
        place: (n) the row of each key.
        start: (n + 1) where the codes of each row begin.
        feature: (m) the feature of each code.
        size: (m) the value of each code, above 0.

    Examples:
        >>> from interp_core.testing import synthetic_world
        >>> activations, space = synthetic_world(rows=50, features=32, width=16, active=4.0)
        >>> values = activations.matrix()
        >>> float((space(values) - values).abs().max()) < 0.1  # codes are exact, rows have noise
        True
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
        """Look up the codes (n, c) from which the rows (n, d) were made.

        Raises:
            InputError: a row is not from this world.
        """
        keys = _keys(values)
        at = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        unknown = int((self.keys[at] != keys).sum())
        if unknown:
            raise InputError(f"{unknown} of {len(values)} rows are not of this world; their codes are not known.")
        rows = self.place[at]
        counts = self.start[rows + 1] - self.start[rows]
        row_of = torch.repeat_interleave(torch.arange(len(rows)), counts)  # the row of each code
        within = torch.arange(len(row_of)) - (counts.cumsum(0) - counts)[row_of]
        entries = self.start[rows][row_of] + within
        codes = torch.zeros(len(rows), self.concepts)
        codes[row_of, self.feature[entries]] = self.size[entries]
        return codes

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        """Reconstruct activations (n, d) from codes (n, c)."""
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
    """Make activations of more features than there are dimensions (superposition).

    Firing frequencies follow Zipf's law (at most 40 % of the rows); a Gaussian copula of low rank correlates features.
    Two thirds of the features are in trees and fire only if their parent does. Strength varies between features and
    between rows. Directions have length 1 and are spread by gradient descent on their squared cosines.

    Args:
        seed: the seed of the features.
        rows: the number n of rows. A world with more rows begins with the same ones.
        features: the number c of features.
        width: the width d of a row.
        active: the approximate mean number of active features in a row.
        part: the number of the part; each part has different rows of the same features, for example for a test set.

    Returns:
        The activations (n, d), and the space that knows the codes of each row.

    Examples:
        >>> from interp_core.testing import synthetic_world
        >>> activations, space = synthetic_world(rows=100, features=64, width=16, active=4.0)
        >>> activations.matrix().shape, space.dictionary.shape
        (torch.Size([100, 16]), torch.Size([64, 16]))
        >>> codes = space.encode(activations.matrix())
        >>> child = int((space.parent >= 0).nonzero()[0])
        >>> bool((codes[codes[:, child] > 0][:, space.parent[child]] > 0).all())  # its parent fires as well
        True

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
    for fires in _firing(probability, parent, loading, draws, rows):
        codes = fires * strength * (1 + 0.3 * torch.randn(fires.shape, generator=draws)).clamp(min=0.1)
        noise = NOISE * torch.randn(len(fires), width, generator=draws)
        left = min(len(fires), rows - ROWS_AT_A_TIME * len(values))
        codes = codes[:left]
        values.append(codes @ dictionary + mean + noise[:left])
        entries = codes.nonzero()
        counts.append((codes > 0).sum(1))
        feature.append(entries[:, 1])
        size.append(codes[entries[:, 0], entries[:, 1]])
    activations = of_rows(torch.cat(values))
    keys = _keys(activations.matrix()).sort()
    start = torch.cat([torch.zeros(1, dtype=torch.long), torch.cat(counts).cumsum(0)])
    rest = {"keys": keys.values, "place": keys.indices, "start": start, "feature": torch.cat(feature)}
    known = {"mean": mean, "probability": probability, "parent": parent, "size": torch.cat(size), **rest}
    return activations, SyntheticSpace(dictionary, **known)


def _spread(noise: Float[Tensor, "c d"]) -> Float[Tensor, "c d"]:
    """Directions of length 1, spread by gradient descent on their squared cosines."""
    directions = normalize(noise, dim=1)
    for _ in range(SPREADING):
        cosine = (directions @ directions.T).fill_diagonal_(0.0)
        directions = normalize(directions - 0.1 * cosine @ directions, dim=1)
    return directions


def _frequencies(features: int, active: float) -> Float[Tensor, " c"]:
    """Probabilities by Zipf's law that add up to `active` before they are capped."""
    weight = torch.arange(1, features + 1, dtype=torch.float32) ** -EXPONENT
    return (active * weight / weight.sum()).clamp(max=MOST)


def _forest(features: int, generator: torch.Generator) -> Int[Tensor, " c"]:
    """The parent of each feature, which fires more often than the feature itself; -1 if it has none."""
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
    """Which features fire in each row (rows, c), for `ROWS_AT_A_TIME` rows at a time."""
    child = parent >= 0
    given_parent = torch.where(child, probability / probability[parent.clamp(min=0)], probability).clamp(max=1 - 1e-6)
    threshold = torch.special.ndtri(1 - given_parent.double()).float()
    own = (1 - SHARED) ** 0.5
    for _ in range(0, rows, ROWS_AT_A_TIME):
        shared = torch.randn(ROWS_AT_A_TIME, loading.shape[1], generator=draws) @ loading.T
        fires = shared + own * torch.randn(ROWS_AT_A_TIME, len(threshold), generator=draws) > threshold
        for feature in child.nonzero().flatten().tolist():  # parents come first
            fires[:, feature] &= fires[:, parent[feature]]
        yield fires


def _keys(values: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """A number for each row that depends on all of its bits, so that equal rows have equal numbers."""
    bits = values.detach().float().contiguous().view(torch.int32).long()
    factor = torch.randint(2**62, (values.shape[1],), generator=torch.Generator().manual_seed(7)) * 2 + 1
    return (bits * factor).sum(1)
