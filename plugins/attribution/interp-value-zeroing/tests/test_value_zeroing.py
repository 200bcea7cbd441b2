"""One pass for all layers gives what one pass for each layer and token gives, in 64 bits and by other hooks."""

import copy
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import UnsupportedError
from interp_core.testing import (
    contract_tests,
    planted_model,
    tiny_classifier,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_translator,
)
from interp_value_zeroing.value_zeroing import cosine_distance

test_contract = contract_tests("value-zeroing")

TEXT = "i feel so [MASK] and never warm"
Make = Callable[..., interp.TextModel]
# Where the values of a block come from, and which part of what comes out there they are.
BERT: tuple[str, Callable[[torch.Tensor], torch.Tensor]] = ("attention.self.value", lambda out: out)
LLAMA: tuple[str, Callable[[torch.Tensor], torch.Tensor]] = ("self_attn.v_proj", lambda out: out)
GPT: tuple[str, Callable[[torch.Tensor], torch.Tensor]] = ("attn.c_attn", lambda out: out[..., -out.shape[-1] // 3 :])
MAKERS = [(tiny_classifier, BERT), (tiny_filler, BERT), (tiny_generator, GPT), (tiny_llama, LLAMA)]


def explained(model: interp.TextModel, text: str = TEXT, **options: Any) -> interp.Attribution:
    limit = {"max_new_tokens": 3} if model.head == "causal" else {}
    (found,) = interp.attribute(model, text, by="value-zeroing", progress=False, **limit, **options)
    return found


def outputs(model: Any, blocks: list[Any], ids: torch.Tensor) -> list[torch.Tensor]:
    """What each block gives for each token."""
    seen: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, out: Any) -> None:
        seen.append((out[0] if isinstance(out, tuple) else out)[0])

    hooks = [block.register_forward_hook(keep) for block in blocks]
    with torch.no_grad():
        model(ids[None])
    for hook in hooks:
        hook.remove()
    return seen


def the_long_way(model: interp.TextModel, ids: torch.Tensor, place: tuple[str, Any], rollout: bool) -> torch.Tensor:
    """The shares of each token in each token, rolled out or their mean: one pass for each layer and token."""
    exact = copy.deepcopy(model.model).double()
    blocks = [exact.get_submodule(path) for path in model.blocks]
    path, values_of = place
    intact, product = outputs(exact, blocks, ids), torch.eye(len(ids), dtype=torch.float64)
    total = torch.zeros_like(product)
    for layer, block in enumerate(blocks):
        change = torch.zeros(len(ids), len(ids), dtype=torch.float64)
        for token in range(len(ids)):

            def zero(_module: Any, _inputs: Any, out: torch.Tensor, token: int = token) -> torch.Tensor:
                values_of(out)[:, token] = 0
                return out

            hook = block.get_submodule(path).register_forward_hook(zero)
            moved = outputs(exact, blocks, ids)[layer]
            hook.remove()
            change[:, token] = 1 - torch.cosine_similarity(moved, intact[layer], dim=-1)
        shares = change / change.sum(1, keepdim=True)
        total, product = total + shares, shares @ product
    return (product if rollout else total / len(blocks)).float()


def in_units(found: interp.Attribution, shares: torch.Tensor) -> torch.Tensor:
    """What each unit has of the shares of tokens, zero where not applicable."""
    owners = found.encoded.unit_of
    added = [shares[:, owners == unit].sum(1) for unit in range(len(found.units))]
    return torch.stack(added, dim=1) * found.applicable


def rows_read(found: interp.Attribution, before: int) -> list[int]:
    return [0 if target.position is None else target.position - before for target in found.targets]


@pytest.mark.parametrize(("make", "place"), MAKERS)
@pytest.mark.parametrize("rollout", [False, True])
def test_all_layers_at_once_are_what_one_pass_a_layer_and_token_gives(
    make: Make, place: tuple[str, Any], rollout: bool
) -> None:
    model = make(num_hidden_layers=3) if place is not GPT else make(n_layer=3)
    found = explained(model, rollout=rollout)
    rows = rows_read(found, 0 if place is BERT else 1)
    expected = in_units(found, the_long_way(model, found.encoded.ids, place, rollout)[rows])
    assert torch.allclose(found.scores, expected, atol=1e-5)
    assert float(found.scores.min()) >= 0


@pytest.mark.parametrize("tokens", [1, 20, 40])
def test_a_small_batch_gives_the_same_in_more_passes(tokens: int) -> None:
    """Nine tokens are a row, so that one, two and four of them fill a batch."""
    model = tiny_classifier()
    whole = explained(model)
    small = explained(interp.TextModel(model.model, model.tokenizer, tokens_per_batch=tokens))
    assert torch.allclose(small.scores, whole.scores, atol=1e-6)
    rows_a_pass = max(1, tokens // 9)
    assert small.made_by.cost.forwards - whole.made_by.cost.forwards == -(-9 // rows_a_pass) - 1
    assert small.made_by.cost.rows == whole.made_by.cost.rows


def test_more_layers_cost_no_more_passes() -> None:
    costs = [explained(tiny_classifier(num_hidden_layers=n)).made_by.cost.forwards for n in (1, 4)]
    assert costs[0] == costs[1]


@pytest.mark.parametrize("rollout", [False, True])
def test_a_token_that_no_value_moves_is_its_own(rollout: bool) -> None:
    """With all values zero, each token is made of itself alone: the one where the score is read has all of it."""
    model = tiny_llama()
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if "v_proj" in name:
                weight.zero_()
    found = explained(model, rollout=rollout)
    expected = in_units(found, torch.eye(len(found.encoded.ids))[rows_read(found, 1)])
    assert expected.any() and torch.equal(found.scores, expected)


def test_the_distance_is_precise_where_the_cosine_is_all_rounding() -> None:
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    other = torch.tensor([[0.0, 3.0], [-1.0, 0.0], [5.0, 0.0]])
    assert torch.allclose(cosine_distance(one, other), torch.tensor([1.0, 2.0, 0.0]), atol=1e-6)
    angle = 1e-4
    near = torch.tensor([[torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))]])
    assert float(cosine_distance(near, torch.tensor([[1.0, 0.0]]))) == pytest.approx(angle**2 / 2, rel=1e-3)


def test_all_classes_have_the_same_scores_and_generated_tokens_have_their_own() -> None:
    classes = explained(tiny_classifier(), targets="all").scores
    assert len(classes) == 3 and torch.equal(classes, classes[:1].expand(3, -1))
    tokens = explained(tiny_llama()).scores
    assert len(tokens) > 1 and not torch.allclose(tokens[0], tokens[-1], atol=1e-3)


def test_two_stacks_and_models_without_attention_are_refused() -> None:
    for model in (tiny_translator(), tiny_translator("t5"), planted_model({"happy": (1.0, 0.0)})):
        with pytest.raises(UnsupportedError, match="cannot be seen"):
            explained(model, "i was happy")


def test_a_layer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not about a layer"):
        explained(tiny_classifier(), layer=0)


@pytest.mark.parametrize(("name", "place"), [("emotion-minilm", BERT), ("lm-tiny", GPT), ("llama-tiny", LLAMA)])
def test_real_models_have_what_the_long_way_gives(
    name: str, place: tuple[str, Any], real_model: Callable[[str], Any]
) -> None:
    model = real_model(name)
    found = explained(model, "so bitter", rollout=True)
    rows = rows_read(found, 0 if place is BERT else 1)
    expected = in_units(found, the_long_way(model, found.encoded.ids, place, rollout=True)[rows])
    assert torch.allclose(found.scores, expected, atol=1e-4)


def test_the_emotion_word_comes_first(real_model: Callable[[str], Any]) -> None:
    words = {"angry": "i feel so angry today", "gloomy": "the day was gloomy and long", "thrilled": "she was thrilled"}
    for word, text in words.items():
        assert explained(real_model("emotion-minilm"), text).top()[0][0] == word
