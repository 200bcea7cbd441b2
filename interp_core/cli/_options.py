"""The options that commands share, and the arguments that are made of them."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.cli._chats import chat_of
from interp_core.errors import InputError, unknown

F = TypeVar("F", bound=Callable[..., Any])
QUIET = "interp_core.quiet"  # in the context of a command: nothing is said on standard error
STDIN = "-"
ASKED = (
    "granularity",
    "units",
    "removal",
    "score",
    "output",
    "layer",
    "over",
    "reference",
    "align",
    "max_new_tokens",
    "max_rows",
    "truncation",
)

DTYPES = ("auto", "float32", "bfloat16", "float16")

html_option = click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
save_option = click.option(
    "--save", "folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the results in this folder."
)
csv_option = click.option(
    "--csv", "table", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole table."
)
json_option = click.option("--json", "plain", is_flag=True, help="Print JSON for programs.")
labels_option = click.option(
    "--labels", "label_column", default=None, metavar="COLUMN", help="Column of the classes, by name or number."
)
layer_option = click.option(
    "--layer", default="-1", show_default=True, help="Where to split: a block's number or a module path."
)
granularity_option = click.option(
    "--granularity",
    default=None,
    help="What a row stands for: cls (default for classifiers), word (for others), token, sentence, sample.",
)
to_option = click.option(
    "--to",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Write the activations to this folder, from which an interrupted run is resumed.",
)


device_option = click.option("--device", default=None, help="Where the model runs, such as cuda; by default the CPU.")
dtype_option = click.option("--dtype", type=click.Choice(DTYPES), default=None, help="Number format of the weights.")


def model_options(required: bool = True, for_what: str = "metrics") -> Callable[[F], F]:
    """Add the options that say which model is loaded, and how."""
    what = "Folder or hub id of the model" + ("." if required else f", for {for_what} that ask it again.")
    path = click.option("--model", "path", required=required, metavar="PATH", help=what)
    return lambda command: together(command, (path, device_option, dtype_option))


def results_options(command: F) -> F:
    """Add the options that say where results go, and how much is said."""
    return together(command, (html_option, save_option, json_option, quiet_option))


def _quieten(ctx: click.Context, _param: click.Parameter, quiet: bool) -> bool:
    if quiet:
        ctx.meta[QUIET] = True
        ctx.with_resource(warnings.catch_warnings(action="ignore"))
    return quiet


quiet_option = click.option(
    "--quiet",
    is_flag=True,
    is_eager=True,
    callback=_quieten,
    help="Print nothing but results: no progress bars, and no notes on standard error.",
)

_SHARED = {
    "device": device_option,
    "dtype": dtype_option,
    "html": html_option,
    "save": save_option,
    "csv": csv_option,
    "json": json_option,
    "quiet": quiet_option,
}


def shared_options(*names: str) -> Callable[[F], F]:
    """Add options that mean the same in every command to a command of a package.

    Args:
        *names: the names of the options, in the order of the help: `"device"` and `"dtype"` of a model, for
            `load_model`; `"html"`, `"save"` and `"csv"`, the places that results are written to, passed to the command
            as `html`, `folder` and `table`, for `check_destinations` and `write_results`; `"json"`, passed as `plain`;
            `"quiet"`, which also silences the notes on standard error.

    Returns:
        A decorator of commands that adds the options.

    Raises:
        InputError: there is no such option.

    Examples:
        >>> import click
        >>> from interp_core.cli import shared_options
        >>> @click.command()
        ... @shared_options("csv", "quiet")
        ... def count(table, quiet):
        ...     "Count something."
        >>> [option.opts[0] for option in count.params]
        ['--csv', '--quiet']
    """
    for name in names:
        if name not in _SHARED:
            raise InputError(unknown("shared option", name, list(_SHARED)))
    return lambda command: together(command, [_SHARED[name] for name in names])


contrast_option = click.option(
    "--contrast",
    "contrasts",
    nargs=2,
    multiple=True,
    metavar="CHOSEN OTHER",
    help="Why one class, or next token, rather than another; may be repeated.",
)
_QUESTION = (
    click.option(
        "--targets",
        multiple=True,
        help="A class (may be repeated), 'all', or a continuation for a generator; by default the model's answer.",
    ),
    contrast_option,
    click.option(
        "--granularity",
        default="word",
        show_default=True,
        help="What is scored: token, word, clause, sentence, paragraph, message, document and others.",
    ),
    click.option(
        "--units",
        default=None,
        help="Score only a part of the text: documents, messages, prompt, or a role such as user.",
    ),
    click.option(
        "--removal",
        default="auto",
        show_default=True,
        help="What replaces an absent unit: auto, mask, mean, zero, drop or attention.",
    ),
    click.option(
        "--score",
        default=None,
        help="The score space: logit, probability, log-probability, log-odds or entropy.",
    ),
    click.option(
        "--output", default=None, help="For generators, what one target is: token (default), word, sentence, sample."
    ),
    click.option(
        "--layer", default=None, help="Explain hidden states of this layer: a block's number or a module path."
    ),
    click.option(
        "--over",
        default=None,
        help="Score model components, not words: heads, mlps, components, blocks, positions, heads-by-position.",
    ),
    click.option("--reference", default=None, help="With --over: what closed gates let through: a text, mean or zero."),
    click.option(
        "--align", default=None, help="With --over: how a reference of another length is aligned, left or right."
    ),
    click.option("--max-new-tokens", type=int, default=None, help="For generators, the maximum number of new tokens."),
    click.option(
        "--truncation",
        default=None,
        help="Which text of a pair is cut if it is too long: longest_first (default), only_first or only_second.",
    ),
    click.option("--max-rows", type=int, default=None, help="Maximum number of model rows for each text."),
)


def example(command: str) -> str:
    """What the help of a command ends with, and the reference page runs."""
    return f"\b\nExample:\n  interp {command}"


def question_options(command: F) -> F:
    """Add the options of `interp.attribute` that a command line can express."""
    return together(command, _QUESTION)


def corpus_options(required: bool) -> Callable[[F], F]:
    """Add the options that say where texts are read from."""
    kinds = (
        "A .csv, .tsv, .jsonl, .txt (or .gz) or .parquet file, or the folder or name of a data set; - for standard "
        "input, one text a line."
    )
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
        click.option("--split", default="train", show_default=True, help="The split of a data set."),
        click.option("--limit", type=click.IntRange(min=1), default=None, help="Use only the first texts."),
    )
    return lambda command: together(command, options)


def together(command: F, options: Iterable[Callable[[F], F]]) -> F:
    """Add several options to a command, in this order."""
    for option in reversed(list(options)):
        command = option(command)
    return command


def asked(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `interp.attribute` from the options of a command; its defaults hold for the others."""
    arguments = {name: options[name] for name in ASKED if options[name] is not None}
    if "layer" in arguments:
        arguments["layer"] = layer_of(arguments["layer"])
    return {**arguments, "targets": targets_of(options, bool(model.labels))}


def pairs_option(command: F) -> F:
    """Add the option for pairs of texts on the command line."""
    option = click.option("--pair", "text_pairs", nargs=2, multiple=True, help="Two texts that are read as a pair.")
    return option(command)


def texts_of(texts: tuple[str, ...], options: dict[str, Any]) -> list[Any]:
    """The texts and pairs on the command line, with those of standard input for `-`, followed by those of the file; or
    the chat.
    """
    chat = chat_of(texts, options)
    if chat is not None:
        return [chat]
    pairs = options.get("text_pairs", ())
    if not texts and not pairs and options["data"] is None:
        pair = "a pair as --pair FIRST SECOND, " if "text_pairs" in options else ""
        raise click.UsageError(f"give TEXTS, {pair}or a file of texts as --data FILE; - is standard input.")
    if [*texts, options["data"]].count(STDIN) > 1:
        raise click.UsageError("standard input is named twice; it can be read once.")
    if options["limit"] is not None and options["data"] is None:
        raise click.UsageError("--limit is for the file of texts, --data FILE; leave it out.")
    given = [one for text in texts for one in (_lines() if text == STDIN else [text])]
    return [*given, *pairs, *(read_texts(options) if options["data"] else [])]


def _lines() -> list[str]:
    """The texts of standard input, one a line.

    Raises:
        InputError: there are none, or they are not in UTF-8.
    """
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input cannot be read as UTF-8: {error}") from error
    if texts := [line.rstrip("\r") for line in lines if line.strip()]:
        return texts
    raise InputError("standard input holds no text; one a line was expected.")


def labels_of(texts: tuple[str, ...], options: dict[str, Any]) -> list[str] | None:
    """The true class of each text of the file; None if no column was named."""
    from interp_core.text import read_column

    if options["label_column"] is None:
        return None
    if texts or options.get("text_pairs") or options["data"] in (None, STDIN):
        raise click.UsageError("--labels names a column of the file of texts; give the texts as --data FILE alone.")
    return read_column(options["data"], options["label_column"], options["split"])[: options["limit"]]


def class_of(label: str, names: Sequence[str]) -> int | str:
    """The class that a cell of a table names; its number, if it is one and no class is called so."""
    return label if label in names else number_in(label)


def read_texts(options: dict[str, Any]) -> list[Any]:
    """The texts of the file."""
    from interp_core.text import read_column

    if options["data"] == STDIN:
        return _lines()[: options["limit"]]
    columns = options["columns"]
    named = columns[0] if len(columns) == 1 else columns
    return read_column(options["data"], named, options["split"])[: options["limit"]]


def load_model(path: str, options: dict[str, Any]) -> Any:
    """Load the model of a folder or hub id, without progress bars, with the options `--device` and `--dtype`.

    Args:
        path: the folder or hub id.
        options: the options of the command: `device` and `dtype`, both None for the default; and `quiet`, True to
            silence the advice of transformers while the command runs.

    Returns:
        The `TextModel`.

    Raises:
        InputError: the device is not available, or nothing can be loaded.

    Examples:
        >>> from interp_core.cli import load_model
        >>> load_model("/no/such/folder", {"device": "no-such-device", "dtype": None, "quiet": False})
        Traceback (most recent call last):
        interp_core.errors.InputError: the model cannot run on 'no-such-device', leave --device out for the CPU: ...
    """
    import torch
    import transformers
    from interp_core.model import load

    device, dtype = options["device"], options["dtype"]
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"the model cannot run on {device!r}, leave --device out for the CPU: {reason}.") from error
    transformers.utils.logging.disable_progress_bar()
    if options["quiet"]:
        click.get_current_context().with_resource(quiet_transformers())
    model = load(path, **({} if dtype is None else {"dtype": dtype}))
    if device is not None:
        model.model.to(device)
    return model


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
    return number_in(text)


def number_in(text: str) -> int | str:
    """The whole number that a text is, or the text."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text


def targets_of(options: dict[str, Any], classifies: bool) -> Any:
    """What `--targets` and `--contrast` name; None if nothing is named."""
    from interp_core.attribution import contrast

    named = [number_in(t) if classifies else t for t in options["targets"]]
    named += [contrast(*pair) for pair in options["contrasts"]]
    return named if len(named) > 1 else named[0] if named else None
