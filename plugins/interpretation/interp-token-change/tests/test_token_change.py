"""Token change: exact against hooks written by hand, and only what stands out of its standard error is shown."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import AffineSpace, Interpretation, LabelledConcept, concept_cards, interpret
from interp_core.errors import InputError, UnsupportedError
from interp_core.model import SplitModel, TextModel
from interp_core.testing import (
    contract_tests,
    state_of,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_translator,
)
from interp_token_change.active_rows import active_rows
from interp_token_change.token_change import TokenChange
from jaxtyping import Float
from torch import Tensor

test_contract = contract_tests("token-change")

TEXTS = [
    "so happy today",
    "the old cat was not sad",
    "warm rain and a cold night",
    "i never feel calm",
    "a good day but a bad house",
    "when the sun was red",
    "always tired",
]
MODELS: dict[str, Callable[[], TextModel]] = {
    "gpt2": tiny_generator,
    "llama": tiny_llama,
    "bert": tiny_filler,
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def affine(concepts: int = 3, seed: int = 0) -> AffineSpace:
    """Concepts that are active in most rows."""
    dictionary, encoder = drawn(concepts, 16, seed=seed), drawn(concepts, 16, seed=seed + 1) / 4
    return AffineSpace(dictionary, encoder, drawn(16, seed=seed + 2), bias=torch.full((concepts,), 4.0))


def read(split: SplitModel, granularity: str = "token") -> Activations:
    return split.activations(TEXTS, granularity=granularity, progress=False)


def run(model: TextModel, layer: int | str, text: str, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Log-probabilities (t, v) of a text with the output of a block changed, by a hook of PyTorch."""
    block = model.model.get_submodule(model.layer_path(layer))

    def put(_module: Any, _inputs: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    hook = block.register_forward_hook(put)
    with torch.no_grad():
        logits: Tensor = model.model(input_ids=torch.tensor([model.tokenizer(text)["input_ids"]])).logits[0]
    hook.remove()
    return logits.float().log_softmax(-1)


def expected(
    split: SplitModel, space: AffineSpace, activations: Activations, concept: int, add: float | None, *, texts: int
) -> Tensor:
    """The changes (n, v) at the units with the largest codes, one of each text."""
    model = split.model
    codes = space.encode(activations.matrix())[:, concept]
    best = [max(activations.rows_of(i).tolist(), key=lambda row: float(codes[row])) for i in range(len(TEXTS))]
    best = sorted((row for row in best if codes[row] > 0), key=lambda row: -float(codes[row]))[:texts]
    rows = []
    for row in best:
        text = activations.texts[int(activations.text_of[row])]

        def change(states: Tensor) -> Tensor:
            code = space.encode(states[0])[:, [concept]]
            by = -code if add is None else torch.full_like(code, add * float(codes.max()))
            return states + by * space.dictionary[concept]

        offsets = model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        unit = activations.unit(row)
        at = [i for i, (a, b) in enumerate(offsets) if unit.start <= a < b <= unit.stop]
        moved = run(model, split.path, text, change) - run(model, split.path, text, lambda states: states)
        rows.append(moved[at].mean(0))
    return torch.stack(rows)


def as_changes(concept: LabelledConcept, model: TextModel) -> Tensor:
    """The changes that are shown, in the order of the ids; 0 for tokens that are not."""
    ids = model.tokenizer.get_vocab()
    changes = torch.zeros(len(ids))
    for word, change in concept.words:
        changes[ids[word]] = change
    return changes


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("granularity", ["token", "word", "sample"])
@pytest.mark.parametrize("add", [None, 0.5, -2.0])
def test_it_is_what_hooks_written_by_hand_measure(name: str, granularity: str, add: float | None) -> None:
    model, space = MODELS[name](), affine()
    split = model.split(0)
    activations = read(split, granularity)
    method = TokenChange(top=50, texts=4, special=True)
    if add is not None:
        method = TokenChange(top=50, texts=4, special=True, change="add", strength=add)
    found = interpret(space, activations, by=method, model=split)
    for concept in found:
        changes = expected(split, space, activations, concept.concept, add, texts=4)
        mean, error = changes.mean(0), changes.std(0) / len(changes) ** 0.5
        shown = mean.masked_fill(mean.abs() <= 2 * error, 0) * (1 if add is not None and add > 0 else -1)
        assert len(concept.examples) == len(changes) == 4
        torch.testing.assert_close(as_changes(concept, model), shown, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_row_of_the_unembedding_speaks_for_its_token(name: str) -> None:
    model = MODELS[name]()
    rows = model.model.get_output_embeddings().weight.detach()
    longest = rows.norm(dim=1).argmax()
    word = model.tokenizer.convert_ids_to_tokens(int(longest))
    direction = rows[longest][None] / rows[longest].norm()
    split, space = model.split(-1), AffineSpace(direction, direction, mean=torch.full((16,), -5.0) * direction[0])
    more = interpret(space, read(split), by=TokenChange(change="add", special=True), model=split)[0]
    less = interpret(space, read(split), by=TokenChange(special=True), model=split)[0]
    for concept in (more, less):
        assert concept.words[0][0] == word and concept.words[0][1] > 0
        assert concept.label is not None and concept.label.split(", ")[0] == word
        against = [change for _, change in concept.words if change < 0]
        assert [change for _, change in concept.words][-len(against) :] == against


@pytest.mark.real
def test_in_a_real_model_a_token_becomes_more_probable_along_its_direction(real_model: Callable[[str], Any]) -> None:
    model = real_model("lm-tiny")
    words = [" king", " happy", " love", " not"]
    ids = [model.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    through = model.model.lm_head.weight.detach() * model.model.transformer.ln_f.weight.detach()
    directions = torch.linalg.pinv(through - through.mean(0)).T[ids]  # raises one token, as far as any can
    directions = torch.nn.functional.normalize(directions, dim=1)
    split = model.split(-1)
    activations = split.activations([f"{text} {text}" for text in TEXTS], progress=False)
    space = AffineSpace(directions, directions)
    found = interpret(space, activations, by=TokenChange(change="add", strength=2.0), model=split)
    assert [concept.words[0][0] for concept in found] == [f"␣{word.strip()}" for word in words]


def test_examples_are_the_strongest_rows_of_different_texts() -> None:
    split, space = tiny_generator().split(0), affine()
    activations = read(split, "word")
    codes = space.encode(activations.matrix())
    for concept in interpret(space, activations, by=TokenChange(texts=5), model=split):
        values = [example.value for example in concept.examples]
        assert values == sorted(values, reverse=True) and values[0] == float(codes[:, concept.concept].max())
        assert len({example.text for example in concept.examples}) == len(values) <= 5
        for example in concept.examples:
            assert example.text[example.start : example.stop].strip()


def test_rows_come_from_different_texts_however_batches_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of_rows(drawn(60, 4))
    units = tuple(unit * 6 for unit in rows.units[:10])
    places = torch.arange(60) // 6, torch.arange(60) % 6
    mixed = Activations(rows.values, *places, rows.texts[:10], units, "given", "word", rows.made_by)
    space = AffineSpace(torch.eye(4), torch.eye(4))
    whole = active_rows(space, mixed, 7)
    best = mixed.values.reshape(10, 6, 4).amax(1).sort(0, descending=True).values[:7]
    codes = torch.tensor([[code for _, code in one] for one in whole.entries]).T
    assert torch.equal(codes, best) and torch.equal(whole.peak, mixed.values.amax(0))
    assert all(mixed.values[row, i] == code for i, one in enumerate(whole.entries) for row, code in one)
    among = torch.arange(10) % 3 == 1
    some = active_rows(space, mixed, 7, among)
    assert torch.equal(some.peak, whole.peak)
    best = mixed.values.reshape(10, 6, 4).amax(1)[among].sort(0, descending=True).values
    assert torch.equal(torch.tensor([[code for _, code in one] for one in some.entries]).T, best)
    assert all(mixed.values[row, i] == code for i, one in enumerate(some.entries) for row, code in one)
    monkeypatch.setattr("interp_token_change.active_rows.ENTRIES", 16)
    part = active_rows(space, mixed, 7)
    assert part.entries == whole.entries and torch.equal(part.peak, whole.peak)
    assert active_rows(space, mixed, 7, among).entries == some.entries


class Silent(AffineSpace):
    """Concepts that are never active."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return values.new_zeros(len(values), self.concepts)


@pytest.mark.parametrize("method", [TokenChange(), TokenChange("add", sampling="random")])
def test_a_concept_that_is_never_active_has_a_note_and_no_words(method: TokenChange) -> None:
    split = tiny_generator().split(0)
    with pytest.warns(match="none of 2 concepts"):
        found = interpret(Silent(torch.eye(2, 16), torch.eye(2, 16)), read(split), by=method, model=split)
    for concept in found:
        assert (concept.label, concept.words, concept.examples) == (None, (), ())
        assert "never active" in concept.note


class Undefined(AffineSpace):
    """Concepts of which the second has no finite code in one row."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        codes = super().encode(values)
        codes[:, 1] = codes[:, 1].masked_fill(values.sum(1) == self.bias[0], torch.nan)
        return codes


@pytest.mark.parametrize("method", [TokenChange(), TokenChange("add", sampling="random", texts=2)])
def test_a_code_that_is_not_finite_is_refused_wherever_it_is(method: TokenChange) -> None:
    split = tiny_generator().split(0)
    activations = read(split)
    for row in (0, len(activations) - 1):
        bias = activations.matrix()[row].sum().expand(2)
        space = Undefined(drawn(2, 16), drawn(2, 16), bias=bias)
        with pytest.raises(InputError, match="not a finite number"):
            interpret(space, activations, by=method, model=split)


def test_cards_take_the_tokens_of_either_change() -> None:
    split, space = tiny_generator().split(0), affine()
    activations = read(split)
    for method in (TokenChange(), TokenChange("add"), TokenChange("add", strength=-1.0)):
        found = interpret(space, activations, by=method, model=split)
        cards = concept_cards(space, activations, tokens=found)
        for card, concept in zip(cards, found, strict=True):
            assert card.raised + card.lowered == concept.words  # the concept speaks for what it raises
            said = [word.strip("␣⏎⇥␍") for word, _ in card.raised]
            assert (concept.label or "").split(", ")[0] == (said[0] if said else "")


def test_what_changes_nothing_shows_no_token() -> None:
    split = tiny_generator().split(0)
    idle = AffineSpace(torch.zeros(1, 16), drawn(1, 16))
    with pytest.warns(match="none of 1 concepts"):
        found = interpret(idle, read(split), by="token-change", model=split)
    assert not found[0].words and found[0].examples and "no token changes" in found[0].note


class OneText(AffineSpace):
    """A concept that is active in the first row alone."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return (values[:, :1] - values[:, :1] + 1) * (values.sum(1, keepdim=True) == self.bias[0])


def test_one_text_gives_no_standard_error_and_no_words() -> None:
    split = tiny_generator().split(0)
    activations = read(split)
    space = OneText(drawn(1, 16), drawn(1, 16), bias=activations.matrix()[4].sum()[None])
    with pytest.warns(match="none of 1 concepts"):
        found = interpret(space, activations, by="token-change", model=split)
    assert len(found[0].examples) == 1 and not found[0].words and "no standard error" in found[0].note


def test_random_texts_are_drawn_by_the_seed_and_are_the_same_for_all_concepts() -> None:
    split, space = tiny_generator().split(0), affine()
    activations = read(split)

    def texts(seed: int) -> list[set[str]]:
        method = TokenChange("add", texts=3, sampling="random", seed=seed)
        return [{e.text for e in concept.examples} for concept in interpret(space, activations, by=method, model=split)]

    first = texts(0)
    assert all(one == first[0] and len(one) == 3 for one in first) and texts(0) == first
    assert any(texts(seed)[0] != first[0] for seed in range(1, 5))


class Scaled(AffineSpace):
    """A space that decodes to three times its dictionary."""

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return 3 * codes @ self.dictionary + 1


@pytest.mark.parametrize("kind", [AffineSpace, Scaled])
def test_some_concepts_are_shown_as_among_all(kind: type[AffineSpace]) -> None:
    split = tiny_generator().split(0)
    activations, space = read(split), kind(drawn(5, 16), drawn(5, 16, seed=1))
    whole = interpret(space, activations, by=TokenChange(texts=5), model=split)
    some = interpret(space, activations, by=TokenChange(texts=5), model=split, concepts=[3, 0])
    assert [concept.concept for concept in some] == [3, 0]
    assert all(concept == whole[concept.concept] for concept in some)


def test_the_model_is_left_as_it_was_in_training_too() -> None:
    model = tiny_generator(resid_pdrop=0.5)
    model.model.train()
    split, space = model.split(0), affine()
    activations = read(split)
    before = state_of(model)
    first = interpret(space, activations, by=TokenChange(), model=split)
    assert state_of(model) == before
    assert first.concepts == interpret(space, activations, by=TokenChange(), model=split).concepts


def test_the_cost_is_two_rows_for_each_text_and_concept() -> None:
    model, space = tiny_generator(), affine(concepts=2)
    split = model.split(0)
    activations = read(split)
    interpret(space, activations, by=TokenChange(texts=3), model=split)  # the model is tried once
    rows: list[int] = []
    hook = model.model.register_forward_pre_hook(
        lambda _m, _a, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    interpret(space, activations, by=TokenChange(texts=3), model=split)
    hook.remove()
    assert sum(rows) == 1 + 2 * 3 * 2  # one for the size of the vocabulary


def test_in_bfloat16_the_strongest_tokens_are_those_of_single_precision() -> None:
    model, space = tiny_llama(), affine(1)
    half = TextModel(copy.deepcopy(model.model).to(torch.bfloat16), model.tokenizer)
    found = [
        interpret(space, read(one.split(0)), by=TokenChange("add", strength=3.0), model=one.split(0))[0]
        for one in (model, half)
    ]
    exact, rounded = (as_changes(one, model) for one in found)
    both = (exact != 0) & (rounded != 0)
    assert int(both.sum()) >= 10 and found[0].words[0][0] == found[1].words[0][0]
    torch.testing.assert_close(rounded[both], exact[both], rtol=0.1, atol=0.05)


def test_only_the_last_token_is_changed_for_a_space_of_last_rows() -> None:
    model, space = tiny_generator(), affine(1)
    split = model.split(0)
    activations = read(split, "last")
    space.made_by = activations.made_by
    found = interpret(space, activations, by=TokenChange(texts=3, top=50, special=True), model=split)
    codes = space.encode(activations.matrix())[:, 0]
    rows = []
    for text, code in sorted(zip(TEXTS, codes.tolist(), strict=True), key=lambda pair: -pair[1])[:3]:
        assert code > 0

        def change(states: Tensor) -> Tensor:
            moved = states.clone()
            moved[:, -2] -= space.encode(states[0, [-2]])[0, 0] * space.dictionary[0]  # the text ends with [SEP]
            return moved

        rows.append((run(model, 0, text, change) - run(model, 0, text, lambda states: states))[-2])
    mean, error = -torch.stack(rows).mean(0), torch.stack(rows).std(0) / 3**0.5
    shown = mean.masked_fill(mean.abs() <= 2 * error, 0)
    torch.testing.assert_close(as_changes(found[0], model), shown, rtol=1e-3, atol=1e-5)


def test_of_cls_rows_of_a_masked_model_the_class_token_is_changed_and_read() -> None:
    model, space = tiny_filler(), affine(1)
    split = model.split(0)
    activations = read(split, "cls")
    space.made_by = activations.made_by
    found = interpret(space, activations, by=TokenChange("add", texts=len(TEXTS), top=50, special=True), model=split)[0]
    amount = float(space.encode(activations.matrix()).max())

    def change(states: Tensor) -> Tensor:
        moved = states.clone()
        moved[:, 0] += amount * space.dictionary[0]
        return moved

    texts = [example.text for example in found.examples]
    assert len(texts) >= 5
    rows = [(run(model, 0, t, change) - run(model, 0, t, lambda states: states))[0] for t in texts]
    mean, error = torch.stack(rows).mean(0), torch.stack(rows).std(0) / len(rows) ** 0.5
    shown = mean.masked_fill(mean.abs() <= 2 * error, 0)
    torch.testing.assert_close(as_changes(found, model), shown, rtol=1e-3, atol=1e-5)


def test_a_store_on_disk_gives_the_same_words(tmp_path: Any) -> None:
    split, space = tiny_generator().split(0), affine()
    stored = split.activations(TEXTS, to=tmp_path / "store", progress=False)
    one, other = (interpret(space, rows, by="token-change", model=split) for rows in (read(split), stored))
    assert one.concepts == other.concepts


def test_models_without_a_vocabulary_are_refused_with_what_to_use() -> None:
    for model, hint in ((tiny_classifier(), "interp.effect"), (tiny_translator(), "encoder-decoder")):
        split = model.split(0)
        with pytest.raises(UnsupportedError, match=hint):
            interpret(affine(), read(split), by="token-change", model=split)


def test_parameters_out_of_range_are_refused() -> None:
    for parameters in ({"top": 0}, {"texts": 1}, {"seed": -1}):
        with pytest.raises(InputError, match="at least"):
            TokenChange(**parameters)
    for strength in (0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="finite number"):
            TokenChange(strength=strength)


def test_an_interpretation_is_saved_with_its_strengths(tmp_path: Any) -> None:
    split = tiny_generator().split(0)
    found = interpret(affine(), read(split), by="token-change", model=split)
    assert Interpretation.load(found.save(tmp_path / "words.json")).concepts == found.concepts
