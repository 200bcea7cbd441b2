"""The same scores whatever the company, the side of the padding and the number format, for five shapes of models."""

from collections.abc import Callable

import interp_core as interp
import pytest
import torch
from interp_core.testing import tiny_classifier, tiny_generator, tiny_llama, tiny_translator

pytestmark = pytest.mark.slow

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm"]
GIVEN = ["the day was good", "cat", "never and never"]
MADE: dict[str, Callable[[], interp.TextModel]] = {
    "gpt2": tiny_generator,
    "llama": tiny_llama,
    "bert": tiny_classifier,
    "t5": lambda: tiny_translator("t5", initializer_factor=0.5),
    "bart": lambda: tiny_translator("bart"),
}
METHODS: dict[str, dict[str, int]] = {"occlusion": {}, "integrated-gradients": {"steps": 6}, "lime": {"samples": 40}}


def explained(model: interp.TextModel, which: slice, by: str, **options: object) -> list[interp.Attribution]:
    targets: object = "all" if model.labels else GIVEN[which]
    return interp.attribute(model, TEXTS[which], by=by, targets=targets, progress=False, **METHODS[by], **options)


@pytest.mark.parametrize("name", sorted(MADE))
@pytest.mark.parametrize("by", METHODS)
def test_company_and_side_of_the_padding_change_nothing(name: str, by: str) -> None:
    model = MADE[name]()
    alone = [explained(model, slice(i, i + 1), by)[0] for i in range(len(TEXTS))]
    for side in ("left", "right"):
        model.tokenizer.padding_side = side
        padded = interp.TextModel(model.model, model.tokenizer)
        for budget in (4096, 40):
            padded.tokens_per_batch = budget
            for one, found in zip(alone, explained(padded, slice(None), by), strict=True):
                assert torch.allclose(one.scores, found.scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_removed_words_score_as_in_a_left_padded_batch_of_transformers(name: str) -> None:
    model = MADE[name]()
    mask_id = model.tokenizer.mask_token_id
    for found in explained(model, slice(None), "occlusion"):
        encoded = found.encoded
        rows = torch.stack(
            [encoded.ids.where(encoded.unit_of != u, torch.tensor(mask_id)) for u in range(len(found.units))]
        )
        rows = torch.cat([torch.zeros(len(rows), 3, dtype=torch.long), rows], dim=1)
        seen = (torch.arange(rows.shape[1]) >= 3).long().expand(len(rows), -1)
        places = (seen.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = model.model(rows, attention_mask=seen, position_ids=places).logits
        for k, target in enumerate(found.targets):
            if name == "bert":
                continue  # it reads its first position, which is padding here; the next test is about it
            likely = logits[:, 3 + target.position - 1].log_softmax(-1)[:, target.index]
            able = found.applicable[k]
            assert torch.allclose(found.scores[k][able], (found.intact[k] - likely)[able], atol=1e-5)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_padding_of_the_source_is_not_read(kind: str) -> None:
    model = MADE[kind]()
    (found,) = explained(model, slice(1, 2), "occlusion")
    ids, source = found.encoded.ids, found.encoded.source
    longer = torch.cat([ids[:source], torch.zeros(5, dtype=torch.long)])[None]
    seen = (torch.arange(longer.shape[1]) < source).long()[None]
    with torch.no_grad():
        logits = model.model(input_ids=longer, attention_mask=seen, decoder_input_ids=ids[None, source:]).logits[0]
    likely = logits.log_softmax(-1)
    expected = torch.stack([likely[t.position - 1 - source, t.index] for t in found.targets])
    assert torch.allclose(found.intact, expected, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MADE))
@pytest.mark.parametrize("by", METHODS)
def test_half_precision_stays_within_two_percent(name: str, by: str) -> None:
    gentle = {"initializer_range": 0.05} if name != "bart" else {"init_std": 0.05}
    makers = {"gpt2": tiny_generator, "llama": tiny_llama, "bert": tiny_classifier}
    make = makers.get(name, lambda **o: tiny_translator(name, **o))
    model = make(**gentle) if name != "t5" else make(initializer_factor=0.3)
    whole = explained(model, slice(None), by)
    half = interp.TextModel(model.model.to(torch.bfloat16), model.tokenizer)
    for one, found in zip(whole, explained(half, slice(None), by), strict=True):
        size = float(one.intact.abs().max())
        assert found.scores.dtype == torch.float32
        assert float((one.intact - found.intact).abs().max()) < 0.02 * size
        assert float((one.scores - found.scores).abs().max()) < 0.02 * size


def test_double_precision_agrees_where_single_precision_differs_by_noise() -> None:
    for name in sorted(MADE):
        model = MADE[name]()
        single = explained(model, slice(None), "integrated-gradients")
        double = interp.TextModel(model.model.double(), model.tokenizer)
        alone = explained(double, slice(0, 1), "integrated-gradients")[0]
        together = explained(double, slice(None), "integrated-gradients")
        assert torch.allclose(alone.scores, together[0].scores, atol=1e-9)
        assert torch.allclose(single[0].scores, together[0].scores, atol=1e-3, rtol=1e-3)
