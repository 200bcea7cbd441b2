"""Generation: one teacher-forced pass scores every token, at its own position only, and padding changes nothing."""

import interp_core as interp
import pytest
import torch
from interp_core.attribution import Options, Session
from interp_core.errors import InputError, TargetError
from interp_core.testing import tiny_generator

PROMPT = "i feel so happy"
GIVEN = " today and the cat"


def question(model: interp.TextModel, targets: object = GIVEN, **options: object) -> interp.Question:
    session = Session(model, Options(progress=False, **options))  # type: ignore[arg-type]
    (prepared,) = session.prepare([PROMPT], targets, "word")
    return session.question(prepared)


def test_one_pass_scores_every_token_like_the_loop_token_by_token() -> None:
    model = tiny_generator()
    asked = question(model)
    ids = asked.runner.encoded.ids
    prompt = asked.runner.encoded.prompt
    expected = []
    with torch.no_grad():
        for position in range(prompt, len(ids)):
            logits = model.model(ids[None, :position]).logits[0, -1]
            expected.append(logits.log_softmax(-1)[ids[position]])
    assert torch.allclose(asked.intact(), torch.stack(expected), atol=1e-5)


def test_the_continuation_is_the_ids_that_were_generated() -> None:
    model = tiny_generator()
    session = Session(model, Options(progress=False, max_new_tokens=4))
    (prepared,) = session.prepare([PROMPT], None, "word")
    ids = model.encoder.prompt_ids(PROMPT)
    given = torch.tensor([ids])
    with torch.no_grad():
        for _ in range(4):
            given = torch.cat([given, model.model(given).logits[:, -1:].argmax(-1)], dim=1)
    generated = prepared.encoded.ids.tolist()
    assert generated == given[0, : len(generated)].tolist() and len(generated) > len(ids)


def test_units_after_a_target_score_exactly_zero_and_are_marked() -> None:
    (found,) = interp.attribute(tiny_generator(), PROMPT, by="lime", targets=GIVEN, progress=False)
    for k in range(len(found.targets)):
        after = torch.arange(len(found.units)) >= 4 + k
        assert torch.equal(found.applicable[k], ~after)
        assert bool((found.scores[k][after] == 0).all()) and bool((found.scores[k][~after] != 0).all())
    assert found.text == PROMPT + GIVEN and found.text[found.prompt_stop :].strip() == GIVEN.strip()


def test_only_the_target_positions_reach_the_vocabulary_head() -> None:
    model = tiny_generator()
    asked = question(model)
    shapes: list[tuple[int, ...]] = []
    model.model.lm_head.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    asked.masked(torch.rand(5, len(asked.units), generator=torch.Generator().manual_seed(0)) > 0.5)
    assert {shape[1] for shape in shapes} == {len(asked.targets)}


def test_a_contrast_is_the_difference_of_two_next_tokens_and_swapping_flips_it() -> None:
    model = tiny_generator()
    ids = torch.tensor([model.encoder.prompt_ids(PROMPT)])
    with torch.no_grad():
        logits = model.model(ids).logits[0, -1]
    good, bad = (model.tokenizer.convert_tokens_to_ids(word) for word in ("good", "bad"))
    one, two = (
        interp.attribute(model, PROMPT, by="integrated-gradients", targets=t, score="logit", progress=False)[0]
        for t in (interp.contrast("good", "bad"), interp.contrast("bad", "good"))
    )
    assert torch.allclose(one.intact[0], logits[good] - logits[bad], atol=1e-5)
    assert torch.allclose(one.scores, -two.scores, atol=1e-5)


def test_ragged_prompts_together_equal_each_alone() -> None:
    model = tiny_generator()
    prompts, given = [PROMPT, "sad", "the old dog was never"], [" today", " and cold night", " calm"]
    together = interp.attribute(model, prompts, by="integrated-gradients", targets=given, progress=False)
    for prompt, continuation, found in zip(prompts, given, together, strict=True):
        (alone,) = interp.attribute(model, prompt, by="integrated-gradients", targets=continuation, progress=False)
        assert torch.allclose(found.scores, alone.scores, atol=1e-5)


def test_integrated_gradients_are_complete_for_every_token() -> None:
    asked = question(tiny_generator())
    scores = interp.method("integrated-gradients", steps=64).attribute(asked)
    gap = asked.intact() - asked.emptied()
    assert torch.allclose(scores.sum(1), gap, atol=1e-3)


def test_a_token_removed_from_the_prompt_equals_the_mean_embedding_in_its_place() -> None:
    model = tiny_generator()
    asked = question(model)
    keep = torch.ones(1, len(asked.units), dtype=torch.bool)
    keep[0, 2] = False
    encoded = asked.runner.encoded
    vectors = model.model.transformer.wte(encoded.ids)[None].detach().clone()
    vectors[0, int((encoded.unit_of == 2).nonzero())] = model.model.transformer.wte.weight.mean(0)
    with torch.no_grad():
        logits = model.model(inputs_embeds=vectors).logits[0].log_softmax(-1)
    expected = torch.stack([logits[p - 1, encoded.ids[p]] for p in range(encoded.prompt, len(encoded))])
    changed = model.tokenizer.mask_token_id is None
    found = question(model, removal="mean").masked(keep)[0]
    assert torch.allclose(found, expected, atol=1e-5) and not changed


def test_a_prompt_and_what_follows_it_are_never_one_unit() -> None:
    (found,) = interp.attribute(tiny_generator(), "i feel so", by="occlusion", targets="happy", progress=False)
    assert found.words == ["i", "feel", "so", "happy"] and found.text == "i feel sohappy"
    assert found.applicable.tolist() == [[True, True, True, False]]
    assert sorted(word for word, _ in found.top(count=9)) == ["feel", "i", "so"]


def test_scores_are_those_of_a_left_padded_batch_of_transformers() -> None:
    model = tiny_generator()
    prompts, given = ["i feel so happy", "sad", "the old dog was never"], [" today", " cold", " calm"]
    found = interp.attribute(model, prompts, by="occlusion", targets=given, progress=False)
    rows = [model.encoder.with_continuation(p, g).ids for p, g in zip(prompts, given, strict=True)]
    longest = max(map(len, rows))
    ids = torch.stack([torch.cat([torch.zeros(longest - len(r), dtype=torch.long), r]) for r in rows])
    mask = torch.stack([torch.arange(longest) >= longest - len(r) for r in rows]).long()
    with torch.no_grad():
        logits = model.model(ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits
    expected = logits[:, -2].log_softmax(-1).gather(1, ids[:, -1:])
    assert torch.allclose(torch.stack([a.intact for a in found]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ("all", TargetError, "a generator has no classes"),
        (7, TargetError, "for a generator"),
        ("", InputError, "empty"),
        (["a", "b"], TargetError, "2 targets were given in a list for 1 texts"),
        (interp.contrast("good cat", "bad"), TargetError, "is 2 tokens"),
        (" cat" * 40, InputError, "this model takes 32"),
    ],
)
def test_targets_that_cannot_be_used_are_refused(targets, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        interp.attribute(tiny_generator(), [PROMPT], by="lime", targets=targets)


def test_an_unknown_output_is_called_so() -> None:
    with pytest.raises(InputError, match="output 'answer' is unknown"):
        interp.attribute(tiny_generator(), "i feel", by="occlusion", targets=" so sad", output="answer", progress=False)
