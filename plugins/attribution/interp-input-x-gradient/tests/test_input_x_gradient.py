"""Input times gradient is the first-order term of what removing a unit does."""

import interp_core as interp
import pytest
import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.testing.helpers.basic_models import BasicModel_MultiLayer
from interp_core.attribution import ask
from interp_core.testing import contract_tests, linear_world, tiny_classifier
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
    before = question.runner.rows
    InputXGradient().attribute(question)
    assert question.runner.rows == before + 1


@pytest.mark.parametrize("x", [(20.0, 50.0, 30.0), (2.0, 10.0, 3.0)])
def test_past_a_kink_the_slope_is_that_of_all_open_units(x: tuple[float, ...]) -> None:
    """In captum's test model four units are open where the sum is above 10, and each adds the sum once."""
    model = BasicModel_MultiLayer()
    question = ask(lambda v: model(v[:, :, 0]), torch.tensor(x)[:, None])
    assert torch.allclose(InputXGradient().attribute(question)[0], 4 * torch.tensor(x))


@pytest.mark.parametrize("name", ["tiny", "emotion-minilm"])
def test_from_zero_a_classifier_is_as_captum_says(name: str, request: pytest.FixtureRequest) -> None:
    model = tiny_classifier() if name == "tiny" else request.getfixturevalue("real_model")(name)
    text = "i feel so happy and never tired today"
    (found,) = interp.attribute(
        model, text, by="input-x-gradient", targets="all", granularity="token", removal="zero", progress=False
    )
    x = model.embed(model.encoder(text).ids.to(model.device))[None].clone().requires_grad_()
    theirs = CaptumInputXGradient(lambda e: model.model(inputs_embeds=e).logits)
    for k, scores in enumerate(found.scores):
        expected = theirs.attribute(x, target=k)[0].detach().sum(-1)[1:-1].cpu()  # less [CLS] and [SEP]
        assert torch.allclose(scores, expected, atol=1e-4 * float(expected.abs().max()))
