"""Partition SHAP: Owen values by the recursion equal those over all orders that keep branches together."""

from collections.abc import Callable
from itertools import product

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import InputError
from interp_core.testing import contract_tests, linear_world, tangled_world, tiny_classifier, tiny_generator
from interp_core.text import Unit
from interp_partition_shap.partition_shap import PartitionShap
from interp_partition_shap.tree import Branch, grown, levels_of

test_contract = contract_tests("partition-shap", samples=200)


def orders(branch: Branch) -> list[list[int]]:
    """All orders of the units in which the units of each branch follow each other."""
    if not branch.parts:
        return [list(branch.units)]
    one, other = (orders(part) for part in branch.parts)
    return [pair for a, b in product(one, other) for pair in (a + b, b + a)]


def over_orders(question: Question, branch: Branch) -> torch.Tensor:
    """What each unit adds to those before it, by going through those orders."""
    u = len(question.units)
    allowed, total = orders(branch), torch.zeros(len(question.targets), u)
    for order in allowed:
        place = torch.full((u,), u).scatter(0, torch.tensor(order), torch.arange(len(order)))
        keep = place < torch.arange(len(order) + 1)[:, None]
        total[:, order] += question.masked(keep).diff(dim=0).T
    return total / len(allowed)


def tree_of(question: Question) -> Branch:
    return grown(range(len(question.units)), levels_of(question.text, question.units))


class Asked:
    """Partition SHAP that keeps its question, so that the test can put it in other ways."""

    def attribute(self, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
        self.question = question
        return PartitionShap().attribute(question)


@pytest.mark.parametrize("units", [1, 2, 3, 5, 7])
def test_the_recursion_gives_the_mean_over_the_orders_of_the_tree(units: int) -> None:
    question = tangled_world(3, units=units)
    scores, error = PartitionShap().attribute(question)
    assert torch.allclose(scores.float(), over_orders(question, tree_of(question)), atol=1e-6)
    assert not error.any()


def test_shap_finds_the_same_with_the_same_tree() -> None:
    import shap

    question = tangled_world(5, units=8, targets=1)
    scores, _ = PartitionShap().attribute(question)

    def score(rows: np.ndarray) -> np.ndarray:
        return question.masked(torch.from_numpy(rows > 0.5))[:, 0].numpy()

    links = np.array([[0, 1, 1, 2], [2, 3, 1, 2], [4, 5, 1, 2], [6, 7, 1, 2], [8, 9, 2, 4], [10, 11, 2, 4]])
    links = np.vstack([links, [[12, 13, 3, 8]]]).astype(float)
    masker = shap.maskers.Partition(np.zeros((1, 8)), clustering=links)
    theirs = shap.explainers.Partition(score, masker)(np.ones((1, 8)), max_evals=10_000, silent=True).values
    assert np.allclose(scores[0].numpy(), theirs[0], atol=1e-6)


def test_an_additive_score_has_its_shapley_values() -> None:
    question, truth = linear_world(1, 21, 3)
    scores, error = PartitionShap().attribute(question)
    assert torch.allclose(scores.float(), truth, atol=1e-5) and not error.any()


def test_what_two_branches_do_together_is_shared_by_halves_on_each_level() -> None:
    """Of three units that only count together, the one alone in its half gets a half and not a third."""
    question = ask(lambda v: v[:, 0] * v[:, 2] * v[:, 3], torch.ones(4, 1))
    scores, _ = PartitionShap().attribute(question)
    assert torch.allclose(scores[0].float(), torch.tensor([0.5, 0.0, 0.25, 0.25]))


def test_sentences_are_divided_first_then_clauses_then_words() -> None:
    tokens = ["It", " was", " la", "te", ",", " and", " I", " was", " so", " very", " tired", ".", " We", " left", "."]
    starts = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
    units = [Unit(t, s, s + len(t)) for t, s in zip(tokens, starts, strict=True)]
    branch = grown(range(15), levels_of("".join(tokens), units))
    first, second = branch.parts
    assert first.units == tuple(range(12)) and second.units == (12, 13, 14)
    assert [part.units for part in first.parts] == [tuple(range(5)), tuple(range(5, 12))]
    assert (2, 3) in [part.units for part in first.parts[0].parts[1].parts]  # the pieces of a word


def test_units_that_are_no_pieces_of_the_text_are_halved() -> None:
    units = [Unit(f"concept {i}", 10 * i, 10 * i + 9) for i in range(6)]
    assert levels_of("Some text. It has nothing to do with them.", units) == []
    branch = grown(range(6), [])
    assert [part.units for part in branch.parts] == [(0, 1, 2), (3, 4, 5)]


@pytest.mark.parametrize(("depth", "rows"), [(1, 4), (2, 12), (3, 44), (4, 172)])
def test_a_balanced_tree_costs_two_thirds_of_the_square_of_its_units(depth: int, rows: int) -> None:
    units = 2**depth
    question = tangled_world(0, units=units)
    _, error = PartitionShap().attribute(question)
    assert question.rows == rows == 2 + 2 * (units**2 - 1) // 3
    assert not error.any()


@pytest.mark.parametrize("samples", [4, 10, 30, 100])
def test_the_scores_add_up_and_few_samples_stop_at_groups(samples: int) -> None:
    question = tangled_world(2, units=16)
    scores, error = PartitionShap(samples=samples).attribute(question)
    assert torch.allclose(scores.sum(1), (question.intact() - question.emptied()).double(), atol=1e-6)
    assert question.rows <= samples and bool((error > 0).any())


def test_a_group_that_is_not_divided_has_its_own_value_in_equal_shares() -> None:
    """Four samples divide the text in two; the halves are two players."""
    question = tangled_world(2, units=8)
    scores, error = PartitionShap(samples=4).attribute(question)
    ends = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.bool)
    none, left, right, both = question.masked(ends.repeat_interleave(4, dim=1)).double()
    alone, joined = left - none, both - right
    assert torch.allclose(scores[:, :4], ((alone + joined) / 8)[:, None].expand(-1, 4))
    all_or_nothing = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).var(correction=0)  # who adds it is not known
    expected = ((alone**2 + joined**2) / 2 * all_or_nothing).sqrt()
    assert torch.allclose(error[:, 0], expected) and torch.allclose(error[:, :4], error[:, :1].expand(-1, 4))


def test_the_groups_that_leave_most_open_are_divided_first() -> None:
    question = ask(lambda v: v[:, 5] * v[:, 6] + 0.1 * v[:, 1], torch.ones(8, 1))
    scores, error = PartitionShap(samples=4 + 4).attribute(question)  # the root, and one of its halves
    assert torch.allclose(scores[0, :4].float(), torch.full((4,), 0.025)) and bool((error[0, :4] > 0).all())
    assert torch.allclose(scores[0, 4:].float(), torch.tensor(0.25))
    assert float(error[0, 0]) < float(error[0, 5])


def test_what_equal_shares_leave_open_is_about_as_large_as_what_they_miss() -> None:
    missed, told = [], []
    for seed in range(40):
        exact, _ = PartitionShap().attribute(tangled_world(seed, units=16))
        scores, error = PartitionShap(samples=44).attribute(tangled_world(seed, units=16))
        missed.append((scores - exact).square())
        told.append(error.square())
    ratio = float((torch.stack(told).mean() / torch.stack(missed).mean()).sqrt())
    assert 0.5 < ratio < 2


def test_the_cap_on_rows_is_kept_and_two_more_than_the_ends_make_a_difference() -> None:
    model, text = tiny_classifier(), "i feel so happy and calm but not good"
    (whole,) = interp.attribute(model, text, by=PartitionShap(), progress=False)
    (found,) = interp.attribute(model, text, by=PartitionShap(), max_rows=20, progress=False)
    assert whole.exact and not found.exact and found.rows <= 20
    assert torch.allclose(found.scores.sum(), whole.scores.sum(), atol=1e-4)


def test_one_unit_needs_the_two_ends_alone() -> None:
    (found,) = interp.attribute(tiny_classifier(), "happy", by=PartitionShap(), max_rows=2, targets=0, progress=False)
    assert found.exact and found.rows == 2


def test_nine_words_of_a_real_model_cost_an_eighth_of_their_subsets(
    real_model: Callable[[str], interp.TextModel],
) -> None:
    model, by = real_model("emotion-minilm"), Asked()
    text = "i feel so angry and bitter about love today"
    (found,) = interp.attribute(model, text, by=by, targets="all", progress=False)
    assert found.exact and found.rows <= 60
    assert torch.allclose(found.scores, over_orders(by.question, tree_of(by.question)), atol=1e-4)
    anger = found.scores[[target.label for target in found.targets].index("anger")]
    assert {found.words[i] for i in anger.argsort(descending=True)[:2]} == {"angry", "bitter"}


def test_at_a_layer_the_scores_are_those_of_the_orders_of_the_tree() -> None:
    by = Asked()
    (found,) = interp.attribute(tiny_classifier(), "i feel so happy today", by=by, layer=0, targets="all")
    assert torch.allclose(found.scores, over_orders(by.question, tree_of(by.question)), atol=1e-5)


def test_each_generated_token_is_explained_by_the_units_before_it() -> None:
    by = Asked()
    (found,) = interp.attribute(tiny_generator(), "so happy", by=by, targets=" and the cat", progress=False)
    question = by.question
    assert found.applicable.sum(1).tolist() == [2, 3, 4] and found.exact
    assert question.rows <= 12  # the last unit takes no part
    assert not found.scores[~found.applicable].any()
    assert torch.allclose(found.scores.sum(1), question.intact() - question.emptied(), atol=1e-5)
    players = grown(range(4), levels_of(question.text, question.units))  # the last unit comes after all targets
    assert torch.allclose(found.scores, over_orders(question, players), atol=1e-4)


def test_a_group_is_shared_among_the_units_that_matter_to_a_target() -> None:
    question = ask(lambda v: torch.cat([v.sum(1), v[:, 0] + v[:, 1]], dim=1), torch.ones(8, 1))
    question = question.replace(applicable=torch.ones(2, 8, dtype=torch.bool))
    question.applicable[1, 2:] = False
    scores, error = PartitionShap(samples=4).attribute(question)
    assert torch.allclose(scores[1].float(), torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0]))
    assert not error[1, 2:].any() and torch.allclose(error[1, :2].float(), torch.ones(2))  # 0 and 2, or 2 and 0


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 4"):
        PartitionShap(samples=3)
