"""The model is called as seldom as possible, and gives the same answers whatever shares a pass."""

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Options, Session
from interp_core.errors import ModelError
from interp_core.model import BatchRunner
from interp_core.testing import planted_model, tiny_classifier, tiny_generator

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm", "cold night and rain", "i"]


class Counting:
    """Counts the rows and tokens of every call of a model."""

    def __init__(self, model: interp.TextModel) -> None:
        self.calls: list[tuple[int, int]] = []
        self.rows: list[bytes] = []
        inner = model.model.forward

        def forward(*args: object, **kwargs: object) -> object:
            self.calls.append(tuple(kwargs["input_ids"].shape))  # type: ignore[attr-defined]
            return inner(*args, **kwargs)

        model.model.forward = forward


def test_no_variant_is_evaluated_twice() -> None:
    model = tiny_classifier()
    question = _question(model, TEXTS[1])
    keep = torch.tensor([[True], [False], [True], [False], [True]])
    session_cost = question.runner.batch_runner.cost
    before = session_cost.rows
    first = question.masked(keep)
    assert session_cost.rows - before <= 2
    assert torch.equal(question.masked(keep), first) and session_cost.rows - before <= 2


def test_the_intact_text_is_evaluated_once_for_prediction_and_explanation() -> None:
    model = tiny_classifier()
    assert model.sharing  # the trials of a model are not part of the run
    counting = Counting(model)
    (found,) = interp.attribute(model, TEXTS[0], by="occlusion", progress=False)
    units = len(found.units)
    assert sum(rows for rows, _ in counting.calls) == 1 + units == found.made_by.cost.rows
    assert found.made_by.cost.forwards == len(counting.calls)


def test_batches_are_filled_up_to_the_token_budget() -> None:
    model = tiny_classifier()
    assert model.sharing
    small = interp.TextModel(model.model, model.tokenizer, tokens_per_batch=64)
    assert small.sharing
    counting = Counting(small)
    interp.attribute(small, TEXTS, by="occlusion", targets="all", progress=False)
    assert all(rows * length <= 64 for rows, length in counting.calls)
    full = [rows * length for rows, length in counting.calls if (rows + 1) * length > 64]
    assert len(full) >= len(counting.calls) // 2


def test_texts_share_passes() -> None:
    model = tiny_classifier()
    together = interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)[0].made_by.cost
    alone = [interp.attribute(model, t, by="occlusion", targets="all", progress=False)[0].made_by.cost for t in TEXTS]
    assert together.forwards < sum(cost.forwards for cost in alone) / 2
    assert together.rows == sum(cost.rows for cost in alone)


def test_backward_passes_are_counted_by_targets_and_batches() -> None:
    model = tiny_classifier(labels=4)
    cost = interp.attribute(model, TEXTS, by="integrated-gradients", targets="all", progress=False)[0].made_by.cost
    gradient_passes = -(-32 * len(TEXTS) * 12 // model.tokens_per_batch)
    assert cost.backwards <= 4 * (gradient_passes + len(TEXTS) - 1)  # other lengths, other passes


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 1 GB"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_running_out_of_memory_halves_the_batch_and_changes_nothing(make, error) -> None:  # type: ignore[no-untyped-def]
    model = make()
    options = {"max_new_tokens": 3} if model.head == "causal" else {"targets": "all"}
    expected = interp.attribute(model, TEXTS, by="occlusion", progress=False, **options)
    inner = model.model.forward
    seen: list[int] = []

    def forward(*args: object, **kwargs: object) -> object:
        rows = kwargs["input_ids"].shape[0]  # type: ignore[attr-defined]
        seen.append(rows)
        if rows > 5:
            raise error
        return inner(*args, **kwargs)

    model.model.forward = forward
    found = interp.attribute(model, TEXTS, by="occlusion", progress=False, **options)
    assert max(seen) > 5
    assert all(torch.allclose(a.scores, b.scores, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_one_row_that_does_not_fit_is_explained() -> None:
    model = tiny_classifier()
    assert model.sharing

    def forward(*args: object, **kwargs: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.model.forward = forward
    with pytest.raises(ModelError, match="one row of"):
        interp.attribute(model, "sad", by="occlusion", targets=0, progress=False)


def test_another_error_of_the_model_is_not_hidden() -> None:
    model = tiny_classifier()
    assert model.sharing

    def forward(*args: object, **kwargs: object) -> object:
        raise RuntimeError("shapes do not match")

    model.model.forward = forward
    with pytest.raises(RuntimeError, match="shapes do not match"):
        interp.attribute(model, TEXTS, by="occlusion", targets=0, progress=False)


def test_the_error_of_one_text_reaches_the_caller_and_ends_the_run() -> None:
    class Picky:
        def attribute(self, question: interp.Question) -> torch.Tensor:
            if question.text == "sad":
                raise ValueError("not this one")
            return question.masked(torch.ones(1, len(question.units), dtype=torch.bool)).T.repeat(
                1, len(question.units)
            )

    with pytest.raises(ValueError, match="not this one"):
        interp.attribute(tiny_classifier(), TEXTS, by=Picky(), targets=0, progress=False)


def test_removal_by_attention_and_by_dropping_equal_the_calls_they_stand_for() -> None:
    model = tiny_classifier()
    text = "the old dog was calm"
    ids = model.encoder(text).ids[None]
    hidden = torch.ones_like(ids)
    hidden[0, 3] = 0  # "dog"
    gone = torch.cat([ids[:, :3], ids[:, 4:]], dim=1)
    with torch.no_grad():
        intact = model.forward(ids, torch.ones_like(ids))["logits"][0]
        without = model.forward(ids, hidden)["logits"][0], model.forward(gone, torch.ones_like(gone))["logits"][0]
    for removal, expected in zip(("attention", "drop"), without, strict=True):
        (found,) = interp.attribute(model, text, by="occlusion", targets="all", removal=removal, progress=False)
        assert torch.allclose(found.scores[:, 2], intact - expected, atol=1e-5), removal


def test_removal_is_the_mask_token_where_there_is_one() -> None:
    model = tiny_classifier()
    (found,) = interp.attribute(model, "the old dog", by="occlusion", targets="all", progress=False)
    ids = model.encoder("the old dog").ids[None].repeat(2, 1)
    ids[1, 2] = model.tokenizer.mask_token_id
    with torch.no_grad():
        logits = model.forward(ids, torch.ones_like(ids))["logits"]
    assert found.made_by.settings["removal"] == "mask"
    assert torch.allclose(found.scores[:, 1], logits[0] - logits[1], atol=1e-6)


def test_a_planted_model_is_explained_to_the_digit() -> None:
    model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
    (found,) = interp.attribute(model, "happy but sad", by="occlusion", targets="all", progress=False)
    assert torch.allclose(found.scores, torch.tensor([[3.0, 0.0, -2.0], [-1.0, 0.0, 2.0]]), atol=1e-6)


def test_scores_are_differentiable_where_the_features_are() -> None:
    question = _question(tiny_classifier(), TEXTS[0])
    x = question.x[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(question.at(x)[0, 0], x)
    (expected,) = question.gradients(question.x[None])
    assert torch.allclose(slope[0], expected[0], atol=1e-6)


def _question(model: interp.TextModel, text: str) -> interp.Question:
    session = Session(model, Options(progress=False))
    (prepared,) = session.prepare([text], "all", "word")
    return session.question(prepared)


class ByHand:
    """A gradient method that uses the question as a differentiable function."""

    def attribute(self, question: interp.Question) -> torch.Tensor:
        x = question.x[None].clone().requires_grad_()
        scores = question.at(x)[0]
        slopes = torch.stack([torch.autograd.grad(s, x, retain_graph=True)[0][0] for s in scores])
        return question.pool(((question.x - question.baseline) * slopes).sum(-1))


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator])
def test_many_texts_at_once_can_use_the_question_as_a_differentiable_function(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    options = {"max_new_tokens": 2} if model.head == "causal" else {"targets": "all"}
    texts = [f"{text} {word}" for text in TEXTS for word in ("red", "blue", "warm", "cold")]
    by_hand = interp.attribute(model, texts, by=ByHand(), progress=False, **options)
    expected = interp.attribute(model, texts, by="input-x-gradient", progress=False, **options)
    assert all(torch.allclose(a.scores, b.scores, atol=1e-5) for a, b in zip(by_hand, expected, strict=True))


@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.filterwarnings("ignore:.*no unit reaches")
def test_integrated_gradients_add_up_at_every_layer(layer: int | None) -> None:
    model = tiny_classifier()
    found = interp.attribute(
        model, TEXTS, by="integrated-gradients", steps=128, targets="all", layer=layer, progress=False
    )
    removed = interp.attribute(model, TEXTS, by=Gap(), targets="all", layer=layer, progress=False)
    for one, gap in zip(found, removed, strict=True):
        assert torch.allclose(one.scores.sum(1), gap.scores.sum(1), atol=5e-3)


class Gap:
    """score(text) - score(every unit removed), shared out evenly."""

    def attribute(self, question: interp.Question) -> torch.Tensor:
        gap = question.intact() - question.emptied()
        return gap[:, None].expand(-1, len(question.units)) / len(question.units)


def test_a_layer_from_which_no_word_reaches_the_answer_is_said() -> None:
    with pytest.warns(interp.InterpWarning, match="no unit reaches the answer"):
        interp.attribute(tiny_classifier(), TEXTS[0], by="occlusion", layer=1, progress=False)


def test_variants_are_answered_as_asked_whatever_removal_means() -> None:
    """at(x) is the function of the features also where removal takes tokens away."""
    model = tiny_classifier()
    for removal in ("zero", "drop", "attention"):
        session = Session(model, Options(progress=False, removal=removal))
        (prepared,) = session.prepare([TEXTS[0]], "all", "word")
        question = session.question(prepared)
        found = question.at(torch.stack([question.x, torch.zeros_like(question.x)]))
        assert torch.allclose(found[0], question.intact(), atol=1e-5) and not torch.allclose(
            found[0], found[1], atol=1e-3
        )


def test_texts_that_occur_again_are_explained_once() -> None:
    model = tiny_classifier()
    once = interp.attribute(model, ["the old dog"], by="occlusion", targets="all", progress=False)[0]
    many = interp.attribute(model, ["the old dog"] * 7, by="occlusion", targets="all", progress=False)
    assert many[0].made_by.cost.rows == once.made_by.cost.rows
    assert all(torch.equal(one.scores, once.scores) for one in many)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_had_whatever_mode_the_caller_is_in(mode) -> None:  # type: ignore[no-untyped-def]
    model = tiny_classifier()
    expected = interp.attribute(model, TEXTS[:2], by="integrated-gradients", targets="all", progress=False)
    with mode():
        found = interp.attribute(model, TEXTS[:2], by="integrated-gradients", targets="all", progress=False)
        (alone,) = interp.attribute(model, TEXTS[0], by="integrated-gradients", targets="all", progress=False)
    assert all(torch.allclose(a.scores, b.scores, atol=1e-6) for a, b in zip(found, expected, strict=True))
    assert torch.allclose(alone.scores, expected[0].scores, atol=1e-5)


def test_two_threads_may_ask_the_same_model_at_once_and_the_user_may_call_it() -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = tiny_classifier()
    ids = model.encoder(TEXTS[0]).ids[None]
    with torch.no_grad():
        own = model.model(ids).logits
    expected = [a.scores for a in interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)]

    def ask(_: int) -> list[torch.Tensor]:
        found = interp.attribute(model, TEXTS, by="occlusion", targets="all", progress=False)
        with torch.no_grad():
            assert torch.allclose(model.model(ids).logits, own, atol=1e-6)
        return [a.scores for a in found]

    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(ask, range(9)):
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_an_evaluator_without_requests_has_nothing_to_do() -> None:
    assert BatchRunner(tiny_classifier()).run([]) == []


def test_texts_share_passes_at_a_layer_as_at_the_embeddings() -> None:
    asked = {"by": "occlusion", "targets": 0, "progress": False}
    (at_layer, *_), (plain, *_) = (
        interp.attribute(tiny_classifier(), TEXTS, layer=layer, **asked) for layer in (0, None)
    )
    reading = 2  # the states of all texts, and those without any unit
    assert at_layer.made_by.cost.forwards <= plain.made_by.cost.forwards + reading < len(TEXTS)
