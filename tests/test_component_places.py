"""Where components are: at which token, and beside which reference."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.testing import tiny_llama, tiny_translator
from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")  # notes
TEXT, REFERENCE, ANSWER = "so happy today", "so sad today", " but never"


def about(model: interp.TextModel, by: Any, over: str, reference: str = REFERENCE, **options: Any) -> Any:
    asked = {"text": TEXT, "targets": ANSWER, **options}
    text = asked.pop("text")
    return interp.attribute(model, text, by=by, over=over, reference=reference, progress=False, **asked)[0]


def logit(model: interp.TextModel, ids: Tensor, one: Any) -> float:
    target = one.targets[0]
    with torch.no_grad():
        return float(model.model(ids[None]).logits[0, target.position - 1].log_softmax(-1)[target.index])


def test_a_head_at_a_token_is_that_head_at_that_token() -> None:
    model = tiny_llama()
    one = about(model, "occlusion", "heads-by-position")
    ids, other, module = one.encoded.ids, one.encoded.other.ids, model.model.model.layers[0].self_attn.o_proj
    kept: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _m, args: kept.append(args[0].clone()))
    logit(model, other, one)
    handle.remove()
    width = module.in_features // 2
    scores = dict(zip(one.words, one.scores[0].tolist(), strict=True))
    seen = 0
    for head in range(2):
        for place in range(one.targets[0].position):

            def patch(_m: Any, args: Any, head: int = head, place: int = place) -> Any:
                states = args[0].clone()
                columns = slice(head * width, (head + 1) * width)
                states[:, place, columns] = kept[0][:, place, columns]
                return (states,)

            handle = module.register_forward_pre_hook(patch)
            effect = float(one.intact[0]) - logit(model, ids, one)
            handle.remove()
            name = next(word for word in scores if word.startswith(f"L0.H{head} @ {place} "))
            assert scores[name] == pytest.approx(effect, abs=1e-5)
            seen += abs(effect) > 1e-4
    assert seen > 2


@pytest.mark.parametrize("over", ["positions", "heads-by-position"])
def test_what_comes_after_a_token_cannot_matter_to_it(over: str) -> None:
    one = about(tiny_llama(), "occlusion", over)
    t = len(one.encoded)
    for k, target in enumerate(one.targets):
        expected = [place < target.position for place in range(t)] * (len(one.units) // t)
        assert one.applicable[k].tolist() == expected


@pytest.mark.parametrize(("align", "expected"), [("left", [0, 1, 2]), ("right", [3, 4, 5])])
def test_a_longer_reference_is_aligned_at_the_end_that_was_asked_for(align: str, expected: list[int]) -> None:
    one = about(tiny_llama(), "occlusion", "heads", "the old cat was sad", text="so happy", align=align)
    own, theirs = one.encoded.prompt, one.encoded.other.prompt
    assert (own, theirs) == (3, 6)
    assert one.encoded.partner[:own].tolist() == expected
    assert one.encoded.partner[own:].tolist() == list(range(theirs, len(one.encoded.other)))


def test_the_mean_of_each_stack_is_its_own() -> None:
    model = tiny_translator("t5")
    one = about(model, "occlusion", "mlps", "mean")
    source = one.encoded.source
    inputs = {"input_ids": one.encoded.ids[None, :source], "decoder_input_ids": one.encoded.ids[None, source:]}
    scores = dict(zip(one.words, one.scores[0].tolist(), strict=True))
    target = one.targets[0]
    for letter, stack in (("E", model.model.encoder), ("D", model.model.decoder)):
        module = stack.block[0].layer[-1].DenseReluDense.wo
        handle = module.register_forward_hook(lambda _m, _a, out: out.mean(1, keepdim=True).expand_as(out))
        with torch.no_grad():
            row = model.model(**inputs).logits[0, target.position - 1 - source].log_softmax(-1)
        handle.remove()
        assert scores[f"{letter}0.MLP"] == pytest.approx(float(one.intact[0] - row[target.index]), abs=1e-5)
