"""Every name that a face exports says what it takes, gives and refuses, with an example that runs."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
from interp_core.plugin import _registry

pytestmark = pytest.mark.current

ROOT = Path(__file__).parent.parent
ROOMS = sorted(folder.name for folder in (ROOT / "interp_core").iterdir() if (folder / "__init__.py").is_file())
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def exported() -> Iterator[tuple[str, Any]]:
    """Each function and class of each face, once."""
    for room in ROOMS:
        face = importlib.import_module(f"interp_core.{room}")
        for name in face.__all__:
            value = getattr(face, name)
            if inspect.isroutine(value) or inspect.isclass(value):
                yield f"{room}.{name}", value


EXPORTED = dict(exported())


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is known to it alone."""
    monkeypatch.setattr(_registry, "_registered", [])


def said(value: Any) -> str:
    """The docstring; of a command that click has wrapped, that of its function."""
    return inspect.cleandoc(
        getattr(value, "__doc__", None) or getattr(getattr(value, "callback", None), "__doc__", "") or ""
    )


def section(doc: str, name: str) -> str:
    found = re.search(rf"^{name}:\n((?:[ ]+.*\n?|\n(?=[ ]))+)", doc, re.MULTILINE)
    return found[1] if found else ""


def named_in(text: str) -> set[str]:
    """The names that a section explains: `name: …`, `*name: …`, `a, b: …`."""
    entries = re.findall(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \(.*?\))?:", text, re.MULTILINE)
    return {one.strip().lstrip("*") for entry in entries for one in entry.split(",")}


def parameters(value: Any) -> set[str]:
    signature = inspect.signature(inspect.unwrap(value))
    return {name for name in signature.parameters if name not in ("self", "cls") and not name.startswith("_")}


def raises(value: Any) -> bool:
    """Whether its own body raises an error of the toolkit."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value))))
    except (OSError, TypeError):
        return False
    named = [ast.unparse(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return any(
        re.match(r"(Input|Target|Layer|Budget|Unsupported|Model|LLM|\w*Plugin|UnknownMethod|DuplicateMethod)Error", n)
        for n in named
    )


@pytest.mark.parametrize("name", [n for n, v in EXPORTED.items() if inspect.isroutine(v)])
def test_a_function_says_what_it_takes_gives_and_refuses(name: str) -> None:
    value = EXPORTED[name]
    doc = said(value)
    assert parameters(value) - named_in(section(doc, "Args")) == set(), "not explained under Args"
    gives = inspect.signature(inspect.unwrap(value)).return_annotation
    assert gives in (None, "None", inspect.Signature.empty) or re.search(r"^(Returns|Yields):", doc, re.MULTILINE), (
        "no Returns"
    )
    assert not raises(value) or section(doc, "Raises"), "it raises, and there is no section Raises"


@pytest.mark.parametrize("name", [n for n, v in EXPORTED.items() if inspect.isclass(v)])
def test_a_class_says_what_its_parts_are(name: str) -> None:
    value = EXPORTED[name]
    docs = "\n".join(said(one) for one in inspect.getmro(value) if one.__module__.startswith("interp_core"))
    explained = {
        n for doc in map(said, inspect.getmro(value)) for s in ("Args", "Attributes") for n in named_in(section(doc, s))
    }
    fields = {f.name for f in dataclasses.fields(value) if f.init} if dataclasses.is_dataclass(value) else set()
    own = (
        parameters(value.__init__)
        if "__init__" in vars(value) and not fields and not getattr(value, "_is_protocol", False)
        else fields
    )
    assert {n for n in own if n[0] != "_"} - explained == set(), "not explained under Args or Attributes"
    assert docs


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_has_an_example_that_runs(name: str) -> None:
    value = EXPORTED[name]
    assert section(said(value), "Examples"), "no section Examples"
    test = doctest.DocTestParser().get_doctest(said(value), {"interp": interp, "torch": torch}, name, None, 0)
    assert test.examples, "the section Examples holds no >>> lines"
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    out: list[str] = []
    runner.run(test, out=out.append)
    assert runner.failures == 0, "".join(out)
