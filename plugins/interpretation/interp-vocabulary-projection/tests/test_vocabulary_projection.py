"""Vocabulary projection: exact against plain PyTorch for several families, and planted directions found first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import transformers
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, ConceptSpace, Interpretation, interpret
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import TextModel
from interp_core.testing import (
    contract_tests,
    state_of,
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
    word_tokenizer,
)
from interp_vocabulary_projection.tokens import vocabulary_of
from interp_vocabulary_projection.vocabulary_projection import VocabularyProjection
from jaxtyping import Float
from torch import Tensor

test_contract = contract_tests("vocabulary-projection")

TEXTS = ["so happy today", "the old cat was not sad", "warm rain and a cold night", "i never feel calm"]
SIZE = {"vocab_size": 44, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 32}
SMALL = {**SIZE, **IDS, "intermediate_size": 32, "initializer_range": 0.5}


def made(kind: str, config: Any) -> TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = getattr(transformers, kind)(config).eval()
        for parameter in model.parameters():
            if parameter.ndim == 1:  # gains and biases away from 1 and 0
                parameter.data += 0.3 * torch.randn_like(parameter)
    return TextModel(model, word_tokenizer())


FAMILIES: dict[str, Callable[[], TextModel]] = {
    "gpt2": lambda: made("GPT2LMHeadModel", tiny_generator().config),
    "gpt2 untied": lambda: made("GPT2LMHeadModel", tiny_generator(tie_word_embeddings=False).config),
    "llama": lambda: made("LlamaForCausalLM", tiny_llama().config),
    "llama tied": lambda: made("LlamaForCausalLM", tiny_llama(tie_word_embeddings=True).config),
    "bert": lambda: made("BertForMaskedLM", tiny_filler().config),
    "roberta": lambda: made(
        "RobertaForMaskedLM", transformers.RobertaConfig(**SMALL | {"max_position_embeddings": 40})
    ),
    "albert": lambda: made("AlbertForMaskedLM", transformers.AlbertConfig(**SMALL, embedding_size=8)),
    "gemma2": lambda: made(
        "Gemma2ForCausalLM",
        transformers.Gemma2Config(**SMALL, head_dim=8, num_key_value_heads=1, final_logit_softcapping=5.0),
    ),
    "neox": lambda: made("GPTNeoXForCausalLM", transformers.GPTNeoXConfig(**SMALL)),
    "opt": lambda: made(
        "OPTForCausalLM",
        transformers.OPTConfig(
            **SIZE, **IDS, ffn_dim=32, word_embed_proj_dim=8, init_std=0.5, do_layer_norm_before=False
        ),
    ),
}


class Directions(ConceptSpace):
    """Concepts with given directions; codes are projections."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return values @ self.dictionary.T


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def projected(
    model: TextModel, directions: Tensor | ConceptSpace, layer: int | str = -1, **parameters: Any
) -> Interpretation:
    split = model.split(layer)
    space = directions if isinstance(directions, ConceptSpace) else Directions(directions)
    activations = split.activations(TEXTS, progress=False)
    return interpret(space, activations, by=VocabularyProjection(**parameters), model=split)


def all_changes(model: TextModel, directions: Tensor | ConceptSpace, layer: int | str = -1) -> Tensor:
    """The changes of all tokens, in the order of their ids."""
    found = projected(model, directions, layer, top=1000, special=True, samples=0)
    ids = model.tokenizer.get_vocab()
    changes = torch.zeros(len(found), len(ids))
    for concept in found:
        for word, change in concept.words:
            changes[concept.concept, ids[word]] = change
    return changes


def last_states(model: TextModel) -> Tensor:
    """The output of the last block at all tokens of the texts but the special ones, by a hook of PyTorch."""
    states: list[Tensor] = []
    block = model.model.get_submodule(model.blocks[-1].partition("@")[0])

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    hook = block.register_forward_hook(keep)
    kept = []
    for text in TEXTS:
        ids = torch.tensor(model.tokenizer(text)["input_ids"])
        states.clear()
        with torch.no_grad():
            model.model(input_ids=ids[None])
        kept.append(states[-1][0][~torch.isin(ids, torch.tensor([2, 3]))])
    hook.remove()
    return torch.cat(kept)


def centred(changes: Tensor) -> Tensor:
    return changes - changes.mean(-1, keepdim=True)


def test_behind_a_layer_norm_it_is_the_closed_form() -> None:
    for name in ("gpt2", "gpt2 untied"):
        model = FAMILIES[name]()
        norm, unembedding = model.model.transformer.ln_f, model.model.lm_head.weight
        d, x = drawn(3, 16), last_states(model).mean(0)
        spread = (x.var(unbiased=False) + norm.eps).sqrt()
        standard = (x - x.mean()) / spread
        moved = d - d.mean(1, keepdim=True) - standard * (d * standard).mean(1, keepdim=True)
        expected = (norm.weight * moved / spread) @ unembedding.T
        torch.testing.assert_close(all_changes(model, d), centred(expected).detach(), rtol=1e-4, atol=1e-5)


def test_behind_an_rms_norm_it_is_the_closed_form() -> None:
    for name in ("llama", "llama tied"):
        model = FAMILIES[name]()
        norm, unembedding = model.model.model.norm, model.model.lm_head.weight
        d, x = drawn(3, 16), last_states(model).mean(0)
        size = (x.square().mean() + norm.variance_epsilon).sqrt()
        moved = d - x / size * (d * x / size).mean(1, keepdim=True)
        expected = (norm.weight * moved / size) @ unembedding.T
        torch.testing.assert_close(all_changes(model, d), centred(expected).detach(), rtol=1e-4, atol=1e-5)


def test_behind_the_layers_of_a_masked_language_model_it_is_their_derivative() -> None:
    model = FAMILIES["bert"]()
    d, x = drawn(3, 16), last_states(model).mean(0)
    expected = torch.stack([torch.func.jvp(model.model.cls, (x[None],), (one[None],))[1][0] for one in d])
    torch.testing.assert_close(all_changes(model, d), centred(expected).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family_it_is_the_difference_that_small_steps_make(name: str) -> None:
    model = FAMILIES[name]()
    found = all_changes(model, d := drawn(2, 16))
    model = TextModel(copy.deepcopy(model.model).double(), model.tokenizer)
    x, path = last_states(model).mean(0), model.blocks[-1].partition("@")[0]
    ids = torch.tensor(model.tokenizer(TEXTS[0])["input_ids"])[None]
    calls = 0

    def logits(state: Tensor) -> Tensor:
        nonlocal calls
        calls = 0

        def put(_module: Any, _inputs: Any, output: Any) -> Any:
            nonlocal calls
            calls += 1
            if "@" in model.blocks[-1] and calls < 2:
                return output
            whole = output[0] if isinstance(output, tuple) else output
            new = state.expand(whole.shape)
            return (new, *output[1:]) if isinstance(output, tuple) else new

        hook = model.model.get_submodule(path).register_forward_hook(put)
        with torch.no_grad():
            given: Tensor = model.model(input_ids=ids).logits[0, 0]
        hook.remove()
        return given

    def slope(one: Tensor, step: float = 1e-2) -> Tensor:
        near, far = (logits(x + k * step * one) - logits(x - k * step * one) for k in (1, 2))
        return (8 * near - far) / (12 * step)  # norms compute in single precision even here, so that steps are long

    expected = torch.stack([slope(one) for one in d.double()])
    torch.testing.assert_close(found, centred(expected).float(), rtol=1e-3, atol=5e-4)


def test_the_opposite_direction_raises_what_the_direction_lowers() -> None:
    model, d = tiny_generator(), drawn(1, 16)
    one, other = (projected(model, sign * d, top=4)[0] for sign in (1, -1))
    flipped = [(word, -change) for word, change in other.words]
    assert list(one.words[:4]) == flipped[4:] and list(one.words[4:]) == flipped[:4]
    assert [change > 0 for _, change in one.words] == [True] * 4 + [False] * 4


def test_a_row_of_the_unembedding_raises_its_token_first() -> None:
    for model in (tiny_generator(n_embd=32), tiny_llama(hidden_size=32)):
        ids = model.tokenizer.get_vocab()
        rows = model.model.lm_head.weight.detach()
        rows = rows / rows.norm(dim=1, keepdim=True)
        model.model.lm_head = torch.nn.Linear(32, 44, bias=False)  # rows of one length, so that each is its own best
        model.model.lm_head.weight.data = rows.clone()
        words = ["happy", "sad", "rain", "dog"]
        found = projected(model, torch.stack([rows[ids[word]] for word in words]))
        assert [concept.words[0][0] for concept in found] == words
        assert [str(concept.label).split(", ")[0] for concept in found] == words


@pytest.mark.real
@pytest.mark.parametrize("name", ["lm-tiny", "llama-tiny"])
def test_planted_directions_are_found_first_in_real_models(real_model: Callable[[str], Any], name: str) -> None:
    model = real_model(name)
    ids = torch.arange(300, 3000, 27)
    unembedding = model.model.get_output_embeddings().weight.detach().double()
    norm = model.model.transformer.ln_f if name == "lm-tiny" else model.model.model.norm
    through = unembedding * norm.weight.detach()
    directions = torch.linalg.pinv(through - through.mean(0)).T[ids].float()  # raises one token, as far as any can
    split = model.split(-1)
    texts = ["I am not what I was.", "the king is dead, long live the king", "how do i top up my card?"]
    activations = split.activations(texts, progress=False)
    found = interpret(Directions(directions), activations, by=VocabularyProjection(top=3), model=split)
    vocabulary = vocabulary_of(model.tokenizer, len(unembedding))
    first = [concept.words[0][0] == vocabulary.text(i) for concept, i in zip(found, ids.tolist(), strict=True)]
    assert sum(first) >= 0.99 * len(
        ids
    )  # of all 3,000 tokens more than 99.8 %; the others were hardly ever learnt from
    assert sum(not concept.note for concept in found) >= 0.95 * len(ids)


@pytest.mark.real
def test_random_directions_of_a_real_model_are_said_to_be_like_chance(real_model: Callable[[str], Any]) -> None:
    model = real_model("lm-tiny")
    found = projected(model, 7 * drawn(100, model.split(-1).width, seed=7), top=3)
    assert sum("random directions do as much" in concept.note for concept in found) >= 88
    assert all(concept.label for concept in found)
    rows = model.model.lm_head.weight.detach()[::30]
    found = projected(model, rows - rows.mean(0), top=3)
    assert not any(concept.note for concept in found)


def test_no_random_directions_are_tried_where_none_are_asked_for() -> None:
    model, d = tiny_generator(), drawn(4, 16)
    noted, plain = projected(model, d), projected(model, d, samples=0)
    assert not any(concept.note for concept in plain) and any(concept.note for concept in noted)
    assert [concept.words for concept in plain] == [concept.words for concept in noted]


def test_the_score_is_how_far_the_first_token_stands_out() -> None:
    found = projected(tiny_generator(), d := drawn(1, 16), special=True)[0]
    changes = all_changes(tiny_generator(), d)[0]
    assert found.score == pytest.approx(float(changes.max() / changes.std(unbiased=False)), rel=1e-4)


def test_concepts_of_a_lower_layer_are_shown_by_their_direct_path_and_a_note_says_so() -> None:
    model, d = tiny_generator(), drawn(2, 16)
    torch.testing.assert_close(all_changes(model, d, 0), all_changes(model, d))
    torch.testing.assert_close(all_changes(model, d, "transformer.h.0.mlp"), all_changes(model, d))
    low, last = projected(model, d, 0), projected(model, d)
    assert any("direct path" in note and "transformer.h.1" in note for note in low.notes)
    assert not any("direct path" in note for note in last.notes)


def test_concepts_behind_the_final_norm_enter_there() -> None:
    model, d = FAMILIES["gpt2"](), drawn(2, 16)
    expected = centred(d @ model.model.lm_head.weight.detach().T)
    torch.testing.assert_close(all_changes(model, d, "transformer.ln_f"), expected, rtol=1e-4, atol=1e-5)
    assert not any("direct path" in note for note in projected(model, d, "transformer.ln_f").notes)


class Scaled(Directions):
    """A space that decodes to three times its dictionary."""

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return 3 * codes @ self.dictionary + 1


class Bent(Directions):
    """A space whose decoding is not a sum."""

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return codes.square() @ self.dictionary


def test_the_direction_is_what_a_unit_of_the_code_adds() -> None:
    model, d = tiny_generator(), drawn(3, 16)
    torch.testing.assert_close(all_changes(model, Scaled(d)), 3 * all_changes(model, d), rtol=1e-4, atol=1e-5)
    with_mean = AffineSpace(d, torch.eye(3, 16), mean=drawn(16))
    torch.testing.assert_close(all_changes(model, with_mean), all_changes(model, d))
    codes = model.split(-1).activations(TEXTS, progress=False).matrix() @ d.T
    slopes = 2 * codes.mean(0)[:, None] * d
    torch.testing.assert_close(all_changes(model, Bent(d)), all_changes(model, slopes), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [Directions, Scaled, Bent])
def test_some_concepts_are_shown_as_among_all(kind: type[Directions]) -> None:
    split = tiny_generator().split(-1)
    activations, space = split.activations(TEXTS, progress=False), kind(drawn(5, 16))
    whole = interpret(space, activations, by=VocabularyProjection(), model=split)
    some = interpret(space, activations, by=VocabularyProjection(), model=split, concepts=[3, 0])
    assert [concept.concept for concept in some] == [3, 0]
    for concept in some:
        assert [word for word, _ in concept.words] == [word for word, _ in whole[concept.concept].words]
        assert concept.score == pytest.approx(whole[concept.concept].score, rel=1e-4)


def test_special_tokens_and_those_without_text_are_left_out_and_counted() -> None:
    model = made("GPT2LMHeadModel", tiny_generator(vocab_size=50).config)
    found = projected(model, d := drawn(1, 16), top=100)
    shown = {word for word, _ in found[0].words}
    assert len(shown) == 39 and not shown & {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"}
    assert any(note.startswith("11 of 50 tokens") for note in found.notes)
    with_special = projected(model, d, top=100, special=True)
    assert len(with_special[0].words) == 44
    assert any(note.startswith("6 of 50 tokens") for note in with_special.notes)


@pytest.fixture(params=[False, True], ids=["evaluating", "training"])
def untidy(request: pytest.FixtureRequest) -> Iterator[TextModel]:
    model = tiny_generator(resid_pdrop=0.5)
    model.model.train(request.param)
    yield model


def test_the_model_is_left_as_it_was(untidy: TextModel) -> None:
    split, space = untidy.split(0), Directions(drawn(3, 16))
    activations = split.activations(TEXTS, progress=False)
    before = state_of(untidy)
    first = interpret(space, activations, by=VocabularyProjection(), model=split)
    assert state_of(untidy) == before
    again = interpret(space, activations, by=VocabularyProjection(), model=split)
    assert first.concepts == again.concepts


def test_in_bfloat16_it_is_what_it_is_in_single_precision_up_to_rounding() -> None:
    model, d = FAMILIES["llama"](), drawn(2, 16)
    half = TextModel(copy.deepcopy(model.model).to(torch.bfloat16), model.tokenizer)
    exact, rounded = all_changes(model, d), all_changes(half, d)
    assert float((exact - rounded).norm() / exact.norm()) < 0.03


def test_a_model_without_a_vocabulary_is_refused_with_what_to_use() -> None:
    for model, hint in (
        (tiny_classifier(), "interp.importance"),
        (tiny_tagger(), "interp.importance"),
        (tiny_extractor(), "task='CausalLM'"),
        (tiny_translator(), "its decoder alone"),
    ):
        with pytest.raises(UnsupportedError, match=hint):
            projected(model, drawn(1, 16))


def test_directions_that_do_not_write_to_the_stream_are_refused() -> None:
    with pytest.raises(InputError, match="width 64"):
        projected(tiny_generator(), drawn(1, 64), "transformer.h.0.mlp.c_fc")


def test_a_direction_that_moves_nothing_has_no_label() -> None:
    with pytest.warns(match="none of 1 concepts"):
        found = projected(tiny_generator(), torch.zeros(1, 16))
    assert found[0].label is None and found[0].words == () and "moves no token" in found[0].note


@pytest.mark.parametrize("scale", [2.0**-83, 2.0**100])  # 1e-25 and 1e30
@pytest.mark.parametrize("kind", [Directions, Scaled])
def test_directions_of_extreme_length_are_shown_as_those_of_length_one(kind: type[Directions], scale: float) -> None:
    model, d = tiny_llama(), drawn(4, 16)
    plain, far = projected(model, kind(d)), projected(model, kind(scale * d))
    assert any(concept.note for concept in plain) and not all(concept.note for concept in plain)
    for one, other in zip(plain, far, strict=True):
        assert one.label == other.label and one.score == pytest.approx(other.score, rel=1e-6)
        assert [(word, pytest.approx(scale * change)) for word, change in one.words] == list(other.words)
        assert ("random directions do as much" in one.note) == ("random directions do as much" in other.note)


def test_a_direction_that_is_not_finite_is_named() -> None:
    d = drawn(3, 16)
    d[1, 4] = torch.inf
    with pytest.raises(InputError, match="'concept 1' holds numbers that are not finite"):
        projected(tiny_generator(), d)


def test_parameters_out_of_range_are_refused() -> None:
    for parameters in ({"top": 0}, {"texts": 0}, {"samples": -1}, {"seed": -1}):
        with pytest.raises(InputError, match="at least"):
            VocabularyProjection(**parameters)


def test_rows_from_elsewhere_need_only_texts() -> None:
    model = tiny_generator()
    split = model.split(-1)
    rows: Activations = of_rows(drawn(4, 16), TEXTS)
    found = interpret(Directions(d := drawn(1, 16)), rows, by=VocabularyProjection(top=3), model=split)
    assert found[0].words == projected(model, d, top=3)[0].words


def test_a_store_on_disk_gives_the_same_words(tmp_path: Any) -> None:
    split, space = tiny_generator().split(0), Bent(drawn(2, 16))
    stored = split.activations(TEXTS, to=tmp_path / "store", progress=False)
    rows = split.activations(TEXTS, progress=False)
    one, other = (interpret(space, each, by="vocabulary-projection", model=split) for each in (rows, stored))
    assert one.concepts == other.concepts


def test_an_interpretation_is_saved_with_its_strengths(tmp_path: Any) -> None:
    found = projected(tiny_generator(), drawn(2, 16))
    assert Interpretation.load(found.save(tmp_path / "words.json")).concepts == found.concepts
