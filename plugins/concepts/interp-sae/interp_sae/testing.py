"""What the tests of a sparse autoencoder share: a planted world, and checks that every variant must pass.

Only tests import this module. A variant's test file trains once and runs the checks of its kind, each as a case:

    @pytest.fixture(scope="module")
    def trained() -> Trained:
        return Trained(TopKSAE(concepts=20, k=2, steps=150, learning_rate=0.1, batch_size=128), recovery=0.8)

    @pytest.mark.parametrize("check", [*FAMILY, *K_SPARSE], ids=name_of)
    def test_family(check: Check, trained: Trained) -> None:
        check(trained)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cached_property

import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from interp_sae.autoencoder import Autoencoder
from interp_sae.input_scaling import InputScaling
from interp_sae.network import Network

SCALING = InputScaling(torch.tensor([1.0, -2.0, 7.0]), torch.tensor(0.25), torch.tensor(1.0))  # of rows of width 3


def planted_rows(
    concepts: int = 20, width: int = 16, k: int = 2, rows: int = 1000
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "c d"]]:
    """Rows with k of the planted directions each, around a point that is not the origin, and the directions.

    Args:
        concepts: number of directions, more than dimensions by default.
        width: of a row.
        k: directions of each row, with codes of 0.5 to 1.5.
        rows: how many.
    """
    g = torch.Generator().manual_seed(0)
    directions = normalize(torch.randn(concepts, width, generator=g), dim=1)
    active = torch.rand(rows, concepts, generator=g).argsort(1).argsort(1) < k
    codes = active * (0.5 + torch.rand(rows, concepts, generator=g))
    return codes @ directions + torch.randn(width, generator=g), directions


def matched_cosine(dictionary: Float[Tensor, "c d"], directions: Float[Tensor, "e d"]) -> float:
    """The mean absolute cosine of pairs of one row of each, paired greedily, the closest first.

    It is at most that of the best assignment.
    """
    cosine = (normalize(dictionary, dim=1) @ normalize(directions, dim=1).T).abs()
    pairs = []
    for _ in range(min(cosine.shape)):
        row, column = divmod(int(cosine.argmax()), cosine.shape[1])
        pairs.append(float(cosine[row, column]))
        cosine[row], cosine[:, column] = -1.0, -1.0
    return sum(pairs) / len(pairs)


def mean_l0(space: ConceptSpace, rows: Float[Tensor, "n d"]) -> float:
    """The mean number of active concepts of a row."""
    return float((space.encode(rows) > 0).sum(1).float().mean())


class Trained:
    """A variant that is trained on planted rows when a check first asks for it.

    Args:
        method: with hyperparameters that train in few steps, and `concepts` equal to those of `planted_rows`.
        recovery: what `matched_cosine` of the learnt with the planted directions must exceed; that of random
            directions is about 0.5, and must be below 0.7.

    Attributes:
        rows: (n, d), see `planted_rows`.
        directions: (c, d), that were planted.
    """

    def __init__(self, method: Autoencoder, recovery: float = 0.8) -> None:
        self.method, self.recovery = method, recovery
        self.rows, self.directions = planted_rows(method.concepts)

    @cached_property
    def space(self) -> ConceptSpace:
        """What was learnt."""
        return fit_concepts(of_rows(self.rows), by=self.method)

    @cached_property
    def codes(self) -> Float[Tensor, "n c"]:
        """Codes of the rows."""
        return self.space.encode(self.rows)


class Interrupted(Activations):
    """Activations that raise KeyboardInterrupt after a number of batches, and refuse all but shuffled batches."""

    left, batch_size = 0, 0

    @classmethod
    def of(cls, activations: Activations, batches: int, batch_size: int) -> Interrupted:
        """The same activations, interrupted after a number of batches, which must have this size."""
        made = cls(**{f.name: getattr(activations, f.name) for f in fields(activations)})
        object.__setattr__(made, "left", batches)
        object.__setattr__(made, "batch_size", batch_size)
        return made

    def batches(self, rows: int = 8192, *, generator: torch.Generator | None = None) -> Iterator[Float[Tensor, "b d"]]:
        assert rows == self.batch_size and generator is not None, f"batches of {rows} rows, by {generator}"
        for part in super().batches(rows, generator=generator):
            object.__setattr__(self, "left", self.left - 1)
            if self.left < 0:
                raise KeyboardInterrupt
            yield part

    def matrix(self) -> Float[Tensor, "n d"]:
        raise AssertionError("all rows were read at once")


Check = Callable[[Trained], None]


def planted_directions_are_found(trained: Trained) -> None:
    """More directions than dimensions, and better than random ones."""
    random = torch.randn(trained.directions.shape, generator=torch.Generator().manual_seed(1))
    recovery, chance = (matched_cosine(one, trained.directions) for one in (trained.space.dictionary, random))
    assert chance < 0.7 < trained.recovery < recovery, f"recovery {recovery:.3f}, of random directions {chance:.3f}"


def directions_have_length_one(trained: Trained) -> None:
    """Whatever the training did to them."""
    length = trained.space.dictionary.norm(dim=1)
    assert torch.allclose(length, torch.ones_like(length), atol=1e-6), f"lengths {length.tolist()}"


def ten_times_the_activations_have_the_same_concepts(trained: Trained) -> None:
    """The same training in larger units: the same concepts are active, and reconstructions are ten times as large."""
    x, method = trained.rows, replace(trained.method, steps=30)
    one, ten = (fit_concepts(of_rows(scale * x), by=method) for scale in (1, 10))
    agreement = float(((one.encode(x) > 0) == (ten.encode(10 * x) > 0)).float().mean())
    assert agreement > 0.99, f"{agreement:.3f} of the codes are active in both or neither"
    off = float((ten(10 * x) - 10 * one(x)).norm() / (10 * x).norm())
    assert off < 0.02, f"reconstructions differ by {off:.3f} of the rows"


def a_row_is_encoded_alone_as_among_others(trained: Trained) -> None:
    """Codes do not depend on the batch."""
    alone = torch.cat([trained.space.encode(row[None]) for row in trained.rows[:100]])
    worst = float((trained.codes[:100] - alone).abs().max())
    assert worst <= 1e-6, f"codes differ by {worst:.2g}"


def half_precision_and_few_dimensions_are_fine(trained: Trained) -> None:
    """bfloat16 products, more concepts than dimensions, and fewer rows than two batches."""
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    space = type(trained.method)(concepts=9, steps=30, batch_size=32, dtype="bfloat16").fit(of_rows(x))
    assert space.encode(x).dtype == torch.float32
    assert bool((space(x[:1]) - x[:1]).isfinite().all()), "a reconstruction is not finite"
    assert (space(x) - x).square().sum() < x.square().sum(), "reconstructions are further off than 0 is"


FAMILY: tuple[Check, ...] = (
    planted_directions_are_found,
    directions_have_length_one,
    ten_times_the_activations_have_the_same_concepts,
    a_row_is_encoded_alone_as_among_others,
    half_precision_and_few_dimensions_are_fine,
)
"""Of every variant; one whose directions have any length leaves `directions_have_length_one` out."""


def no_concepts_of_a_row_are_refused(trained: Trained) -> None:
    """With `k=0`."""
    refused(type(trained.method), "k=0 of 5 concepts; 1 to 5", concepts=5, k=0)


def more_concepts_of_a_row_than_there_are_are_refused(trained: Trained) -> None:
    """With `k=6` of 5."""
    refused(type(trained.method), "k=6 of 5 concepts; 1 to 5", concepts=5, k=6)


K_SPARSE: tuple[Check, ...] = (no_concepts_of_a_row_are_refused, more_concepts_of_a_row_than_there_are_are_refused)
"""Of variants that derive from `KSparseAutoencoder`."""


def a_penalty_of_nothing_is_refused(trained: Trained) -> None:
    """With `penalty=0`."""
    refused(type(trained.method), "penalty=0.0 must be above 0", penalty=0.0)


PENALISED: tuple[Check, ...] = (a_penalty_of_nothing_is_refused,)
"""Of variants that derive from `PenalisedAutoencoder`."""


def name_of(check: Check) -> str:
    """The id of a check as a pytest case."""
    return check.__name__


def refused(made: Callable[..., object], said: str, **parameters: object) -> None:
    """Checks that parameters are refused with a message that says so."""
    try:
        made(**parameters)
    except InputError as error:
        assert said in str(error), f"{said!r} is not in {str(error)!r}"
    else:
        raise AssertionError(f"{parameters} was not refused")


def space_is_the_network(network: Network, *, unit: float = 4.0, size: float = 5.0) -> None:
    """Checks that the space of a network undoes `SCALING`: it encodes and reconstructs raw rows as the network does.

    Args:
        network: of rows of width 3; its biases and thresholds should not be 0.
        unit: a code of the space over the code of the network; 1 over the scale where directions have length 1.
        size: of the rows, so that some codes are above 0 and some are not.
    """
    x = size * torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output, space = network(SCALING.apply(x)), network.space(SCALING)
    active = float((output.codes > 0).float().mean())
    assert 0.02 < active < 0.98, f"{active:.2f} of the codes are active, which tells nothing of the others"
    worst = float((space.encode(x) - unit * output.codes).abs().max())
    assert worst < 1e-4, f"codes differ by {worst:.2g}"
    worst = float((space(x) - (output.reconstruction / SCALING.scale + SCALING.centre)).abs().max())
    assert worst < 1e-4, f"reconstructions differ by {worst:.2g}"
