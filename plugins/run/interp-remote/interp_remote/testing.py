"""A completions server of a model that is here, on the loopback interface: what a `RemoteModel` is tried against."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

Mishap = tuple[int, dict[str, str], str]  # status, headers and body of an answer
HANG_UP: Mishap = (0, {}, "")


class LoopbackServer(ThreadingHTTPServer):
    """Answers `/v1/completions` with `echo` and `logprobs`, as the reference of OpenAI describes it.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer, a fast one.
        mishap: what is answered in place of a completion, for a request and its number from 0; None for a completion.
        echoes: False to ignore `echo`.
        says: False for no log-probabilities.
        shift: 1 to give each token the distribution of the one that follows, as llama-cpp-python 0.3.36 does.

    Attributes:
        requests: the requests, in the order in which they came.
        most_at_once: the most that were answered at the same time.

    Examples:
        >>> from interp_core.testing import tiny_generator
        >>> from interp_remote.testing import serving
        >>> tiny = tiny_generator()
        >>> with serving(tiny.model, tiny.tokenizer) as server:
        ...     server.url.startswith("http://127.0.0.1:"), server.requests
        (True, [])
    """

    daemon_threads = True

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        mishap: Callable[[dict[str, Any], int], Mishap | None] = lambda request, number: None,
        echoes: bool = True,
        says: bool = True,
        shift: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer, self.mishap = model, tokenizer, mishap
        self.echoes, self.says, self.shift = echoes, says, shift
        self.requests: list[dict[str, Any]] = []
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What is given as `base_url`."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that has given up is no news."""

    def completion(self, request: dict[str, Any]) -> dict[str, Any]:
        """The completion of a prompt, by greedy decoding."""
        prompt = request["prompt"]
        encoding = self.tokenizer(prompt, return_offsets_mapping=True)
        ids, offsets = list(encoding["input_ids"]), list(encoding["offset_mapping"])
        sent = len(ids)
        for _ in range(request["max_tokens"]):
            best = int(self._logprobs(ids)[-1].argmax())
            if best == self.tokenizer.eos_token_id:
                break
            ids.append(best)
        written = self.tokenizer.decode(ids[sent:])
        echo = bool(request.get("echo")) and self.echoes
        choice = {"index": 0, "text": prompt * echo + written, "finish_reason": "length", "logprobs": None}
        if self.says and request.get("logprobs") is not None:
            names = self._names(prompt, ids[:sent], offsets) + [self.tokenizer.decode([i]) for i in ids[sent:]]
            choice["logprobs"] = self._said(ids, names, 0 if echo else sent)
        usage = {"prompt_tokens": sent, "completion_tokens": len(ids) - sent, "total_tokens": len(ids)}
        named = {"id": "1", "object": "text_completion", "created": 0, "model": request["model"]}
        return {**named, "choices": [choice], "usage": usage}

    def _logprobs(self, ids: list[int]) -> torch.Tensor:
        with self.lock, torch.no_grad():
            logits: torch.Tensor = self.model(torch.tensor([ids or [0]])).logits[0]
        return logits.float().log_softmax(-1)

    def _names(self, prompt: str, ids: list[int], offsets: list[tuple[int, int]]) -> list[str]:
        shared = [offsets.count(offset) > 1 for offset in offsets]
        spelt = zip(offsets, shared, self.tokenizer.convert_ids_to_tokens(ids), strict=True)
        return [name if a == b else "\ufffd" if twice else prompt[a:b] for (a, b), twice, name in spelt]

    def _said(self, ids: list[int], names: list[str], start: int) -> dict[str, Any]:
        table = self._logprobs(ids)
        own: list[float | None] = []
        top: list[dict[str, float] | None] = []
        for place in range(start, len(ids)):
            row = table[place - 1 + self.shift * (start == 0)]
            best = int(row.argmax())
            own.append(float(row[ids[place]]) if place else None)
            best_name = names[place] if best == ids[place] else self.tokenizer.decode([best])
            top.append({best_name: float(row[best])} if place else None)
        return {"tokens": names[start:], "token_logprobs": own, "top_logprobs": top, "text_offset": []}


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer

    def do_POST(self) -> None:
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            number = len(server.requests)
            server.requests.append(request)
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            status, headers, body = server.mishap(request, number) or (200, {}, json.dumps(server.completion(request)))
        finally:
            with server.lock:
                server.at_once -= 1
        if not status:
            self.close_connection = True
            return
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: Any) -> None:
        pass


@contextmanager
def serving(model: Any, tokenizer: Any, **options: Any) -> Iterator[LoopbackServer]:
    """A server that runs while a `with` statement does.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer, a fast one.
        **options: those of `LoopbackServer`.

    Yields:
        The server.
    """
    server = LoopbackServer(model, tokenizer, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
