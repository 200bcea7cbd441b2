from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from interp_core.errors import InputError, LLMError
from interp_core.plugin import _registry as registry
from interp_core.results import parameters_of
from interp_core.testing import contract_tests, run_checks
from interp_llm.asking import ask, check_ready
from interp_openai.client import OpenAI

KEY = "sk-test-0123456789-secret-abcdef"
TEMPORARY = {"busy once": 429, "broken once": 500}

test_contract = contract_tests("openai")


class Script(BaseHTTPRequestHandler):
    """Answers as the last message says: the name of a mishap, or any text, which comes back as `label of …`."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = request["messages"][-1]["content"]
        self.server.requests.append((said, request, self.headers))
        tries = Counter(text for text, _, _ in self.server.requests)[said]
        if said == "slow":
            self.server.released.wait(3)
        if said in TEMPORARY and tries == 1:
            return self.answer(TEMPORARY[said], {"error": {"message": "come back"}}, {"Retry-After": "0"})
        if said in ("echo the key", "echo half the key"):
            repeated = KEY if said == "echo the key" else f"{KEY[:10]}****{KEY[-6:]}."
            return self.answer(401, {"error": {"message": f"Incorrect API key provided: {repeated}"}})
        if said == "broken":
            return self.answer(500, {"error": {"message": "out of order " + 99 * "very "}})
        if said == "no such model":
            return self.answer(404, {"detail": "what?"})
        if said == "no json":
            return self.answer(200, "<html>welcome</html>")
        text = {"empty": " \n", "tell the key": f"it is {self.headers['Authorization']}"}.get(said, f"label of {said}")
        return self.answer(200, completion(text))

    def answer(self, status, body, headers=None):
        plain = isinstance(body, str)
        data = (body if plain else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html" if plain else "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def completion(text):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "scripted", "choices": [choice]}


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_):  # a client that has given up is no news
        pass


@contextmanager
def serving(handler):
    server = QuietServer(("127.0.0.1", 0), handler)
    server.requests, server.released = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Script) as started:
        yield started


def client(server, **parameters):
    settings = {"model": "scripted", "timeout": 5.0, "retries": 1, **parameters}
    return OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", **settings)


def asking(text):
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


def test_the_promises_of_a_language_model_are_kept_with_a_server_that_answers(server):
    outcomes = list(run_checks("openai", base_url=f"http://127.0.0.1:{server.server_port}/v1", model="scripted"))
    assert {one.check.name: one.message for one in outcomes if not one.passed} == {}
    assert len(server.requests) >= 2 * 18  # it was asked, each conversation alone and together with the others


def test_answers_stand_in_the_order_of_the_questions(server):
    questions = [f"question {i}" for i in range(12)]
    assert client(server).generate_all([asking(q) for q in questions]) == [f"label of {q}" for q in questions]


def test_requests_run_side_by_side_up_to_the_number_allowed(server):
    now, most, lock = 0, 0, threading.Lock()

    class Counting(Script):
        def answer(self, *given):
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.2)
            with lock:
                now -= 1
            super().answer(*given)

    with serving(Counting) as counting:
        client(counting, parallel=3).generate_all([asking(str(i)) for i in range(6)])
    assert most == 3


@pytest.mark.parametrize("mishap", TEMPORARY)
def test_what_passes_is_tried_again(server, mishap):
    assert client(server).generate(asking(mishap)) == f"label of {mishap}"
    assert len(server.requests) == 2


def test_a_failed_call_takes_its_place_and_takes_no_other_down(server):
    said = ("a", "broken", "busy once", "no such model", "empty", "b")
    found = client(server).generate_all([asking(text) for text in said])
    assert [found[i] for i in (0, 2, 5)] == ["label of a", "label of busy once", "label of b"]
    assert all(isinstance(found[i], LLMError) for i in (1, 3, 4)) and len(found) == 6


@pytest.mark.parametrize(
    ("mishap", "told"),
    [
        ("broken", ("answered 500", "out of order very", "Tried 2 times", "try again later")),
        ("no such model", ("answered 404", "what?", "'scripted'")),
        ("echo the key", ("answered 401", "Incorrect API key provided", "OPENAI_API_KEY")),
        ("empty", ("empty answer",)),
        ("no json", ("no chat completion", "/v1")),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(server, mishap, told):
    with pytest.raises(LLMError) as caught:
        client(server).generate(asking(mishap))
    assert all(part in str(caught.value) for part in told)
    assert len(str(caught.value)) < 500


def test_a_server_that_is_too_slow_is_a_failed_call(server):
    slow, quick = client(server, timeout=0.3, retries=0).generate_all([asking("slow"), asking("quick")])
    assert isinstance(slow, LLMError) and "1 tries of 0.3 s" in str(slow) and "timeout" in str(slow)
    assert quick == "label of quick"


def test_a_server_that_is_not_there_is_a_failed_call(server):
    server.server_close()
    with pytest.raises(LLMError, match=r"cannot be reached .* check base_url"):
        client(server, retries=0).generate(asking("anything"))


@pytest.mark.parametrize("mishap", ["echo the key", "echo half the key", "tell the key"])
def test_the_key_is_nowhere_even_if_the_server_repeats_it(server, mishap):
    asked = client(server)
    (found,) = asked.generate_all([asking(mishap)])
    with pytest.raises(LLMError) as caught:
        asked.generate(asking("echo the key"))
    raised = "".join(traceback.format_exception(caught.value))
    everything = [repr(asked), json.dumps(parameters_of(asked)), str(found), repr(found), raised]
    assert server.requests[0][2]["Authorization"] == f"Bearer {KEY}"
    assert not any(part in text for text in everything for part in (KEY, KEY[:10], KEY[-6:]))
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_request_carries_the_settings_and_nothing_that_was_left_out(server):
    client(server, temperature=0.5, max_tokens=7).generate(asking("one"))
    client(server, temperature=None, max_tokens=None).generate(asking("two"))
    (_, first, _), (_, second, _) = server.requests
    assert first == {"model": "scripted", "messages": asking("one"), "temperature": 0.5, "max_tokens": 7}
    assert second == {"model": "scripted", "messages": asking("two")}


def test_openai_itself_wants_a_key_and_another_server_does_not(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert client(server).generate(asking("anything")) == "label of anything"
    assert server.requests[0][2]["Authorization"] == "Bearer none"
    with pytest.raises(InputError, match="MY_KEY"):
        OpenAI(key_from="MY_KEY").generate(asking("anything"))


@pytest.fixture
def heeds_interrupts():
    """What was started in the background ignores interrupts; the test is about those that arrive."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupt_stops_everything_at_once(server):
    main = threading.main_thread().ident
    threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client(server, parallel=1, retries=0).generate_all([asking("slow")] * 5)
    assert time.monotonic() - start < 2
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0.0}, {"retries": -1}, {"parallel": 0}, {"max_tokens": 0}, {"base_url": "http://me:word@host/v1"}],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        OpenAI(**wrong)


def test_a_key_given_in_place_of_its_variable_is_refused_and_not_repeated():
    with pytest.raises(InputError) as caught:
        OpenAI(key_from=KEY)
    assert KEY not in str(caught.value)


def test_it_is_found_by_name():
    assert registry.method("openai", "llm") == OpenAI()


@pytest.mark.parametrize("llm", ["openai", OpenAI()], ids=["by name", "an instance"])
def test_the_key_is_looked_for_at_the_first_call_that_no_cache_knows(server, monkeypatch, tmp_path, llm):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    kept = [asking(text) for text in ("one", "two")]
    first = ask(llm, kept, cache=tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setattr(OpenAI, "_client", lambda *_: pytest.fail("a client was made"))
    check_ready(llm, cache=tmp_path)
    again = ask(llm, kept, cache=tmp_path)
    assert again.answers == first.answers == ("label of one", "label of two") and again.usage.cached == 2
    with pytest.raises(InputError, match="the environment variable OPENAI_API_KEY is empty; put the key into it"):
        ask(llm, [*kept, asking("three")], cache=tmp_path)
    with pytest.raises(InputError, match="OPENAI_API_KEY is empty"):
        check_ready(llm, cache=tmp_path / "nothing kept")
    assert len(server.requests) == 2
