"""Chats on the command line: messages from a file, and documents from files of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

_CHAT = (
    click.option(
        "--chat",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
        help="A JSON file with a list of messages, each with its role and content, for a generator.",
    ),
    click.option(
        "--documents",
        multiple=True,
        metavar="FILE...",
        help="With --chat: files of text, the documents to answer from, as in --documents docs/*.txt.",
    ),
    click.option(
        "--documents-in",
        type=click.Choice(["template", "message"]),
        default=None,
        help="Hand documents to the chat template (default), or write them before the user's last message.",
    ),
)


def chat_options(command: F) -> F:
    """Add the options that read a chat and its documents."""
    for option in reversed(_CHAT):
        command = option(command)
    return command


def chat_of(texts: tuple[str, ...], options: dict[str, Any]) -> Any:
    """The chat that the options of a command name; None if they name none.

    Args:
        texts: what stands on the command line beside options: further files of documents, as shells write patterns out.
        options: of the command.

    Raises:
        InputError: a file is missing or not in UTF-8, or holds no messages, or documents that are no list.
    """
    from interp_core.text import Chat

    if options.get("chat") is None:
        named = next((name for name in ("documents", "documents_in") if options.get(name)), None)
        if named is not None:
            raise click.UsageError(f"--{named.replace('_', '-')} is of a chat; give its messages as --chat FILE.")
        return None
    if options["data"] is not None or options.get("text_pairs"):
        raise click.UsageError("--chat is the text that is explained; leave out --data and --pair.")
    path = options["chat"]
    try:
        held = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON: {error}.") from error
    parts = held if isinstance(held, dict) else {"messages": held}
    if "messages" not in parts or not set(parts) <= {"messages", "documents", "documents_in"}:
        raise InputError(f"{path} holds {', '.join(parts) or 'nothing'}; a list of messages was expected.")
    held = parts.get("documents", [])
    if not isinstance(held, list):
        raise InputError(f"the documents of {path} are {type(held).__name__}; a list of documents was expected.")
    documents = [*held, *(_read(Path(name)) for name in (*options["documents"], *texts))]
    where = options["documents_in"] or parts.get("documents_in", "template")
    return Chat(parts["messages"], documents, documents_in=where)


def _read(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it is missing, or not in UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read as UTF-8: {error}.") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); with --chat, TEXTS are files of documents."
        ) from error
