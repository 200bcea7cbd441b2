"""Occlusion equals the loop it stands for."""

import interp_core as interp
import torch
from interp_core.testing import contract_tests, linear_world, tiny_classifier
from interp_occlusion.occlusion import Occlusion

test_contract = contract_tests("occlusion")


def test_occlusion_equals_a_manual_loop() -> None:
    model = tiny_classifier()
    text = "the old dog was never calm"
    (found,) = interp.attribute(model, text, by=Occlusion(), targets="all", progress=False)
    ids = model.encoder(text).ids[None]
    with torch.no_grad():
        intact = model.model(ids).logits[0]
        for unit in range(len(found.units)):
            without = ids.clone()
            without[0, unit + 1] = model.tokenizer.mask_token_id  # [CLS] comes first
            expected = intact - model.model(without).logits[0]
            assert torch.allclose(found.scores[:, unit], expected, atol=1e-6)


def test_contributions_of_an_additive_score_are_found_exactly() -> None:
    question, truth = linear_world(4, 6, 3)
    assert torch.allclose(Occlusion().attribute(question), truth, atol=1e-6)


def test_each_unit_costs_one_row() -> None:
    question, _ = linear_world(0, 9, 2)
    Occlusion().attribute(question)
    assert question.runner.rows == 10
