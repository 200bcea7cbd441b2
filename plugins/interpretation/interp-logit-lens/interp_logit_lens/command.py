"""The command `interp lens`. It imports the lens, and with it torch, when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from interp_core.cli import check_destinations, echo_json, load_model, shared_options, write_results

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog='\b\nExample:\n  interp lens MODEL "I was so happy to hear you laugh."')
@click.argument("path", metavar="MODEL")
@click.argument("text")
@click.option(
    "--layer", "layers", multiple=True, help="A block's number or path, or embeddings; may be repeated. All by default."
)
@click.option("--continuation", default=None, help="What a generator is read as going on with; a translator's target.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many of the likeliest.")
@click.option("--lens", "file", type=FILE, default=None, help="A file of a tuned lens; the logit lens by default.")
@shared_options("device", "dtype", "csv", "save", "json", "quiet")
def lens(path: str, text: str, layers: tuple[str, ...], plain: bool, **options: Any) -> None:
    """Show what a model would answer to TEXT if it stopped at each of its blocks.

    MODEL is a folder or hub id. For each token the table shows the likeliest answer at each block, the last block on
    top, and how far the block is from the model's own distribution, in nats.
    """
    check_destinations(folder=options["folder"], table=options["table"])
    import re

    from interp_logit_lens.logit_lens import logit_lens

    translators = None if options["file"] is None else _tuned(options["file"])
    model = load_model(path, options)
    named = [int(one) if re.fullmatch(r"-?[0-9]+", one) else one for one in layers] or "all"
    asked = {name: options[name] for name in ("continuation", "top")}
    seen = logit_lens(model, text, layers=named, **asked, lens=translators, progress=not options["quiet"])
    if plain:
        echo_json(seen.to_json())
    else:
        click.echo(seen.summary())
    write_results([seen], None, options["folder"], "", table=options["table"])


def _tuned(file: Path) -> Any:
    """The tuned lens in a file, whose class another package brings.

    Raises:
        InputError: that package is not installed, or the file does not hold one.
    """
    import interp_core
    from interp_core.errors import InputError

    try:
        return interp_core.TunedLens.load(file)
    except AttributeError as error:
        raise InputError(f"{str(file)!r} cannot be read: {error}") from error
