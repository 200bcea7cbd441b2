"""Writes docs/methods.md, every method of this repository's packages, docs/faces.md, what the core exports,
docs/command-line.md, every command, and in docs/components.md which methods answer questions about components."""

from __future__ import annotations

import dataclasses
import inspect
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from interp_core.attribution import attribute
from interp_core.cli import main
from interp_core.cli._main import COMMANDS
from interp_core.errors import InterpError
from interp_core.plugin import VERBS, Method, implementation, methods, package_of
from interp_core.testing import tiny_llama
from packages import packages

ROOT = Path(__file__).parent.parent
TABLE_BEGINS, TABLE_ENDS = "<!-- table: made by make docs -->", "<!-- end of table -->"
HEAD = """\
# Methods

Made by `make docs` from what the packages declare; do not edit it by hand. `interp show NAME` prints the same of one
method, with its whole docstring. *Needs* is what a question or activations must offer before the method will start;
*claims* are promises that `interp check NAME` tests.
"""


FACES_HEAD = """\
# Faces

What packages outside may import: the names that the rooms of the core export. Made by `make docs`; do not edit it by
hand. Whatever begins with an underscore is private. `interp_core.errors` holds the exceptions. `make lint` fails when a
name here breaks without a warning one release before.
"""


COMMANDS_HEAD = """\
# Command line

The verbs of the toolkit as commands. Made by `make docs` from the commands; do not edit it by hand. `interp COMMAND
--help` prints the same of one. The examples run, in this order, on the model and the sentences of `interp-demo`.

- **Texts** are given on the command line, in a file or data set (`--data`), or on standard input, one a line, where a
  text or `--data` is `-`.
- **Results** are kept by `--save FOLDER` and `--to FOLDER`. Commands that go on from saved results take files and
  folders of them in any order, and tell by their kind which is the space and which are the activations: one folder of
  `interp concepts --save` is enough for all. A saved space is never learnt again.
- **Parameters** of the method of a command are `--set KEY=VALUE`, those of another that it uses, such as a metric,
  `--set NAME.KEY=VALUE`. Values are JSON, or else text.
- **Places** to write to, names and parameters are checked before a model is loaded. What is wrong is said in one line,
  with exit code 1; a wrong usage has exit code 2.
- **Programs** read `--json` on standard output. `--quiet` leaves nothing but results: no progress, no notes.

Shells complete commands, options, files and names of methods once they are told to. For bash the line below goes into
`~/.bashrc`; for zsh it is the same with `zsh_source`, in `~/.zshrc`; for fish
`_INTERP_COMPLETE=fish_source interp | source`, in `~/.config/fish/completions/interp.fish`.

```text
eval "$(_INTERP_COMPLETE=bash_source interp)"
```
"""
DEMO = "plugins/run/interp-demo/interp_demo"
PLACES = {"MODEL": f"{DEMO}/emotion-demo", "texts.csv": f"{DEMO}/corpus.csv"}


def commands() -> str:
    """The page of the commands: those of the core as one reads them, then those of packages."""
    context = click.Context(main, info_name="interp")
    others = [name for name in main.list_commands(context) if name not in COMMANDS]
    return "\n".join([COMMANDS_HEAD, *("\n".join(_command(name, context)) + "\n" for name in (*COMMANDS, *others))])


def _command(name: str, context: click.Context) -> Iterator[str]:
    command = main.get_command(context, name)
    assert command is not None
    own = click.Context(command, info_name=name, parent=context)
    yield f"## {name}\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    yield f"```text\n{' '.join([own.command_path, *command.collect_usage_pieces(own)])}\n```"
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        yield "\n| option | default | meaning |\n|---|---|---|"
    for option in options:
        flags = "/".join((*option.opts, *option.secondary_opts))
        value = "" if option.is_flag else f" {option.make_metavar(own)}"
        cells = (f"`{flags}{value}`", _shown(option), option.help or "")
        yield f"| {' | '.join(cell.replace('|', ' or ') for cell in cells)} |"
    if command.epilog:
        line = command.epilog.partition("Example:")[2].strip()
        for short, place in PLACES.items():
            line = re.sub(rf"\b{short}\b", place, line)
        yield f"\n```bash\n{line}\n```"


def _shown(option: click.Option) -> str:
    """The default of an option, if it has one that says something."""
    if option.required:
        return "required"
    default = option.to_info_dict()["default"]
    several = default if isinstance(default, tuple | list) else [default]
    told = [one for one in several if isinstance(one, str | int | Path) and not isinstance(one, bool) and one != ""]
    return ", ".join(f"`{one}`" for one in told)


def page() -> str:
    """The page, for the methods of the packages in plugins/."""
    own = {package.name for package in packages()}
    found = [m for m in methods() if package_of(m) in own]
    parts = [HEAD]
    for kind, verb in VERBS.items():
        chosen = [m for m in found if m.kind == kind]
        if chosen:
            parts.append(f"## {kind} (`{verb}`)\n")
            parts += ["\n".join(_entry(m)) + "\n" for m in chosen]
    return "\n".join(parts)


def faces() -> str:
    """The page of what each face of the core exports, for authors of packages."""
    rooms = sorted(f.name for f in (ROOT / "interp_core").iterdir() if (f / "__init__.py").is_file())
    parts = [FACES_HEAD]
    for name in ("interp_core", *(f"interp_core.{room}" for room in rooms)):
        face = import_module(name)
        parts.append(f"## {name}\n\n{inspect.cleandoc(face.__doc__ or '')}\n\n| name | what it is |\n|---|---|")
        parts[-1] += "".join(f"\n| `{one}` | {_first_line(getattr(face, one))} |" for one in face.__all__) + "\n"
    return "\n".join(parts)


def _first_line(value: object) -> str:
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return "a type for annotations" if callable(value) or "typing" in type(value).__module__ else "a constant"
    doc = inspect.cleandoc(getattr(value, "__doc__", None) or "").split("\n\n")[0]
    return " ".join(doc.split()).replace("|", "\\|")


def _entry(method: Method) -> Iterator[str]:
    made = implementation(method)
    yield f"### {method.name}\n"
    yield f"{method.summary[0].upper()}{method.summary[1:]}.\n"
    if method.measures:
        yield f"- measures: {method.measures}"
    yield f"- needs: {', '.join(sorted(method.needs)) or 'nothing beyond the scores'}"
    yield f"- claims: {', '.join(sorted(method.claims)) or 'nothing'}"
    yield f"- source: {method.source}"
    yield f"- package: `{package_of(method)}`"
    fields = [field for field in dataclasses.fields(made) if field.init]
    if fields:
        said = {
            k: v for one in reversed(made.__mro__) for k, v in _meanings(inspect.cleandoc(one.__doc__ or "")).items()
        }
        yield "\n| parameter | default | meaning |\n|---|---|---|"
        for field in fields:
            meaning = said.get(field.name, "").replace("|", "\\|")
            yield f"| `{field.name}` | {_default(field.default)} | {meaning} |"


def _default(value: object) -> str:
    text = repr(value)
    return f"`{text}`" if len(text) <= 40 else "see the code"


def _meanings(doc: str) -> dict[str, str]:
    """What the `Args:` of a docstring say of each field."""
    part = re.search(r"^Args:\n((?:[ ]+.*\n?|\n(?=[ ]))+)", doc, re.MULTILINE)
    entries = re.split(r"^ {4}(?=\w+: )", part[1], flags=re.MULTILINE) if part else []
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: text for name, _, text in pairs}


def asking_components() -> str:
    """The table of which attribution methods answer a question about components, as each of them is asked one."""
    own = {package.name for package in packages()}
    model = tiny_llama()
    rows = ["| method | answers | why not |", "|---|---|---|"]
    for method in methods("attribution"):
        if package_of(method) not in own:
            continue
        asked = {"over": "components", "reference": "so sad today", "targets": " but", "progress": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                attribute(model, "so happy today", by=method.name, score="logit", **asked)  # type: ignore[arg-type]
        except InterpError as error:
            rows.append(f"| `{method.name}` | no | {str(error).split('. ')[0]} |")
        else:
            rows.append(f"| `{method.name}` | yes | |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """The page on components with its table as it is now."""
    before, _, rest = page.partition(TABLE_BEGINS)
    return f"{before}{TABLE_BEGINS}\n{asking_components()}\n{TABLE_ENDS}{rest.partition(TABLE_ENDS)[2]}"


if __name__ == "__main__":
    components = ROOT / "docs" / "components.md"
    components.write_text(with_table(components.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "methods.md").write_text(page(), encoding="utf-8")
    (ROOT / "docs" / "faces.md").write_text(faces(), encoding="utf-8")
    (ROOT / "docs" / "command-line.md").write_text(commands(), encoding="utf-8")
