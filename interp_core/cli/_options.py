"""What commands that run a model share: their options, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
ASKED = ("granularity", "removal", "score", "output", "layer", "max_new_tokens", "max_rows")

model_option = click.option("--model", "path", required=True, metavar="PATH", help="Folder or hub id of the model.")
html_option = click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
save_option = click.option(
    "--save", "folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the results here."
)
json_option = click.option("--json", "plain", is_flag=True, help="Print JSON for programs.")

_QUESTION = (
    click.option(
        "--targets",
        multiple=True,
        help="A class (may be repeated), 'all', or a generator's continuation; the model's own answer if left out.",
    ),
    click.option("--granularity", default="word", show_default=True),
    click.option(
        "--removal",
        default="auto",
        show_default=True,
        help="An absent unit: mask, mean, zero, drop or attention.",
    ),
    click.option(
        "--score", default=None, help="What is explained: logit, probability, log-probability or entropy of the answer."
    ),
    click.option(
        "--output", default=None, help="Of generators, what one target is: token (default), word, sentence, sample."
    ),
    click.option("--layer", default=None, help="Explain through this layer: a block's number or a module path."),
    click.option("--max-new-tokens", type=int, default=None, help="Of generators, the most tokens of an answer."),
    click.option("--max-rows", type=int, default=None, help="The most rows of the model that one text may take."),
)


def question_options(command: F) -> F:
    """How a question is put to a model: the options of `interp.attribute` that have a form on the command line."""
    return _with(command, _QUESTION)


def corpus_options(required: bool) -> Callable[[F], F]:
    """Where texts are read from."""
    kinds = "A .csv, .tsv, .jsonl or .txt file (or .gz), or a data set's name."
    options = (
        click.option("--data", required=required, metavar="FILE", help=kinds),
        click.option("--column", default="text", show_default=True),
        click.option("--limit", type=click.IntRange(min=1), default=None, help="Use only the first texts."),
    )
    return lambda command: _with(command, options)


def _with(command: F, options: Iterable[Callable[[F], F]]) -> F:
    for option in reversed(list(options)):
        command = option(command)
    return command


def asked(model: Any, options: dict[str, Any], taken: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a model, by the names of `interp.attribute`; what was not said is left to its defaults.

    Raises:
        InputError: something that was given as a parameter of the method, and is an option.
    """
    mistaken = [name for name in taken if name in (*ASKED, "targets", "by", "model")]
    if mistaken:
        flag = f"--{mistaken[0].replace('_', '-')} {taken[mistaken[0]]}"
        raise InputError(f"{mistaken[0]} is no parameter of the method; say {flag} in place of --set.")
    found = {name: options[name] for name in ASKED if options[name] is not None}
    if "layer" in found:
        found["layer"] = layer_of(found["layer"])
    return {**found, "targets": _targets(options["targets"], bool(model.labels))}


def texts_of(given: tuple[str, ...], options: dict[str, Any]) -> list[str]:
    """The texts of the command line, and those of the file."""
    from interp_core.text import read_column

    if not given and options["data"] is None:
        raise click.UsageError("give TEXTS, or a file of texts as --data FILE.")
    read = read_column(options["data"], options["column"])[: options["limit"]] if options["data"] else []
    return [*given, *read]


def load_model(path: str) -> Any:
    """The model of a folder or hub id, without the bars of its loading."""
    import transformers
    from interp_core.model import load

    transformers.utils.logging.disable_progress_bar()
    return load(path)


def layer_of(text: str) -> int | str:
    """A block's number, or a module path."""
    return int(text) if text.lstrip("-").isdigit() else text


def parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("samples=500", "by=x")` as keyword arguments; values are read as JSON where they are JSON."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} must read KEY=VALUE, such as samples=500.")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _targets(given: tuple[str, ...], classifies: bool) -> Any:
    if not given:
        return None
    if classifies:
        return [int(t) if t.isdigit() else t for t in given]
    return given[0] if len(given) == 1 else list(given)
