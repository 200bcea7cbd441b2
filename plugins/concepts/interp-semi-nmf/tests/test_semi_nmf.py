"""Semi-NMF: an error that never rises, exact codes, and a planted dictionary."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, fit_concepts
from interp_core.errors import InputError
from interp_core.testing import contract_tests
from interp_semi_nmf.alternating import Sums, sums_over
from interp_semi_nmf.least_squares import LeastSquares
from interp_semi_nmf.nnls import nearly, nnls
from interp_semi_nmf.seeding import centres
from interp_semi_nmf.semi_nmf import SemiNMF, best_dictionary
from interp_semi_nmf.space import AdditiveSpace
from interp_semi_nmf.testing import FAMILY, Check, Factorisation, matched_cosines, name_of, planted_rows, share_missed
from scipy.optimize import nnls as scipy_nnls
from torch import Tensor
from torch.nn.functional import normalize

test_contract = contract_tests("semi-nmf")


@pytest.mark.parametrize("check", FAMILY, ids=name_of)
def test_family(check: Check) -> None:
    check(Factorisation(SemiNMF))


def planted(noise: float = 0.02, seed: int = 0) -> tuple[Tensor, Tensor]:
    """600 rows that hold 2 of 8 directions each, with codes from an exponential distribution."""

    def codes(g: torch.Generator) -> Tensor:
        active = torch.rand(600, 8, generator=g).argsort(1).argsort(1) < 2
        return active * torch.empty(600, 8).exponential_(generator=g)

    return planted_rows(codes, 8, 32, noise, seed)


@pytest.fixture(scope="module")
def space() -> ConceptSpace:
    return fit_concepts(of_rows(planted()[0]), by=SemiNMF(concepts=8))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_error_never_rises(seed: int) -> None:
    """Neither with better codes nor with a better dictionary; and it is the one that the sums give."""
    x = planted(noise=0.1, seed=seed)[0].double()
    dictionary = centres(x, 10, torch.Generator().manual_seed(seed))
    errors = []
    for _ in range(8):
        codes = nnls(dictionary @ dictionary.T, x @ dictionary.T)
        sums = sums_over([x[:250], x[250:]], dictionary)
        better = best_dictionary(sums, dictionary)
        for one in (dictionary, better):
            errors.append(float((x - codes @ one).square().sum()))
            assert sums.error(one) == pytest.approx(errors[-1], rel=1e-9)
        dictionary = normalize(better, dim=1)
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(errors))


def test_the_history_holds_the_loss_of_each_step() -> None:
    x = planted(noise=0.3)[0]
    one, two = (SemiNMF(concepts=8, steps=steps, tolerance=0.0).fit(of_rows(x)) for steps in (1, 2))
    assert two.history["loss"][:1] == one.history["loss"] and len(two.history["loss"]) == 2
    missed = share_missed(two, x)  # with codes for the last dictionary, so no more
    assert two.history["loss"][0] > two.history["loss"][1] >= missed > 0.5 * two.history["loss"][1]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = of_rows(planted()[0])
    whole = SemiNMF(concepts=8).fit(x)
    monkeypatch.setattr("interp_core.activations.Activations.batches", lambda a: iter(a.matrix().split(250)))
    parts = SemiNMF(concepts=8).fit(x)
    assert torch.allclose(parts.dictionary, whole.dictionary, atol=1e-6)
    assert parts.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-9)


def test_rows_that_the_start_did_not_see_are_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start from 50 of the rows ends as close to all of them."""
    x = planted(noise=0.1)[0]
    whole = SemiNMF(concepts=8, tolerance=1e-4).fit(of_rows(x))
    monkeypatch.setattr("interp_semi_nmf.alternating.SAMPLE", 50)
    part = SemiNMF(concepts=8, tolerance=1e-4).fit(of_rows(x))
    assert part.history["loss"][-1] == pytest.approx(whole.history["loss"][-1], rel=0.01)
    assert part.notes == ()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_directions_are_found(seed: int) -> None:
    x, directions = planted(seed=seed)
    space = fit_concepts(of_rows(x), by=SemiNMF(concepts=8, seed=seed))
    assert float(matched_cosines(space.dictionary, directions)[0].mean()) > 0.9


def test_codes_are_those_of_scipy(space: ConceptSpace) -> None:
    x = torch.cat([planted(seed=5)[0][:30], torch.randn(30, 32, generator=torch.Generator().manual_seed(0))])
    expected = [scipy_nnls(space.dictionary.double().T.numpy(), row.double().numpy())[0] for row in x]
    assert torch.allclose(space.encode(x).double(), torch.from_numpy(np.stack(expected)), atol=1e-5)


@pytest.mark.parametrize("concepts", [6, 24])
def test_codes_fulfil_the_conditions_of_the_optimum(concepts: int) -> None:
    """A gradient of at least zero, and zero where the code is positive; with more concepts than width too."""
    g = torch.Generator().manual_seed(1)
    dictionary = normalize(torch.randn(concepts, 12, generator=g, dtype=torch.float64), dim=1)
    x = torch.randn(100, 12, generator=g, dtype=torch.float64)
    codes = nnls(dictionary @ dictionary.T, x @ dictionary.T)
    gradient = (codes @ dictionary - x) @ dictionary.T
    assert codes.min() >= 0 and gradient.min() > -1e-6
    assert (codes * gradient).abs().max() < 1e-6


@pytest.mark.parametrize(("concepts", "width"), [(12, 40), (12, 5), (1, 3)])
@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_codes_of_many_rows_are_those_of_scipy(concepts: int, width: int, spread: float) -> None:
    """Of directions far from one another, close to one another, and more than dimensions."""
    g = torch.Generator().manual_seed(2)
    directions = torch.ones(concepts, width) + spread * torch.randn(concepts, width, generator=g)
    dictionary = normalize(directions.double() - float(spread == 1.0), dim=1)
    x = (torch.rand(200, concepts, generator=g).double() @ dictionary) + 0.3 * torch.randn(200, width, generator=g)
    reconstruction = nnls(dictionary @ dictionary.T, x @ dictionary.T) @ dictionary
    expected = np.stack([scipy_nnls(dictionary.T.numpy(), row.numpy())[0] for row in x]) @ dictionary.numpy()
    assert np.allclose(reconstruction.numpy(), expected, atol=1e-6)


def test_any_guess_gives_the_same_codes() -> None:
    g = torch.Generator().manual_seed(1)
    dictionary = normalize(torch.randn(10, 20, generator=g, dtype=torch.float64), dim=1)
    gram, target = dictionary @ dictionary.T, torch.randn(70, 10, generator=g, dtype=torch.float64)
    codes = nnls(gram, target)
    for guess in (torch.zeros_like(codes) > 0, torch.ones_like(codes) > 0, codes > 0):
        before = guess.clone()
        assert torch.allclose(nnls(gram, target, guess), codes, atol=1e-12) and torch.equal(guess, before)


def test_a_code_that_rounding_leaves_below_zero_is_zero() -> None:
    target = torch.tensor([[1.0, -1e-12]], dtype=torch.float64)
    assert nnls(torch.eye(2, dtype=torch.float64), target, torch.ones(1, 2) > 0).min() == 0


def test_a_few_sweeps_come_near_the_codes() -> None:
    g = torch.Generator().manual_seed(1)
    dictionary = normalize(torch.randn(10, 40, generator=g, dtype=torch.float64), dim=1)
    gram, target = dictionary @ dictionary.T, torch.randn(70, 10, generator=g, dtype=torch.float64)
    codes = nnls(gram, target)
    assert float((nearly(gram, target) - codes).norm()) < 0.01 * float(codes.norm())


@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_least_squares_in_some_unknowns_are_those_of_numpy(spread: float) -> None:
    """By the system itself and by its inverse, however many unknowns a row has."""
    g = torch.Generator().manual_seed(0)
    base = torch.eye(9, dtype=torch.float64) + spread * torch.randn(9, 9, generator=g, dtype=torch.float64)
    system = base @ base.T
    inside = torch.rand(60, 9, generator=g) < torch.linspace(0, 1, 60)[:, None]
    target = torch.randn(60, 9, generator=g, dtype=torch.float64)
    expected = np.zeros((60, 9))
    for i, on in enumerate(inside.numpy()):
        expected[i, on] = np.linalg.solve(system.numpy()[np.ix_(on, on)], target[i].numpy()[on])
    assert np.allclose(LeastSquares(system).solve(target, inside), expected, rtol=1e-6, atol=1e-9)


def test_codes_can_be_differentiated_in_the_dictionary_too() -> None:
    """As finite differences say, for rows with few and with many codes."""
    g = torch.Generator().manual_seed(3)
    dictionary = normalize(torch.randn(3, 5, generator=g, dtype=torch.float64), dim=1).requires_grad_()
    x = torch.randn(3, 5, generator=g, dtype=torch.float64)
    x = torch.cat([x, torch.ones(2, 3, dtype=torch.float64) @ dictionary.detach() + 0.1 * x[:2]])
    assert set((nnls(dictionary @ dictionary.T, x @ dictionary.T) > 0).sum(1).tolist()) >= {1, 3}
    assert torch.autograd.gradcheck(lambda d: nnls(d @ d.T, x @ d.T), (dictionary,), atol=1e-4)
    target = (x @ dictionary.T).detach()
    assert torch.autograd.gradcheck(lambda d: nnls(d @ d.T, target), (dictionary,), atol=1e-4)


def test_a_row_is_encoded_alone_as_among_others(space: ConceptSpace) -> None:
    x = planted(seed=7, noise=0.3)[0]
    alone = torch.cat([space.encode(row[None]) for row in x[:50]])
    assert torch.allclose(space.encode(x)[:50], alone, atol=1e-6)


def test_repeated_concepts_share_a_code() -> None:
    row = normalize(torch.ones(1, 4), dim=1)
    codes = AdditiveSpace(torch.cat([row, row])).encode(6 * row)
    assert torch.allclose(codes, torch.full((1, 2), 3.0), atol=1e-4)


def test_codes_follow_the_activations() -> None:
    """The derivative of a code with respect to its row is that of least squares in the active concepts."""
    space = AdditiveSpace(torch.eye(3)[:2])
    x = torch.tensor([[2.0, -1.0, 5.0]], requires_grad=True)
    space.encode(x)[0, 0].backward()
    assert torch.allclose(x.grad, torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-6)


def test_directions_have_length_one(space: ConceptSpace) -> None:
    assert torch.allclose(space.dictionary.norm(dim=1), torch.ones(8), atol=1e-6)


def test_scaling_the_activations_scales_the_codes_alone(space: ConceptSpace) -> None:
    bigger = fit_concepts(of_rows(10 * planted()[0]), by=SemiNMF(concepts=8))
    x = planted(seed=3)[0]
    assert torch.allclose(bigger.dictionary, space.dictionary, atol=1e-4)
    assert torch.allclose(bigger.encode(10 * x), 10 * space.encode(x), atol=1e-2)


def test_a_concept_that_no_row_holds_keeps_its_direction() -> None:
    dictionary = torch.eye(2, 3, dtype=torch.float64)
    codes = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    x = codes.T @ torch.full((2, 3), 0.5, dtype=torch.float64)
    best = best_dictionary(Sums(codes @ codes.T, codes @ x, float(x.square().sum())), dictionary)
    assert torch.allclose(best, torch.tensor([[0.5, 0.5, 0.5], [0.0, 1.0, 0.0]], dtype=torch.float64))


def test_too_few_steps_are_said() -> None:
    notes = fit_concepts(of_rows(planted()[0]), by=SemiNMF(concepts=8, steps=1)).notes
    assert any("did not settle within 1 steps" in note for note in notes)


def test_a_part_of_zero_of_many_activations_is_refused() -> None:
    with pytest.raises(InputError, match="all 4096 rows drawn from 5000"):
        SemiNMF(concepts=2).fit(of_rows(torch.zeros(5000, 3)))


def test_more_concepts_than_dimensions_are_learnt() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    assert share_missed(fit_concepts(of_rows(x), by=SemiNMF(concepts=9)), x) < 0.02


def test_words_of_a_real_model_are_given_back(real_model, real_texts) -> None:
    split = real_model("emotion-minilm").split(-1)
    words = split.activations(real_texts("emotion")[:10], granularity="word", progress=False)
    space = fit_concepts(words, by=SemiNMF(concepts=10))
    x = words.matrix()
    assert share_missed(space, x) < 0.1
    assert torch.allclose(space.encode(x[:1]), space.encode(x)[:1], atol=1e-5)


def test_a_space_is_the_same_after_saving(space: ConceptSpace, tmp_path) -> None:
    loaded = ConceptSpace.load(space.save(tmp_path / "space.safetensors"))
    x = planted(seed=9)[0]
    assert torch.equal(loaded.dictionary, space.dictionary) and torch.equal(loaded.encode(x), space.encode(x))


def test_the_seed_alone_decides() -> None:
    x, before = of_rows(planted()[0]), torch.get_rng_state()
    one, same = (SemiNMF(concepts=8, seed=3).fit(x).dictionary for _ in range(2))
    assert torch.equal(one, same) and torch.equal(before, torch.get_rng_state())
