"""The command activations, which stores the activations of a layer for a corpus; heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from interp_core.cli._options import (
    class_of,
    corpus_options,
    example,
    granularity_option,
    json_option,
    labels_of,
    labels_option,
    layer_of,
    layer_option,
    load_model,
    model_options,
    quiet_option,
    read_texts,
)
from interp_core.cli._results import check_destinations, echo_json, told
from interp_core.cli._runs import executor_option, run_of, workers_option
from interp_core.errors import InputError, nearest


@click.command(epilog=example("activations --model MODEL --layer -1 --data texts.csv --limit 60 --to rows"))
@model_options()
@layer_option
@corpus_options(required=True)
@granularity_option
@labels_option
@click.option(
    "--predictions/--no-predictions",
    default=None,
    help="Keep the predicted class of each text; by default for classifiers.",
)
@click.option(
    "--to",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder; the same command resumes an interrupted run.",
)
@executor_option
@workers_option
@json_option
@quiet_option
def activations(path: str, plain: bool, store: Path, **options: Any) -> None:
    """Store the activations of a layer for a corpus.

    `interp fit` learns from the folder, and later commands read it too. It holds a row for each word, text, …
    (--granularity).
    """
    check_destinations(store=store)
    spread = run_of({**options, "store": None})
    texts, labels = read_texts(options), labels_of((), options)
    model = load_model(path, options)
    split = model.split(layer_of(options["layer"]))
    kept = read_activations(split, texts, labels, {**options, "store": store}, **spread)
    if plain:
        shape = {"rows": len(kept), "width": kept.width, "texts": len(kept.texts), "notes": list(kept.notes)}
        echo_json({"folder": str(store), "layer": kept.layer, "granularity": kept.granularity, **shape})
    else:
        click.echo(kept.summary())


def read_activations(
    split: Any, texts: list[Any], labels: list[str] | None, options: dict[str, Any], **spread: Any
) -> Any:
    """The activations of texts, in the folder of `--to` if it was given.

    Labels are classes of the model, by name or number; if none of them is, they are classes of their own, beside which
    no predictions are kept.

    Raises:
        InputError: some are classes of the model, and some are not.
    """
    model, predictions = split.model, options.get("predictions")
    if predictions is None:
        predictions = bool(model.labels) and model.head != "regression"
    labelled: dict[str, Any] = {}
    if labels is not None:
        numbered = [class_of(label, model.labels) for label in labels]
        known = [one in model.labels or one in range(len(model.labels)) for one in numbered]
        if all(known):
            labelled = {"labels": numbered}
        elif any(known):
            strange = labels[known.index(False)]
            raise InputError(
                f"the label {strange!r} of text {known.index(False)} is not a class of the model, and others are; the "
                f"classes are {', '.join(model.labels)}.{nearest(strange, model.labels)}"
            )
        else:
            told(f"the labels are classes of their own and not the model's: {', '.join(sorted(set(labels)))}")
            labelled = {"labels": labels, "class_names": sorted(set(labels))}
            predictions = bool(options.get("predictions"))
    return split.activations(
        texts,
        granularity=options["granularity"] or ("cls" if model.labels else "word"),
        to=options["store"],
        predictions=predictions,
        **labelled,
        **spread,
        progress=not options["quiet"],
    )
