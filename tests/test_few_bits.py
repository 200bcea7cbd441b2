"""Models with weights of few bits: scores and slopes near those of the whole model, or a refusal in words."""

import copy
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import UnsupportedError
from interp_core.testing import tiny_classifier
from torch import nn

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm", "cold night and rain", "i"]


class EightBitTable(nn.Module):
    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(table.abs().amax(1, keepdim=True) / 127)
        self.weight = nn.Parameter((table / self.scale.data).round().to(torch.int8), requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.weight[ids] * self.scale[ids]


def test_a_model_with_embeddings_in_whole_numbers_has_the_format_of_its_other_weights() -> None:
    tiny = tiny_classifier()
    whole = copy.deepcopy(tiny.model)
    whole.set_input_embeddings(EightBitTable(tiny.model.get_input_embeddings().weight.detach()))
    model = interp.TextModel(whole, tiny.tokenizer)
    assert model.dtype == torch.float32
    for by in ("occlusion", "saliency"):
        found, expected = (interp.attribute(m, TEXTS, by=by, targets="all", progress=False) for m in (model, tiny))
        for one, other in zip(found, expected, strict=True):
            assert float((one.scores - other.scores).norm()) < 0.1 * float(other.scores.norm())


def in_few_bits(kind: str) -> tuple[interp.TextModel, interp.TextModel]:
    """A model, and the same with weights of few bits; by the packages themselves."""
    tokenizer = tiny_classifier().tokenizer
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        num_labels=3, max_position_embeddings=128, initializer_range=0.1,
    )  # fmt: skip
    single = transformers.BertForSequenceClassification(config).eval()
    few = copy.deepcopy(single)
    package, bits = kind.split("-")
    if package == "quanto":
        quanto = pytest.importorskip("optimum.quanto", reason="optimum-quanto is not installed")
        quanto.quantize(few, weights=getattr(quanto, f"qint{bits}"))
        quanto.freeze(few)
    else:
        layers = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed").nn
        for path, old in [(p, m) for p, m in few.named_modules() if isinstance(m, nn.Linear) and p != "classifier"]:
            sizes = (old.in_features, old.out_features)
            new = (
                layers.Linear8bitLt(*sizes, has_fp16_weights=False)
                if bits == "8"
                else layers.Linear4bit(*sizes, compute_dtype=torch.float32)
            )
            new.load_state_dict(old.state_dict())
            few.set_submodule(path, new)
        few.to("cpu")  # which is when its weights become few bits
    return interp.TextModel(few.eval(), tokenizer), interp.TextModel(single, tokenizer)


FEW_BITS = [("quanto-8", 0.05), ("quanto-4", 0.5), ("bitsandbytes-8", 0.2), ("bitsandbytes-4", 0.5)]


@pytest.mark.parametrize(("kind", "share"), FEW_BITS)
def test_scores_of_a_model_of_few_bits_are_near_those_of_the_whole_one(kind: str, share: float) -> None:
    few, single = in_few_bits(kind)
    assert few.dtype == torch.float32 and few.device == torch.device("cpu") and few.sharing
    found, expected = (
        torch.cat([a.scores for a in interp.attribute(m, TEXTS, by="occlusion", targets="all", progress=False)], dim=1)
        for m in (few, single)
    )
    assert 0 < float((found - expected).norm()) < share * float(expected.norm())


@pytest.mark.parametrize(("kind", "share"), FEW_BITS)
def test_slopes_of_a_model_of_few_bits_are_right_or_refused(kind: str, share: float) -> None:
    few, single = in_few_bits(kind)
    options: dict[str, Any] = {"by": "input-x-gradient", "targets": "all", "progress": False}
    try:
        found = torch.cat([one.scores for one in interp.attribute(few, TEXTS, **options)], dim=1)
    except UnsupportedError as error:
        assert kind == "bitsandbytes-4" and "cannot differentiate" in str(error)  # its kernel for the CPU cannot
        return
    expected = torch.cat([one.scores for one in interp.attribute(single, TEXTS, **options)], dim=1)
    assert 0 < float((found - expected).norm()) < share * float(expected.norm())


def test_a_pass_that_writes_in_place_is_refused_in_words_also_where_pytorch_notices_at_once() -> None:
    tiny = tiny_classifier()

    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.config = tiny.model, tiny.config

        def get_input_embeddings(self) -> nn.Module:
            return self.inner.get_input_embeddings()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            logits = self.inner(input_ids=input_ids, attention_mask=attention_mask).logits
            if logits.requires_grad:
                logits.detach().requires_grad_().view(-1).add_(1)
            return logits

    model = interp.TextModel(Writing().eval(), tiny.tokenizer)
    with pytest.raises(UnsupportedError, match="writes over its own states in place"):
        interp.attribute(model, "so happy", by="saliency", targets=0, progress=False)
