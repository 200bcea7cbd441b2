"""Writes the results of commands to folders and pages, and the command report, which reads them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"), show_default=True)
@click.option("--title", default="")
def report(files: tuple[Path, ...], html: Path, title: str) -> None:
    """Make one offline HTML file of saved results (FILES, or folders of them)."""
    from interp_core.reporting import report as render
    from interp_core.results import load_results

    click.echo(f"Wrote {render(load_results(*files), title=title).save(html)}")


def write_results(results: list[Any], html: Path | None, folder: Path | None, title: str) -> None:
    """Save results to a folder and a page, if these were given; messages go to standard error."""
    if folder:
        from interp_core.results import save

        save(results, folder)
        click.echo(f"Kept the results in {folder}", err=True)
    if html:
        from interp_core.reporting import report as render

        click.echo(f"Wrote {render(*results, title=title).save(html)}", err=True)
