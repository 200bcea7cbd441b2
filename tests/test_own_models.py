"""Modules that are no Hugging Face model, and what others wrap around one: they work, or are told what to do."""

import copy
from types import SimpleNamespace
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.concepts import AffineSpace
from interp_core.errors import InputError, ModelError, UnsupportedError
from interp_core.testing import tiny_classifier, tiny_generator, tiny_tagger, word_tokenizer

TEXTS = ["so happy today", "the old dog was never calm and the rain was cold"]
BASE = tiny_classifier()


class Own(torch.nn.Module):
    """A module without a configuration whose forward takes two arguments."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.inner, self.form = BASE.model, form

    def get_input_embeddings(self) -> torch.nn.Module:
        found: torch.nn.Module = self.inner.get_input_embeddings()
        return found

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return self.form(self.inner(input_ids=input_ids, attention_mask=attention_mask).logits)


FORMS = {
    "tensor": lambda scores: scores,
    "tuple": lambda scores: (scores, "more"),
    "dict": lambda scores: {"logits": scores},
    "ModelOutput": lambda scores: transformers.utils.ModelOutput(logits=scores),
    "attribute": lambda scores: SimpleNamespace(logits=scores),
}


@pytest.fixture(scope="module")
def expected() -> list[torch.Tensor]:
    return [a.scores for a in interp.attribute(BASE, TEXTS, by="saliency", progress=False)]


def explained(model: torch.nn.Module) -> list[torch.Tensor]:
    wrapped = interp.TextModel(model, word_tokenizer())
    return [a.scores for a in interp.attribute(wrapped, TEXTS, by="saliency", progress=False)]


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_the_answer_is_read(form: str, expected: list[torch.Tensor]) -> None:
    for found, own in zip(explained(Own(FORMS[form]).eval()), expected, strict=True):
        assert torch.allclose(found, own, atol=1e-5)


TAGGER = tiny_tagger()


class OwnTagger(Own):
    def __init__(self, form: Any) -> None:
        super().__init__(form)
        self.inner = TAGGER.model


@pytest.mark.parametrize("form", FORMS)
def test_a_prediction_at_each_token_is_read_in_any_form(form: str) -> None:
    options: dict[str, Any] = {"by": "occlusion", "targets": interp.at("sun", 1), "progress": False}
    (own,) = interp.attribute(TAGGER, "the sun was warm", **options)
    (found,) = interp.attribute(
        interp.TextModel(OwnTagger(FORMS[form]), TAGGER.tokenizer), "the sun was warm", **options
    )
    assert torch.allclose(found.scores, own.scores, atol=1e-5)


def test_a_generator_that_cannot_generate_says_what_to_give() -> None:
    generator = tiny_generator()
    own = Own(lambda scores: scores)
    own.inner = generator.model
    own.get_output_embeddings = generator.model.get_output_embeddings  # type: ignore[operator]
    model = interp.TextModel(own, generator.tokenizer)
    with pytest.raises(UnsupportedError, match=r"has no generate.*targets="):
        interp.attribute(model, "i feel so", by="occlusion", progress=False)
    (found,) = interp.attribute(model, "i feel so", by="occlusion", targets=" happy", progress=False)
    (expected,) = interp.attribute(generator, "i feel so", by="occlusion", targets=" happy", progress=False)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)


def test_a_module_without_a_configuration_can_be_split_and_has_blocks() -> None:
    model = interp.TextModel(Own(FORMS["tensor"]).eval(), word_tokenizer())
    assert model.labels == ("LABEL_0", "LABEL_1", "LABEL_2") and model.max_tokens == 32
    assert model.blocks == tuple(f"inner.{path}" for path in BASE.blocks)
    space = AffineSpace(torch.eye(16), torch.eye(16))
    found, own = (
        interp.importance(
            one.split(-1), space, one.split(-1).activations(TEXTS, granularity="cls", progress=False), progress=False
        )
        for one in (model, BASE)
    )
    assert torch.allclose(found.per_text, own.per_text, atol=1e-5)


@pytest.mark.parametrize("how", ["function", "in place"])
def test_a_compiled_model_is_explained_as_it_is_written(how: str, expected: list[torch.Tensor]) -> None:
    model = copy.deepcopy(BASE.model)
    if how == "function":
        model = torch.compile(model, backend="eager")
    else:
        model.compile(backend="eager")
    ids = BASE.encoder(TEXTS[0]).ids[None]
    before = model(ids).logits  # compiled before any hook is there
    for found, own in zip(explained(model), expected, strict=True):
        assert torch.allclose(found, own, atol=1e-5)
    assert torch.allclose(model(ids).logits, before) and (how == "function" or model._compiled_call_impl is not None)


def offloaded() -> torch.nn.Module:
    accelerate = pytest.importorskip("accelerate")
    model: torch.nn.Module = accelerate.cpu_offload(copy.deepcopy(BASE.model))
    return model


def chooser() -> torch.nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return transformers.BertForMultipleChoice(transformers.BertConfig(vocab_size=45, **sizes)).eval()


class Refusing(Own):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        raise KeyError("nothing") if attention_mask is None else RuntimeError("no such day")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: torch.nn.DataParallel(BASE.model), InputError, r"pass the model that it wraps, its \.module"),
        (lambda: torch.nn.Linear(2, 2), InputError, "add def get_input_embeddings"),
        (offloaded, ModelError, "accelerate offloads weights.*remove_hook_from_module"),
        (chooser, InputError, "chooses among several texts.*own-model"),
        (lambda: Own(lambda scores: scores[:, 0]), InputError, r"shape \(1,\).*return scores\[:, None\]"),
        (lambda: Refusing(None), InputError, "RuntimeError: no such day.*own-model"),
    ],
)
def test_what_cannot_be_explained_is_told_what_to_do(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explained(make())


def test_an_offloaded_model_works_once_the_offloading_is_taken_off(expected: list[torch.Tensor]) -> None:
    model = offloaded()
    from accelerate.hooks import remove_hook_from_module

    for found, own in zip(explained(remove_hook_from_module(model, recurse=True)), expected, strict=True):
        assert torch.allclose(found, own, atol=1e-5)
