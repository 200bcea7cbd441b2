"""Every kind of head and body: the same scores as the model's own call, alone and among others."""

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import UnsupportedError
from interp_core.testing import tiny_classifier, word_tokenizer
from interp_core.testing._tiny_models import SPECIAL, WORDS

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm"]
SIZES = {"vocab_size": len(SPECIAL) + len(WORDS), "num_labels": 3}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MADE = {
    "gpt2": lambda **k: transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(**SIZES, n_embd=16, n_layer=2, n_head=2, n_positions=32, **k)
    ),
    "llama": lambda **k: transformers.LlamaForSequenceClassification(
        transformers.LlamaConfig(**SIZES, **SMALL, num_key_value_heads=1, max_position_embeddings=32, **k)
    ),
    "roberta": lambda **k: transformers.RobertaForSequenceClassification(
        transformers.RobertaConfig(**SIZES, **SMALL, max_position_embeddings=34, **k)
    ),
    "distilbert": lambda **k: transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(**SIZES, dim=16, n_layers=2, n_heads=2, hidden_dim=32, **k)
    ),
}


def made(name: str, tokenizer: object = None, **config: object) -> interp.TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MADE[name](**{"pad_token_id": 0, "initializer_range": 0.4, **config})
    return interp.TextModel(model.eval(), tokenizer or word_tokenizer())


def decoder_tokenizer() -> object:
    """Without special tokens, as GPT-2's and LLaMA's are."""
    tokenizer = word_tokenizer()
    tokenizer._tokenizer.post_processor = None
    tokenizer.cls_token = tokenizer.sep_token = tokenizer.mask_token = None
    return tokenizer


@pytest.mark.parametrize(
    ("name", "padded"), [*((name, True) for name in sorted(MADE)), ("gpt2", False), ("llama", False)]
)
def test_scores_are_those_of_the_models_own_call(name: str, padded: bool) -> None:
    tokenizer = decoder_tokenizer() if name in ("gpt2", "llama") else None
    model = made(name, tokenizer, pad_token_id=0 if padded else None)
    together = interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)
    for text, found in zip(TEXTS, together, strict=True):
        with torch.no_grad():
            expected = model.model(model.encoder(text).ids[None]).logits[0]
        assert torch.allclose(found.intact, expected, atol=1e-5)
        (alone,) = interp.attribute(model, text, by="occlusion", targets="all", progress=False)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_decoders_that_classify_are_read_at_their_last_token(name: str) -> None:
    model = made(name, decoder_tokenizer())
    split = model.split(-1)
    held = split.activations(TEXTS, granularity="cls", predictions=True, progress=False)
    assert split.head_reads_one_row
    with torch.no_grad():
        expected = [int(model.model(model.encoder(text).ids[None]).logits.argmax()) for text in TEXTS]
    assert held.predictions.tolist() == expected
    from interp_core.testing import PlantedSpace

    space = PlantedSpace(torch.eye(16)[:4], torch.zeros(16))
    found = interp.importance(split, space, held, by="occlusion", progress=False)
    assert found.per_text.shape == (3, 3, 4)


def test_a_multi_label_head_has_sigmoids_and_several_answers() -> None:
    model = tiny_classifier(problem_type="multi_label_classification")
    assert model.head == "multi-label"
    with torch.no_grad():
        logits = model.model(model.encoder(TEXTS[0]).ids[None]).logits[0]
    (found,) = interp.attribute(model, TEXTS[0], by="occlusion", targets="all", score="probability", progress=False)
    assert torch.allclose(found.intact, logits.sigmoid(), atol=1e-6)
    (own,) = interp.attribute(model, TEXTS[0], by="occlusion", progress=False)
    positive = [i for i, value in enumerate(logits.tolist()) if value > 0] or [int(logits.argmax())]
    assert [t.index for t in own.targets] == positive


def test_a_regression_has_one_score() -> None:
    model = tiny_classifier(labels=1)
    assert model.head == "regression"
    (found,) = interp.attribute(model, TEXTS[0], by="integrated-gradients", steps=64, progress=False)
    with torch.no_grad():
        assert torch.allclose(found.intact, model.model(model.encoder(TEXTS[0]).ids[None]).logits[0], atol=1e-5)
    assert torch.isfinite(torch.tensor(interp.measure(found, model, by="insertion", progress=False).value))


def test_probabilities_are_those_of_the_softmax_and_contrasts_are_differences() -> None:
    model = tiny_classifier()
    with torch.no_grad():
        logits = model.model(model.encoder(TEXTS[0]).ids[None]).logits[0]
    for score, expected in (("probability", logits.softmax(0)), ("log-probability", logits.log_softmax(0))):
        (found,) = interp.attribute(model, TEXTS[0], by="occlusion", targets="all", score=score, progress=False)
        assert torch.allclose(found.intact, expected, atol=1e-6)
    one, two, both = (
        interp.attribute(model, TEXTS[0], by="integrated-gradients", targets=t, progress=False)[0].scores[0]
        for t in (0, "LABEL_2", interp.contrast(0, "LABEL_2"))
    )
    assert torch.allclose(both, one - two, atol=1e-5)


def test_a_function_of_the_output_can_be_the_target() -> None:
    def margin(logits: torch.Tensor) -> torch.Tensor:
        best = logits.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]

    model = tiny_classifier()
    (found,) = interp.attribute(model, TEXTS[0], by="occlusion", targets=[margin, 1], progress=False)
    with torch.no_grad():
        logits = model.model(model.encoder(TEXTS[0]).ids[None]).logits
    assert found.targets[0].label == "margin"
    assert torch.allclose(found.intact, torch.stack([margin(logits)[0], logits[0, 1]]), atol=1e-5)


def test_double_precision_agrees_with_single() -> None:
    plain = interp.attribute(tiny_classifier(), TEXTS, by="integrated-gradients", targets="all", progress=False)
    model = tiny_classifier()
    double = interp.TextModel(model.model.double(), model.tokenizer)
    found = interp.attribute(double, TEXTS, by="integrated-gradients", targets="all", progress=False)
    assert all(torch.allclose(a.scores, b.scores, atol=1e-4) for a, b in zip(plain, found, strict=True))


def test_half_precision_runs_and_gives_what_the_model_itself_gives() -> None:
    model = tiny_classifier()
    half = interp.TextModel(model.model.to(torch.bfloat16), model.tokenizer)
    for by in ("occlusion", "integrated-gradients", "lime"):
        found = interp.attribute(half, TEXTS, by=by, targets="all", progress=False)
        for text, one in zip(TEXTS, found, strict=True):
            with torch.no_grad():
                expected = half.model(half.encoder(text).ids[None]).logits[0].float()
            assert one.scores.dtype == torch.float32
            assert torch.allclose(one.intact, expected, atol=0.02 * float(expected.abs().max()))


def test_a_model_that_is_neither_classifier_nor_generator_can_be_read_but_not_explained() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = transformers.BertModel(transformers.BertConfig(vocab_size=SIZES["vocab_size"], **SMALL))
    model = interp.TextModel(body.eval(), word_tokenizer())
    assert model.split(1).activations(TEXTS, granularity="word", progress=False).values.shape[1] == 16
    with pytest.raises(UnsupportedError, match="gives no logits of classes, tags, spans or tokens"):
        interp.attribute(model, TEXTS[0], by="lime")
