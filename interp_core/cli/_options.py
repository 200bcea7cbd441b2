"""The options that commands share, and the arguments that are made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
ASKED = ("granularity", "removal", "score", "output", "layer", "max_new_tokens", "max_rows", "truncation")

model_option = click.option("--model", "path", required=True, metavar="PATH", help="Folder or hub id of the model.")
html_option = click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
save_option = click.option(
    "--save", "folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the results here."
)
json_option = click.option("--json", "plain", is_flag=True, help="Print JSON for programs.")

labels_option = click.option("--labels", "label_column", default=None, metavar="COLUMN", help="Column of the classes.")

_QUESTION = (
    click.option(
        "--targets",
        multiple=True,
        help="A class (may be repeated), 'all', or a continuation for a generator; by default the model's answer.",
    ),
    click.option("--granularity", default="word", show_default=True),
    click.option(
        "--removal",
        default="auto",
        show_default=True,
        help="What stands for an absent unit: auto, mask, mean, zero, drop or attention.",
    ),
    click.option(
        "--score",
        default=None,
        help="What is explained: the logit, probability, log-probability or entropy of the answer.",
    ),
    click.option(
        "--output", default=None, help="For generators, what one target is: token (default), word, sentence, sample."
    ),
    click.option("--layer", default=None, help="Explain through this layer: a block's number or a module path."),
    click.option("--max-new-tokens", type=int, default=None, help="For generators, the most tokens of an answer."),
    click.option(
        "--truncation",
        default=None,
        help="Which text of a pair is cut if it is too long: longest_first (default), only_first or only_second.",
    ),
    click.option("--max-rows", type=int, default=None, help="The most rows that the model may evaluate for one text."),
)


def question_options(command: F) -> F:
    """Add the options of `interp.attribute` that a command line can express."""
    return _with(command, _QUESTION)


def corpus_options(required: bool) -> Callable[[F], F]:
    """Add the options that say where texts are read from."""
    kinds = "A .csv, .tsv, .jsonl or .txt file (or .gz), or the name of a data set."
    options = (
        click.option("--data", required=required, metavar="FILE", help=kinds),
        click.option(
            "--column",
            "columns",
            multiple=True,
            default=("text",),
            show_default=True,
            help="The column of the texts; twice for the first and the second text of pairs.",
        ),
        click.option("--limit", type=click.IntRange(min=1), default=None, help="Use only the first texts."),
    )
    return lambda command: _with(command, options)


def _with(command: F, options: Iterable[Callable[[F], F]]) -> F:
    for option in reversed(list(options)):
        command = option(command)
    return command


def refuse_options(taken: dict[str, Any]) -> None:
    """Refuse options of the command among the parameters of `--set`.

    Raises:
        InputError: there is one.
    """
    mistaken = [name for name in taken if name in (*ASKED, "targets", "by", "model")]
    if mistaken:
        flag = f"--{mistaken[0].replace('_', '-')} {taken[mistaken[0]]}"
        raise InputError(f"{mistaken[0]} is not a parameter of the method; say {flag} in place of --set.")


def asked(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `interp.attribute` from the options of a command; its defaults hold for the others."""
    arguments = {name: options[name] for name in ASKED if options[name] is not None}
    if "layer" in arguments:
        arguments["layer"] = layer_of(arguments["layer"])
    return {**arguments, "targets": _targets(options["targets"], bool(model.labels))}


def pairs_option(command: F) -> F:
    """Add the option for pairs of texts on the command line."""
    option = click.option("--pair", "text_pairs", nargs=2, multiple=True, help="Two texts that are read as a pair.")
    return option(command)


def texts_of(texts: tuple[str, ...], options: dict[str, Any]) -> list[Any]:
    """The texts and pairs on the command line, followed by those of the file."""
    given = [*texts, *options["text_pairs"]]
    if not given and options["data"] is None:
        raise click.UsageError("give TEXTS, a pair as --pair FIRST SECOND, or a file of texts as --data FILE.")
    return [*given, *(read_texts(options) if options["data"] else [])]


def labels_of(texts: tuple[str, ...], options: dict[str, Any]) -> list[str] | None:
    """The true class of each text of the file; None if no column was named."""
    from interp_core.text import read_column

    if options["label_column"] is None:
        return None
    if texts or options["text_pairs"] or options["data"] is None:
        raise click.UsageError("--labels names a column of the file of texts; give the texts as --data FILE alone.")
    return read_column(options["data"], options["label_column"])[: options["limit"]]


def class_of(label: str, names: Sequence[str]) -> int | str:
    """The class that a cell of a table names; its number, if it is one and no class is called so."""
    return int(label) if label.isdigit() and label not in names else label


def read_texts(options: dict[str, Any]) -> list[Any]:
    """The texts of the file."""
    from interp_core.text import read_column

    columns = options["columns"]
    return read_column(options["data"], columns[0] if len(columns) == 1 else columns)[: options["limit"]]


def load_model(path: str) -> Any:
    """Load the model of a folder or hub id without showing progress bars."""
    import transformers
    from interp_core.model import load

    transformers.utils.logging.disable_progress_bar()
    return load(path)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """A context in which transformers logs errors only: its advice on the tiny models of the checks is for nobody."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def layer_of(text: str) -> int | str:
    """A block's number, or a module path."""
    return int(text) if text.lstrip("-").isdigit() else text


def parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Turn the values of `--set` into keyword arguments.

    Args:
        pairs: strings of the form `KEY=VALUE`.

    Returns:
        The values by key. A value that is valid JSON is decoded, any other stays a string.

    Raises:
        click.BadParameter: a string has no `=`.

    Examples:
        >>> from interp_core.cli import parameters
        >>> parameters(("samples=500", "kind=ridge", "signed=true"))
        {'samples': 500, 'kind': 'ridge', 'signed': True}
    """
    import json

    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} must read KEY=VALUE, such as samples=500.")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def _targets(targets: tuple[str, ...], classifies: bool) -> Any:
    if not targets:
        return None
    if classifies:
        return [int(t) if t.isdigit() else t for t in targets]
    return targets[0] if len(targets) == 1 else list(targets)
