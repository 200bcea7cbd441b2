"""removal="drop": what a model says without some units is what it says of the shorter ids."""

from __future__ import annotations

from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Options, Session
from interp_core.errors import UnsupportedError
from interp_core.model import TextModel
from interp_core.testing import (
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)
from torch import Tensor

TEXTS = ["so happy today when the sun was good", "never sad", "i feel very calm and tired but the cat is glad"]
ANSWERS = ["the day was good", "cat", "never angry"]
MAKERS = {
    "gpt2": tiny_generator,
    "llama": tiny_llama,
    "bart": tiny_translator,
    "t5": lambda: tiny_translator("t5"),
    "bert": tiny_filler,
}


def question(model: TextModel, text: Any, targets: Any = None, granularity: Any = "word", **options: Any) -> Any:
    session = Session(model, Options(removal="drop", progress=False, **options))
    (prepared,) = session.prepare([text], targets, granularity)
    return session.alone(prepared)


def shorter(model: TextModel, asked: Any, keep: Tensor) -> Tensor:
    """The log-probabilities of the targets, by the model itself on the ids that are left."""
    encoded, source = asked.runner.encoded, asked.runner.encoded.source
    left = [i for i, u in enumerate(encoded.unit_of.tolist()) if u < 0 or keep[u] or i >= encoded.prompt]
    ids = encoded.ids[left]
    places = [left.index(target.positions[0]) for target in asked.targets]
    with torch.no_grad():
        if source:
            border = sum(i < source for i in left)
            logits = model.model(input_ids=ids[None, :border], decoder_input_ids=ids[None, border:]).logits[0]
            rows = [place - border - 1 for place in places]
        else:
            logits = model.model(ids[None]).logits[0]
            rows = [place - (model.head == "causal") for place in places]
    likely = logits.log_softmax(-1)
    return torch.stack([likely[row, target.index] for row, target in zip(rows, asked.targets, strict=True)])


@pytest.mark.parametrize("kind", MAKERS)
def test_scores_without_units_are_those_of_the_shorter_ids(kind: str) -> None:
    model = MAKERS[kind]()
    text = "so [MASK] today when the [MASK] was good" if kind == "bert" else TEXTS[0]
    asked = question(model, text, None if kind == "bert" else ANSWERS[0])
    keep = torch.rand(12, len(asked.units), generator=torch.Generator().manual_seed(0)) < 0.6
    keep[0] = True
    keep[:, 0] |= ~keep.any(1)
    if kind != "bert":
        keep[:, 0] = True  # a causal model reads at least one token
    expected = torch.stack([shorter(model, asked, row) for row in keep])
    assert torch.allclose(asked.masked(keep), expected, atol=1e-5)
    assert expected.std(0).min() > 1e-3  # what is dropped matters
    assert torch.equal(asked.decides(keep)[0], asked.decides(torch.ones_like(keep))[0])


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_that_share_passes_are_dropped_as_alone(kind: str) -> None:
    model = MAKERS[kind]()
    texts = [f"{text} [MASK]" for text in TEXTS] if kind == "bert" else TEXTS
    options: dict[str, Any] = {"by": "kernel-shap", "removal": "drop", "progress": False}
    targets = None if kind == "bert" else ANSWERS
    together = interp.attribute(model, texts, targets=targets, **options)
    for number, found in enumerate(together):
        own = None if targets is None else targets[number]
        (alone,) = interp.attribute(model, texts[number], targets=own, **options)
        assert torch.allclose(alone.scores, found.scores, atol=1e-4)
        assert found.made_by.settings["removal"] == "drop" and bool(found.scores.any())


def test_a_prefix_that_ran_before_does_not_change_what_is_dropped() -> None:
    """Masking keeps the first tokens, so that they run once; dropping after it runs rows of their own."""
    model = tiny_llama(max_position_embeddings=64)
    text = " ".join(["so happy today when the sun was good"] * 3)
    session = Session(model, Options(removal="mean", progress=False))
    (prepared,) = session.prepare([text], " never", "word")
    session.alone(prepared).masked(~torch.eye(len(prepared.encoded.units), dtype=torch.bool)[-3:])
    asked = question(model, text, " never")
    keep = ~torch.eye(len(asked.units), dtype=torch.bool)[-4:-1]
    expected = torch.stack([shorter(model, asked, row) for row in keep])
    assert torch.allclose(asked.masked(keep), expected, atol=1e-5)


def test_units_of_the_continuation_stay_and_do_not_apply() -> None:
    asked = question(tiny_generator(), TEXTS[0], ANSWERS[0])
    prompt = len(TEXTS[0].split())
    assert asked.applicable[:, :prompt].all() and not asked.applicable[:, prompt:].any()
    keep = torch.ones(2, len(asked.units), dtype=torch.bool)
    keep[1, prompt:] = False
    with_all, without = asked.masked(keep)
    assert torch.equal(with_all, without)


def test_where_nothing_would_be_left_the_first_token_stays() -> None:
    model = tiny_generator()
    model.tokenizer.backend_tokenizer.post_processor = None
    model = TextModel(model.model, model.tokenizer)
    asked = question(model, TEXTS[0], ANSWERS[0])
    ids = asked.runner.encoded.ids
    assert ids[0] == model.tokenizer.convert_tokens_to_ids("so")  # no special token comes before
    kept = torch.zeros(1, len(asked.units), dtype=torch.bool)
    kept[:, 0] = True
    assert torch.allclose(asked.emptied(), shorter(model, asked, kept[0]), atol=1e-5)


def test_the_next_token_is_read_from_the_last_that_is_left() -> None:
    model = tiny_llama()
    asked = question(model, TEXTS[0], interp.contrast("happy", "sad"), score="logit")
    keep = torch.ones(1, len(asked.units), dtype=torch.bool)
    keep[0, -2:] = False
    ids = asked.runner.encoded.ids
    left = ids[(asked.runner.encoded.unit_of < len(asked.units) - 2)]
    with torch.no_grad():
        logits = model.model(left[None]).logits[0, -1]
    happy, sad = model.tokenizer.convert_tokens_to_ids(["happy", "sad"])
    assert float(asked.masked(keep)) == pytest.approx(float(logits[happy] - logits[sad]), abs=1e-4)


def test_gradients_are_refused_and_so_are_heads_that_point_at_tokens() -> None:
    with pytest.raises(UnsupportedError, match="needs gradients"):
        interp.attribute(tiny_generator(), TEXTS[0], by="saliency", targets=ANSWERS[0], removal="drop", progress=False)
    for model, text in ((tiny_tagger(), TEXTS[0]), (tiny_extractor(), ("who is sad", "the dog is sad"))):
        with pytest.raises(UnsupportedError, match="removal='drop' moves the tokens whose tags, or whose start and"):
            interp.attribute(model, [text], by="occlusion", removal="drop", progress=False)


# Tokens that would merge


def by_pieces() -> Any:
    """A tokenizer of two letters or one, so that what follows what decides where a token ends."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {piece: i for i, piece in enumerate(["[UNK]", "a", "b", "c", "d", "ab", "bd", "cd"])}
    inner = Tokenizer(models.BPE(ids, [("b", "d"), ("a", "b"), ("c", "d")], unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", model_max_length=32)


def test_a_note_says_for_how_many_units_the_tokenizer_would_divide_the_rest_otherwise() -> None:
    model = TextModel(tiny_generator().model, by_pieces())
    merging = question(model, "ab a b c d", " c", lambda text: [(0, 2), (3, 4), (5, 6), (7, 8), (9, 10)])
    assert not merging.notes  # words are divided by themselves
    inside = question(model, "bcd ab", "c", lambda text: [(0, 1), (1, 3), (4, 6)])
    assert [unit.text for unit in inside.units[:3]] == ["b", "cd", "ab"] and not inside.notes
    (note,) = question(model, "bccd ab", "c", lambda text: [(0, 1), (1, 2), (2, 4), (5, 6)]).notes[:1] or ("",)
    assert not note
    (said,) = question(model, "bcdd", "c", lambda text: [(0, 1), (1, 3), (3, 4)]).notes
    assert "divide the rest of the text into other tokens for 1 of 3 units that were tried" in said  # b d, read as bd


def test_no_more_units_are_tried_than_32() -> None:
    model = TextModel(tiny_generator(n_positions=256).model, by_pieces())
    model.encoder.max_tokens = 256
    text = " ".join(["bcdd"] * 20)
    spans = [(5 * word + a, 5 * word + b) for word in range(20) for a, b in ((0, 1), (1, 3), (3, 4))]
    (said,) = question(model, text, "c", spans).notes
    assert said.split(" for ")[1].startswith(tuple(f"{count} of 32 units" for count in (10, 11)))


def test_a_classifier_of_pairs_and_whole_words_has_nothing_to_note() -> None:
    for text in (TEXTS[0], ("so sad", "never calm")):
        assert not question(tiny_classifier(), text, 0).notes
