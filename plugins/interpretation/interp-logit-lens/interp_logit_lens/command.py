"""The command `interp lens`. It imports the lens, and with it torch, when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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
@click.option("--device", default=None, help="Where the model runs, such as cuda; by default on the CPU.")
@click.option("--dtype", default=None, help="Number format of the weights, such as bfloat16.")
@click.option("--save", "folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the result in a folder.")
@click.option("--csv", "table", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole table.")
@click.option("--json", "plain", is_flag=True, help="Print JSON for programs.")
@click.option("--quiet", is_flag=True, help="Nothing but the result: no progress bar, no notes on standard error.")
def lens(path: str, text: str, layers: tuple[str, ...], quiet: bool, plain: bool, **options: Any) -> None:
    """Show what a model would answer to TEXT if it stopped at each of its blocks.

    MODEL is a folder or hub id. At each token stands what is likeliest there by the states of a block, the last block
    on top; beside it how far the block is from the model's own distribution, in nats.
    """
    from interp_core.cli import check_destinations

    folder, table = options["folder"], options["table"]
    check_destinations(folder=folder, table=table)
    import re
    import warnings

    from interp_core.errors import InterpWarning

    from interp_logit_lens.logit_lens import logit_lens

    translators = None if options["file"] is None else _tuned(options["file"])
    model = _loaded(path, options["device"], options["dtype"])
    named = [int(one) if re.fullmatch(r"-?[0-9]+", one) else one for one in layers] or "all"
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore", InterpWarning)
        seen = logit_lens(
            model,
            text,
            layers=named,
            continuation=options["continuation"],
            top=options["top"],
            lens=translators,
            progress=not quiet,
        )
    click.echo(_json(seen.to_json()) if plain else seen.summary())
    if table:
        seen.to_csv(table)
    if folder:
        from interp_core.results import save

        save(seen, folder)
    for place in (table, folder):
        if place and not quiet:
            click.echo(f"Wrote {place}", err=True)


def _loaded(path: str, device: str | None, dtype: str | None) -> Any:
    """The model, without progress bars.

    Raises:
        InputError: there is no such device here, or nothing can be loaded.
    """
    import transformers
    from interp_core.errors import InputError
    from interp_core.model import load

    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    model = load(path, **options)
    try:
        model.model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"the model cannot run on {device!r}, leave --device out for the CPU: {reason}.") from error
    return model


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


def _json(data: dict[str, Any]) -> str:
    import json

    return json.dumps(data, ensure_ascii=False)
