"""Generators that were trained: a sequence is the sum of its tokens, and one pass a perturbed row serves them all."""

from collections.abc import Callable

import interp_core as interp
import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.real]

Model = Callable[[str], interp.TextModel]
PROMPT = "i feel so happy because you"
GIVEN = " are my friend and i love you"
pytestmark = pytest.mark.parametrize("name", ["lm-tiny", "llama-tiny"])


def explained(model: interp.TextModel, by: str = "occlusion", **options: object) -> interp.Attribution:
    (found,) = interp.attribute(model, PROMPT, by=by, targets=GIVEN, progress=False, **options)
    return found


def test_the_tokens_of_a_sequence_add_up_to_it(name: str, real_model: Model) -> None:
    model = real_model(name)
    for by, options in (("occlusion", {}), ("integrated-gradients", {"steps": 16})):
        tokens, whole = explained(model, by, **options), explained(model, by, output="sample", **options)
        size = float(tokens.scores.abs().max())
        assert torch.allclose(whole.intact[0], tokens.intact.sum(), atol=1e-4)
        assert torch.allclose(whole.scores[0], tokens.scores.sum(0), atol=1e-4 * max(1.0, size))


def test_one_pass_is_the_loop_token_by_token(name: str, real_model: Model) -> None:
    model = real_model(name)
    found = explained(model)
    ids, device = found.encoded.ids, model.device
    for k, target in enumerate(found.targets):
        with torch.no_grad():
            logits = model.model(ids[None, : target.position].to(device)).logits[0, -1]
        assert abs(float(logits.log_softmax(-1)[target.index]) - float(found.intact[k])) < 1e-4


def test_a_row_is_evaluated_once_however_many_tokens_are_explained(name: str, real_model: Model) -> None:
    model = real_model(name)
    found = explained(model)
    shorter = interp.attribute(model, PROMPT, by="occlusion", targets=" are", progress=False)[0]
    assert len(found.targets) > 4 * len(shorter.targets)
    for one in (found, shorter):
        cost, rows = one.made_by.cost, 1 + len(one.units)
        saved = cost.rows == rows + 1 and cost.tokens < 0.9 * rows * len(one.encoded)
        assert cost.rows == rows or saved  # one row more runs what others begin with, where that pays


def test_the_scores_of_prompt_words_are_log_probabilities_lost(name: str, real_model: Model) -> None:
    """The continuation given twice, with one word of the prompt replaced by the removal vector by hand."""
    model = real_model(name)
    found = explained(model, removal="zero")
    encoded, unit = found.encoded, 3
    vectors = model.embed(encoded.ids)
    vectors[encoded.unit_of.to(vectors.device) == unit] = 0
    with torch.no_grad():
        logits = model.model(inputs_embeds=vectors[None]).logits[0].log_softmax(-1)
    expected = torch.stack(
        [found.intact[k] - logits[t.position - 1, t.index].cpu() for k, t in enumerate(found.targets)]
    )
    assert torch.allclose(found.scores[:, unit], expected, atol=1e-4)
