"""Rollout is the product over the layers that it stands for, read where the score is."""

from collections.abc import Callable

import interp_core as interp
import pytest
import torch
from interp_core.errors import UnsupportedError
from interp_core.testing import (
    contract_tests,
    planted_model,
    tiny_classifier,
    tiny_extractor,
    tiny_filler,
    tiny_generator,
    tiny_llama,
    tiny_tagger,
    tiny_translator,
)
from interp_core.text import NO_UNIT

test_contract = contract_tests("attention-rollout")

TEXT = "i feel so [MASK] and never warm"
MAKERS = [tiny_classifier, tiny_filler, tiny_generator, tiny_llama]
Make = Callable[..., interp.TextModel]


def explained(model: interp.TextModel, text: str = TEXT, **options: object) -> interp.Attribution:
    limit = {"max_new_tokens": 3} if model.head == "causal" else {}
    (found,) = interp.attribute(model, text, by="attention-rollout", progress=False, **limit, **options)
    return found


def whole_product(model: interp.TextModel, ids: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
    """Rollout from each token to each, by a loop over what transformers gives out."""
    kind = model.config._attn_implementation
    model.model.set_attn_implementation("eager")
    with torch.no_grad():
        extra = {} if types is None else {"token_type_ids": types[None]}
        layers = model.model(ids[None], output_attentions=True, **extra).attentions
    model.model.set_attn_implementation(kind)
    product = torch.eye(len(ids))
    for weights in layers:
        mixed = weights[0].mean(0) + torch.eye(len(ids))
        product = (mixed / mixed.sum(-1, keepdim=True)) @ product
    return product


def in_units(found: interp.Attribution, shares: torch.Tensor) -> torch.Tensor:
    """What each unit has of the shares of tokens, zero where not applicable."""
    owners = found.encoded.unit_of
    added = [shares[:, owners == unit].sum(1) for unit in range(len(found.units))]
    return torch.stack(added, dim=1) * found.applicable


@pytest.mark.parametrize("make", MAKERS)
def test_it_is_the_product_of_the_attention_that_transformers_gives_out(make: Make) -> None:
    model = make()
    found = explained(model)
    before = 1 if make in (tiny_generator, tiny_llama) else 0
    rows = [0 if target.position is None else target.position - before for target in found.targets]
    expected = in_units(found, whole_product(model, found.encoded.ids)[rows])
    assert torch.allclose(found.scores, expected, atol=1e-5)
    assert float(found.scores.min()) >= 0


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_where_attention_is_uniform_all_other_tokens_share_what_the_reader_does_not_keep(layers: int) -> None:
    """Each layer keeps half and spreads half over t tokens; after L of them 1 - 0.5^L is spread."""
    model = tiny_classifier(num_hidden_layers=layers)
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if "self.query" in name:
                weight.zero_()
    found = explained(model)
    spread = (1 - 0.5**layers) / len(found.encoded.ids)
    assert torch.allclose(found.scores, torch.full_like(found.scores, spread), atol=1e-6)


def test_a_score_read_at_several_places_has_the_mean_of_their_shares() -> None:
    tagger, extractor = tiny_tagger(), tiny_extractor()
    found = explained(tagger, "the cat was never warm", targets=interp.at("cat was never"))
    product = whole_product(tagger, found.encoded.ids)
    assert torch.allclose(found.scores, in_units(found, product[2:5].mean(0, keepdim=True)), atol=1e-5)
    pair = ("is the cat sad", "the cat was never warm")
    (found,) = interp.attribute(extractor, [pair], by="attention-rollout", targets="cat was never", progress=False)
    seen = found.encoded.ids, found.encoded.types
    product = whole_product(extractor, *seen)
    ends = product[[7, 9]].mean(0, keepdim=True)  # [CLS] and [SEP] stand around the question
    assert torch.allclose(found.scores, in_units(found, ends), atol=1e-5)


def test_all_classes_have_the_same_scores_and_generated_tokens_have_their_own() -> None:
    classes = explained(tiny_classifier(), targets="all").scores
    assert len(classes) == 3 and torch.equal(classes, classes[:1].expand(3, -1))
    tokens = explained(tiny_generator()).scores
    assert len(tokens) > 1 and not torch.allclose(tokens[0], tokens[-1], atol=1e-3)


def test_shares_of_units_and_of_tokens_in_no_unit_add_up_to_one() -> None:
    model = tiny_classifier()
    found = explained(model)
    outside = whole_product(model, found.encoded.ids)[0][found.encoded.unit_of == NO_UNIT].sum()
    assert float(found.scores.sum() + outside) == pytest.approx(1, abs=1e-5)


def test_it_takes_one_pass_whatever_the_number_of_targets() -> None:
    costs = [explained(tiny_classifier(), targets=targets).made_by.cost for targets in (0, "all")]
    assert costs[0].forwards == costs[1].forwards and costs[0].backwards == 0


def test_two_stacks_and_models_without_attention_are_refused() -> None:
    for model in (tiny_translator(), tiny_translator("t5"), planted_model({"happy": (1.0, 0.0)})):
        with pytest.raises(UnsupportedError, match="cannot be seen"):
            explained(model, "i was happy")


def test_a_layer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not about a layer"):
        explained(tiny_classifier(), layer=0)


@pytest.mark.parametrize("name", ["emotion-minilm", "lm-tiny", "llama-tiny"])
def test_real_models_have_the_product_of_their_attention(name: str, real_model: Callable[[str], object]) -> None:
    model = real_model(name)
    assert isinstance(model, interp.TextModel)
    found = explained(model, "i feel so angry and bitter about love today")
    rows = [0 if target.position is None else target.position - 1 for target in found.targets]
    expected = in_units(found, whole_product(model, found.encoded.ids)[rows])
    assert torch.allclose(found.scores, expected, atol=1e-5)
