"""Asking a server: side by side, each prompt once, within limits, and what is said of servers that fail or cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import interp_core as interp
import pytest
import torch
from interp_core.errors import BudgetError, InputError, LLMError, ModelError, UnsupportedError
from interp_core.testing import tiny_generator
from interp_remote.meter import Meter
from interp_remote.testing import HANG_UP, serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPT = "the small cat was so happy at home"
KEY = "sk-test-0123456789-secret-abcdef"


@pytest.fixture(scope="module")
def tokenizer():
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=["<s>", "</s>"])
    bare.train_from_iterator([PROMPT, "The"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bare, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def model(tokenizer):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = LlamaConfig(vocab_size=len(tokenizer), **sizes, max_position_embeddings=256, initializer_range=0.6)
        return LlamaForCausalLM(config).eval()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def start(model, tokenizer):
    """Starts servers that stop with the test."""
    running = []

    def started(**options):
        running.append(serving(model, tokenizer, **options))
        return running[-1].__enter__()

    yield started
    for one in running:
        one.__exit__(None, None, None)


def remote_of(server, **options):
    return interp.RemoteModel(server.url, "tiny", **{"retries": 2, "timeout": 20.0, **options})


def explained(model, texts=PROMPT, **options):
    return interp.attribute(model, texts, **{"by": "occlusion", "targets": " so", "progress": False, **options})


def asked(server):
    return [(one["prompt"], one["max_tokens"], one["echo"]) for one in server.requests]


def slowly(request, number):
    time.sleep(0.05)


def test_requests_run_side_by_side_up_to_the_number_allowed(start):
    for parallel in (1, 4):
        server = start(mishap=slowly)
        explained(remote_of(server, parallel=parallel))
        assert server.most_at_once == parallel


def test_what_is_asked_is_what_the_reference_of_the_interface_says(start):
    server = start()
    explained(remote_of(server, extra_body={"add_special_tokens": False}))
    scored = [one for one in server.requests if one["echo"]]
    assert {one["max_tokens"] for one in scored} == {1} and {one["temperature"] for one in scored} == {0}
    assert all(one["logprobs"] == 1 and one["model"] == "tiny" for one in scored)
    assert all(one["add_special_tokens"] is False for one in server.requests)


def test_a_second_run_asks_nothing_and_says_so(start, tmp_path):
    server = start()
    (first,) = explained(remote_of(server, cache=tmp_path / "answers"))
    before = len(server.requests)
    (second,) = explained(remote_of(server, cache=tmp_path / "answers"))
    assert len(server.requests) == before and torch.equal(first.scores, second.scores)
    usage = second.made_by.settings["usage"]
    assert usage["cached"] == usage["requests"] == first.made_by.settings["usage"]["requests"]
    assert usage["prompt_tokens"] == 0 and second.made_by.cost.rows == 0


def test_the_usage_is_what_the_server_counted(start, tokenizer):
    server = start()
    remote = remote_of(server, prices=(10.0, 20.0))
    (why,) = explained(remote)
    sent = sum(len(tokenizer(one["prompt"])["input_ids"]) for one in server.requests)
    usage = why.made_by.settings["usage"]
    assert usage["prompt_tokens"] == sent == remote.spent.prompt_tokens
    assert usage["requests"] == len(server.requests) == remote.spent.conversations
    assert usage["price"] == pytest.approx((10.0 * sent + 20.0 * usage["answer_tokens"]) / 1e6)
    assert why.made_by.cost.tokens == sent + usage["answer_tokens"]


def test_a_limit_is_never_passed_and_a_second_run_goes_on(start, tmp_path):
    server = start()
    cache = tmp_path / "answers"
    remote = remote_of(server, cache=cache, max_tokens=90)
    with pytest.raises(
        BudgetError, match=r"max_tokens=90: \d+ tokens .* were spent in \d+ requests; \d+ of \d+ prompts"
    ):
        explained(remote)
    spent = remote.spent.prompt_tokens + remote.spent.answer_tokens
    assert 40 < spent <= 90
    first = Counter(asked(server))
    explained(remote_of(server, cache=cache))
    assert max(Counter(asked(server)).values()) == 1 and len(asked(server)) > sum(first.values())


def test_money_is_limited_like_tokens(start):
    server = start()
    remote = remote_of(server, prices=(1e4, 0.0), max_cost=0.9)  # a cent for each token that is sent
    with pytest.raises(BudgetError, match=r"max_cost=0.9: .* were spent for .* lost without cache="):
        explained(remote)
    assert 0.4 < remote.spent.price <= 0.9


def test_what_fits_is_asked_where_texts_that_do_not_fit_are_skipped(start):
    server = start()
    remote = remote_of(server, max_tokens=400)
    with pytest.warns(interp.errors.InterpWarning, match="skipped.*max_tokens=400"):
        results = explained(remote, ["so happy", PROMPT * 6], on_error="skip")
    assert [one.text for one in results] == ["so happy so"]
    assert max(Counter(asked(server)).values()) == 1


def test_calls_under_way_count_with_the_most_that_they_may_take():
    meter = Meter(max_tokens=40)
    assert meter.enter("12345678", 1)  # 8 bytes, 8 that may be added, 1 received
    assert not meter.enter("x" * 40, 1)
    meter.leave(3, 1)
    assert meter.enter("12345678", 1)
    assert (meter.spent.prompt_tokens, meter.spent.answer_tokens) == (3, 1)


@pytest.mark.parametrize(
    "options",
    [{"max_tokens": 0}, {"max_tokens": -3}, {"max_cost": 1.0}, {"parallel": 0}, {"cache": ""}, {"prices": (1.0, -1.0)}],
)
def test_settings_that_cannot_be_are_refused(options):
    with pytest.raises(InputError):
        interp.RemoteModel("http://localhost:8000/v1", "tiny", **options)


def test_an_address_is_needed_and_holds_no_secret():
    for address in ("localhost", f"http://localhost/v1?key={KEY}"):
        with pytest.raises(InputError) as caught:
            interp.RemoteModel(address, "tiny")
        assert KEY not in str(caught.value)


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice(start, tmp_path):
    killed = threading.Event()

    def late(request, number):
        if number >= 8:  # so that it is killed while the ninth is under way, and those before it are written
            killed.wait(3)

    server = start(mishap=late)
    program = textwrap.dedent(
        f"""
        import interp_core as interp
        model = interp.RemoteModel({server.url!r}, "tiny", cache={str(tmp_path)!r}, parallel=1)
        interp.attribute(model, {PROMPT!r}, by="occlusion", targets=" so", progress=False)
        """
    )
    run = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "NO_PROXY": "127.0.0.1"})
    until = time.monotonic() + 120
    while len(server.requests) < 9 and time.monotonic() < until and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    killed.set()
    answered = asked(server)[:-1]  # the last was under way, or had not been written yet
    server.mishap = lambda request, number: None
    explained(remote_of(server, cache=tmp_path))
    twice = [one for one, count in Counter(asked(server)).items() if count > 1]
    assert len(answered) >= 8 and not set(answered) & set(twice)


def test_busy_and_broken_servers_are_asked_again_and_only_answers_count(start):
    answers = {2: (429, {"Retry-After": "0"}, "{}"), 3: (500, {}, "{}"), 4: HANG_UP}
    server = start(mishap=lambda request, number: answers.get(number))
    calm = start()
    tried, at_once = remote_of(server, parallel=1), remote_of(calm, parallel=1)
    (why,), (expected,) = explained(tried), explained(at_once)
    one, other = tried.spent, at_once.spent
    assert (one.prompt_tokens, one.answer_tokens) == (other.prompt_tokens, other.answer_tokens)
    assert torch.equal(why.scores, expected.scores)
    assert len(server.requests) == len(calm.requests) + 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (429, {"Retry-After": "0"}, '{"error": {"message": "slow down"}}'),
            "answered 429: slow down .*lower parallel",
        ),
        ((500, {}, '{"error": {"message": "out of order"}}'), "answered 500: out of order .*the server is at fault"),
        (
            (401, {}, '{"error": {"message": "Incorrect API key: ' + KEY + '"}}'),
            r"answered 401: .*\[key\].*Check the key",
        ),
        (HANG_UP, "cannot be reached"),
        ((200, {}, '{"choices": ['), "no completion"),
        ((200, {"Content-Type": "text/html"}, "<html>welcome</html>"), "no completion"),
        ((200, {}, '{"choices": []}'), "no completion"),
        ((200, {}, '{"choices": [{"text": null, "logprobs": null}]}'), "no completion|no log-probabilities"),
    ],
)
def test_a_server_that_fails_is_said_with_how_many_prompts_have_no_answer(start, monkeypatch, answer, message):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = start(mishap=lambda request, number: answer if number else None)
    with pytest.raises((LLMError, UnsupportedError), match=message) as caught:
        explained(remote_of(server, retries=0))
    assert KEY not in str(caught.value)


def test_failures_lose_no_answers(start, tmp_path):
    server = start(mishap=lambda request, number: (500, {}, "{}") if number in (5, 7) else None)
    with pytest.raises(LLMError, match=r"\d of \d+ prompts have no answer: .* the answers so far are in"):
        explained(remote_of(server, cache=tmp_path, retries=0))
    explained(remote_of(server, cache=tmp_path))
    assert sorted(Counter(asked(server)).values())[-3:] == [1, 2, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"echoes": False}, "do not spell the prompt .* it ignores echo"),
        ({"says": False}, "gives no log-probabilities of the tokens of a prompt"),
        ({"shift": 1}, "are not those of its tokens.*llama-cpp-python"),
    ],
)
def test_a_server_that_cannot_is_refused_with_what_it_lacks(start, options, message):
    with pytest.raises(UnsupportedError, match=message):
        explained(remote_of(start(**options)))


@pytest.mark.parametrize("words", ["Only no echo is supported", "logprobs is not supported"])
def test_a_server_that_refuses_is_quoted_with_what_is_needed(start, words):
    body = json.dumps({"error": {"message": words}})
    server = start(mishap=lambda request, number: (400, {}, body) if request["echo"] else None)
    with pytest.raises(UnsupportedError, match=f"{words}.*echo with logprobs, of /v1/completions"):
        explained(remote_of(server))
    assert sum(one["echo"] for one in server.requests) <= 9  # and not each prompt with all of its tries


@pytest.mark.parametrize("value", [float("nan"), None, float("-inf")])
def test_a_log_probability_that_is_no_number_is_refused(start, model, tokenizer, value):
    server = start()
    completion = server.completion

    def spoilt(request):
        said = completion(request)
        if request["echo"]:
            said["choices"][0]["logprobs"]["token_logprobs"][-2] = value
        return said

    server.completion = spoilt
    with pytest.raises((ModelError, LLMError), match=r"log-probability|no completion"):
        explained(remote_of(server))


def test_the_key_is_nowhere(start, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = start()
    remote = remote_of(server, cache=tmp_path / "answers")
    (why,) = explained(remote)
    shown = [
        repr(remote),
        repr(vars(remote)),
        json.dumps(why.to_json()),
        *(f.read_bytes().decode(errors="replace") for f in (tmp_path / "answers").iterdir()),
    ]
    assert not any(KEY in one for one in shown)


def test_a_model_that_is_here_is_asked_as_before():
    (why,) = interp.attribute(tiny_generator(), "i feel so", by="occlusion", targets=" happy", progress=False)
    assert "usage" not in why.made_by.settings and why.made_by.settings["layer"] == "embeddings"


def test_an_empty_continuation_is_said(start, model, tokenizer):
    def silent(request, number):
        choice = {"index": 0, "text": "", "finish_reason": "stop", "logprobs": None}
        return None if request["echo"] else (200, {}, json.dumps({"choices": [choice]}))

    with pytest.raises(InputError, match="the model ends at once"):
        explained(remote_of(start(mishap=silent)), targets=None)


def test_a_continuation_that_is_read_as_other_tokens_than_written_is_noted(start):
    def apart(request, number):
        choice = {"index": 0, "text": " so", "finish_reason": "length"}
        choice["logprobs"] = {"tokens": [" s", "o"], "token_logprobs": [-1.0, -1.0], "top_logprobs": [None, None]}
        return None if request["echo"] else (200, {}, json.dumps({"choices": [choice]}))

    with pytest.warns(interp.errors.InterpWarning, match="reads the continuation as other tokens"):
        (why,) = explained(remote_of(start(mishap=apart)), targets=None)
    assert why.text == PROMPT + " so"
