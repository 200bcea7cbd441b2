"""The model answers what was never trained on, does so by the mechanism stated, and is a plain folder."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError
from interp_lookup import train
from interp_lookup.contexts import NAMES, OBJECTS, Context, draw_context, is_held_out
from interp_lookup.model import MODEL
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

NAME, OBJECT, TOKENS = 3, 6, 8  # places of name and object in a sentence, and its tokens


@pytest.fixture(scope="module")
def model() -> interp.TextModel:
    return interp.lookup_model()


def answers(model: interp.TextModel, prompts: list[str]) -> list[str]:
    out = []
    for prompt in prompts:
        with torch.no_grad():
            logits = model.model(**model.tokenizer(prompt, return_tensors="pt")).logits[0, -1]
        out.append(str(model.tokenizer.convert_ids_to_tokens(int(logits.argmax()))))
    return out


def share_right(model: interp.TextModel, contexts: list[Context]) -> float:
    said = answers(model, [one.prompt for one in contexts])
    return sum(a == one.answer for a, one in zip(said, contexts, strict=True)) / len(contexts)


def attention(model: interp.TextModel, context: Context, layer: int, head: int) -> torch.Tensor:
    plain = AutoModelForCausalLM.from_pretrained(MODEL, attn_implementation="eager").eval()
    with torch.no_grad():
        out = plain(**model.tokenizer(context.prompt, return_tensors="pt"), output_attentions=True)
    weights: torch.Tensor = out.attentions[layer][0, head]
    return weights


# Contexts


def test_no_pair_of_the_contexts_was_trained_on() -> None:
    contexts = interp.lookup_contexts(50, seed=3)
    assert all(is_held_out(name, held) for one in contexts for name, held in one.facts)
    rng = train.random.Random(0)
    for _ in range(20):
        assert not any(is_held_out(*fact) for fact in draw_context(rng, 20, 1, held_out=False).facts)
    assert 0.2 < sum(is_held_out(n, o) for n in NAMES for o in OBJECTS) / len(NAMES) / len(OBJECTS) < 0.3


def test_the_spans_are_those_of_the_sentences_and_hold_the_answer() -> None:
    for one in interp.lookup_contexts(30, copies=2, seed=2):
        pieces = [one.prompt[start:stop] for start, stop in one.sources]
        assert tuple(pieces) == one.sentences
        fact = f"the box of {one.name} holds a {one.answer} ."
        assert len(one.holding) == 2
        assert [i for i, piece in enumerate(pieces) if piece == fact] == list(one.holding)


def test_names_and_objects_differ_within_a_context_and_lengths_cover_the_range() -> None:
    contexts = interp.lookup_contexts(300, sentences=(6, 9))
    assert {len(one.facts) for one in contexts} == {6, 7, 8, 9}
    for one in contexts:
        names, objects = zip(*one.facts, strict=True)
        assert len(set(names)) == len(set(objects)) == len(one.facts)


def test_a_seed_gives_the_same_contexts_and_another_seed_others() -> None:
    assert interp.lookup_contexts(5, seed=1) == interp.lookup_contexts(5, seed=1)
    assert interp.lookup_contexts(5, seed=1) != interp.lookup_contexts(5, seed=2)


@pytest.mark.parametrize("copies", [1, 2])
def test_swaps_change_as_many_tokens_as_they_say_and_the_answer(model: interp.TextModel, copies: int) -> None:
    for one in interp.lookup_contexts(20, copies=copies, seed=4):
        tokens = one.prompt.split()
        for swap, changed in ((one.object_swap(), copies), (one.name_swap(), 1)):
            others = swap.prompt.split()
            assert len(others) == len(tokens) == len(model.encoder(one.prompt)) - 1
            assert sum(a != b for a, b in zip(tokens, others, strict=True)) == changed
            assert swap.answer != one.answer and swap.answer in others
        assert one.object_swap().holding == one.holding and one.object_swap().answer not in tokens
        assert one.name_swap().facts == one.facts and not set(one.name_swap().holding) & set(one.holding)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_made_is_refused() -> None:
    for sentences, copies in (
        ((6, 40), 1),
        ((8, 6), 1),
        ((1, 6), 1),
        ((2, 6), 2),
        (5, 1),
        ("68", 1),
        ((6,), 1),
        ((6, 8.0), 1),
    ):
        with pytest.raises(InputError, match="two numbers between 2 and 32"):
            interp.lookup_contexts(1, sentences=sentences, copies=copies)
    for options in ({"count": "a"}, {"count": -1}, {"copies": -1}, {"copies": "a"}, {"seed": "a"}):
        with pytest.raises(InputError, match=f"{next(iter(options))} is .*; a whole number of at least 0"):
            interp.lookup_contexts(**{"count": 1, **options})
    with pytest.raises(InputError, match="no object can be swapped"):
        interp.lookup_contexts(1, copies=0)[0].object_swap()


# The model


@pytest.mark.parametrize(("copies", "least"), [(1, 0.99), (2, 0.99), (0, 0.95)])
def test_answers_are_right_on_pairs_never_seen(model: interp.TextModel, copies: int, least: float) -> None:
    assert share_right(model, interp.lookup_contexts(200, copies=copies, seed=5)) >= least


def test_answers_are_right_on_the_longest_contexts_and_on_the_swapped_ones(model: interp.TextModel) -> None:
    contexts = interp.lookup_contexts(100, sentences=(30, 32), seed=6)
    assert share_right(model, contexts) >= 0.97
    assert share_right(model, [one.object_swap() for one in contexts]) >= 0.97
    assert share_right(model, [one.name_swap() for one in contexts]) >= 0.97


def test_the_first_head_looks_at_the_name_and_the_second_at_the_object(model: interp.TextModel) -> None:
    naming, looking = [], []
    for one in interp.lookup_contexts(20, seed=7):
        objects = [1 + TOKENS * i + OBJECT for i in range(len(one.facts))]
        weights = attention(model, one, *train.NAMING)
        naming += [float(weights[at, at - OBJECT + NAME]) for at in objects] + [float(weights[-1, -3])]
        looking.append(float(attention(model, one, *train.LOOKING)[-1, objects[one.holding[0]]]))
    assert sum(naming) / len(naming) > 0.9
    assert sum(looking) / len(looking) > 0.8


def test_without_the_sentence_the_answer_is_another(model: interp.TextModel) -> None:
    contexts = interp.lookup_contexts(50, seed=8)
    without = [
        replace(one, facts=tuple(fact for i, fact in enumerate(one.facts) if i not in one.holding)) for one in contexts
    ]
    said = answers(model, [one.prompt for one in without])
    assert not any(a == one.answer for a, one in zip(said, contexts, strict=True))
    assert sum(a == "nothing" for a in said) >= 45


def test_occlusion_of_sentences_finds_the_source(model: interp.TextModel) -> None:
    contexts = interp.lookup_contexts(30, seed=9)
    chats = [interp.Chat([{"role": "user", "content": one.question}], documents=one.sentences) for one in contexts]
    found = interp.attribute(
        model, chats, by="occlusion", units="documents", granularity="sentence", removal="drop", progress=False
    )
    assert [[target.label for target in one.targets] for one in found] == [[one.answer] for one in contexts]
    assert all(len(a.units) == len(one.sources) for a, one in zip(found, contexts, strict=True))
    right = [int(a.scores[0].argmax()) == one.holding[0] for a, one in zip(found, contexts, strict=True)]
    assert sum(right) >= 29


def test_a_chat_with_documents_is_the_prompt(model: interp.TextModel) -> None:
    one = interp.lookup_contexts(1, seed=10)[0]
    chat = [{"role": "user", "content": one.question}]
    plain = model.encoder(one.prompt).ids.tolist()
    for where in ("template", "message"):
        encoded = model.encoder(interp.Chat(chat, documents=one.sentences, documents_in=where))
        assert encoded.ids.tolist() == plain
        assert [encoded.text[start:stop] for start, stop in encoded.documents] == list(one.sentences)
    documents = [{"text": sentence} for sentence in one.sentences]
    assert model.tokenizer.apply_chat_template(chat, documents=documents, tokenize=False) == "<s>" + one.prompt


def test_generation_gives_the_answer_and_stops(model: interp.TextModel) -> None:
    one = interp.lookup_contexts(1, seed=11)[0]
    ids = model.tokenizer(one.prompt, return_tensors="pt")
    out = model.model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert model.tokenizer.decode(out) == f"{one.answer} </s>"


# The folder


def test_the_folder_is_a_small_plain_llama() -> None:
    plain = AutoModelForCausalLM.from_pretrained(MODEL)
    assert type(plain) is LlamaForCausalLM
    assert plain.config.hidden_size == 64 and plain.config.head_dim == 32
    assert AutoTokenizer.from_pretrained(MODEL).is_fast
    files = {path.name: path.stat().st_size for path in MODEL.iterdir()}
    assert 500_000 <= files["model.safetensors"] <= 720_000
    assert sum(files.values()) < 800_000
    assert not {Path(name).suffix for name in files} & {".bin", ".pt", ".pkl"}


@pytest.mark.slow
def test_the_script_trains_as_good_a_model_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interp_lookup.train", str(tmp_path / "again")]
    subprocess.run(command, check=True, capture_output=True)
    again = interp.load(tmp_path / "again")
    assert share_right(again, interp.lookup_contexts(200, seed=5)) >= 0.99
