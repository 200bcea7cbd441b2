"""New weights from the top, with the moments of the old ones, in a copy that shares the rest."""

import threading
from typing import Any

import pytest
import torch
from interp_core.errors import UnsupportedError
from interp_core.model import TextModel
from interp_core.testing import state_of, tiny_classifier, tiny_generator, tiny_translator
from interp_parameter_randomisation.redrawing import drawn_anew, layers_from_the_top, redrawn
from torch import Tensor, nn


def weights(model: TextModel) -> dict[str, Tensor]:
    return dict(model.model.named_parameters(remove_duplicate=False))


def changed(model: TextModel, share: float, seed: int = 0) -> set[str]:
    new = weights(drawn_anew(model, share, seed))
    return {name for name, old in weights(model).items() if not torch.equal(old, new[name])}


def test_the_top_is_what_runs_last() -> None:
    layers = layers_from_the_top(tiny_classifier())
    assert layers[:2] == ["classifier", "bert.pooler.dense"]
    assert {path.rpartition(".")[2] for path in layers[-3:]} == {
        "word_embeddings",
        "position_embeddings",
        "token_type_embeddings",
    }
    blocks = [path.split(".")[3] for path in layers if ".layer." in path]
    assert blocks == sorted(blocks, reverse=True) and len(set(blocks)) == 2


def test_of_two_stacks_the_decoder_is_above_the_encoder() -> None:
    layers = layers_from_the_top(tiny_translator())
    last = max(i for i, path in enumerate(layers) if ".decoder.layers" in path)
    first = min(i for i, path in enumerate(layers) if ".encoder.layers" in path)
    assert last < first and layers[0] == "lm_head"


def test_what_runs_several_times_stands_where_it_first_does() -> None:
    model = tiny_classifier()
    blocks = model.model.bert.encoder.layer
    blocks.append(blocks[0])  # first, second, first again
    layers = layers_from_the_top(model)
    first, second = (layers.index(f"bert.encoder.layer.{i}.attention.self.query") for i in (0, 1))
    assert second < first


def test_what_others_use_without_calling_it_stands_where_they_stand() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)  # uses its out_proj without a call

        def forward(self, hidden: Tensor) -> Tensor:
            return self.attention(hidden, hidden, hidden)[0]

    model = tiny_classifier()
    model.model.bert.encoder.layer[0].output.add_module("extra", Block())
    inner = model.model.bert.encoder.layer[0].output.LayerNorm
    inner.register_forward_hook(lambda _m, _i, out: model.model.bert.encoder.layer[0].output.extra(out))
    layers = layers_from_the_top(model)
    at = layers.index("bert.encoder.layer.0.output.extra.attention.out_proj")
    assert "bert.encoder.layer.1.attention.self.query" in layers[:at]
    assert "bert.encoder.layer.0.attention.self.query" in layers[at:]


def test_larger_shares_draw_the_same_weights_and_more_of_them() -> None:
    model = tiny_classifier()
    quarter, half, all_of_them = (changed(model, share) for share in (0.25, 0.5, 1.0))
    assert quarter < half < all_of_them
    assert "classifier.weight" in quarter and "bert.embeddings.word_embeddings.weight" not in half
    one, two = (weights(drawn_anew(model, share, 0)) for share in (0.25, 1.0))
    assert all(torch.equal(one[name], two[name]) for name in quarter)


def test_the_smallest_share_is_the_head_and_the_whole_is_everything_that_varies() -> None:
    model = tiny_classifier()
    for share in (0.001, 1e-12):
        assert changed(model, share) == {"classifier.weight"}  # its bias is all zeros, and zeros have no spread
    varying = {name for name, w in weights(model).items() if float(w.detach().std(correction=0)) > 0}
    assert changed(model, 1.0) == varying


def test_half_of_the_layers_is_half_rounded_up() -> None:
    model = tiny_classifier()
    layers = layers_from_the_top(model)
    drawn = {name.rpartition(".")[0] for name in changed(model, 10 / len(layers))}
    assert drawn == {path for path in layers[:10] if not path.endswith("LayerNorm")}


def test_a_head_tied_to_the_embeddings_is_drawn_without_them() -> None:
    model = tiny_generator()
    assert model.model.lm_head.weight is model.model.transformer.wte.weight
    assert changed(model, 0.001) == {"lm_head.weight"}
    found = drawn_anew(model, 1.0, 0).model
    assert not torch.equal(found.lm_head.weight, found.transformer.wte.weight)


def test_new_weights_have_the_mean_and_spread_of_the_old_and_nothing_else() -> None:
    old = torch.rand(300, 200, generator=torch.Generator().manual_seed(1)) ** 3 * 5 - 2
    new = redrawn(old, torch.Generator().manual_seed(0))
    assert float(new.mean()) == pytest.approx(float(old.mean()), abs=0.02)
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.02)
    assert abs(float(torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1])) < 0.02
    assert float(((new - new.mean()) / new.std()).pow(4).mean()) == pytest.approx(3, abs=0.1)  # normal
    assert redrawn(old.half(), torch.Generator()).dtype == torch.float16
    assert torch.equal(redrawn(torch.ones(5), torch.Generator()), torch.ones(5))


def test_another_seed_draws_other_weights() -> None:
    one, again, other = (weights(drawn_anew(tiny_classifier(), 1.0, seed))["classifier.weight"] for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_the_model_is_left_alone_and_what_is_kept_is_not_copied() -> None:
    model = tiny_classifier()
    model.model.train()
    before = state_of(model)
    found = drawn_anew(model, 0.25, 0)
    assert state_of(model) == before
    drawn = changed(model, 0.25)
    for name, weight in weights(found).items():
        untouched = weight.data_ptr() == weights(model)[name].data_ptr()
        assert untouched or name in drawn or not float(weight.std(correction=0))
    assert any(w.data_ptr() == weights(model)[name].data_ptr() for name, w in weights(found).items())
    assert not any(module._forward_hooks for module in found.model.modules())


def test_hooks_of_a_pass_that_is_under_way_are_not_copied() -> None:
    model = tiny_classifier()
    inside, out = threading.Event(), threading.Event()

    def passing() -> None:
        with model.lock:
            handle = model.model.classifier.register_forward_hook(lambda *_: None)
            inside.set()
            out.wait(0.3)
            handle.remove()

    other = threading.Thread(target=passing)
    other.start()
    inside.wait()
    found = drawn_anew(model, 1.0, 0)
    other.join()
    assert not found.model.classifier._forward_hooks


def test_whole_numbers_cannot_be_drawn() -> None:
    model = tiny_classifier()
    coded: Any = nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)
    model.model.classifier.register_parameter("coded", coded)
    with pytest.raises(UnsupportedError, match=r"'classifier\.coded' are whole numbers"):
        drawn_anew(model, 1.0, 0)
