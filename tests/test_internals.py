"""A view into the model: what is seen is what transformers computes, and looking changes nothing."""

import threading

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Options, Session
from interp_core.errors import UnsupportedError
from interp_core.testing import state_of, tiny_classifier, tiny_filler, tiny_generator, tiny_llama, tiny_translator
from transformers.modeling_utils import AttentionInterface

SEEN = hasattr(AttentionInterface, "get_interface")
needs_5 = pytest.mark.skipif(not SEEN, reason="attention can only be observed with transformers 5")
MAKERS = [tiny_classifier, tiny_filler, tiny_generator, tiny_llama]
TEXT = "i feel so [MASK] today and the cat"


def asked(model: interp.TextModel, **options: object) -> interp.Question:
    session = Session(model, Options(progress=False, max_new_tokens=3, **options))  # type: ignore[arg-type]
    (prepared,) = session.prepare([TEXT], None, "word")
    if session.layer is None:
        return session.question(prepared)
    states = session.layer.states(session.batch_runner, [prepared.encoded])[0]
    return session.question(prepared, (states, states))


@needs_5
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_the_weights_are_those_that_transformers_gives_out(make, kind: str) -> None:  # type: ignore[no-untyped-def]
    model = make(attn_implementation=kind)
    question, seen = asked(model), []
    scores = question.internals.run(2, attention=lambda _i, weights, _v: seen.append(weights))
    assert torch.allclose(scores, question.intact().expand(2, -1), atol=1e-5)
    other = make()
    other.model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = other.model(question.internals.encoded.ids[None], output_attentions=True).attentions
    for found, own in zip(seen, expected, strict=True):
        assert torch.allclose(found, own.expand_as(found), atol=1e-5)


@needs_5
@pytest.mark.parametrize("make", MAKERS)
def test_weights_put_in_are_used_and_carry_gradients(make) -> None:  # type: ignore[no-untyped-def]
    question, leaves = asked(make()), []

    def leaf(_layer: int, weights: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaves.append(weights.detach().clone().requires_grad_())
        return leaves[-1], values

    total = question.internals.run(1, attention=leaf).sum()
    slopes = torch.autograd.grad(total, leaves)
    step = 1e-3 * torch.randn(leaves[0].shape, generator=torch.Generator().manual_seed(0))

    def held(sign: int) -> float:
        fixed = [leaf.detach() for leaf in leaves[:2]]
        fixed[0] = fixed[0] + sign * step
        return float(question.internals.run(1, attention=lambda layer, _w, values: (fixed[layer], values)).sum())

    moved = [held(1), held(-1)]
    assert (moved[0] - moved[1]) / 2 == pytest.approx(float((slopes[0] * step).sum()), rel=0.05, abs=1e-4)


def test_a_block_that_is_put_back_changes_nothing_and_one_that_is_zeroed_does() -> None:
    question, seen = asked(tiny_classifier()), []
    same = question.internals.run(1, block=lambda number, output: seen.append((number, output.shape)))
    zeroed = question.internals.run(1, block=lambda _number, output: torch.zeros_like(output))
    assert [number for number, _ in seen] == [0, 1]
    assert torch.allclose(same[0], question.intact(), atol=1e-5) and not torch.allclose(zeroed, same)


def test_where_a_score_is_read_is_known_for_every_head() -> None:
    classifier, generator = asked(tiny_classifier()), asked(tiny_generator())
    assert classifier.internals.read_at[0].nonzero().flatten().tolist() == [0]
    positions = [t.position - 1 for t in generator.targets]
    assert generator.internals.read_at.argmax(-1).tolist() == positions
    filled = asked(tiny_filler())
    assert filled.internals.read_at[0].argmax() == filled.targets[0].position


@needs_5
def test_looking_leaves_no_trace_and_other_threads_see_nothing() -> None:
    from transformers.modeling_utils import AttentionInterface

    model = tiny_classifier()
    question, door, before = asked(model), AttentionInterface.get_interface, state_of(model)
    others: list[int] = []

    def look(number: int, _w: torch.Tensor, _v: torch.Tensor) -> None:
        if number == 0:
            own = tiny_classifier(seed=1).model
            thread = threading.Thread(target=lambda: own(torch.tensor([[2, 5, 3]])))
            thread.start()
            thread.join()
        others.append(number)

    question.internals.run(1, attention=look)
    assert others == [0, 1] and AttentionInterface.get_interface is door and state_of(model) == before
    with pytest.raises(RuntimeError, match="stop here"):
        question.internals.run(1, attention=_fails)
    assert AttentionInterface.get_interface is door and state_of(model) == before


def _fails(*_given: object) -> None:
    raise RuntimeError("stop here")


@needs_5
def test_what_cannot_be_seen_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="leave layer=None"):
        asked(tiny_classifier(), layer=0).internals.run(1)
    session = Session(tiny_translator(), Options(progress=False))
    (prepared,) = session.prepare(["sad"], ["cat"], "word")
    with pytest.raises(UnsupportedError, match="two stacks"):
        session.question(prepared).internals.run(1, attention=lambda *_: None)


@pytest.mark.parametrize("by", ["attention-rollout", "value-zeroing", "attention-x-gradient"])
def test_a_release_in_which_attention_cannot_be_seen_is_named(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.modeling_utils.AttentionInterface", type("Older", (), {}))
    with pytest.raises(UnsupportedError, match=r"transformers 5 or newer, and \d+\.\d+"):
        interp.attribute(tiny_classifier(), TEXT.replace("[MASK]", "sad"), by=by, progress=False)
