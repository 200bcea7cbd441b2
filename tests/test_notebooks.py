"""Both notebooks of interpreto, from top to bottom, with nothing changed but import lines and places."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import notebook_worlds as worlds
import pytest
from interp_demo import story
from nbclient import NotebookClient

pytestmark = [pytest.mark.slow, pytest.mark.current]

ROOT = Path(__file__).parent.parent
NOTEBOOKS = {
    "from-interpreto-classification.ipynb": "000_a954f46740fd0312.txt",
    "from-interpreto-concepts.ipynb": "003_4c5de5df8b2008b8.txt",
}
LINES = {"from-interpreto-classification.ipynb": 136, "from-interpreto-concepts.ipynb": 50}
KEY = "sk-of-the-notebook-0123456789"


def cells_of(name: str) -> Any:
    return nbformat.read(ROOT / "docs" / name, as_version=4)


@contextmanager
def language_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server on this machine; the notebooks find it by the environment, as the official client does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), worlds.Namer)
    server.requests = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def executed(notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What all cells print, as one text; a cell that fails fails the test."""
    for name, value in {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def shown(notebook: Any) -> list[str]:
    """The pages that cells show."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [o.data["text/html"] for o in outputs if o.output_type == "execute_result" and "text/html" in o.data]


@pytest.mark.parametrize(("name", "seed"), NOTEBOOKS.items())
def test_nothing_but_import_lines_and_the_device_differs(name: str, seed: str, shared: Path) -> None:
    said = (shared / "seeds" / seed).read_text(encoding="utf-8").splitlines()
    lines = iter(re.sub(r"\.cuda\(\)$", "", line).replace('"cuda"', '"cpu"') for line in said)
    used = 0
    for cell in cells_of(name).cells:
        if cell.cell_type == "code":
            code = cell.source.replace("import interp_interpreto as interpreto", "import interpreto")
            for line in re.sub(r"^from interp_interpreto", "from interpreto", code, flags=re.MULTILINE).splitlines():
                assert line in lines, f"not in the notebook of interpreto, or not in this place: {line}"
                used += bool(line.strip())
    assert used == LINES[name]  # all that it has


def test_the_notebook_of_a_classifier_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the classifier of the demonstration, which has three blocks in place of twelve."""
    worlds.classifier(tmp_path)
    worlds.data_set(tmp_path, "dair-ai/emotion", "split", story.corpus().texts)
    notebook = cells_of("from-interpreto-classification.ipynb")
    for cell in notebook.cells:
        cell.source = cell.source.replace("split_points=[11]", "split_points=[2]")
    with language_model(monkeypatch) as server:
        said = executed(notebook, tmp_path, monkeypatch)
    auc, fid, ratio = (float(re.search(rf"{what}: ([\d.]+)", said)[1]) for what in ("AUC", "FID", "ratio"))  # type: ignore[index]
    assert 0 < auc < 1 and 0 < fid < 1 and 0 < ratio < 0.1
    first, labels = said.split("FID")
    assert re.findall(r"Class: (\w+)", first) == re.findall(r"Class: (\w+)", labels)
    assert len(re.findall(r"topk words: \[('\w+'(?:, )?)+\]", first)) >= 25  # of 30
    assert len(re.findall(r"importance: [\d.]+,\ttexts such as \w+", labels)) >= 25
    joy = first.split("Class: joy")[1].split("Class:")[0]
    assert re.search(r"happy|joy|glad|good|excited|wonderful|proud|content|love", joy)
    assert {authorization for _, authorization in server.requests} == {f"Bearer {KEY}"}
    plots = shown(notebook)
    assert len(plots) == 3 and "sadness" in plots[0] and "surprise" in plots[2] and KEY not in "".join(plots)


def test_the_notebook_of_a_masked_language_model_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds.filler(tmp_path)
    worlds.data_set(tmp_path, "cornell-movie-review-data/rotten_tomatoes", "default", story.corpus().texts[:300])
    notebook = cells_of("from-interpreto-concepts.ipynb")
    for cell in notebook.cells:
        cell.source = cell.source.replace("nb_concepts=50", "nb_concepts=20")  # of 32 dimensions in place of 768
    with language_model(monkeypatch) as server:
        said = executed(notebook, tmp_path, monkeypatch)
    rows, width = map(int, re.search(r"torch\.Size\(\[(\d+), (\d+)\]\)", said).groups())  # type: ignore[union-attr]
    assert rows > 3000 and width == 32
    words = re.findall(r"^Concept \d+: \[(.+)\]$", said, re.MULTILINE)
    assert len(words) == 20
    assert sum(len(re.findall(r"' \w", line)) for line in words) > 100  # words with the blank before them
    assert len(re.findall(r"^Concept [012]: texts such as", said, re.MULTILINE)) == len(server.requests) <= 3
