"""A tap reads or replaces the output of one module and leaves no trace."""

import pytest
import torch
from interp_core.errors import InputError, LayerError
from interp_core.model import at_rest, tap
from interp_core.testing import state_of, tiny_classifier, tiny_generator

IDS = torch.tensor([[2, 5, 6, 9, 3]])
BLOCK = "bert.encoder.layer.0"


def test_reading_stops_the_pass_there() -> None:
    model = tiny_classifier()
    ran: list[str] = []
    for name in ("bert.encoder.layer.1", "classifier"):
        model.model.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    with tap(model.model, BLOCK, stop=True) as seen:
        model.forward(IDS, torch.ones_like(IDS))
    assert seen.read().shape == (1, 5, 16) and not ran


def test_replacing_equals_editing_the_stream_by_hand() -> None:
    model = tiny_classifier()
    value = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), at_rest(model.model):
        with tap(model.model, BLOCK, replace=value):
            found = model.forward(IDS, torch.ones_like(IDS))["logits"]
        upper = model.model.bert.encoder.layer[1](value)
        upper = upper[0] if isinstance(upper, tuple) else upper  # transformers 4
        expected = model.model.classifier(model.model.bert.pooler(upper))
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_layer_that_runs_twice_is_refused() -> None:
    model = tiny_classifier()
    with pytest.raises(LayerError, match="ran twice"), tap(model.model, BLOCK):
        model.forward(IDS, torch.ones_like(IDS))
        model.forward(IDS, torch.ones_like(IDS))


def test_a_layer_without_a_row_for_each_token_is_refused() -> None:
    model = tiny_classifier()
    with pytest.raises(LayerError, match=r"'classifier' gives \(1, 3\)"), tap(model.model, "classifier"):
        model.forward(IDS, torch.ones_like(IDS))


def test_an_unknown_layer_is_refused_with_near_names() -> None:
    with pytest.raises(LayerError, match=r"bert\.encoder\.layer\.1"):
        tiny_classifier().split("bert.encoder.layer.9")
    with pytest.raises(LayerError, match="2 blocks, 0 to 1"):
        tiny_classifier().split(7)


def test_hooks_and_flags_are_put_back_after_an_error() -> None:
    model = tiny_generator()
    model.model.train()
    before = state_of(model)
    with pytest.raises(RuntimeError, match="mine"), at_rest(model.model), tap(model.model, "transformer.h.0"):
        raise RuntimeError("mine")
    assert state_of(model) == before


def test_a_module_that_did_not_run_has_nothing_to_read() -> None:
    model = tiny_classifier()
    with pytest.raises(LayerError, match="did not run"):
        with tap(model.model, BLOCK) as seen:
            pass
        seen.read()


def test_something_that_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match="the tokenizer is dict; one of transformers was expected"):
        type(tiny_classifier())(tiny_classifier().model, {})
