"""Several wrappers, threads and processes around one model: what each is told is what it would be told alone."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.concepts import AffineSpace
from interp_core.errors import LayerError
from interp_core.model import ModelOutput, ModelRequest, RequestBatcher
from interp_core.testing import tiny_classifier, tiny_generator, tiny_translator, word_tokenizer

TEXTS = ["i feel so happy today", "sad", "the old dog was never calm", "cold night and rain"]


def on_another_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def scores(model: interp.TextModel, by: str = "occlusion") -> list[torch.Tensor]:
    return [a.scores for a in interp.attribute(model, TEXTS, by=by, targets="all", progress=False)]


def test_two_wrappers_of_one_training_module_are_told_the_same_as_alone() -> None:
    module = tiny_classifier(hidden_dropout_prob=0.5).model.train()
    tokenizer = word_tokenizer()
    both = [interp.TextModel(module, tokenizer) for _ in range(2)]
    expected = scores(both[0])
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(scores, both):
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))
    assert all(one.training for one in module.modules())


def test_heads_that_share_a_body_share_its_lock() -> None:
    first = tiny_classifier()
    second = transformers.BertForTokenClassification(first.model.config)
    second.bert = first.model.bert
    assert interp.TextModel(second, first.tokenizer).lock is first.lock
    assert tiny_classifier().lock is not first.lock


@pytest.mark.parametrize("make", [tiny_generator, tiny_translator])
def test_a_thread_that_calls_the_vocabulary_head_meanwhile_gets_all_positions(make: Any) -> None:
    """The other thread passes as many rows as the batch has, whose logits are read at some positions only."""
    model = make()
    head, owner = model.model.get_output_embeddings(), threading.get_ident()
    told: list[tuple[torch.Tensor, torch.Tensor]] = []
    expected = interp.attribute(model, "so sad", by="occlusion", targets=" today", progress=False)[0].scores

    def ask(states: torch.Tensor) -> None:
        with torch.no_grad():
            told.append((head(states), torch.nn.functional.linear(states, head.weight, head.bias)))

    def meanwhile(_module: Any, inputs: Any) -> None:
        if threading.get_ident() == owner:
            states = torch.ones_like(inputs[0])
            on_another_thread(lambda: ask(states))

    hook = head.register_forward_pre_hook(meanwhile)
    found = interp.attribute(model, "so sad", by="occlusion", targets=" today", progress=False)[0].scores
    hook.remove()
    assert told and all(torch.equal(one, alone) for one, alone in told)
    assert torch.equal(found, expected)


def everything_ablated(model: interp.TextModel) -> Any:
    return interp.intervene(model.split(0), AffineSpace(torch.eye(16), torch.eye(16)), ablate=range(16))


def test_an_intervention_changes_nothing_of_what_other_threads_are_told() -> None:
    model = tiny_classifier()
    ids = model.encoder(TEXTS[0]).ids[None]
    plain = model.logits(ids)
    with everything_ablated(model):
        changed = model.logits(ids)
        elsewhere = on_another_thread(lambda: model.logits(ids))
        attributed = on_another_thread(lambda: scores(model))
    assert not torch.allclose(changed, plain, atol=0.1)
    assert torch.equal(elsewhere, plain)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(attributed, scores(model), strict=True))


@pytest.mark.parametrize("by", ["occlusion", pytest.param("attention-x-gradient", marks=pytest.mark.current)])
def test_an_intervention_reaches_the_threads_on_which_methods_work_for_its_own(by: str) -> None:
    """Of several texts each runs on a thread of its own; of one alone none does."""
    model = tiny_classifier()
    space = AffineSpace(torch.eye(16), torch.eye(16))
    with interp.intervene(model.split(0), space, scale={3: -2.0, 8: 3.0}):
        together = scores(model, by)
        alone = [interp.attribute(model, t, by=by, targets="all", progress=False)[0].scores for t in TEXTS]
    for one, other, plain in zip(together, alone, scores(model, by), strict=True):
        assert torch.allclose(one, other, atol=1e-5) and not torch.allclose(one, plain, atol=1e-3)


def test_an_intervention_that_only_other_threads_run_under_says_that_it_did_nothing() -> None:
    model = tiny_generator()
    ids = model.encoder(TEXTS[0]).ids[None]
    generate = lambda: model.model.generate(ids, max_new_tokens=2, do_sample=False)  # noqa: E731
    with pytest.raises(LayerError, match="other threads only"), everything_ablated(model):
        on_another_thread(generate)


@pytest.mark.current  # blocks gave tuples before
def test_an_intervention_at_a_layer_that_does_not_run_says_so() -> None:
    model = tiny_classifier()
    ids = model.encoder(TEXTS[0]).ids[None]
    split = model.split(0)
    model.model.bert.encoder.layer[0].forward = lambda hidden, *_, **__: hidden  # skips its own inner modules
    inside = model.split("bert.encoder.layer.0.output.dense")
    space = AffineSpace(torch.eye(16), torch.eye(16))
    with pytest.raises(LayerError, match=r"did not run in any pass"), _intervened(inside, space):
        model.logits(ids)
    with _intervened(split, space):
        model.logits(ids)


def _intervened(split: Any, space: AffineSpace) -> Any:
    from interp_core.concepts import _intervention

    original, _intervention.check_space = _intervention.check_space, lambda *_: None
    try:
        context = interp.intervene(split, space, scale={0: 2.0})
        context.__enter__()
    finally:
        _intervention.check_space = original
    return _Entered(context)


class _Entered:
    """A context that has been entered already."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        self.context.__exit__(*error)


def test_requests_run_in_the_order_of_the_texts_whichever_thread_is_faster() -> None:
    """Even jobs are slow at first, odd ones later: what runs together must not depend on it."""
    runs: list[list[list[int]]] = []
    for slow in (0, 1):
        passes: list[list[int]] = []

        def run(requests: list[ModelRequest], passes: list[list[int]] = passes) -> list[ModelOutput]:
            passes.append([int(r.lengths[0]) for r in requests])
            return [ModelOutput() for _ in requests]

        batcher = RequestBatcher(run)

        def job(number: int, batcher: RequestBatcher = batcher, slow: int = slow) -> int:
            for _ in range(1 + number % 3):
                time.sleep(0.01 if number % 2 == slow else 0)
                batcher.ask(ModelRequest(torch.tensor([number]), lambda _: None))  # type: ignore[arg-type,return-value]
            return number

        assert list(batcher.each([lambda n=n: job(n) for n in range(9)], width=4)) == list(range(9))
        runs.append(passes)
    assert runs[0] == runs[1]
    assert all(one == sorted(one) for one in runs[0])


@pytest.mark.parametrize("by", ["lime", "kernel-shap", "occlusion"])
def test_the_same_call_twice_gives_the_same_bits(by: str) -> None:
    model = tiny_classifier()
    texts = [f"{text} {word}" for text in TEXTS for word in ("red", "blue sun", "warm")]
    first, *others = (interp.attribute(model, texts, by=by, targets="all", progress=False) for _ in range(3))
    for other in others:
        assert all(torch.equal(a.scores, b.scores) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_translator])
@pytest.mark.parametrize("used", [False, True])
def test_a_model_can_be_copied_and_sent_to_another_process(make: Callable[[], interp.TextModel], used: bool) -> None:
    model = make()
    if used:
        interp.attribute(model, "so sad", by="occlusion", progress=False)
        model.split(0).activations(["so sad"], progress=False)
    ids = model.encoder("so sad").ids[None]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.model is not model.model and other.lock is not model.lock
        assert torch.equal(other.logits(ids), model.logits(ids))
        (found,), (expected,) = (interp.attribute(m, "so sad", by="occlusion", progress=False) for m in (other, model))
        assert torch.equal(found.scores, expected.scores)
