from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from interp_core.errors import InputError, LLMError
from interp_core.results import parameters_of
from interp_llm.answer import UnusableError
from interp_llm.asking import ask
from interp_openai.client import OpenAI

KEY = "sk-test-0123456789-secret-abcdef"
AZURE = "azure-9876543210-secret-fedcba"
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}
MESSAGES = {
    "blocked": ({"content": "half a la"}, "content_filter"),
    "refused": ({"content": None, "refusal": "I would rather not."}, "stop"),
    "cut off": ({"content": "<think>so"}, "length"),
    "only thought": ({"content": ""}, "length"),
}


class Recording(BaseHTTPRequestHandler):
    """Answers `label of …`, or as the last message says, and keeps path, headers and body of each request."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send(*self.outcome(body, body["messages"][-1]["content"]))

    def outcome(self, body, said):
        form = "response_format" in body
        if said == "blocked before" or (said == "blocked form" and form):
            return 400, {"error": {"code": "content_filter", "message": f"filtered, dear {KEY}"}}
        if form and not self.server.structured:
            return self.server.refuses_with, {"error": {"message": "response_format is unknown"}}
        if said == "too long":
            return 400, {"error": {"message": "context length exceeded"}}
        if said == "echo":
            return 403, {"error": {"message": f"who are {AZURE} and Bearer {KEY}?"}}
        message, reason = MESSAGES.get(said, ({"content": f"label of {said}"}, "stop"))
        usage = (
            {} if said == "no usage" else {"usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}}
        )
        choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}
        return 200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], **usage}

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def recording():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recording)
    server.requests, server.structured, server.refuses_with = [], True, 400
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_KEY", AZURE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with recording() as started:
        yield started


def client(server, path="/v1", **settings):
    address = f"http://127.0.0.1:{server.server_port}{path}"
    return OpenAI(**{"model": "m", "base_url": address, "timeout": 5.0, "retries": 0, **settings})


def asking(text):
    return [{"role": "user", "content": text}]


def test_each_setting_is_sent_under_its_name(server):
    settings = {"temperature": None, "max_completion_tokens": 9, "reasoning_effort": "low", "seed": 4}
    client(server, **settings, extra_body={"top_k": 5}).generate(asking("a"))
    ((_, _, body),) = server.requests
    expected = {"max_completion_tokens": 9, "reasoning_effort": "low", "seed": 4, "top_k": 5}
    assert body == {"model": "m", "messages": asking("a"), **expected}


def test_headers_are_sent_and_those_with_secrets_come_from_the_environment(server):
    client(server, headers_from={"api-key": "AZURE_KEY"}, extra_headers={"X-Team": "interp"}).generate(asking("a"))
    headers = {name.lower(): value for name, value in server.requests[0][1].items()}
    assert (headers["api-key"], headers["x-team"], headers["authorization"]) == (AZURE, "interp", f"Bearer {KEY}")


def test_a_header_whose_variable_is_empty_is_missed_before_anything_is_asked(server, monkeypatch):
    monkeypatch.delenv("AZURE_KEY")
    llm = client(server, headers_from={"api-key": "AZURE_KEY"})
    for call in (llm.ready, lambda: llm.generate(asking("a"))):
        with pytest.raises(InputError, match=r"AZURE_KEY .*api-key"):
            call()
    assert not server.requests


@pytest.mark.parametrize("path", ["/v1?api-version=preview", "/v1/?api-version=preview"])
def test_the_query_of_an_address_stays_a_query(server, path):
    client(server, path).generate(asking("a"))
    assert server.requests[0][0] == "/v1/chat/completions?api-version=preview"


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/deployments/m"])
def test_the_older_azure_is_asked_for_its_deployment(server, path):
    assert client(server, path, api_version="2024-10-21").generate(asking("a")) == "label of a"
    ((asked, headers, _),) = server.requests
    assert asked == "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert {name.lower(): value for name, value in headers.items()}["api-key"] == KEY


def test_the_newer_azure_is_asked_like_openai(server):
    client(server, "/openai/v1", key_from="AZURE_KEY").generate(asking("a"))
    asked, headers, _ = server.requests[0]
    sent = {name.lower(): value for name, value in headers.items()}
    assert asked == "/openai/v1/chat/completions" and sent["authorization"] == f"Bearer {AZURE}"


def test_an_answer_says_what_it_took(server):
    answer = client(server).generate(asking("a"))
    assert (answer.prompt_tokens, answer.answer_tokens, answer.finish_reason) == (11, 5, "stop")
    assert client(server).generate(asking("cut off")).finish_reason == "length"
    assert client(server).generate(asking("no usage")).prompt_tokens is None
    usage = ask(client(server, prices=(1e6, 2e6)), [asking("a"), asking("blocked"), asking("no usage")]).usage
    assert (usage.failed, usage.prompt_tokens, usage.answer_tokens, usage.price) == (1, 22, 10, 42)


@pytest.mark.parametrize(
    ("said", "told", "tokens"),
    [
        ("blocked", "refused by the content filter of http", 11),
        ("blocked before", "refused by the content filter of http", None),
        ("refused", "the model 'm' refused: I would rather not.", 11),
        ("only thought", "raise max_tokens, or max_completion_tokens", 11),
    ],
)
def test_what_is_no_answer_says_why_and_what_it_took(server, said, told, tokens):
    with pytest.raises(LLMError) as caught:
        client(server).generate(asking(said))
    assert told in str(caught.value) and str(caught.value).startswith("empty") == (said == "only thought")
    assert isinstance(caught.value, UnusableError) == (tokens is not None)
    assert getattr(caught.value, "prompt_tokens", None) == tokens


def test_a_schema_is_sent_where_one_is_given(server):
    ask(client(server), [asking("a")], schema=SCHEMA)
    sent = server.requests[0][2]["response_format"]
    assert sent["type"] == "json_schema" and sent["json_schema"]["schema"] == SCHEMA
    ask(client(server), [asking("a")])
    assert "response_format" not in server.requests[1][2]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_schemas_is_asked_without_once_and_for_all(server, status):
    server.structured, server.refuses_with = False, status
    asked = ask(client(server, parallel=1), [asking(text) for text in "abc"], schema=SCHEMA)
    assert asked.answers == ("label of a", "label of b", "label of c")
    assert ["response_format" in body for _, _, body in server.requests] == [True, False, False, False]


def test_what_a_server_refuses_for_another_reason_says_nothing_about_schemas(server):
    asked = ask(client(server, parallel=1), [asking(t) for t in ("too long", "blocked form", "c")], schema=SCHEMA)
    assert "context length exceeded" in str(asked.answers[0]) and asked.answers[2] == "label of c"
    assert "content filter" in str(asked.answers[1])  # and it was not asked for again without the schema
    assert ["response_format" in body for _, _, body in server.requests] == [True, False, True, True]


def test_answers_come_as_they_are_made(server):
    llm = client(server, parallel=3)
    assert dict(llm.generate_each([asking(text) for text in "abc"])) == {
        i: f"label of {t}" for i, t in enumerate("abc")
    }


def test_no_secret_stands_anywhere(server, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    secrets = {"headers_from": {"api-key": "AZURE_KEY"}, "extra_headers": {"X-Token": f"Bearer {AZURE}"}}
    llm = client(server, **secrets)
    asked = ask(llm, [asking(text) for text in ("a", "echo", "blocked before", "refused")], cache=tmp_path)
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    shown = [repr(llm), json.dumps(parameters_of(llm)), json.dumps(llm.identity()), *map(str, asked.answers)]
    everything = "".join([*shown, caplog.text, *capfd.readouterr(), held.decode(errors="replace")])
    assert asked.usage.failed == 3 and "answered 403: who are [key] and Bearer [key]?" in everything
    assert not any(part in everything for part in (KEY, AZURE, KEY[:10], AZURE[:10], KEY[-6:], AZURE[-6:]))


def test_only_what_changes_answers_tells_clients_apart(server):
    llm = client(server)
    same = [{"timeout": 9.0}, {"retries": 5}, {"parallel": 9}, {"prices": (1.0, 1.0)}, {"key_from": "AZURE_KEY"}]
    other = [{"model": "n"}, {"temperature": 1.0}, {"seed": 1}, {"extra_body": {"top_p": 1}}, {"max_tokens": 3}]
    other += [{"extra_headers": {"X-Beta": "1"}}, {"reasoning_effort": "low"}, {"api_version": "1"}]
    assert all(client(server, **one).identity() == llm.identity() for one in same)
    assert all(client(server, **one).identity() != llm.identity() for one in other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": f"http://host/v1?api-key={KEY}"},
        {"base_url": f"http://host/v1?code={KEY}"},
        {"headers_from": {"api-key": KEY}},
        {"api_version": "2024-10-21"},
        {"max_completion_tokens": 0},
        {"prices": (1.0, -1.0)},
    ],
)
def test_settings_that_cannot_be_meant_are_refused_and_secrets_not_repeated(wrong):
    with pytest.raises(InputError) as caught:
        OpenAI(**wrong)
    assert KEY not in str(caught.value)
