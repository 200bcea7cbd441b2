"""Concepts of every head: what importance and effect say is what plain transformers with a hook gives."""

import warnings
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.concepts import AffineSpace, Change
from interp_core.errors import InterpWarning, LayerError, TargetError, UnsupportedError
from interp_core.testing import (
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)

FILLED = ["i feel so [MASK] today", "the old dog was never [MASK]"]
PLAIN = ["i feel so happy today", "the old dog was never calm"]
PAIRS = [("was the dog sad", "the old dog was never calm"), ("was it cold", "cold night and rain")]
TAGS = [interp.at("happy", "LOC"), interp.at("dog", "PER")]
DIRECTIONS = torch.linalg.qr(torch.randn(16, 6, generator=torch.Generator().manual_seed(1))).Q.T.contiguous()
SPACE = AffineSpace(DIRECTIONS, DIRECTIONS)
CASES = {
    "masked": (tiny_filler, FILLED, ("good", "sad")),
    "tokens": (tiny_tagger, PLAIN, TAGS),
    "span": (tiny_extractor, PAIRS, ["never calm", "night"]),
    "causal": (tiny_llama, PLAIN, ["good", "sad"]),
    "encoder-decoder": (tiny_translator, PLAIN, ["good", "sad"]),
}


def by_hand(head: str, model: interp.TextModel, text: Any, target: Any, change: Any) -> torch.Tensor:
    """The scores of one text with its states moved by `change` (s, d) at the first block, by transformers alone."""
    inner, tokenizer = model.model, model.tokenizer
    parts = text if isinstance(text, tuple) else (text,)
    inputs = dict(tokenizer(*parts, return_tensors="pt"))
    if head != "encoder-decoder":
        kept = change.shape[0]
        inputs = {name: value[:, :kept] for name, value in inputs.items()}
    if head in ("causal", "encoder-decoder"):
        inputs.pop("token_type_ids", None)
    if head == "encoder-decoder":
        inputs["decoder_input_ids"] = torch.tensor([[inner.config.decoder_start_token_id]])

    def move(_module: Any, _inputs: Any, output: Any) -> Any:
        return (output[0] + change, *output[1:]) if isinstance(output, tuple) else output + change

    hook = inner.get_submodule(model.blocks[0]).register_forward_hook(move)
    with torch.no_grad():
        output = inner(**inputs)
    hook.remove()
    words = tokenizer.convert_tokens_to_ids
    if head == "masked":
        gap = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        return output.logits[0, gap].log_softmax(-1)[words(list(target))]
    if head == "tokens":
        place = inputs["input_ids"][0].tolist().index(words(target.where))
        return output.logits[0, place, [model.tags.index(target.label)]]
    if head == "span":
        ids = inputs["input_ids"][0].tolist()
        sides = tokenizer(*parts).sequence_ids()
        inside = [i for i, side in enumerate(sides) if side == 1 and ids[i] in words(target.split())]
        return (output.start_logits[0, inside[0]] + output.end_logits[0, inside[-1]])[None]
    return output.logits[0, -1].log_softmax(-1)[words(target)]


@pytest.mark.parametrize("head", CASES)
@pytest.mark.parametrize("granularity", ["word", "token", "sample"])
def test_what_a_head_answers_without_a_concept_is_what_transformers_answers(head: str, granularity: str) -> None:
    make, texts, targets = CASES[head]
    model = make()
    assert model.head == head
    split = model.split(0)
    held = split.activations(texts, granularity=granularity, progress=False)
    found = interp.effect(split, SPACE, held, Change(ablate=[0, 2]), targets=targets, progress=False)
    important = interp.importance(split, SPACE, held, by="occlusion", targets=targets, progress=False)
    only = interp.effect(split, SPACE, held, Change(ablate=[2]), targets=targets, progress=False)
    assert torch.allclose(important.per_text[:, :, 2], -only.per_text, atol=1e-5)
    for i, text in enumerate(texts):
        codes = SPACE.encode(held.values[held.rows_of(i)])
        moved = SPACE.decode(codes * torch.tensor([0.0, 1, 0, 1, 1, 1])) - SPACE.decode(codes)
        encode = model.encoder.prompt if head in ("causal", "encoder-decoder") else model.encoder
        encoded = encode(text).with_units([(u.start, u.stop) for u in held.units[i]])
        owners = encoded.unit_of[: encoded.source or None]
        change = torch.stack([moved[owner] if owner >= 0 else torch.zeros(16) for owner in owners.tolist()])
        target = targets[i] if head in ("tokens", "span") else targets
        changed, plain = (by_hand(head, model, text, target, c) for c in (change, torch.zeros_like(change)))
        assert torch.allclose(found.per_text[i], changed - plain, atol=1e-4), (head, i)
        assert float(found.per_text[i].abs().max()) > 1e-3


@pytest.mark.current  # random weights, with which the texts have different words
def test_targets_that_differ_from_text_to_text_are_named_by_their_kind() -> None:
    for head, expected in (("masked", ("word",)), ("span", ("answer",))):
        make, texts, _ = CASES[head]
        held = make().split(0).activations(texts, granularity="word", progress=False)
        found = interp.importance(make().split(0), SPACE, held, progress=False)
        assert found.targets == expected, head
    tagger = tiny_tagger()
    held = tagger.split(0).activations(PLAIN, granularity="word", progress=False)
    assert interp.importance(tagger.split(0), SPACE, held, targets=TAGS, progress=False).targets == ("tag",)
    same = (interp.at((0, 1), "LOC"), interp.at((0, 1), "PER"))
    with pytest.raises(TargetError, match="one each was expected"):
        interp.importance(tagger.split(0), SPACE, held, targets=TAGS[:1], progress=False)
    named = interp.importance(
        tagger.split(0), SPACE, held.select(torch.tensor([True, False])), targets=same, progress=False
    )
    assert named.targets == ("i: LOC", "i: PER")


def test_what_no_text_has_reached_is_refused() -> None:
    model = tiny_translator()
    held = model.split(0).activations(PLAIN, granularity="word", progress=False)
    decoder = "model.decoder.layers.0"
    with pytest.raises(UnsupportedError, match="in the decoder, which has not read"):
        interp.importance(model.split(decoder), SPACE, held_at(held, decoder), targets=["good"], progress=False)


def held_at(held: interp.Activations, layer: str) -> interp.Activations:
    from dataclasses import replace

    return replace(held, layer=layer)


@pytest.mark.parametrize(("make", "layer"), [(tiny_generator, 0), (tiny_llama, -1)])
def test_the_last_token_of_a_prompt_is_the_row_from_which_a_generator_goes_on(make: Any, layer: int) -> None:
    model = make()
    split = model.split(layer)
    held = split.activations(PLAIN, granularity="last", progress=False)
    seen: list[torch.Tensor] = []
    hook = model.model.get_submodule(split.path).register_forward_hook(
        lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        for text in PLAIN:
            model.model(torch.tensor([model.tokenizer(text)["input_ids"][:-1]]))  # without [SEP]
    hook.remove()
    assert torch.allclose(held.values, torch.stack([out[0, -1] for out in seen]), atol=1e-5)
    found = interp.importance(split, SPACE, held, targets=["good"], progress=False)
    assert bool((found.per_text != 0).any()) and not found.notes


def test_no_token_at_the_front_of_a_generator_is_taken_for_a_class_token() -> None:
    with pytest.raises(LayerError, match="granularity 'last'"):
        tiny_generator().split(0).activations(PLAIN, granularity="cls", progress=False)


@pytest.mark.parametrize("granularity", ["word", "token"])
def test_an_importance_of_nothing_but_zeros_says_why_and_what_to_do(granularity: str) -> None:
    model = tiny_classifier()
    split = model.split(-1)
    held = split.activations(PLAIN, granularity=granularity, progress=False)
    with pytest.warns(InterpWarning, match="does not read the positions"):
        found = interp.importance(split, SPACE, held, progress=False)
    assert not found.per_text.any()
    assert "granularity 'cls'" in found.notes[0] and "split at a lower layer" in found.notes[0]
    with pytest.warns(InterpWarning, match="does not read the positions"):
        changed = interp.effect(split, SPACE, held, Change(ablate=[0]), progress=False)
    assert changed.notes == found.notes


def test_concepts_that_are_never_active_are_told_from_positions_that_are_not_read() -> None:
    split = tiny_classifier().split(-1)
    held = split.activations(PLAIN, granularity="cls", progress=False)
    asleep = AffineSpace(DIRECTIONS, torch.zeros_like(DIRECTIONS))
    with pytest.warns(InterpWarning, match="not active in any of these texts"):
        interp.importance(split, asleep, held, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InterpWarning)
        assert not interp.importance(split, SPACE, held, progress=False).notes


CHAT = [{"role": "user", "content": "so happy"}, {"role": "assistant", "content": "the cat was sad"}]


def chatting() -> interp.TextModel:
    model = tiny_generator()
    template = "{% for m in messages %}[SEP] {{ m['content'] }} {% endfor %}[CLS]"
    model.tokenizer.chat_template = template
    return interp.TextModel(model.model, model.tokenizer)


def test_chats_and_pairs_are_read_as_attribute_reads_them_and_keep_what_they_are_made_of(tmp_path: Any) -> None:
    model = chatting()
    corpus = [CHAT, "so sad today", ("so sad", "never calm")]
    split = model.split(0)
    held = split.activations(corpus, granularity="word", progress=False)
    (chat,) = interp.attribute(model, [CHAT], by="occlusion", targets=" good", progress=False)
    assert [u.text for u in held.units[0]] == chat.words[:-1]
    saved = interp.Activations.load(held.save(tmp_path / "held.safetensors"))
    stored = split.activations(corpus, granularity="word", to=tmp_path / "store", progress=False)
    for one in (held, saved, stored, stored.select(torch.tensor([True, True, True]))):
        assert one.texts[0].given == CHAT and one.texts[2].given == ("so sad", "never calm")  # type: ignore[attr-defined]
        assert torch.equal(one.matrix(), held.matrix())
        found = interp.importance(split, SPACE, one, targets=["good"], progress=False)
        assert torch.isfinite(found.per_text).all() and found.per_text[0].abs().max() > 0
    again = split.activations(held.texts, granularity="word", progress=False)
    assert torch.equal(again.values, held.values)
    split.activations(corpus, granularity="word", to=tmp_path / "store", progress=False)  # nothing is left to read
    with pytest.raises(interp.errors.InputError, match="give the same texts"):
        split.activations([str(held.texts[0]), *corpus[1:]], granularity="word", to=tmp_path / "store", progress=False)


def test_the_messages_of_a_chat_are_units_for_both_verbs() -> None:
    model = chatting()
    held = model.split(0).activations([CHAT], granularity="message", progress=False)
    assert [unit.text for unit in held.units[0]] == ["so happy", "the cat was sad"]
    assert len(model.split(0).activations(CHAT, granularity="message", progress=False)) == 2  # one bare chat
    last = model.split(0).activations([CHAT], granularity="last", progress=False)
    states = model.split(0).states(interp.model.BatchRunner(model), [model.encoder(CHAT)])[0]
    assert torch.allclose(last.values[0], states[-1])  # the template's own last token
    for verb in (model.split(0).activations, lambda t, **k: interp.attribute(model, t, by="occlusion", **k)):
        with pytest.raises(interp.errors.InputError, match="list of messages"):
            verb(["so sad"], granularity="message", progress=False)


def test_a_pair_has_one_row_where_the_classifier_reads() -> None:
    model = tiny_classifier()
    held = model.split(-1).activations([PAIRS[0], "so sad"], granularity="cls", predictions=True, progress=False)
    assert held.values.shape == (2, 16) and held.units[0][0].text == "\n".join(PAIRS[0])
    with torch.no_grad():
        inputs = model.tokenizer(*PAIRS[0], return_tensors="pt")
        states = model.model.bert(**inputs).last_hidden_state[0, 0]
    assert torch.allclose(held.values[0], states, atol=1e-5)
    assert torch.isfinite(interp.importance(model.split(-1), SPACE, held, progress=False).per_text).all()
