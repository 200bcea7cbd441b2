"""The commands `interp run` and `interp reproduce`. They import the pipeline, and with it torch, when they run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where results are kept and found again; by default beside FILE, FILE.run for FILE.toml.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report of all results.")
@click.option("--quiet", is_flag=True, help="Say nothing about the steps.")
def run(file: Path, folder: Path | None, html: Path | None, quiet: bool) -> None:
    """Run the steps of a pipeline, FILE.toml or FILE.yaml; what an earlier run has kept is not computed again."""
    from interp_core.cli import check_destinations

    place = folder or file.with_suffix(".run")
    check_destinations(html=html, store=place)
    from interp_pipeline.pipeline import Pipeline

    pipeline = Pipeline(file)
    try:
        done = pipeline.run(place, progress=not quiet, told=(lambda _: None) if quiet else click.echo)
    except KeyboardInterrupt:
        click.echo(f"interp: stopped; the steps that are done are in {place}, and the same command goes on.", err=True)
        raise
    if not quiet:
        click.echo(f"Kept the results in {place}", err=True)
    if html:
        from interp_core.reporting import report

        click.echo(f"Wrote {report(*done.values()).save(html)}", err=True)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def reproduce(folder: Path) -> None:
    """Repeat from scratch the run whose results are in FOLDER, and compare; nothing in FOLDER is changed."""
    from interp_pipeline.reproduction import reproduce as again

    different = 0
    for line in again(folder):
        click.echo(str(line))
        different += not line.same
    if different:
        raise SystemExit(1)
