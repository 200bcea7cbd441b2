"""Input times gradient is the first-order term of what removing a unit does."""

import torch
from interp_core.question import ask
from interp_core.testing import contract_tests, linear_world
from interp_input_x_gradient.input_x_gradient import InputXGradient

test_contract = contract_tests("input-x-gradient")


def test_a_linear_score_is_explained_exactly() -> None:
    question, truth = linear_world(3, 6, 2)
    assert torch.allclose(InputXGradient().attribute(question), truth, atol=1e-6)


def test_a_product_gives_each_factor_the_product() -> None:
    question = ask(lambda v: v[:, 0] * v[:, 1], torch.tensor([[3.0], [5.0]]))
    assert torch.allclose(InputXGradient().attribute(question), torch.tensor([[15.0, 15.0]]))


def test_one_backward_row_a_target() -> None:
    question, _ = linear_world(0, 6, 4)
    before = question._runner.rows
    InputXGradient().attribute(question)
    assert question._runner.rows == before + 1
