"""Looking around is quick: nothing heavy is imported before a model runs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from packages import packages

pytestmark = pytest.mark.current

HEAVY = ("torch", "numpy", "transformers", "jinja2", "safetensors", "sklearn")
DECLARATIONS = [package.folder / package.module / "__init__.py" for package in packages()]


def loaded_after(code: str) -> list[str]:
    """Which heavy packages a new interpreter has loaded after running some code."""
    report = f"print('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    code = f"import json, sys\n{code}\n{report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def loaded_after_interp(*arguments: str) -> list[str]:
    """The same after a command of `interp`."""
    return loaded_after(f"from interp_core.cli import main\nmain({list(arguments)!r}, standalone_mode=False)")


def test_importing_the_core_loads_nothing_heavy() -> None:
    assert loaded_after("import interp_core") == []


def test_seeing_what_the_core_offers_loads_nothing_heavy() -> None:
    assert loaded_after("import interp_core; dir(interp_core)") == []


def test_what_a_plugin_declares_with_loads_nothing_heavy() -> None:
    assert loaded_after("from interp_core import Method, hookimpl, methods, InterpError; methods()") == []


@pytest.mark.parametrize(
    "module",
    [
        "plugin",
        "errors",
        "display",
        "plugin._registry",
        "cli",
        "cli._main",
        "cli._activations",
        "cli._concepts",
        "cli._effects",
        "cli._explain",
        "cli._measure",
        "cli._report",
        "cli._spaces",
        "cli._steer",
        "plugin._scaffolding",
    ],
)
def test_the_light_modules_load_nothing_heavy(module: str) -> None:
    assert loaded_after(f"import interp_core.{module}") == []


LOOKING = [
    ["list"],
    ["list", "--json"],
    ["list", "--kind", "metric"],
    ["--help"],
    ["attribute", "-h"],
    ["fit", "--help"],
]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_looking_around_on_the_command_line_loads_nothing_heavy(command: list[str]) -> None:
    assert loaded_after_interp(*command) == []


@pytest.mark.parametrize("words", [["attribute", "--by"], ["measure", "rows", "--by"], ["show"], []], ids=" ".join)
def test_completing_a_word_loads_nothing_heavy(words: list[str]) -> None:
    shell = "from click.shell_completion import ShellComplete\nfrom interp_core.cli import main\n"
    asked = f"assert ShellComplete(main, {{}}, 'interp', '_INTERP_COMPLETE').get_completions({words!r}, '')"
    assert loaded_after(shell + asked) == []


def test_a_new_plugin_is_written_without_torch(tmp_path: Path) -> None:
    assert loaded_after_interp("new-plugin", "mine", "--into", str(tmp_path)) == ["jinja2"]


def test_an_unknown_method_is_refused_before_torch_is_loaded() -> None:
    asked = "main(['attribute', '--model', 'x', '--by', 'no-such-method', 'a text'], standalone_mode=False)"
    code = f"from interp_core.cli import main\ntry: {asked}\nexcept SystemExit: pass"
    assert loaded_after(code) == []


def test_every_public_name_is_there_once_it_is_asked_for() -> None:
    import interp_core

    assert [name for name in interp_core.__all__ if getattr(interp_core, name, None) is None] == []
    assert set(interp_core.__all__) <= set(dir(interp_core))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    import interp_core

    with pytest.raises(AttributeError, match="interp_core has no 'nothing'"):
        _ = interp_core.nothing


@pytest.mark.parametrize("file", DECLARATIONS, ids=[f.parent.name for f in DECLARATIONS])
def test_a_declaration_imports_only_what_declaring_takes(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert modules <= {"collections.abc", "interp_core.plugin", "__future__", "lazy_loader", "typing"}
