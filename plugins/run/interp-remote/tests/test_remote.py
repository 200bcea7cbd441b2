"""A served model answers as the same model does when it is here: scores, methods, metrics, targets, notes."""

from __future__ import annotations

import math

import interp_core as interp
import pytest
import torch
from interp_core.errors import InputError, InterpWarning, TargetError, UnsupportedError
from interp_remote.reply import aligned
from interp_remote.testing import serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPT = "the small cat was so happy at home"
CHAT = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "the cat was so happy"}]
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[answer]"
CORPUS = [
    PROMPT,
    "the dog and the cat at home was small",
    "be kind and so happy",
    "[system] [user] [answer]",
    "the cat’s home.",
]


def tokenizer_of(crossing=False, opening=False):
    """A byte-level BPE; `crossing` merges tokens across words, `opening` puts a token in front."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not crossing)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=110, special_tokens=["<s>", "</s>"])
    bare.train_from_iterator(CORPUS * 3, trainer)
    if opening:
        from tokenizers.processors import TemplateProcessing

        bare.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(tokenizer_object=bare, bos_token="<s>", eos_token="</s>")
    made.chat_template = TEMPLATE
    return made


def model_of(tokenizer, seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = LlamaConfig(vocab_size=len(tokenizer), **sizes, max_position_embeddings=256, initializer_range=0.6)
        return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_of()


@pytest.fixture(scope="module")
def model(tokenizer):
    return model_of(tokenizer)


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(model, tokenizer):
    with serving(model, tokenizer) as started:
        yield started


def remote_of(server, **options):
    return interp.RemoteModel(server.url, "tiny", **{"retries": 1, "timeout": 20.0, **options})


def logprobs(model, tokenizer, text):
    """The log-probability of each token, by the model itself, with the characters of each."""
    encoding = tokenizer(text, return_offsets_mapping=True)
    ids = torch.tensor([encoding["input_ids"]])
    with torch.no_grad():
        table = model(ids).logits[0].log_softmax(-1)
    return [(span, float(table[i - 1, ids[0, i]])) for i, span in enumerate(encoding["offset_mapping"]) if i]


def after(model, tokenizer, prompt, continuation):
    return math.fsum(
        value for (start, _), value in logprobs(model, tokenizer, prompt + continuation) if start >= len(prompt)
    )


def explained(model, texts=PROMPT, **options):
    return interp.attribute(model, texts, **{"by": "occlusion", "progress": False, **options})


def test_occlusion_is_what_the_model_says_of_the_text_with_and_without_each_word(server, model, tokenizer):
    (why,) = explained(remote_of(server), targets=" and so", output="sample")
    words = PROMPT.split()
    shorter = [" " * (i == 0) + " ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    whole = after(model, tokenizer, PROMPT, " and so")
    assert why.words == words and [target.label for target in why.targets] == ["and so"]
    assert float(why.intact) == pytest.approx(whole, abs=1e-5)
    expected = [whole - after(model, tokenizer, text, " and so") for text in shorter]
    torch.testing.assert_close(why.scores[0], torch.tensor(expected), atol=1e-5, rtol=0)
    assert why.score_space == "log-probability" and why.made_by.settings["removal"] == "drop"


@pytest.mark.parametrize("space", ["log-probability", "probability"])
@pytest.mark.parametrize("by", ["occlusion", "kernel-shap", "shapley", "lime", "sobol", "rise", "partition-shap"])
def test_methods_give_what_they_give_for_the_same_model_here(server, model, tokenizer, by, space):
    asked = {"by": by, "targets": " and so", "score": space, "output": "word", "max_rows": 300}
    (served,) = explained(remote_of(server), **asked)
    (here,) = explained(interp.TextModel(model, tokenizer), **asked, removal="drop", units="prompt")
    assert served.words == here.words and [t.label for t in served.targets] == [t.label for t in here.targets]
    torch.testing.assert_close(served.scores, here.scores, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(served.intact, here.intact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("by", ["insertion", "deletion", "comprehensiveness", "decision-flip"])
def test_metrics_give_what_they_give_for_the_same_model_here(server, model, tokenizer, by):
    asked = {"targets": None, "max_new_tokens": 2, "output": "token"}
    (served,) = explained(remote_of(server), **asked)
    local = interp.TextModel(model, tokenizer)
    (here,) = explained(local, **asked, removal="drop", units="prompt")
    assert served.text == here.text
    scores = [
        interp.measure(why, one, by=by, progress=False) for why, one in ((served, remote_of(server)), (here, local))
    ]
    assert scores[0].value == pytest.approx(scores[1].value, abs=1e-5)
    assert scores[0].chance == pytest.approx(scores[1].chance, abs=1e-5)
    assert scores[0].made_by.settings["usage"]["requests"] > 8


def test_a_continuation_is_the_models_own_if_none_is_given(server, model, tokenizer):
    (why,) = explained(remote_of(server), max_new_tokens=3)
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    written = model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    assert why.text == PROMPT + tokenizer.decode(written)
    assert why.text[why.prompt_stop :] == tokenizer.decode(written)


def test_output_groups_the_tokens_of_the_continuation(server):
    remote, asked = remote_of(server), {"targets": " happy and small. the dog at home"}
    (tokens,), (words,), (sentences,), (one,) = (
        explained(remote, **asked, output=output) for output in ("token", "word", "sentence", "sample")
    )
    assert [t.label for t in words.targets] == ["happy", "and", "small", ".", "the", "dog", "at", "home"]
    assert [t.label.strip() for t in sentences.targets] == ["happy and small.", "the dog at home"]
    assert len(one.targets) == 1
    for grouped in (words, sentences, one):
        torch.testing.assert_close(grouped.scores.sum(0), tokens.scores.sum(0), atol=1e-4, rtol=0)


def test_a_contrast_is_the_difference_of_two_continuations(server, model, tokenizer):
    (why,) = explained(remote_of(server), targets=interp.contrast(" happy", " small and"))
    pair = [after(model, tokenizer, PROMPT, word) for word in (" happy", " small and")]
    assert float(why.intact) == pytest.approx(pair[0] - pair[1], abs=1e-5)
    without = PROMPT.replace(" cat", "")
    change = (
        pair[0] - after(model, tokenizer, without, " happy") - pair[1] + after(model, tokenizer, without, " small and")
    )
    assert float(why.scores[0, 2]) == pytest.approx(change, abs=1e-5)
    with pytest.raises(TargetError, match="two different continuations"):
        explained(remote_of(server), targets=interp.contrast(3, 4))


def test_a_saved_attribution_is_measured_as_before(server, tmp_path):
    remote = remote_of(server)
    for targets in (" and so", interp.contrast(" happy", " small")):
        (why,) = explained(remote, targets=targets)
        again = interp.Attribution.load(why.save(tmp_path / "why.safetensors"))
        values = [
            interp.measure(one, remote, by="deletion", chance=False, progress=False).value for one in (why, again)
        ]
        assert values[0] == values[1]


def test_a_chat_is_written_by_the_template_and_only_its_messages_are_removed(server, model, tokenizer):
    (why,) = explained(
        remote_of(server, tokenizer=tokenizer), [CHAT], targets=" so", granularity="message", by="shapley"
    )
    text = "[system] be kind [user] the cat was so happy [answer]"
    assert str(why.text) == text + " so" and why.words == ["be kind", "the cat was so happy"]
    assert why.text.given[0] == CHAT[0]
    second = text.replace(" the cat was so happy", "")  # a space of the first message is a token of the template
    texts = (text, text.replace("be kind", ""), second, second.replace("be kind", ""))
    both, last, first, none = (after(model, tokenizer, shorter, " so") for shorter in texts)
    assert float(why.scores[0, 0]) == pytest.approx((both - last + first - none) / 2, abs=1e-5)
    with pytest.raises(UnsupportedError, match="chat template of its model; give RemoteModel"):
        explained(remote_of(server), [CHAT], targets=" so")


@pytest.mark.parametrize(("units", "granularity"), [(None, "word"), ("documents", "word"), ("documents", "document")])
def test_documents_that_the_template_writes_are_explained_as_here(server, model, tokenizer, units, granularity):
    writing = tokenizer_of()
    writing.chat_template = "{% for d in documents %}[{{ d.title }}] was {{ d.text }} {% endfor %}" + TEMPLATE
    chat = interp.Chat(CHAT, ["the dog was happy", {"title": "the cat", "text": "the small cat was at home"}])
    asked = {"targets": " so", "granularity": granularity}
    (served,) = explained(remote_of(server, tokenizer=writing), [chat], **asked, units=units)
    (here,) = explained(interp.TextModel(model, writing), [chat], **asked, units=units or "prompt", removal="drop")
    assert served.words == here.words and {"small", "home"} <= set(" ".join(served.words).split())
    torch.testing.assert_close(served.scores, here.scores, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(served.intact, here.intact, atol=1e-5, rtol=0)


def test_what_the_server_puts_in_front_is_in_no_unit_and_an_emptied_prompt_is_empty():
    opening = tokenizer_of(opening=True)
    model = model_of(opening)
    with serving(model, opening) as server:
        (why,) = explained(remote_of(server), by="shapley", targets=" so", max_rows=600)
        assert why.words == PROMPT.split()
        total = after(model, opening, PROMPT, " so") - after(model, opening, "", " so")
        assert float(why.scores.sum()) == pytest.approx(total, abs=1e-3)


def test_a_server_without_a_token_in_front_keeps_the_first_token_of_an_emptied_prompt(server, model, tokenizer):
    (why,) = explained(remote_of(server), by="shapley", targets=" so", max_rows=600)
    first = tokenizer.decode(tokenizer(PROMPT)["input_ids"][:1])
    total = after(model, tokenizer, PROMPT, " so") - after(model, tokenizer, first, " so")
    assert float(why.scores.sum()) == pytest.approx(total, abs=1e-3)


def test_tokens_that_move_where_words_merge_are_counted_and_said():
    crossing = tokenizer_of(crossing=True)

    def pieces(text):
        return [text[a:b] for a, b in crossing(text, return_offsets_mapping=True)["offset_mapping"]]

    prompt, continuation, spans = "the small dog cat was ", "so happy", [(0, 9), (10, 13)]
    whole = pieces(prompt + continuation)
    assert whole == ["the small", " ", "do", "g ", "cat", " was ", "so happy"]
    with serving(model_of(crossing), crossing) as server, pytest.warns(InterpWarning, match="tokens moved"):
        (why,) = explained(remote_of(server), prompt, targets=continuation, granularity=lambda text: spans)
        (both,) = explained(
            remote_of(server), prompt, targets=continuation, granularity=lambda text: spans, by="shapley"
        )
    second = whole[:2] + whole[4:]
    assert pieces("".join(second)) == ["the small cat was ", "so happy"] != second
    variants = [whole[2:], second, whole[4:]]  # without the first, the second, and both
    moved = sum(pieces("".join(one)) != one for one in variants)
    assert both.made_by.settings["retokenised"] == {"prompts": 3, "moved": moved}
    assert both.notes[0].startswith(f"In {moved} of 3 prompts ({100 * moved / 3:.0f} %) tokens moved that were not")
    assert why.made_by.settings["retokenised"]["moved"] >= 1


def test_nothing_is_noted_where_no_token_moves(server):
    (why,) = explained(remote_of(server), targets=" so")
    assert why.notes == () and why.made_by.settings["retokenised"] == {"prompts": 8, "moved": 0}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"by": "saliency"},
            UnsupportedError,
            "needs gradients.*log-probabilities of the tokens of a prompt.*occlusion",
        ),
        ({"by": "attention-rollout"}, UnsupportedError, "needs internals.*neither gradients nor layers"),
        ({"layer": 1}, UnsupportedError, "layer=1 was asked of a served model.*interp.load"),
        ({"over": "heads", "reference": "zero"}, UnsupportedError, "over='heads' was asked of a served model"),
        ({"score": "logit"}, TargetError, "neither their logits nor the whole distribution"),
        ({"score": "entropy"}, TargetError, "neither their logits nor the whole distribution"),
        ({"removal": "mean"}, UnsupportedError, "removal='mean' changes what a model reads below its text"),
        ({"removal": torch.zeros(3)}, UnsupportedError, "removal='tensor'"),
        ({"targets": lambda logits: logits[:, 0]}, TargetError, "Functions of logits"),
        ({"targets": "all"}, TargetError, "for a served model give None"),
        ({"labels": ["a"]}, InputError, "does not choose among classes"),
    ],
)
def test_what_a_server_cannot_say_is_refused_with_the_reason(server, options, error, message):
    with pytest.raises(error, match=message):
        explained(remote_of(server), **{"targets": " so", **options})


def test_concepts_and_whatever_else_only_a_model_has_that_is_here_are_refused(server):
    remote = remote_of(server)
    for reach in (lambda: remote.split(1), lambda: remote.layers(0, 1), lambda: remote.embeddings):
        with pytest.raises(UnsupportedError, match=r"tiny is served, so there is no .* and so no concepts"):
            reach()
    assert not hasattr(remote, "embeddings")
    (why,) = explained(remote, targets=" so")
    with pytest.raises(UnsupportedError, match="removal='drop'"):
        interp.measure(why, remote, by="max-sensitivity", progress=False)


def test_a_continuation_that_begins_inside_a_token_of_the_prompt_is_refused(server):
    with pytest.raises(InputError, match="begins in the prompt and ends in the continuation"):
        explained(remote_of(server), PROMPT + " ", targets="and")


def test_several_texts_are_asked_together_and_each_is_answered(server):
    texts = [PROMPT, "be kind and so happy", "the dog was at home"]
    remote = remote_of(server)
    alone = [explained(remote, text, targets=" so")[0] for text in texts]
    before = len(server.requests)
    together = explained(remote, texts, targets=" so")
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one.scores, other.scores, atol=1e-5, rtol=0)
    sent = [(request["prompt"], request["echo"]) for request in server.requests[before:]]
    assert len(sent) == len(set(sent))
    assert {text for text, _ in sent} > {"be and so happy so", " dog was at home so"}


def test_bytes_of_one_character_are_one_piece(server, model, tokenizer):
    prompt = "the cat’s home"
    (why,) = explained(remote_of(server), prompt, targets=" so")
    shorter = after(model, tokenizer, "the home", " so")
    assert why.words == ["the", "cat’s", "home"]
    assert float(why.intact - why.scores[0, 1]) == pytest.approx(shorter, abs=1e-5)


@pytest.mark.parametrize(
    ("tokens", "text", "spans"),
    [
        (["<s>", " so", " sad", "!"], "so sad", [(0, 0), (0, 2), (2, 6)]),  # a space shown in front
        (["", "so", "\ufffd", "\ufffd", "s"], "so’s", [(0, 0), (0, 2), (2, 3), (2, 3), (3, 4)]),
        (["so", "", "", "!"], "so’", [(0, 2), (2, 3), (2, 3)]),
        (["[a]", "", "so"], "[a]<|b|>so", [(0, 3), (3, 8), (8, 10)]),  # a special token that is not shown
    ],
)
def test_tokens_are_found_in_the_text_however_a_server_spells_them(tokens, text, spans):
    assert aligned(tokens, text) == spans


@pytest.mark.parametrize("tokens", [[","], [" much", " so"], ["so", "x", "y"]])
def test_tokens_that_are_not_of_the_prompt_are_refused(tokens):
    with pytest.raises(UnsupportedError, match="ignores echo"):
        aligned(tokens, "so happy")


def test_a_trained_model_gives_the_same_served_and_here(shared):
    local = interp.load(str(shared / "models" / "llama-tiny"))
    prompt = "my card was declined at the shop"
    with serving(local.model, local.tokenizer) as server:
        (served,) = explained(remote_of(server), prompt, max_new_tokens=4)
    (here,) = explained(local, prompt, max_new_tokens=4, removal="drop", units="prompt")
    assert served.text == here.text
    torch.testing.assert_close(served.scores, here.scores, atol=1e-4, rtol=0)
