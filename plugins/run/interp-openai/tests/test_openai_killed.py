"""Two hundred conversations with a server that has faults, killed in the middle and gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from interp_core.errors import LLMError
from interp_llm.asking import ask
from interp_llm.reading import spoken
from interp_openai.client import OpenAI

KEY = "sk-test-0123456789-secret-abcdef"
COUNT, PARALLEL = 200, 16
FAULTS = ("429", "500", "slow", "dropped", "malformed", "refusal")
TIMEOUT = 1.0

PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from interp_llm.asking import ask
from interp_openai.client import OpenAI
folder, address, count = sys.argv[1:]
llm = OpenAI(model="m", base_url=address, parallel=16, timeout=1.0, retries=2, prices=(1e6, 2e6))
print(llm)
conversations = [[{"role": "user", "content": f"question {i}"}] for i in range(int(count))]
asked = ask(llm, conversations, cache=folder)
usage = asked.usage
counts = [usage.conversations, usage.cached, usage.failed, usage.prompt_tokens, usage.answer_tokens, usage.price]
said = [str(one) if isinstance(one, str) else None for one in asked.answers]
errors = [str(one) for one in asked.answers if isinstance(one, Exception)]
print("RESULT", json.dumps({"counts": counts, "said": said, "errors": errors}))
"""


class Faulty(BaseHTTPRequestHandler):
    """A fault at the first of five requests, drawn from the question; then an answer, every third with a thought."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = request["messages"][-1]["content"]
        with self.server.lock:
            self.server.asked.append((time.monotonic(), said))
            tries = sum(text == said for _, text in self.server.asked)
        time.sleep(0.05)
        fault = fault_of(said)
        if fault and tries == 1:
            self.fail(fault)
            return
        with self.server.lock:
            self.server.answered[said] += 1
        self.send(200, json.dumps(completion({"content": answer_to(said)})))

    def fail(self, fault):
        self.server.faults[fault] += 1
        if fault == "429":
            self.send(429, json.dumps({"error": {"message": "slow down"}}), {"Retry-After": "1"})
        elif fault == "500":
            self.send(500, json.dumps({"error": {"message": "out of order"}}))
        elif fault == "malformed":
            self.send(200, '{"id": "1", "choices": [{"mess')
        elif fault == "refusal":
            self.send(200, json.dumps(completion({"content": None, "refusal": "Not today."})))
        else:
            time.sleep(TIMEOUT + 0.5 if fault == "slow" else 0)
            self.close_connection = True

    def send(self, status, text, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a client that was killed is no news
        pass


def draw(said):
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:4], "big")


def fault_of(said):
    return FAULTS[draw(said) // 5 % len(FAULTS)] if draw(said) % 5 == 0 else None


def answer_to(said):
    return f"<think>hm</think>label of {said}" if draw(said) % 3 == 0 else f"label of {said}"


def completion(message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return {**whole, "usage": usage}


@pytest.fixture
def server():
    started = QuietServer(("127.0.0.1", 0), Faulty)
    started.asked, started.answered, started.faults, started.lock = [], Counter(), Counter(), threading.Lock()
    thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield started
    started.shutdown()
    started.server_close()
    thread.join()


def begun(server, folder):
    address = f"http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-c", PROGRAM, str(folder), address, str(COUNT)]
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1", "OPENAI_LOG": "debug"}
    with (folder.parent / "log").open("ab") as log:  # a pipe that nobody reads would stop it
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def ended(process, folder):
    assert process.wait(timeout=120) == 0, logged_beside(folder)[-2000:]
    return json.loads(logged_beside(folder).rpartition("RESULT ")[2].partition("\n")[0])


def logged_beside(folder):
    return (folder.parent / "log").read_text()


def kept_in(folder, server):
    """What the cache has an answer to, as a client finds that is the same and never asks."""

    class Silent(OpenAI):
        def generate_each(self, conversations, *, schema=None):
            return ((place, LLMError("not asked")) for place in range(len(conversations)))

    llm = Silent(model="m", base_url=f"http://127.0.0.1:{server.server_port}/v1")
    questions = [f"question {i}" for i in range(COUNT)]
    answers = ask(llm, [[{"role": "user", "content": q}] for q in questions], cache=folder).answers
    return {question for question, answer in zip(questions, answers, strict=True) if isinstance(answer, str)}


@pytest.mark.slow
def test_a_killed_run_with_faults_loses_nothing_and_asks_nothing_twice(server, tmp_path):
    folder = tmp_path / "cache"
    first = begun(server, folder)
    while sum(server.answered.values()) < COUNT // 2:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    assert first.wait(timeout=60) == -signal.SIGKILL and "RESULT" not in logged_beside(folder)
    time.sleep(TIMEOUT + 1)  # until the server is done with what the first run had asked
    kept, answered, asked = kept_in(folder, server), set(server.answered), len(server.asked)
    assert kept <= answered and len(answered - kept) <= PARALLEL  # those that were under way when it was killed

    second = ended(begun(server, folder), folder)
    again = Counter(said for _, said in server.asked[asked:])
    assert not kept & set(again)
    failed = {f"question {i}" for i, said in enumerate(second["said"]) if said is None}
    assert second["counts"][:3] == [COUNT, len(kept), len(failed)]
    assert {fault_of(question) for question in failed} <= {"malformed", "refusal"}
    refusals = sum(fault_of(question) == "refusal" for question in failed)
    paid = COUNT - len(kept) - len(failed) + refusals
    assert second["counts"][3:] == [7 * paid, 3 * paid, 7 * paid + 2 * 3 * paid]
    assert any("refused: Not today." in error for error in second["errors"])

    third = ended(begun(server, folder), folder)
    assert third["counts"][:3] == [COUNT, COUNT - len(failed), 0]
    assert third["said"] == [answer_to(f"question {i}") for i in range(COUNT)]
    assert {spoken(said) for said in third["said"]} == {f"label of question {i}" for i in range(COUNT)}
    assert all(server.answered[said] == 1 for said in kept | (set(again) - (answered - kept)))
    assert set(server.faults) == set(FAULTS) and sum(server.faults.values()) == sum(
        fault_of(f"question {i}") is not None for i in range(COUNT)
    )

    for said in {text for _, text in server.asked if fault_of(text) == "429"}:
        first_try, next_try, *_ = (when for when, text in server.asked if text == said)
        assert next_try - first_try >= 1
    held = b"".join(file.read_bytes() for file in folder.iterdir())
    everything = logged_beside(folder) + held.decode(errors="replace")
    assert "OpenAI(model='m'" in everything and "question 1" in everything  # it was logged at all
    assert not any(part in everything for part in (KEY, KEY[:12], KEY[-8:]))
