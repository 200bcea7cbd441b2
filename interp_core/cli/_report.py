"""The command report, which makes one page of saved results."""

from __future__ import annotations

from pathlib import Path

import click
from interp_core.cli._options import example, quiet_option
from interp_core.cli._results import check_destinations
from interp_core.cli._saved import Saved, results_argument


@click.command(epilog=example("report learnt words --html page.html"))
@results_argument
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file.",
)
@click.option("--title", default="", help="The heading of the page.")
@quiet_option
def report(files: tuple[Path, ...], html: Path, title: str, quiet: bool) -> None:
    """Make one offline HTML file of saved results.

    RESULTS are files of results, folders of them, or stores of activations.
    """
    check_destinations(html=html)
    from interp_core.reporting import report as render

    written = render(Saved.load(files).results, title=title).save(html)
    if not quiet:
        click.echo(f"Wrote {written}")
