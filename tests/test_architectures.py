"""The same scores whatever the number format, for five shapes of models."""

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
