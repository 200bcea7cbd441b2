"""The official client against a real server on this machine: `transformers serve` with a tiny model."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import interp_core as interp
import pytest
import torch
from interp_core.activations import of_rows
from interp_core.concepts import ConceptSpace, interpret
from interp_core.errors import InterpWarning
from interp_core.text import read_column
from interp_llm_labels.labels import LLMLabels
from interp_openai.client import OpenAI

SERVE = Path(sys.executable).with_name("transformers")
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
READY_WITHIN = 120  # seconds; it takes about ten


class Identity(ConceptSpace):
    def encode(self, values):
        return values


@pytest.fixture(scope="module")
def model_folder(shared, tmp_path_factory):
    """A copy of the tiny model that knows how to put a chat into one text."""
    if not SERVE.exists():
        message = f"{SERVE} is not there: pip install 'transformers[serving]'"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("served") / "llama-tiny"
    folder.mkdir()
    for file in (shared / "models" / "llama-tiny").iterdir():
        shutil.copyfile(file, folder / file.name)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def llm(model_folder):
    port = free_port()
    command = [SERVE, "serve", model_folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    offline = {"HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    log = model_folder.with_name("log.txt")
    with log.open("w") as out, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.delenv("OPENAI_API_KEY", raising=False)
        server = subprocess.Popen(command, env={**os.environ, **offline}, stdout=out, stderr=out)
        try:
            wait_until_ready(server, f"http://127.0.0.1:{port}/health", log)
            url = f"http://127.0.0.1:{port}/v1"
            yield OpenAI(model=str(model_folder), base_url=url, max_tokens=8, parallel=2, retries=1, timeout=30.0)
        finally:
            stop(server)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(server, address, log):
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the server did not become ready (exit status {server.poll()}): {log.read_text()[-2000:]}")


def stop(server):
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def test_every_concept_has_its_entry_and_every_answer_is_accounted_for(llm):
    corpus = of_rows(torch.eye(4), ["my card is lost", "where is my money", "o noble king", "good morrow"])
    space = Identity(torch.eye(4))
    method = LLMLabels(llm=llm, examples=1, instructions="Name what these have in common.")
    found = interpret(space, corpus, by=method)
    assert [c.concept for c in found.concepts] == [0, 1, 2, 3]
    assert [c.examples[0].text for c in found.concepts] == list(corpus.texts)
    failed = [c for c in found.concepts if c.note.startswith("the call failed")]
    malformed = [c for c in found.concepts if c.note.startswith("the answer was malformed")]
    answered = [c for c in found.concepts if c.label]
    assert len(answered) + len(failed) + len(malformed) == 4
    assert answered and not failed
    assert found.notes[0].startswith(f"{len(answered)} of 4 concepts labelled")


def test_a_model_the_server_cannot_load_costs_labels_and_loses_no_concept(llm):
    absent = replace(llm, model="no/such-model", retries=0)
    with pytest.warns(InterpWarning, match="none of 2 concepts got a label"):
        found = interpret(Identity(torch.eye(2)), of_rows(torch.eye(2)), by=LLMLabels(llm=absent))
    assert [c.label for c in found.concepts] == [None, None]
    assert all("answered" in c.note and c.examples for c in found.concepts)


def test_concepts_of_five_classes_are_named_from_words_in_context(llm, shared, tmp_path):
    model = interp.load(shared / "models" / "emotion-minilm")
    texts = read_column(shared / "data" / "emotion" / "test.csv.gz")[:150]
    split = model.split(2)
    held = split.activations(texts, granularity="word", predictions=True, progress=False)
    found = {}
    for name in model.labels[:5]:
        own = held.of_class(name)
        space = interp.fit_concepts(own, by="pca", concepts=3)
        matter = interp.importance(split, space, own, targets=[name], progress=False)
        best = [number for number, _ in matter.top(name, 2)]
        method = LLMLabels(llm=llm, examples=5, context=3, contrast=2, cache=str(tmp_path / "answers"))
        found[name] = interpret(space, own, by=method, concepts=best)
        assert [c.concept for c in found[name].concepts] == best
    usages = [words.usage for words in found.values()]
    assert sum(one.conversations for one in usages) == 10 and all(one.prompt_tokens > 0 for one in usages)
    for words in found.values():
        assert all(c.label or c.note for c in words) and all(len(c.shown) == len(c.examples) + 2 for c in words)
    again = interpret(space, own, by=replace(method, llm=replace(llm, timeout=5.0)), concepts=best)
    assert again.usage.cached == sum(not c.note.startswith("the call failed") for c in again)
    assert [c.label for c in again] == [c.label for c in found[name]]
