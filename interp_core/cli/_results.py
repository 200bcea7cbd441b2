"""The destinations of results of commands, checked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from interp_core.cli._options import QUIET
from interp_core.errors import InputError

FILES = (".json", ".jsonl", ".safetensors", ".csv", ".html", ".htm", ".txt")  # endings that a folder does not have


def check_destinations(
    *,
    html: Path | None = None,
    folder: Path | None = None,
    table: Path | None = None,
    store: Path | None = None,
) -> None:
    """Check at the start of a command, before anything is computed, that its results can be written.

    Args:
        html: the file of a page; None for none.
        folder: the new or empty folder for results; None for none.
        table: the file of a table; None for none.
        store: the folder of a run, which may hold an interrupted run; None for none.

    Raises:
        InputError: a page is not named `.html`, a table not `.csv`, or a folder is named like a file; `folder` is not
            empty; or a place cannot be written to.

    Examples:
        >>> from pathlib import Path
        >>> from interp_core.cli import check_destinations
        >>> check_destinations(html=Path("report.txt"))
        Traceback (most recent call last):
        interp_core.errors.InputError: 'report.txt' does not end in .html or .htm, as such a file must; name it
        'report.html'.
    """
    from interp_core.results import empty_folder, named_with

    if html is not None:
        named_with(html, ".html", ".htm")
    if table is not None:
        named_with(table, ".csv")
    for place in (folder, store):
        if place is not None and place.suffix.lower() in FILES and not place.is_dir():
            raise InputError(
                f"{str(place)!r} is named like a file, and results are kept in a folder; name it {place.stem!r}."
            )
    if folder is not None:
        empty_folder(folder)
    for place in (html, folder, table, None if store is None or store.exists() else store):
        if place is not None:
            _check_writable(place)


def _check_writable(place: Path) -> None:
    """Refuse a file or folder that cannot be written, or made in the nearest folder that exists."""
    there = next((one for one in (place, *place.absolute().parents) if one.exists()), place)
    if there != place and not there.is_dir():
        raise InputError(f"{str(place)!r} cannot be written: {str(there)!r} is a file and not a folder.")
    if not os.access(there, os.W_OK):
        raise InputError(f"{str(place)!r} cannot be written: {str(there)!r} is read-only for you.")


def write_results(
    results: list[Any], html: Path | None, folder: Path | None, title: str, *, table: Path | None = None
) -> None:
    """Save results to a folder and a page, and the first one as a table, where given; notes go to standard error.

    Args:
        results: the results, at least one.
        html: the file of a page; None for none.
        folder: a new or empty folder; None for none.
        title: the heading of the page.
        table: the file of a table of the first result; None for none.

    Raises:
        InputError: a place cannot be written to, see `check_destinations`.

    Examples:
        >>> import click, tempfile
        >>> from pathlib import Path
        >>> from click.testing import CliRunner
        >>> from interp_core.cli import shared_options, write_results
        >>> @click.command()
        ... @shared_options("csv", "quiet")
        ... def score(table, quiet):
        ...     write_results([interp.Score(0.5, True, name="insertion")], None, None, "", table=table)
        >>> with tempfile.TemporaryDirectory() as at:
        ...     done = CliRunner().invoke(score, ["--csv", f"{at}/score.csv", "--quiet"])
        ...     done.exit_code, [file.name for file in Path(at).iterdir()]
        (0, ['score.csv'])
    """
    if table:
        results[0].to_csv(table)
        told(f"Wrote {table}")
    if folder:
        from interp_core.results import save

        save(results, folder)
        told(f"Kept the results in {folder}")
    if html:
        from interp_core.reporting import report as render

        told(f"Wrote {render(*results, title=title).save(html)}")


def told(message: str) -> None:
    """Say something on standard error, unless the command is to be quiet."""
    if not click.get_current_context().meta.get(QUIET):
        click.echo(message, err=True)


def echo_json(data: dict[str, Any], indent: int | None = None) -> None:
    """Print valid JSON; NaN and infinity become null, and a note says so.

    Args:
        data: JSON values, which may include NaN and infinity.
        indent: the number of spaces of each level; None for one line.

    Examples:
        >>> from interp_core.cli import echo_json
        >>> echo_json({"value": 0.5})
        {"value": 0.5}
    """
    import json  # here, so that a plain listing loads neither

    from interp_core.results import for_json

    click.echo(json.dumps(for_json(data), ensure_ascii=False, indent=indent))
