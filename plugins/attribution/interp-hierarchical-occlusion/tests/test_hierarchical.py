"""Hierarchical occlusion is occlusion where it looks, looks where it matters, and says where it did not."""

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Question, ask
from interp_core.errors import BudgetError, InputError
from interp_core.testing import contract_tests, linear_world, planted_model
from interp_hierarchical_occlusion.hierarchical import HierarchicalOcclusion
from interp_occlusion.occlusion import Occlusion

test_contract = contract_tests("hierarchical-occlusion")


def world(weights: torch.Tensor) -> Question:
    """A smooth score of the sum of the units that are kept."""
    return ask(lambda v: (v[:, :, 0] @ weights).exp()[:, None], torch.ones(len(weights), 1))


def planted(units: int = 400, places: tuple[int, ...] = (33, 250)) -> tuple[Question, torch.Tensor]:
    weights = 1e-4 * torch.randn(units, generator=torch.Generator().manual_seed(0))
    weights[list(places)] = 1.0
    return world(weights), weights


def test_of_twenty_stretches_the_two_that_matter_are_opened_and_scored_as_by_occlusion() -> None:
    question, _ = planted()
    scores = HierarchicalOcclusion().attribute(question)
    assert question.rows == 1 + 20 + 2 * 20
    expected = Occlusion().attribute(planted()[0])
    opened = torch.zeros(400, dtype=torch.bool)
    opened[20:40] = opened[240:260] = True
    assert torch.allclose(scores[:, opened], expected[:, opened], atol=1e-5)
    assert not scores[:, ~opened].any()
    assert "360 units are in the 18 of 20 groups that were not opened" in question.noted[0]


def test_all_units_are_scored_where_all_changes_are_to_be_held() -> None:
    question, _ = linear_world(1, 60, 2)
    scores = HierarchicalOcclusion(share=1.0).attribute(question)
    assert torch.allclose(scores, Occlusion().attribute(linear_world(1, 60, 2)[0]), atol=1e-5)
    assert not any("not opened" in note for note in question.noted)


def test_each_target_has_its_groups() -> None:
    first, second = torch.zeros(100), torch.zeros(100)
    first[3], second[97] = 5.0, 0.01
    question = ask(lambda v: v[:, :, 0] @ torch.stack([first, second], 1), torch.ones(100, 1))
    scores = HierarchicalOcclusion().attribute(question)
    assert scores[0].nonzero().flatten().tolist() == [3] and scores[1].nonzero().flatten().tolist() == [97]


@pytest.mark.parametrize("rows", [8, 25, 45, 60])
def test_the_limit_on_rows_is_kept(rows: int) -> None:
    question, _ = planted()
    question = question.with_budget(rows)
    HierarchicalOcclusion().attribute(question)
    assert question.rows <= rows
    if rows == 45:  # 20 stretches, and the units of one of the two
        assert question.rows == 41


def test_no_rows_for_a_single_group_are_refused() -> None:
    with pytest.raises(BudgetError):
        HierarchicalOcclusion().attribute(planted()[0].with_budget(2))


def test_groups_of_the_question_are_taken_where_it_has_some() -> None:
    question = planted(100, (60,))[0].replace(groups=torch.arange(100) // 25 * 3)
    scores = HierarchicalOcclusion().attribute(question)
    assert question.rows == 1 + 4 + 25 and scores[0].nonzero().flatten().tolist() == list(range(50, 75))


def test_documents_that_stand_in_for_each_other_are_told() -> None:
    question = ask(lambda v: 8 * v[:, [7, 91], 0].amax(1, keepdim=True), torch.ones(100, 1))
    assert not HierarchicalOcclusion().attribute(question).any()
    assert any("leaving one out does not see" in note for note in question.noted)


def test_a_text_of_a_model_is_explained() -> None:
    model = planted_model({"happy": (3.0, -1.0)})
    (found,) = interp.attribute(model, "the cat was so happy", by="hierarchical-occlusion", targets=0, progress=False)
    assert found.top()[0] == ("happy", pytest.approx(3.0)) and found.rows == 6


def test_a_share_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="share is 0"):
        HierarchicalOcclusion(share=0)
