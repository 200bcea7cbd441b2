"""A split model reads a layer, goes on from it, and takes a short cut only where that is proven equal."""

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.errors import InputError, LayerError
from interp_core.model import OutputInjection, at_rest, tap
from interp_core.model._injection import BypassInjection
from interp_core.testing import state_of, tiny_classifier, tiny_generator

TEXTS = ["i feel so happy today", "the old dog was never calm", "sad"]


def test_activations_are_the_hidden_states_that_transformers_reports() -> None:
    model = tiny_classifier()
    found = model.split(0).activations(TEXTS, granularity="token", progress=False)
    for i, text in enumerate(TEXTS):
        ids = model.encoder(text).ids[None]
        with torch.no_grad():
            hidden = model.model(ids, output_hidden_states=True).hidden_states[1][0]
        assert torch.allclose(found.values[found.rows_of(i)], hidden[1:-1], atol=1e-5)


def test_cls_rows_are_read_where_the_classifier_reads() -> None:
    model = tiny_classifier()
    found = model.split(-1).activations(TEXTS, granularity="cls", predictions=True, progress=False)
    with torch.no_grad():
        logits = model.model.classifier(model.model.bert.pooler(found.values[:, None]))
    assert found.values.shape == (3, 16)
    assert found.predictions.tolist() == logits.argmax(1).tolist()


def test_reading_a_layer_stops_the_pass_there(blocks_that_run) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    split = model.split(0)
    assert split.capabilities.runs_once and model.labels  # found by whole passes over a short text, once
    seen = blocks_that_run(model)
    split.activations(TEXTS, progress=False)
    assert set(seen) == {model.blocks[0]}


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_resuming_equals_the_full_pass_and_skips_the_blocks_below(make, blocks_that_run) -> None:  # type: ignore[no-untyped-def]
    model = make()
    split = model.split(0)
    encoded = model.encoder(TEXTS[0])
    states = torch.randn(2, len(encoded), 16, generator=torch.Generator().manual_seed(0))
    assert isinstance(split.injection, BypassInjection) and model.sharing == "padded"  # proofs, each made once
    ids = encoded.ids.expand(2, -1)
    with torch.no_grad(), at_rest(model.model), tap(model.model, split.path, replace=states):
        expected = model.forward(ids, torch.ones_like(ids))["logits"]
    seen = blocks_that_run(model)
    found = torch.stack(split.resume(list(states), [encoded] * 2))
    assert torch.allclose(found, expected, atol=1e-5)
    assert set(seen) <= {model.blocks[1]} and model.blocks[1] in seen


def test_a_split_inside_a_block_takes_no_short_cut() -> None:
    model = tiny_classifier()
    split = model.split("bert.encoder.layer.1.output")
    assert isinstance(split.injection, OutputInjection)
    encoded = model.encoder(TEXTS[0])
    (states,) = split.states(interp_evaluator(model), [encoded])
    ids = encoded.ids[None]
    with torch.no_grad(), at_rest(model.model):
        expected = model.forward(ids, torch.ones_like(ids))["logits"]
    assert torch.allclose(split.resume([states], [encoded])[0], expected[0], atol=1e-5)


def test_no_short_cut_is_taken_past_a_block_that_something_else_reads() -> None:
    """The answer also depends on what block 0 gave: handing values through would change it."""
    model = tiny_classifier()
    given: list[torch.Tensor] = []
    model.model.bert.encoder.layer[0].register_forward_hook(lambda _m, _i, out: given.append(out))

    def peek(_module: object, _inputs: object, output: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output["logits"] = (
            output["logits"] + (given[-1][0] if isinstance(given[-1], tuple) else given[-1]).sum((1, 2))[:, None]
        )
        return output

    model.model.register_forward_hook(peek)
    assert isinstance(model.split(1).injection, OutputInjection)
    assert isinstance(tiny_classifier().split(1).injection, BypassInjection)


def test_only_the_last_block_of_a_classifier_is_read_at_one_row() -> None:
    model = tiny_classifier()
    assert model.split(-1).head_reads_one_row
    assert not model.split(0).head_reads_one_row
    assert not tiny_generator().split(-1).head_reads_one_row


def test_resuming_leaves_no_trace() -> None:
    model = tiny_classifier()
    before = state_of(model)
    split = model.split(1)
    encoded = model.encoder(TEXTS[0])
    split.resume([torch.zeros(len(encoded), 16)], [encoded])
    assert state_of(model) == before


def test_values_enter_above_blocks_in_the_form_of_their_outputs_and_each_forward_is_put_back() -> None:
    """The first block returns a tuple, whose rest is kept; the second has a forward of its own, as accelerate sets."""
    first, second = torch.nn.Linear(2, 2, dtype=torch.float64), torch.nn.Linear(2, 2, dtype=torch.bfloat16)
    own = second.forward
    second.forward = own
    outputs = ((torch.zeros(1, 1, 2, dtype=torch.float64), "cache"), torch.zeros(1, 1, 2, dtype=torch.bfloat16))
    injection = BypassInjection("second", (first, second), outputs)
    values = torch.ones(1, 3, 2)
    with injection.open(values) as entered:
        hidden, cache = first("whatever it reads")
        assert hidden.dtype == torch.float64 and torch.equal(hidden.float(), values) and cache == "cache"
        assert entered.value is None  # values are noted where the last block hands them on
        assert second(hidden).dtype == torch.bfloat16 and entered.read() is values
    assert "forward" not in vars(first) and vars(second)["forward"] is own


def test_class_wise_selection_keeps_rows_with_their_texts() -> None:
    model = tiny_classifier()
    found = model.split(-1).activations(TEXTS * 2, granularity="word", labels=[0, 1, 2, 0, 1, 2], progress=False)
    part = found.of_class("LABEL_1", by="labels")
    assert part.texts == (TEXTS[1], TEXTS[1]) and part.labels.tolist() == [1, 1]
    assert [part.unit(i).text for i in range(6)] == TEXTS[1].split()
    assert torch.equal(part.values[:6], found.values[found.rows_of(1)])
    with pytest.raises(InputError, match="carry no predictions"):
        found.of_class(0)


def test_a_layer_that_runs_several_times_in_a_pass_is_refused_even_where_the_pass_could_stop() -> None:
    import transformers
    from interp_core.testing import word_tokenizer

    config = transformers.AlbertConfig(
        vocab_size=60,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
    )
    model = interp.TextModel(transformers.AlbertForSequenceClassification(config).eval(), word_tokenizer())
    path = next(name for name, _ in model.model.named_modules() if name.endswith("albert_layers.0"))
    with pytest.raises(LayerError, match="ran twice"):
        model.split(path).activations(TEXTS, progress=False)


def test_a_multi_label_model_predicts_every_class_that_a_text_has() -> None:
    model = tiny_classifier(problem_type="multi_label_classification")
    found = model.split(-1).activations(TEXTS, granularity="cls", predictions=True, progress=False)
    with torch.no_grad():
        logits = [model.model(model.encoder(text).ids[None]).logits[0] for text in TEXTS]
    expected = [(row > 0) if bool((row > 0).any()) else row == row.max() for row in logits]
    assert torch.equal(found.predictions, torch.stack(expected))
    part = found.of_class(int(expected[0].nonzero()[0]))
    assert TEXTS[0] in part.texts


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("layer", "instead"),
    [
        ([1], r"model\.split\(1\)"),
        (("bert.encoder.layer.0",), r"model\.split\('bert\.encoder\.layer\.0'\)"),
        ([0, -1], r"model\.layers\(0, -1\)"),
        (range(2), r"model\.layers\(0, 1\)"),
        ([], r"model\.split\(-1\)"),
    ],
)
def test_a_list_of_layers_is_no_split_and_is_told_what_to_write(layer, instead) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LayerError, match=f"one layer.*write {instead} instead"):
        tiny_classifier().split(layer)


@pytest.mark.usefixtures("unchecked")
def test_hooks_of_transformer_lens_and_modules_are_told_what_they_are_called_here() -> None:
    model = tiny_classifier()
    for hook, block in (("blocks.1.hook_resid_post", 1), ("blocks.1.hook_resid_pre", 0)):
        with pytest.raises(LayerError, match=f"hook of TransformerLens; here it is layer {block}"):
            model.split(hook)
    for hook in ("blocks.0.hook_resid_pre", "blocks.9.hook_resid_post"):
        with pytest.raises(LayerError, match="there is no module"):
            model.split(hook)
    with pytest.raises(LayerError, match=r"layer is a BertLayer; give its path, 'bert\.encoder\.layer\.1'"):
        model.split(model.model.bert.encoder.layer[1])
    with pytest.raises(LayerError, match="layer is a Linear; it is no part of this model"):
        model.split(torch.nn.Linear(2, 2))


@pytest.mark.usefixtures("unchecked")
def test_the_number_of_a_block_may_be_one_of_numpy() -> None:
    model = tiny_classifier()
    assert model.split(np.int64(-1)).path == model.split(-1).path


def test_activations_survive_saving(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = tiny_classifier().split(-1).activations(TEXTS, granularity="word", predictions=True, progress=False)
    again = interp.Activations.load(found.save(tmp_path / "held.safetensors"))
    assert torch.equal(again.values, found.values) and torch.equal(again.predictions, found.predictions)
    assert again.units == found.units and again.texts == found.texts and again.made_by == found.made_by


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "corpus is empty"), (["a", " "], "1 of 2 texts are empty"), ("sad", "Put it into a list")],
)
def test_a_corpus_that_cannot_be_read_is_refused(texts, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        tiny_classifier().split(0).activations(texts)


def test_predictions_and_cls_rows_of_a_generator_are_refused() -> None:
    split = tiny_generator().split(0)
    with pytest.raises(InputError, match="not a classifier"):
        split.activations(TEXTS, predictions=True)
    with pytest.raises(LayerError, match="no class token"):
        tiny_generator_without_cls().split(0).activations(TEXTS, granularity="cls")


def test_texts_that_are_cut_are_counted_in_the_notes() -> None:
    found = tiny_classifier().split(0).activations(["sad " * 50, "happy"], progress=False)
    assert found.notes == ("1 of 2 texts were cut to the 32 tokens that the model takes.",)


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="2 labels were given for 3 texts"):
        tiny_classifier().split(0).activations(TEXTS, labels=[0, 1])


def interp_evaluator(model: interp.TextModel):  # type: ignore[no-untyped-def]
    from interp_core.model import BatchRunner

    return BatchRunner(model)


def tiny_generator_without_cls() -> interp.TextModel:
    model = tiny_generator()
    model.tokenizer.cls_token = None
    return interp.TextModel(model.model, model.tokenizer)


def test_each_call_of_a_block_that_runs_several_times_is_a_layer() -> None:
    """ALBERT has one block for all of its layers."""
    import transformers

    made = tiny_classifier()
    config = transformers.AlbertConfig(
        vocab_size=len(made.tokenizer),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=3,
    )
    model = interp.TextModel(transformers.AlbertForSequenceClassification(config).eval(), made.tokenizer)
    assert len(model.blocks) == 3 and len({path.partition("@")[0] for path in model.blocks}) == 1
    encoded = model.encoder(TEXTS[0])
    with torch.no_grad():
        output = model.model(encoded.ids[None], output_hidden_states=True)
    for layer, path in enumerate(model.blocks):
        split = model.split(path)
        (states,) = split.states(interp_evaluator(model), [encoded])
        assert torch.allclose(states, output.hidden_states[layer + 1][0], atol=1e-5)
        assert torch.allclose(split.resume([states], [encoded])[0], output.logits[0], atol=1e-5)
    with pytest.raises(LayerError, match="ran twice in one pass"):
        model.split(model.blocks[0].partition("@")[0]).states(interp_evaluator(model), [encoded])
