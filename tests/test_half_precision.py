"""Half precision: what two ways of computing may differ by follows the number format, and a refusal names its cause."""

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import UnsupportedError
from interp_core.testing import planted_model, tiny_classifier, tiny_filler, tiny_generator, tiny_llama, tiny_translator
from transformers.modeling_utils import AttentionInterface

needs_5 = pytest.mark.skipif(
    not hasattr(AttentionInterface, "get_interface"), reason="attention can only be observed with transformers 5"
)
METHODS = ["attention-rollout", "value-zeroing", "attention-x-gradient"]
MAKERS = [tiny_classifier, tiny_filler, tiny_generator, tiny_llama]
HALF = [(torch.bfloat16, 0.1), (torch.float16, 0.02)]
TEXT = "i feel so [MASK] and never warm"


def in_format(make: Any, kind: torch.dtype) -> tuple[interp.TextModel, interp.TextModel]:
    """A model in half precision, and one in single precision with the same rounded weights."""
    half, single = make(seed=3), make(seed=3)
    half.model.to(kind)
    single.model.load_state_dict({name: value.float() for name, value in half.model.state_dict().items()})
    return half, single


@needs_5
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("kind", "share"), HALF)
@pytest.mark.parametrize("by", METHODS)
def test_what_sees_attention_says_the_same_in_half_precision(
    make: Any, kind: torch.dtype, share: float, by: str
) -> None:
    options: dict[str, Any] = {"by": by, "progress": False}
    if make in (tiny_generator, tiny_llama):
        options["targets"] = " happy"
    half, single = in_format(make, kind)
    if make is tiny_filler:
        options["targets"] = "happy"
    (found,), (expected,) = (interp.attribute(model, TEXT, **options) for model in (half, single))
    size = float(expected.scores.abs().max())
    assert size > 0 and float((found.scores - expected.scores).abs().max()) < share * size


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer", [0, -1])
def test_what_a_layer_allows_does_not_depend_on_the_number_format(kind: torch.dtype, layer: int) -> None:
    half, single = in_format(tiny_classifier, kind)
    assert type(half.split(layer).injection) is type(single.split(layer).injection)
    assert half.split(layer).head_reads_one_row == single.split(layer).head_reads_one_row
    assert half.read_position == single.read_position == 0


def test_a_store_of_a_half_precision_model_is_resumed_in_spite_of_rounding(tmp_path: Any) -> None:
    from interp_core.activations._store import Store

    def store(sample: list[float], kind: str = "torch.bfloat16") -> Store:
        settings = {"dtype": kind, "model": "tiny", "layer": "0"}
        return Store(tmp_path / kind, settings, sample)

    assert store([1.0, 2.0]).begin() == 0 and store([1.0, 2.0], "torch.float32").begin() == 0
    assert store([1.01, 2.01]).begin() == 0
    for kind, other in (("torch.bfloat16", 1.1), ("torch.float32", 1.01)):
        with pytest.raises(interp.errors.InputError, match="other weights"):
            store([other, 2.0 * other], kind).begin()


class OwnAttention(torch.nn.Module):
    """One block that mixes tokens without the attention interface of transformers."""

    def __init__(self) -> None:
        super().__init__()
        inner = planted_model({"happy": (2.0, 0.0)}).model
        self.words, self.config = inner.words, inner.config
        self.config.num_hidden_layers = 1
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2)])

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.words

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, return_dict: bool = True) -> Any:
        states = self.blocks[0](self.words(input_ids))
        mixed = states.mean(1, keepdim=True).expand_as(states)
        return {"logits": (mixed * attention_mask[:, :, None]).sum(1)}


@needs_5
@pytest.mark.parametrize(
    ("model", "targets", "cause"),
    [
        (tiny_translator(), "cat", "it has two stacks"),
        (planted_model({"happy": (2.0, 0.0)}), 0, "its blocks were not found"),
        (interp.TextModel(OwnAttention().eval(), tiny_classifier().tokenizer), 0, "computes attention by itself"),
    ],
)
def test_a_refusal_names_the_cause_and_no_other(model: interp.TextModel, targets: Any, cause: str) -> None:
    with pytest.raises(UnsupportedError, match=cause):
        interp.attribute(model, "so sad", by="attention-rollout", targets=targets, progress=False)
