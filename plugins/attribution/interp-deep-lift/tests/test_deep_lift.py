"""DeepLIFT where its rule holds equals captum and closed forms, and where it does not hold it is refused."""

import threading
from collections.abc import Callable
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.errors import BudgetError, UnsupportedError
from interp_core.testing import (
    PlantedSpace,
    contract_tests,
    planted_model,
    state_of,
    tiny_classifier,
    tiny_generator,
    tiny_translator,
    word_tokenizer,
)
from interp_deep_lift.rescale import activations_of
from torch import Tensor, nn

test_contract = contract_tests("deep-lift")

TEXT = "i feel so happy and never sad"


class BagOfLayers(nn.Module):
    """A classifier of layers for each token, the sum over the text, and layers for the sum."""

    def __init__(self, each: nn.Module, whole: nn.Module, width: int = 6, labels: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.words = nn.Embedding(60, width)
            for part in (self.words, each, whole):
                for weight in part.parameters():
                    nn.init.normal_(weight, std=0.7)
        self.each, self.whole, self.config = each, whole, _Config(labels)

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: Tensor, attention_mask: Tensor, return_dict: bool = True) -> dict[str, Tensor]:
        return {"logits": self.from_vectors(self.words(input_ids), attention_mask)}

    def from_vectors(self, vectors: Tensor, seen: Tensor) -> Tensor:
        logits: Tensor = self.whole((self.each(vectors) * seen[:, :, None]).sum(1))
        return logits


class _Config:
    def __init__(self, labels: int) -> None:
        self.num_labels, self.pad_token_id, self.num_hidden_layers = labels, 0, 0
        self.id2label = {i: f"class {i}" for i in range(labels)}


def bag(kind: Callable[[], nn.Module] = nn.Tanh, again: Callable[[], nn.Module] | None = None) -> interp.TextModel:
    """A bag of layers with activations of a kind, for each token and for the text."""
    each = nn.Sequential(nn.Linear(6, 8), kind(), nn.Dropout(0.5))
    whole = nn.Sequential(nn.Linear(8, 8), (again or kind)(), nn.Linear(8, 3))
    return interp.TextModel(BagOfLayers(each, whole).eval(), word_tokenizer())


def explained(model: interp.TextModel, text: str = TEXT, **options: Any) -> interp.Attribution:
    options = {"targets": "all", **options} if model.labels else options
    (found,) = interp.attribute(model, text, by="deep-lift", progress=False, **options)
    return found


def vectors(model: interp.TextModel, found: interp.Attribution) -> tuple[Tensor, Tensor]:
    """The embeddings of a text, and the same with the mask token for each word."""
    table, ids, inside = model.model.words.weight.detach(), found.encoded.ids, found.encoded.unit_of >= 0
    return table[ids], table[ids.where(~inside, model.tokenizer.mask_token_id)]


def gap(model: interp.TextModel, found: interp.Attribution) -> Tensor:
    """By how much the logits differ between the text and the text without its words."""
    with torch.no_grad():
        one, other = (model.model.from_vectors(v[None], torch.ones(1, len(v))) for v in vectors(model, found))
    return (one - other)[0]


class _FromVectors(nn.Module):
    def __init__(self, inner: BagOfLayers) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: Tensor) -> Tensor:
        return self.inner.from_vectors(given, torch.ones(given.shape[:2]))


@pytest.mark.filterwarnings("ignore::UserWarning:captum.*")
@pytest.mark.parametrize("kind", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus])
def test_scores_are_those_of_captum(kind: Callable[[], nn.Module]) -> None:
    from captum.attr import DeepLift

    model = bag(kind)
    found = explained(model)
    x, baseline = vectors(model, found)
    for k in range(3):
        given = DeepLift(_FromVectors(model.model)).attribute(x[None], baseline[None], target=k)[0].sum(1)
        expected = [given[found.encoded.unit_of == unit].sum() for unit in range(len(found.units))]
        assert torch.allclose(found.scores[k], torch.stack(expected), atol=1e-4, rtol=1e-4)


def test_one_tanh_is_a_straight_line_to_the_baseline() -> None:
    """The score v · tanh(W s + b): each word brings its share of the way to each unit, at the slope of that way."""
    model = bag(nn.Identity, nn.Tanh)
    found = explained(model)
    x, baseline = vectors(model, found)
    (linear, _, _), (first, _, last) = model.model.each, model.model.whole
    with torch.no_grad():
        brought = (x - baseline) @ linear.weight.T @ first.weight.T  # (t, 8)
        start = first(linear(baseline).sum(0))
        stop = start + brought.sum(0)
        slope = (stop.tanh() - start.tanh()) / (stop - start)
        expected = last.weight @ (brought * slope).T
    owners = found.encoded.unit_of
    assert torch.allclose(found.scores, expected[:, owners >= 0], atol=1e-5)


def test_what_is_saturated_still_lets_through_what_brought_it_there() -> None:
    """The paper's example: min(1, i + j) at i = j = 1 has no slope, and yet each has brought one half."""
    each, whole = nn.Identity(), nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    inner = BagOfLayers(each, whole, width=1, labels=1)
    model = interp.TextModel(inner.eval(), word_tokenizer())
    with torch.no_grad():
        inner.words.weight.zero_()
        inner.words.weight[model.encoder("happy sad").ids[1:3]] = 1.0
        for layer in (whole[0], whole[2]):
            layer.weight.fill_(-1.0)  # 1 - relu(1 - i - j)
            layer.bias.fill_(1.0)
    assert explained(model, "happy sad").scores.tolist() == [[0.5, 0.5]]
    assert explained(model, "happy cat").scores.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("kind", [nn.GELU, nn.SiLU, nn.Hardswish, nn.LeakyReLU, nn.ELU])
def test_scores_add_up_to_the_difference(kind: Callable[[], nn.Module]) -> None:
    model = bag(kind)
    found = explained(model)
    assert torch.allclose(found.scores.sum(1), gap(model, found), atol=1e-4)
    assert found.notes == ()


def test_one_activation_may_stand_in_several_places() -> None:
    shared = nn.Tanh()
    found, expected = explained(bag(lambda: shared)), explained(bag(nn.Tanh))
    assert torch.allclose(found.scores, expected.scores, atol=1e-6)


def test_an_activation_may_write_into_what_it_is_given() -> None:
    found, expected = explained(bag(lambda: nn.ReLU(inplace=True))), explained(bag(nn.ReLU))
    assert torch.allclose(found.scores, expected.scores, atol=1e-6)


class _Gelu(nn.Module):
    """An activation that is a product of two, one of them a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        raised: Tensor = 0.5 * x * (1 + self.inner((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
        return raised


def test_an_activation_may_be_made_of_others() -> None:
    found, expected = explained(bag(_Gelu)), explained(bag(lambda: nn.GELU("tanh")))
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)


class _ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Tanh()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        given: Tensor = self.inner(input=x)
        return given


def test_an_activation_that_is_called_by_keyword_has_no_rule_and_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="has no rule"):
        explained(bag(_ByName))


class _Interrupted(nn.Module):
    """A tanh during which another thread calls it as well."""

    def forward(self, x: Tensor) -> Tensor:
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=self, args=(torch.ones(3, 2, requires_grad=True),))
            other.start()
            other.join()
        return x.tanh()


def test_a_call_of_the_same_activation_from_elsewhere_changes_nothing() -> None:
    found, expected = explained(bag(_Interrupted)), explained(bag(nn.Tanh))
    assert torch.allclose(found.scores, expected.scores, atol=1e-6)


def test_where_an_activation_is_given_the_same_its_own_slope_counts() -> None:
    """A word that the baseline holds as well brings nothing, nor does it spoil what others bring."""
    model = bag(nn.Softplus)
    with torch.no_grad():
        table = model.model.words.weight
        table[model.encoder("cat").ids[1]] = table[model.tokenizer.mask_token_id]
    found = explained(model, "cat so happy")
    assert not found.scores[:, 0].any() and found.scores[:, 1:].all()
    assert torch.allclose(found.scores.sum(1), gap(model, found), atol=1e-4)


def test_words_that_add_up_are_found_exactly() -> None:
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    found = explained(model, "happy or sad")
    assert torch.allclose(found.scores, torch.tensor([[3.0, 0.0, -2.0], [-1.0, 0.0, 2.0]]), atol=1e-6)


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_translator])
def test_attention_has_no_rule_and_is_refused(make: Callable[..., interp.TextModel]) -> None:
    model = make()
    before = state_of(model)
    with pytest.raises(UnsupportedError, match="Use integrated-gradients"):
        explained(model, "i feel so happy")
    assert state_of(model) == before


def test_a_softmax_has_no_rule_and_the_logit_is_offered() -> None:
    with pytest.raises(UnsupportedError, match="score='logit'"):
        explained(bag(), score="probability")


def test_at_a_layer_that_is_linear_in_the_words_the_scores_are_the_same() -> None:
    model = bag(nn.GELU)
    assert torch.allclose(explained(model, layer="each.0").scores, explained(model).scores, atol=1e-5)


class _Routed(nn.Module):
    """Only some tokens go through the activation, or, with none of them, the activation does not run."""

    def __init__(self, skips: bool) -> None:
        super().__init__()
        self.activation, self.skips = nn.Tanh(), skips

    def forward(self, x: Tensor) -> Tensor:
        chosen = x[..., 0] > 0.5
        if self.skips and not chosen.any():
            return x
        moved: Tensor = x.clone()
        moved[chosen] = self.activation(3 * x[chosen])
        return moved


@pytest.mark.parametrize("skips", [False, True])
def test_tokens_that_go_another_way_than_the_baseline_have_no_rule_and_are_refused(skips: bool) -> None:
    inner = BagOfLayers(_Routed(skips), nn.Linear(6, 3))
    model = interp.TextModel(inner.eval(), word_tokenizer())
    with torch.no_grad():
        inner.words.weight[:, 0] = 0.0
        inner.words.weight[model.encoder("happy sad").ids[1:3], 0] = 1.0
    with pytest.raises(UnsupportedError, match="has no rule"):
        explained(model, "happy sad")


class _Watching(nn.Module):
    """A tanh that notes whether another thread could pass through the model while it works."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.free = threading.RLock(), []  # type: ignore[var-annotated]

    def forward(self, x: Tensor) -> Tensor:
        other = threading.Thread(target=self._try)
        other.start()
        other.join()
        return x.tanh()

    def _try(self) -> None:
        self.free.append(self.lock.acquire(blocking=False))
        if self.free[-1]:
            self.lock.release()


def test_no_other_text_passes_while_activations_are_tried_and_straightened() -> None:
    activation = _Watching()
    model = bag(lambda: activation)
    activation.lock = model.lock
    found = explained(model)
    assert torch.allclose(found.scores, explained(bag(nn.Tanh)).scores, atol=1e-6)
    assert activation.free and not any(activation.free)


def test_several_texts_at_once_are_what_each_is_alone() -> None:
    model = bag(nn.GELU)
    texts = [TEXT, "sad", "the old cat was never calm", "so very happy today", "i was cold and the night was warm"]
    together = interp.attribute(model, texts, by="deep-lift", targets="all", progress=False)
    for text, found in zip(texts, together, strict=True):
        assert torch.allclose(found.scores, explained(model, text).scores, atol=1e-6)


def test_small_batches_give_the_same() -> None:
    model = bag(nn.GELU)
    small = interp.TextModel(model.model, model.tokenizer, tokens_per_batch=10)
    assert torch.allclose(explained(small).scores, explained(model).scores, atol=1e-6)


def test_calls_of_the_same_model_from_elsewhere_are_left_alone() -> None:
    model, stop, wrong = bag(nn.GELU), threading.Event(), []
    ids = model.encoder("the sun was warm").ids[None]
    expected = model.model(ids, torch.ones_like(ids))["logits"]
    alone = explained(model).scores

    def call() -> None:
        while not stop.is_set():
            found = model.model(ids, torch.ones_like(ids))["logits"]
            if not torch.equal(found, expected):
                wrong.append(found)

    other = threading.Thread(target=call)
    other.start()
    try:
        for _ in range(10):
            assert torch.equal(explained(model).scores, alone)
    finally:
        stop.set()
        other.join()
    assert not wrong


def test_nothing_of_the_model_is_changed() -> None:
    model = bag(nn.GELU)
    expected = explained(model).scores
    model.model.train()
    before = state_of(model)
    assert torch.allclose(explained(model).scores, expected, atol=1e-6)
    assert state_of(model) == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_the_caller_has_switched_gradients_off(mode: Any) -> None:
    model = bag()
    expected = explained(model).scores
    with mode():
        found = explained(model).scores
    assert torch.allclose(found, expected, atol=1e-6)


def test_it_takes_two_rows_and_keeps_to_a_limit_on_them() -> None:
    model = bag()
    assert explained(model, max_rows=4).rows <= 4
    assert explained(model).made_by.cost.backwards == 3
    with pytest.raises(BudgetError):
        explained(model, max_rows=1)


class _Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean()


class _OfTwo(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


class _Shape(nn.Module):
    def forward(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape)


def test_activations_are_found_by_trying_them() -> None:
    from transformers.activations import ACT2FN

    works = [nn.ReLU(), nn.GELU(), nn.Tanh(), nn.Hardtanh(), ACT2FN["gelu_new"], ACT2FN["silu"], ACT2FN["quick_gelu"]]
    mixes = [*(nn.Softmax(dim) for dim in (0, 1, 2)), _Centred(), nn.LayerNorm(6, elementwise_affine=False)]
    other = [nn.Identity(), nn.Dropout(0.5), nn.Flatten(), nn.MaxPool1d(1), nn.PReLU(), _OfTwo(), _Shape()]
    other += [nn.MaxPool3d(1), nn.ModuleList()]  # one takes other shapes, one cannot be called
    whole = [nn.Sequential(nn.Tanh(), nn.ReLU()), nn.Sequential(nn.Linear(6, 6), nn.Tanh())]
    model = nn.ModuleList([*works, *mixes, *other, *whole]).train()
    works[0].register_forward_hook(lambda *_: pytest.fail("a hook of somebody else's ran"))
    state = torch.get_rng_state()
    assert activations_of(model, torch.zeros(1)) == [*works, whole[0], *whole[0], whole[1][1]]
    assert torch.equal(torch.get_rng_state(), state) and model.training


def pooler_lines(model: Any, x: Tensor, brought: Tensor) -> Tensor:
    """What parts (p, d) of a class vector bring to each logit, if it were without them all: by hand, (k, p)."""
    dense, head = model.model.bert.pooler.dense, model.model.classifier
    with torch.no_grad():
        start, stop = dense(x - brought.sum(0)), dense(x)
        slope = (stop.tanh() - start.tanh()) / (stop - start)
        lines: Tensor = (head.weight * slope) @ dense.weight @ brought.T
    return lines


def test_concepts_of_the_last_layer_of_a_real_classifier_are_explained(
    real_model: Callable[[str], Any], real_texts: Callable[..., list[str]]
) -> None:
    model = real_model("emotion-minilm")
    split = model.split(-1)
    held = split.activations(real_texts("emotion")[:4], granularity="cls", progress=False)
    directions = torch.linalg.qr(torch.randn(384, 5, generator=torch.Generator().manual_seed(0))).Q.T.contiguous()
    space = PlantedSpace(directions, torch.zeros(384))
    found = interp.importance(split, space, held, by="deep-lift", progress=False)
    for states, codes, given in zip(held.values, space.encode(held.values), found.per_text, strict=True):
        assert torch.allclose(given, pooler_lines(model, states, codes[:, None] * directions), atol=1e-4)
