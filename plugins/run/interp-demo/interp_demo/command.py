"""The command `interp demo`. It imports the story, and with it torch, when it runs."""

from __future__ import annotations

from pathlib import Path

import click
from interp_core.cli import MethodName, check_destinations, parameters


@click.command()
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"), show_default=True)
@click.option(
    "--llm",
    default=None,
    type=MethodName("llm"),
    help="A language model that names the concepts, such as openai; top words if left out.",
)
@click.option(
    "--llm-set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the language model, such as base_url=….",
)
def demo(html: Path, llm: str | None, pairs: tuple[str, ...]) -> None:
    """Tell the whole story on the emotion classifier that comes with interp-demo, offline, and write a report."""
    if pairs and llm is None:
        raise click.UsageError("--llm-set is a parameter of the language model; name the model with --llm.")
    check_destinations(html=html)
    from interp_demo import story

    for line in story.tell(html, llm, parameters(pairs)):
        click.echo(line)
