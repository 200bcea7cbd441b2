from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from interp_core.errors import InputError, LLMError
from interp_core.plugin import _registry as registry
from interp_core.testing import contract_tests
from interp_hf_llm.hf_llm import HFLLM
from interp_hf_llm.loading import chat_model, tokenizer_of
from interp_hf_llm.sampling import GumbelNoise
from interp_llm.asking import ask
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|> {{ m.content }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
WORDS = ["a", "b", "c", "d", "e", "f", "g", "h", "what", "is", "of", "apple", "pear", "plum", "iron", "tin", "gold"]
WORDS += ["and", "fruit", "metal", "yes", "no", "name", "the", "concept"]
EXAMPLE = str(HFLLM.CHECKED_WITH["model"])

test_contract = contract_tests("hf-llm")


def saved(folder: Path, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """A random model of two layers whose tokenizer knows these words, and has no padding token."""
    marks = ["<unk>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    vocabulary = {word: i for i, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|end|>")
    fast.add_special_tokens({"additional_special_tokens": marks[1:4]})
    fast.chat_template = template
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.8,
            eos_token_id=vocabulary["<|end|>"], bos_token_id=None,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
    model.generation_config.update(do_sample=True, temperature=3.0, repetition_penalty=5.0)  # as authors may wish
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(saved(tmp_path_factory.mktemp("chat") / "tiny"))


def asking(text, system=None):
    return [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": text}]


QUESTIONS = [
    asking("a"),
    asking("what is a b c d e f g h", "name the concept"),
    asking("apple and pear and plum", "name"),
    asking("iron"),
    asking("tin and gold and iron and tin and gold"),
]


def by_hand(folder, text, steps):
    """Greedy decoding in plain PyTorch, one conversation, the whole text anew for each token."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tokenizer_of(str(folder))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    new = []
    with torch.no_grad():
        while len(new) < steps and (not new or new[-1] != tokenizer.eos_token_id):
            new.append(int(model(torch.tensor([ids + new])).logits[0, -1].argmax()))
    return tokenizer.decode([one for one in new if one != tokenizer.eos_token_id], skip_special_tokens=True), len(new)


def test_greedy_answers_are_those_of_plain_pytorch_whatever_the_model_says_of_sampling(tiny):
    llm = HFLLM(tiny, max_new_tokens=8, dtype="float32")
    for messages in QUESTIONS:
        text = "".join(f"<|{one['role']}|> {one['content']} <|end|> " for one in messages) + "<|assistant|>"
        expected, count = by_hand(tiny, text, 8)
        answer = llm.generate(messages)
        assert answer == expected.strip() and answer.answer_tokens == count
        assert answer.prompt_tokens == len(text.split())


def test_a_batch_is_answered_as_each_alone(tiny):
    alone = [HFLLM(tiny, max_new_tokens=8, dtype="float32").generate(messages) for messages in QUESTIONS]
    for batch_size in (2, 5):
        llm = HFLLM(tiny, max_new_tokens=8, dtype="float32", batch_size=batch_size)
        together = llm.generate_all(QUESTIONS)
        assert together == alone
        assert [vars(one) for one in together] == [vars(one) for one in alone]
    assert len(set(alone)) > 1


def test_draws_are_those_of_the_conversation_and_the_seed_and_of_no_global_state(tiny):
    before = torch.get_rng_state()
    settings = {"max_new_tokens": 8, "temperature": 1.5, "dtype": "float32"}
    alone = [HFLLM(tiny, **settings).generate(messages) for messages in QUESTIONS]
    assert HFLLM(tiny, **settings, batch_size=3).generate_all(QUESTIONS) == alone
    assert HFLLM(tiny, **settings, seed=1).generate_all(QUESTIONS) != alone
    assert HFLLM(tiny, max_new_tokens=8, dtype="float32").generate_all(QUESTIONS) != alone
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_makes_the_largest_logit_a_draw_from_the_softmax():
    logits, temperature, draws = torch.tensor([2.0, 1.0, 0.0, -torch.inf]), 2.0, 4000
    noise = GumbelNoise(temperature, range(draws))
    drawn = noise(torch.zeros(draws, 1, dtype=torch.long), logits.expand(draws, -1)).argmax(dim=1)
    share = torch.bincount(drawn, minlength=4) / draws
    expected = (logits / temperature).softmax(dim=0)
    error = (expected * (1 - expected) / draws).sqrt()
    assert (share - expected).abs().le(4 * error).all() and share[3] == 0


def test_a_conversation_that_is_too_long_fails_alone(tiny):
    long = asking("a " * 60)
    answers = HFLLM(tiny, max_new_tokens=8).generate_all([QUESTIONS[0], long, QUESTIONS[1]])
    assert isinstance(answers[1], LLMError) and "63 tokens" in str(answers[1]) and "64" in str(answers[1])
    assert isinstance(answers[0], str) and isinstance(answers[2], str)


def test_the_example_names_what_words_have_in_common():
    llm = HFLLM(EXAMPLE, max_new_tokens=4)
    answers = llm.generate_all([asking("apple pear"), asking("tin, iron ?", "name the concept"), asking("so happy")])
    assert answers == ["fruit", "metal", "mood"]
    assert [one.finish_reason for one in answers] == ["stop"] * 3 and answers[0].answer_tokens == 2


def test_an_answer_that_is_cut_off_says_so(tiny):
    answers = HFLLM(tiny, max_new_tokens=1, dtype="float32").generate_all(QUESTIONS)
    texts = [one for one in answers if isinstance(one, str)]
    assert texts and all(one.finish_reason == "length" and one.answer_tokens == 1 for one in texts)


def test_a_template_without_system_messages_gets_them_with_the_first_of_the_user(tmp_path):
    folder = saved(tmp_path / "strict", STRICT)
    chat = chat_model(str(folder), "float32", "cpu")
    joined = chat.ids(asking("apple", "name the concept"), {})
    assert joined == chat.ids(asking("name the concept apple"), {})
    alone = HFLLM(str(folder)).generate_all([[{"role": "system", "content": "name"}]])
    assert isinstance(alone[0], LLMError) and "refuses the conversation" in str(alone[0])


def test_further_arguments_reach_the_template(tmp_path):
    folder = saved(tmp_path / "thinking", TEMPLATE + "{% if thinking is false %} no{% endif %}")
    chat = chat_model(str(folder), "float32", "cpu")
    assert len(chat.ids(asking("a"), {"thinking": False})) == len(chat.ids(asking("a"), {})) + 1


def test_models_that_cannot_be_asked_are_refused_in_words(tmp_path):
    saved(tmp_path / "plain", None)
    (tmp_path / "empty").mkdir()
    shutil.copytree(EXAMPLE, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"nothing")
    for model, told in (("plain", "no chat template"), ("empty", "cannot be loaded"), ("damaged", "cannot be loaded")):
        with pytest.raises(InputError, match=told):
            HFLLM(str(tmp_path / model)).generate(asking("a"))
    with pytest.raises(InputError, match="needs model"):
        HFLLM().ready()


def test_answers_are_kept_until_the_files_of_the_model_change(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(EXAMPLE, folder)
    llm = HFLLM(str(folder), max_new_tokens=4)
    assert ask(llm, [asking("apple")], cache=tmp_path / "cache").answers == ("fruit",)
    assert ask(llm, [asking("apple")], cache=tmp_path / "cache").usage.cached == 1
    shutil.rmtree(folder)
    saved(folder, seed=1)
    asked = ask(HFLLM(str(folder), max_new_tokens=4), [asking("apple")], cache=tmp_path / "cache")
    assert asked.usage.cached == 0 and asked.answers != ("fruit",)


def test_what_does_not_fit_into_memory_is_halved(tiny, monkeypatch):
    chat, sizes = chat_model(tiny, "float32", "cpu"), []
    generate = chat.model.generate

    def little_memory(**given):
        sizes.append(len(given["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("a GPU is full")
        return generate(**given)

    monkeypatch.setattr(chat.model, "generate", little_memory)
    llm = HFLLM(tiny, max_new_tokens=8, dtype="float32", device="cpu", batch_size=5)
    halved = llm.generate_all(QUESTIONS)
    monkeypatch.undo()
    assert sizes == [5, 2, 3, 1, 2] and halved == llm.generate_all(QUESTIONS)


def test_what_its_answers_depend_on_is_json_and_has_no_seed_without_draws(tiny):
    one = HFLLM(tiny, batch_size=3, device="cpu")
    json.dumps(one.identity())
    assert one.identity() == HFLLM(tiny, seed=5).identity() != HFLLM(tiny, temperature=0.5).identity()


@pytest.mark.parametrize(
    "wrong",
    [{"max_new_tokens": 0}, {"batch_size": 0}, {"temperature": -0.1}, {"dtype": "int8"}, {"dtype": "manual_seed"}],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        HFLLM("somewhere", **wrong)


def test_it_is_found_by_name():
    assert registry.method("hf-llm", "llm") == HFLLM()
