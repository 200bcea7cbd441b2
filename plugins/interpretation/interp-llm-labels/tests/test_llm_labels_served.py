from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, Interpretation, interpret
from interp_openai.client import OpenAI

KEY = "sk-test-0123456789-secret-abcdef"
WORDS = ["apple", "iron", "rain", "crow"]
SAYS = {"apple": (200, "Label: fruit"), "iron": (500, ""), "rain": (200, "weather."), "crow": (200, "")}


class Identity(ConceptSpace):
    def encode(self, values):
        return values


class Script(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, text = SAYS[request["messages"][1]["content"].removeprefix("10 | ")]
        message = {"role": "assistant", "content": text}
        failure = {"error": {"message": f"no answer to {self.headers['Authorization']}"}}
        data = json.dumps(failure if status == 500 else {"choices": [{"finish_reason": "stop", "message": message}]})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def llm(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield OpenAI(model="scripted", base_url=f"http://127.0.0.1:{server.server_port}/v1", timeout=5.0, retries=0)
    server.shutdown()
    server.server_close()
    thread.join()


def test_labels_come_through_the_official_client_and_failures_stay_in_their_place(llm, tmp_path):
    space, corpus = Identity(torch.eye(4)), of_rows(torch.eye(4), WORDS)
    found = interpret(space, corpus, by="llm-labels", llm=llm, concepts=[2, 1, 0, 3])
    assert [(c.concept, c.label) for c in found.concepts] == [(2, "weather"), (1, None), (0, "fruit"), (3, None)]
    assert [c.examples[0].text for c in found.concepts] == ["rain", "iron", "apple", "crow"]
    assert "answered 500" in found[1].note and "empty answer" in found[3].note
    assert found.notes[0].startswith("2 of 4 concepts labelled; failed calls: 2 (")


def test_neither_the_result_nor_its_file_holds_the_key(llm, tmp_path):
    found = interpret(Identity(torch.eye(4)), of_rows(torch.eye(4), WORDS), by="llm-labels", llm=llm)
    saved = found.save(tmp_path / "labels.json")
    assert "[key]" in found[1].note and KEY not in repr(found) + saved.read_text(encoding="utf-8")
    assert found.made_by.parameters["llm"] == {"repr": repr(llm)}
    assert Interpretation.load(saved).concepts == found.concepts
