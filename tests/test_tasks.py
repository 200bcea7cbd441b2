"""Every kind of head can be asked: its scores are those of the model's own call, and its targets what is meant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import interp_core as interp
import numpy as np
import pytest
import torch
from interp_core.attribution import class_targets
from interp_core.attribution._targets import _best_span
from interp_core.errors import InputError, TargetError, UnsupportedError
from interp_core.model import predicted, readout_of
from interp_core.testing import (
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_tagger,
    tiny_translator,
)
from interp_core.text import Chat, class_index, divide
from interp_core.text._chat_template import rendered

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm"]
PAIR = ("was the dog sad", "the old dog was never calm and today it was sad")
CHAT = [{"role": "user", "content": "i feel sad"}, {"role": "user", "content": "was the day good"}]
TEMPLATE = "{% for m in messages %}[SEP] {{ m.role }} : {{ m.content }} {% endfor %}[SEP] so"


def ask(model: interp.TextModel, texts: object, **options: object) -> list[interp.Attribution]:
    return interp.attribute(model, texts, **{"by": "occlusion", "progress": False, **options})  # type: ignore[arg-type]


def own_logits(model: interp.TextModel, *text: str, name: str = "logits") -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.model(**model.tokenizer(*text, return_tensors="pt"))[name][0]
    return found


# Masked language models


def test_the_word_in_a_gap_is_explained_by_its_log_probability() -> None:
    model = tiny_filler()
    (found,) = ask(model, "i feel so [MASK] today", targets="happy")
    ids = model.tokenizer("i feel so [MASK] today")["input_ids"]
    gap = ids.index(model.tokenizer.mask_token_id)
    expected = own_logits(model, "i feel so [MASK] today")[gap].log_softmax(-1)
    assert model.head == "masked" and found.words == ["i", "feel", "so", "today"]
    assert torch.allclose(found.intact[0], expected[model.tokenizer.convert_tokens_to_ids("happy")], atol=1e-5)


def test_without_targets_each_gap_has_the_models_own_word() -> None:
    model, text = tiny_filler(), "the [MASK] dog was [MASK]"
    (found,) = ask(model, text)
    logits = own_logits(model, text)
    gaps = [i for i, t in enumerate(model.tokenizer(text)["input_ids"]) if t == model.tokenizer.mask_token_id]
    assert [t.index for t in found.targets] == logits[gaps].argmax(-1).tolist()
    assert [t.position for t in found.targets] == gaps


def test_several_words_and_a_contrast_can_be_asked_about_one_gap() -> None:
    (found,) = ask(tiny_filler(), "i feel [MASK] today", targets=("happy", "sad", interp.contrast("happy", "sad")))
    assert torch.allclose(found.scores[2], found.scores[0] - found.scores[1], atol=1e-5)


def test_a_text_without_a_gap_is_refused() -> None:
    with pytest.raises(InputError, match=r"no \[MASK\]"):
        ask(tiny_filler(), TEXTS[0])


# Labels of tokens


def test_a_word_is_explained_by_the_label_of_its_first_token() -> None:
    model = tiny_tagger()
    (found,) = ask(
        model, TEXTS[0], targets=(interp.at("happy", "LOC"), interp.at("sun", interp.contrast("LOC", "PER")))
    )
    logits = own_logits(model, TEXTS[0])
    assert torch.allclose(found.intact, torch.stack([logits[4, 1], logits[8, 1] - logits[8, 2]]), atol=1e-5)
    assert [t.label for t in found.targets] == ["happy: LOC", "sun: LOC - PER"]


def test_without_targets_the_words_that_have_a_label_are_explained() -> None:
    model = tiny_tagger(seed=3)
    for text, found in zip(TEXTS, ask(model, TEXTS), strict=True):
        best = own_logits(model, text).argmax(-1)[1:-1].tolist()
        words = text.split()
        expected = [f"{w}: {model.tags[b]}" for w, b in zip(words, best, strict=True) if b] or [
            f"{w}: O" for w in words
        ]
        assert [t.label for t in found.targets] == expected


def test_a_span_of_words_has_the_product_of_their_probabilities() -> None:
    model = tiny_tagger()
    (found,) = ask(model, TEXTS[0], targets=interp.at("the sun", "LOC"), score="probability")
    likely = own_logits(model, TEXTS[0]).softmax(-1)
    assert torch.allclose(found.intact[0], likely[7, 1] * likely[8, 1], atol=1e-6)


def test_a_place_that_is_not_there_is_refused() -> None:
    with pytest.raises(TargetError, match="'moon' is not in the text"):
        ask(tiny_tagger(), TEXTS[0], targets=interp.at("moon", "LOC"))
    with pytest.raises(TargetError, match="target 'CAT' is not a label"):
        ask(tiny_tagger(), TEXTS[0], targets=interp.at("sun", "CAT"))


# Answers in a context, and pairs


def test_an_answer_is_explained_by_where_it_starts_and_stops() -> None:
    model = tiny_extractor()
    (found,) = ask(model, [PAIR], targets="never calm")
    ids = model.tokenizer(*PAIR)["input_ids"]
    first = ids.index(model.tokenizer.convert_tokens_to_ids("never"))
    start, stop = (own_logits(model, *PAIR, name=f"{side}_logits") for side in ("start", "end"))
    assert model.head == "span" and found.targets[0].label == "never calm"
    assert torch.allclose(found.intact[0], start[first] + stop[first + 1], atol=1e-5)
    assert found.text == "\n".join(PAIR)


def test_the_models_own_answer_is_the_best_span_of_the_context() -> None:
    model = tiny_extractor(seed=1)
    (found,) = ask(model, [PAIR], score="log-probability")
    start, stop = (own_logits(model, *PAIR, name=f"{side}_logits").log_softmax(-1) for side in ("start", "end"))
    context = range(len(model.tokenizer(PAIR[0])["input_ids"]), len(start) - 1)
    best = max(float(start[a] + stop[b]) for a in context for b in context if a <= b)
    assert abs(float(found.intact[0]) - best) < 1e-4


def test_answers_of_ragged_pairs_are_the_same_alone_and_together() -> None:
    model, pairs = tiny_extractor(), [PAIR, ("the cat", "cat was calm"), ("who", "the old dog and the cat")]
    for score in ("logit", "log-probability", "entropy"):
        together = ask(model, pairs, by="integrated-gradients", score=score)
        for pair, found in zip(pairs, together, strict=True):
            (alone,) = ask(model, [pair], by="integrated-gradients", score=score)
            assert torch.allclose(alone.scores, found.scores, atol=1e-5)


def test_a_pair_of_texts_is_classified_as_the_tokenizer_makes_pairs() -> None:
    model = tiny_classifier()
    (found, plain) = ask(model, [PAIR, "sad dog"], targets="all")
    assert torch.allclose(found.intact, own_logits(model, *PAIR), atol=1e-5)
    assert torch.allclose(plain.intact, own_logits(model, "sad dog"), atol=1e-5)
    assert found.words == " ".join(PAIR).split()


def test_no_unit_reaches_over_the_border_of_a_pair() -> None:
    (found,) = ask(tiny_classifier(), [PAIR], granularity="sample")
    assert found.words == list(PAIR)


# Chats


def test_only_what_messages_say_can_be_removed_and_a_turn_is_a_unit() -> None:
    model = tiny_generator()
    model.tokenizer.chat_template = TEMPLATE
    (words,) = ask(model, CHAT, targets=" cat")
    (turns,) = ask(model, CHAT, targets=" cat", granularity="message")
    assert words.words[:-1] == " ".join(m["content"] for m in CHAT).split()
    assert turns.words == [*(m["content"] for m in CHAT), "cat"]
    rendered = model.tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    ids = model.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert turns.encoded.ids[: len(ids)].tolist() == ids
    with torch.no_grad():
        expected = model.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    assert torch.allclose(turns.intact[0], expected[model.tokenizer.convert_tokens_to_ids("cat")], atol=1e-5)


def test_a_message_is_found_where_the_template_says_the_same_words_before_it() -> None:
    model = tiny_generator()
    model.tokenizer.chat_template = "{% for m in messages %}the sad day : {{ m.content }} {% endfor %}so"
    (found,) = ask(model, [{"role": "user", "content": " sad "}], targets=" cat", granularity="message")
    assert found.words == ["sad", "cat"] and found.units[0].start == found.text.rindex("sad")


def test_white_space_at_the_start_of_a_continuation_is_no_part_of_the_prompt() -> None:
    from tokenizers import pre_tokenizers

    tokenizer = tiny_generator().tokenizer
    tokenizer._tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    model = interp.TextModel(tiny_generator().model, tokenizer)
    divided = divide(model.encoder.with_continuation("so happy", " today"), "word")
    assert divided.unit_of[: divided.prompt].max() == 1
    assert divided.unit_of[divided.prompt :].tolist() == [2, 2]


def test_bytes_of_one_generated_character_stand_where_it_does() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    model = interp.TextModel(tiny_generator(vocab_size=300).model, PreTrainedTokenizerFast(tokenizer_object=inner))
    ids = model.tokenizer("\u00e9 \U0001f600 ok")["input_ids"]
    given, made = model.encoder.with_continuation("a ", "\u00e9 \U0001f600 ok"), model.encoder.with_ids("a ", ids)
    assert made.text == given.text
    assert divide(made, "word").unit_of.tolist() == divide(given, "word").unit_of.tolist()


def test_an_entropy_is_measured_as_an_entropy() -> None:
    model = tiny_classifier()
    found = ask(model, TEXTS[0], score="entropy")
    assert interp.measure(found, model, by="insertion", progress=False).made_by.settings["score"] == "entropy"
    with pytest.raises(InputError, match="leave out score="):
        interp.measure(found, model, by="insertion", score="probability", progress=False)


def test_what_has_no_meaning_is_refused_in_words() -> None:
    with pytest.raises(TargetError, match="a contrast of several words"):
        ask(tiny_tagger(), TEXTS[0], targets=interp.at("the sun", interp.contrast(1, 2)), score="probability")
    with pytest.raises(TargetError, match="one number for each row"):
        ask(tiny_classifier(), TEXTS[0], targets=lambda logits: logits.sum())
    with pytest.raises(TargetError, match="cut off"):
        ask(tiny_extractor(), [PAIR], targets="")
    with pytest.raises(UnsupportedError, match="points at it"):
        ask(tiny_extractor(), [PAIR], removal="attention")
    with pytest.raises(InputError, match="max_rows is 0"):
        ask(tiny_classifier(), TEXTS[0], max_rows=0)


def test_a_word_of_a_classifier_of_two_stacks_is_removed_for_both() -> None:
    """The decoder reads the text again, one position later."""
    import transformers

    config = tiny_translator().config
    model = interp.TextModel(transformers.BartForSequenceClassification(config).eval(), tiny_translator().tokenizer)
    (found,) = ask(model, TEXTS[0], targets="all")
    ids = model.encoder(TEXTS[0]).ids[None]
    with torch.no_grad():
        intact = model.model(ids).logits[0]
        for unit in range(len(found.units)):
            without = ids.clone()
            without[0, unit + 1] = model.tokenizer.mask_token_id
            assert torch.allclose(found.scores[:, unit], intact - model.model(without).logits[0], atol=1e-5)


def test_a_chat_needs_a_template_and_turns_need_a_chat() -> None:
    with pytest.raises(UnsupportedError, match="no chat template"):
        ask(tiny_generator(), CHAT)
    with pytest.raises(InputError, match="granularity 'message' is for chats"):
        ask(tiny_generator(), TEXTS[0], granularity="message", max_new_tokens=1)


# Two stacks


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_a_translation_is_scored_in_one_pass_as_by_the_model(kind: str) -> None:
    model = tiny_translator(kind)
    together = ask(model, TEXTS, targets=["the day was good", "cat", "never and never"])
    for text, given, found in zip(TEXTS, ("the day was good", "cat", "never and never"), together, strict=True):
        source = model.tokenizer(text, return_tensors="pt")["input_ids"]
        target = model.tokenizer(given)["input_ids"]
        start = model.config.decoder_start_token_id
        with torch.no_grad():
            logits = model.model(input_ids=source, decoder_input_ids=torch.tensor([[start, *target]])).logits[0]
        likely = logits.log_softmax(-1)
        expected = torch.stack([likely[i, target[i]] for i in range(1, len(target) - 1)])
        assert torch.allclose(found.intact, expected, atol=1e-5)
        (alone,) = ask(model, text, targets=given)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_a_removed_word_of_the_source_or_of_the_target_is_replaced_in_its_own_stack(kind: str) -> None:
    model = tiny_translator(kind)
    (found,) = ask(model, TEXTS[2], targets="the day was good")
    encoded, mask = found.encoded, model.tokenizer.mask_token_id
    for unit in (1, len(found.units) - 2):
        ids = encoded.ids.clone()
        ids[encoded.unit_of == unit] = mask
        with torch.no_grad():
            logits = model.model(
                input_ids=ids[None, : encoded.source], decoder_input_ids=ids[None, encoded.source :]
            ).logits[0]
        likely = logits.log_softmax(-1)
        without = torch.stack(
            [likely[p - 1 - encoded.source, encoded.ids[p]] for p in range(encoded.prompt + 1, len(ids))]
        )
        expected = torch.where(found.applicable[:, unit], found.intact - without, torch.zeros(()))
        assert torch.allclose(found.scores[:, unit], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_the_models_own_translation_is_what_it_generates(kind: str) -> None:
    model = tiny_translator(kind)
    (found,) = ask(model, TEXTS[0], max_new_tokens=4)
    source = model.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model.model.generate(source, max_new_tokens=4, do_sample=False, num_beams=1)[0].tolist()
    assert found.encoded.ids[found.encoded.source :].tolist() == expected[: len(found.encoded) - found.encoded.source]


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_gradients_reach_both_stacks_and_each_of_their_layers(kind: str) -> None:
    model = tiny_translator(kind, **({"initializer_factor": 0.7} if kind == "t5" else {}))  # smooth enough to integrate
    stacks = (
        ("model.encoder.layers.0", "model.decoder.layers.0")
        if kind == "bart"
        else ("encoder.block.0", "decoder.block.0")
    )
    whole = ask(model, TEXTS[2], targets="the day was good", by="integrated-gradients", steps=200)[0]
    gap = whole.intact - whole_removed(model)
    assert torch.allclose(whole.scores.sum(1), gap, atol=0.02 * float(gap.abs().max()))
    for layer, inside in zip(stacks, (slice(0, 6), slice(6, None)), strict=True):
        (found,) = ask(model, TEXTS[2], targets="the day was good", by="input-x-gradient", layer=layer)
        reached = found.scores[-1].abs() > 0
        assert bool(reached[inside][:3].all()) and not bool(reached[: inside.start or 0].any())


def whole_removed(model: interp.TextModel) -> torch.Tensor:
    (found,) = ask(model, TEXTS[2], targets="the day was good")
    ids = found.encoded.ids.where(found.encoded.unit_of < 0, torch.tensor(model.tokenizer.mask_token_id))
    source = found.encoded.source
    with torch.no_grad():
        likely = (
            model.model(input_ids=ids[None, :source], decoder_input_ids=ids[None, source:]).logits[0].log_softmax(-1)
        )
    return torch.stack([likely[t.position - 1 - source, t.index] for t in found.targets])


# What a target may be


def test_the_tokens_of_a_sequence_add_up_to_it() -> None:
    model = tiny_generator()
    given = " today and the cat"
    for by in ("occlusion", interp.method("integrated-gradients", steps=64)):  # as many nodes, whatever is asked for
        (tokens,) = ask(model, TEXTS[1], by=by, targets=given)
        (whole,) = ask(model, TEXTS[1], by=by, targets=given, output="sample")
        assert whole.targets[0].label == given.strip()
        assert torch.allclose(whole.intact[0], tokens.intact.sum(), atol=1e-5)
        assert torch.allclose(whole.scores[0], tokens.scores.sum(0), atol=1e-4)


def test_the_tokens_of_an_output_can_be_grouped_by_any_granularity() -> None:
    model = tiny_generator()
    (found,) = ask(model, TEXTS[1], targets=" today, and the cat", output=lambda text: [(3, 10), (10, len(text))])
    (tokens,) = ask(model, TEXTS[1], targets=" today, and the cat")
    assert [len(t.parts) for t in found.targets] == [2, 3]
    assert torch.allclose(found.intact, torch.stack([tokens.intact[:2].sum(), tokens.intact[2:].sum()]), atol=1e-5)


def test_the_entropy_of_an_answer_can_be_explained() -> None:
    model = tiny_classifier()
    (found,) = ask(model, TEXTS[0], score="entropy")
    likely = own_logits(model, TEXTS[0]).softmax(-1)
    assert [t.label for t in found.targets] == ["entropy"]
    assert torch.allclose(found.intact[0], -(likely * likely.log()).sum(), atol=1e-5)
    (next_token,) = ask(tiny_generator(), TEXTS[0], targets=" cat", score="entropy")
    assert next_token.intact.shape == (1,) and float(next_token.intact[0]) > 0
    with pytest.raises(TargetError, match="no contrast in it"):
        ask(model, TEXTS[0], score="entropy", targets=interp.contrast(0, 1))


def test_the_entropy_at_each_token_is_that_of_its_own_distribution() -> None:
    model = tiny_generator()
    (one,) = ask(model, "i feel", targets=" so happy today", score="entropy")
    with torch.no_grad():
        log = model.model(input_ids=one.encoded.ids[None]).logits[0].log_softmax(-1)
    entropies = -(log.exp() * log).sum(-1)
    places = [target.position - 1 for target in one.targets]
    assert len(places) == 3 and torch.allclose(one.intact, entropies[places], atol=1e-5)


def test_a_function_of_the_next_tokens_logits_can_be_explained() -> None:
    def margin(logits: torch.Tensor) -> torch.Tensor:
        best = logits.topk(2, dim=-1).values
        return best[:, 0] - best[:, 1]

    model = tiny_generator()
    (found,) = ask(model, TEXTS[0], targets=(margin, interp.contrast("good", "bad")))
    ids = torch.tensor([model.encoder.prompt_ids(TEXTS[0])])
    with torch.no_grad():
        logits = model.model(ids).logits[0, -1]
    assert torch.allclose(found.intact[0], margin(logits[None])[0], atol=1e-5) and len(found.targets) == 2


def test_an_attribution_of_any_task_is_the_same_after_saving(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (found,) = ask(tiny_extractor(), [PAIR])
    again = interp.Attribution.load(found.save(tmp_path / "a.safetensors"))
    assert again.targets == found.targets and again.encoded.borders == found.encoded.borders
    assert torch.equal(again.encoded.types, found.encoded.types)
    assert interp.measure(again, tiny_extractor(), by="deletion", progress=False).value == pytest.approx(
        interp.measure(found, tiny_extractor(), by="deletion", progress=False).value
    )


# Limits


def test_no_more_rows_are_evaluated_than_allowed_and_the_result_says_how_many() -> None:
    model = tiny_classifier()
    (found,) = ask(model, TEXTS[0], by="lime", samples=200, max_rows=50)
    assert found.rows <= 50 and found.made_by.settings["max_rows"] == 50
    with pytest.raises(interp.InterpError, match="max_rows is 5"):
        ask(model, TEXTS[0], max_rows=5)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_filler, tiny_tagger])
def test_a_decision_is_the_models_own_choice(make) -> None:  # type: ignore[no-untyped-def]
    from interp_core.attribution import Options, Session

    model = make()
    text = "i feel [MASK] today" if make is tiny_filler else TEXTS[0]
    session = Session(model, Options(progress=False, max_new_tokens=3))
    (prepared,) = session.prepare([text], "all" if make is tiny_tagger else None, "word")
    question = session.question(prepared)
    chosen = question.decides(torch.ones(1, len(question.units), dtype=torch.bool))[0]
    assert chosen.tolist() == [t.index for t in question.targets]


# Targets in all their forms


@pytest.mark.parametrize("of", [torch.tensor, np.array])
def test_targets_of_each_text_may_be_a_tensor_or_an_array(of: Callable[[Any], Any]) -> None:
    model, numbers = tiny_classifier(), [[0], [2]]
    own, numbered = ask(model, TEXTS[:2], targets=of(numbers)), ask(model, TEXTS[:2], targets=numbers)
    assert [o.targets for o in own] == [n.targets for n in numbered]
    assert [o.targets[0].index for o in own] == [0, 2]


def test_a_class_of_the_name_of_a_keyword_is_that_class() -> None:
    labels = ("all", "predicted", "joy")
    assert [t.index for t in class_targets("predicted", labels, "single-label", torch.tensor([9.0, 1.0, 2.0]))] == [1]
    assert [t.index for t in class_targets("all", labels, "single-label", None)] == [0]
    others = ("sad", "glad")
    assert [t.index for t in class_targets("predicted", others, "single-label", torch.tensor([0.0, 1.0]))] == [1]
    assert [t.index for t in class_targets("all", others, "single-label", None)] == [0, 1]


def test_a_target_of_ones_own_must_be_a_class() -> None:
    with pytest.raises(TargetError, match="target 7 is out of range"):
        class_targets(interp.Target("seven", 7), ("sad", "glad"), "single-label", None)
    own = interp.Target("sum", function=lambda logits: logits.sum(-1))
    assert class_targets(own, ("sad", "glad"), "single-label", None) == (own,)


@pytest.mark.parametrize(
    ("model", "text", "target", "said"),
    [
        (tiny_classifier(), "so", interp.Target("a", 0, position=1), r"of positions \(1,\), but a classifier"),
        (tiny_classifier(), "so", interp.Target("a", parts=(interp.Target("b", 0),)), "but a classifier answers"),
        (tiny_classifier(), "so", interp.Target("a", 0, against=9), "target 9 is out of range"),
        (tiny_generator(), "so sad", interp.Target("a", 9999), "token 9999 is out of range"),
        (tiny_generator(), "so sad", interp.Target("a", 3, against=9999), "token 9999 is out of range"),
        (tiny_generator(), "so sad", interp.Target("a", 3, position=4), "of position 4; one from 1 to 3 was expected"),
        (tiny_generator(), "so sad", interp.Target("a", 3, position=0), "of position 0; one from 1 to 3 was expected"),
        (tiny_filler(), "so [MASK]", interp.Target("a", 3, position=4), "of position 4; one from 0 to 3 was expected"),
        (
            tiny_filler(),
            "so [MASK]",
            interp.Target("a", parts=(interp.Target("b", -1, 2),)),
            "token -1 is out of range",
        ),
    ],
)
def test_a_target_of_ones_own_must_be_somewhere(model: interp.TextModel, text: str, target: Any, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        ask(model, text, targets=(target,))


def test_a_target_of_ones_own_may_be_at_any_token_that_the_model_predicts() -> None:
    model = tiny_filler()
    own = interp.Target("happy", model.tokenizer.convert_tokens_to_ids("happy"), position=1)
    (result,) = ask(model, "so [MASK]", targets=(own,), score="logit")
    assert float(result.intact[0]) == pytest.approx(float(own_logits(model, "so [MASK]")[1, own.index]), abs=1e-5)


@dataclass
class Margin:
    """A score of ones own that cannot be hashed."""

    other: int

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        return logits[:, 0] - logits[:, self.other]


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_a_function_may_be_an_object_that_cannot_be_hashed(make: Callable[[], interp.TextModel]) -> None:
    (result,) = ask(make(), "so sad", targets=(Margin(1),))
    (same,) = ask(make(), "so sad", targets=(lambda logits: logits[:, 0] - logits[:, 1],))
    assert torch.equal(result.scores, same.scores) and bool(result.scores.any())


@pytest.mark.parametrize("nothing", [True, 1.0, None.__class__, object()])
def test_what_is_no_class_is_refused(nothing: object) -> None:
    with pytest.raises((TargetError, InputError)):
        class_index(nothing, ("sad", "glad"))


def test_a_multi_label_text_without_a_class_above_one_half_has_the_nearest() -> None:
    assert predicted(torch.tensor([-3.0, -1.0, -2.0]), "multi-label") == [1]
    with pytest.raises(TargetError, match="needs the logits"):
        predicted(None, "single-label")


def test_a_span_is_decided_where_all_of_its_tokens_are_chosen() -> None:
    span = interp.Target("x", parts=(interp.Target("a", 1, position=0), interp.Target("b", 2, position=1)))
    sure = torch.nn.functional.one_hot(torch.tensor([[1, 2], [1, 0], [0, 2]]), 3).float()
    assert readout_of((span,), "logit", "tokens").deciding()(sure).flatten().tolist() == [1, 0, 0]
    assert readout_of((span,), "logit", "tokens")(sure).flatten().tolist() == [2, 1, 1]


def test_targets_that_mean_nothing_are_refused_in_words() -> None:
    with pytest.raises(TargetError, match=r"interp\.at\(word, label\)"):
        ask(tiny_tagger(), TEXTS[0], targets="sad")
    with pytest.raises(TargetError, match="name at least one class"):
        ask(tiny_classifier(), TEXTS[0], targets=[])
    with pytest.raises(TargetError, match="Use a tuple to give several"):
        ask(tiny_filler(), ["so [MASK]"] * 2, targets=["happy", "sad", "good"])
    with pytest.raises(TargetError, match="a tuple of the last two for several"):
        ask(tiny_generator(), TEXTS[0], targets=(3, 4))


def test_a_word_that_the_vocabulary_does_not_have_is_not_scored_under_its_name() -> None:
    for model in (tiny_filler(), tiny_generator()):
        text = "so [MASK]" if model.head == "masked" else "so"
        for target in (interp.contrast("happy", "zzzz"), *(("zzzz",) if model.head == "masked" else ())):
            with pytest.raises(TargetError, match=r"'zzzz' is not in the vocabulary: .*\[UNK\]"):
                ask(model, text, targets=target)
    (found,) = ask(tiny_generator(), "i feel so", targets=" zzzz happy")
    assert [target.label for target in found.targets] == ["zzzz ([UNK])", "happy"]
    (asked,) = ask(tiny_filler(), "so [MASK]", targets="[UNK]")
    assert asked.targets[0].label == "[UNK]"


def test_a_word_of_several_tokens_is_advised_only_what_helps() -> None:
    with pytest.raises(TargetError, match=r"2 tokens .*; exactly one was expected\.$"):
        ask(tiny_filler(), "so [MASK]", targets="happy sad")
    with pytest.raises(TargetError, match=r"0 tokens .*; exactly one was expected\.$"):
        ask(tiny_filler(), "so [MASK]", targets="")


@pytest.mark.parametrize("where", [0, None, (1,), ("a", "b")])
@pytest.mark.usefixtures("unchecked")
def test_a_place_that_is_none_is_refused(where: object) -> None:
    with pytest.raises(TargetError, match="a word of the text, or its characters"):
        ask(tiny_tagger(), TEXTS[0], targets=interp.at(where, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("granularity", [["word"], lambda _: None, lambda _: ["x"], lambda _: [("a", "b")], 3])
@pytest.mark.usefixtures("unchecked")
def test_units_that_are_none_are_refused(granularity: object) -> None:
    with pytest.raises(InputError, match="granularity"):
        ask(tiny_classifier(), TEXTS[0], granularity=granularity)
    with pytest.raises(InputError, match="output"):
        ask(tiny_generator(), TEXTS[0], targets=" cat", output=granularity)


@pytest.mark.parametrize("function", [lambda _: 0.5, lambda logits: logits[7], lambda logits: logits.numpy()[:, 0]])
def test_a_function_that_fails_is_named(function: Any) -> None:
    with pytest.raises(TargetError, match="the function '<lambda>'"):
        ask(tiny_classifier(), TEXTS[0], targets=function)


def test_a_contrast_with_itself_is_refused_for_every_head() -> None:
    same = interp.contrast("happy", "happy")
    for model, text, target in (
        (tiny_classifier(), "so", interp.contrast(1, "LABEL_1")),
        (tiny_generator(), "so", same),
        (tiny_filler(), "so [MASK]", same),
        (tiny_tagger(), "the sun", interp.at("sun", interp.contrast(1, 1))),
    ):
        with pytest.raises(TargetError, match="with itself is always 0"):
            ask(model, text, targets=target)


@pytest.mark.parametrize("removal", [np.zeros(16), 3, ["mask"]])
@pytest.mark.usefixtures("unchecked")
def test_a_removal_that_is_none_is_refused(removal: Any) -> None:
    with pytest.raises(InputError, match="removal"):
        ask(tiny_classifier(), TEXTS[0], removal=removal)


def test_two_gaps_take_two_words_and_no_other_number() -> None:
    model, text = tiny_filler(), "the [MASK] dog was [MASK]"
    (found,) = ask(model, text, targets=("old", "sad"))
    places = [i for i, token in enumerate(model.encoder(text).ids.tolist()) if token == model.tokenizer.mask_token_id]
    assert [(t.label, t.position) for t in found.targets] == [("old", places[0]), ("sad", places[1])]
    for words in (("old",), ("old", "sad", "calm"), "old"):
        with pytest.raises(TargetError, match="the text has 2 gaps; give a tuple of 2 words"):
            ask(model, text, targets=words)


def test_an_answer_that_the_question_names_too_is_that_of_the_context() -> None:
    model = tiny_extractor()
    (found,) = ask(model, [PAIR], targets="dog")
    (part, stop) = found.targets[0].parts
    assert part.index == stop.index
    start = int(found.encoded.offsets[part.index, 0])
    assert found.text[start : start + 3] == "dog" and start >= found.text.index(PAIR[1])


def test_the_best_span_may_be_a_single_token() -> None:
    logits = torch.tensor([[0.0, 5.0, 0.0, 1.0], [3.0, 5.0, 0.0, 1.0]])
    assert _best_span(logits) == (1, 1)
    assert _best_span(torch.tensor([[-9.0, 5.0, 0.0, 4.0], [9.0, 0.0, 0.0, 2.0]])) == (1, 3)  # never backwards
    assert _best_span(torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 9.0]]), longest=2) == (1, 2)


def test_a_prompt_that_is_too_long_says_by_how_much() -> None:
    model = tiny_generator()
    text = " ".join(["so"] * (model.max_tokens + 2))
    over = len(model.encoder.prompt(text)) - model.max_tokens
    with pytest.raises(InputError, match=f"the prompt has {over} tokens more than the model takes; shorten it"):
        ask(model, text, targets=interp.contrast("happy", "sad"))


def test_a_prompt_and_its_continuation_may_fill_the_model() -> None:
    model = tiny_generator()
    room = model.max_tokens - len(model.encoder.prompt("so"))
    assert len(model.encoder.with_continuation("so", " so" * room)) == model.max_tokens
    with pytest.raises(InputError, match=f"this model takes {model.max_tokens}"):
        model.encoder.with_continuation("so", " so" * (room + 1))


# Chats and their templates


def test_a_chat_ends_where_the_model_answers_and_says_each_word_once() -> None:
    tokenizer = tiny_generator().tokenizer
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.content }}>{% endfor %}{% if add_generation_prompt %}so{% endif %}"
    )
    messages = [{"role": "user", "content": " sad sad "}, {"role": "user", "content": "ok"}]
    text, turns, *_ = rendered(tokenizer, Chat(messages))
    assert text == "< sad sad ><ok>so"
    assert [text[a:b] for a, b in turns] == ["sad sad", "ok"]


def test_a_template_that_rewrites_messages_is_refused() -> None:
    tokenizer = tiny_generator().tokenizer
    tokenizer.chat_template = "{% for m in messages %}{{ m.content | length }}{% endfor %}"
    with pytest.raises(InputError, match="rewrites what messages say"):
        rendered(tokenizer, Chat([{"role": "user", "content": "sad"}]))
    with pytest.raises(InputError, match="a message of nobody is empty"):
        rendered(tokenizer, Chat([{"content": " "}]))
    with pytest.raises(InputError, match="a message of user is empty"):
        rendered(tokenizer, Chat([{"role": "user", "content": " "}]))
    for content, held in (
        (None, "NoneType"),
        (3, "int"),
        ([{"type": "image"}, {"type": "text", "text": "so"}, 4], r"3 parts \(image, text, int\)"),
    ):
        with pytest.raises(InputError, match=f"the content of a message of user is {held}; give one string"):
            rendered(tokenizer, Chat([{"role": "user", "content": content}]))


def test_only_a_continuation_is_a_turn_beside_the_messages() -> None:
    model = tiny_generator()
    model.tokenizer.chat_template = TEMPLATE
    encoded = model.encoder(CHAT)
    assert [u.text for u in divide(encoded, "message").units] == [m["content"] for m in CHAT]
