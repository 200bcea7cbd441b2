"""The command concepts, which describes in words what a model has learnt. Heavy imports wait until it runs."""

from __future__ import annotations

from typing import Any

import click
from interp_core.cli._activations import read_activations
from interp_core.cli._methods import MethodName, make, make_metric, metrics_option, parameters_of_each, set_option
from interp_core.cli._options import (
    corpus_options,
    example,
    granularity_option,
    labels_of,
    labels_option,
    layer_of,
    layer_option,
    load_model,
    model_options,
    read_texts,
    results_options,
    to_option,
)
from interp_core.cli._results import check_destinations, echo_json, write_results
from interp_core.cli._saved import RESULTS, Saved
from interp_core.cli._spaces import concepts_option, is_given, made_space_method, space_method, taken
from interp_core.errors import InputError
from interp_core.plugin import declaration_of, methods


@click.command(epilog=example("concepts --model MODEL --data texts.csv --limit 60 --concepts 4 --set top-inputs.top=3"))
@model_options()
@layer_option
@corpus_options(required=True)
@granularity_option
@space_method
@click.option(
    "--space",
    "saved_space",
    type=RESULTS,
    default=None,
    metavar="RESULTS",
    help="Describe this saved space, at its layer, instead of learning one.",
)
@labels_option
@to_option
@concepts_option
@click.option(
    "--words-by",
    default="top-inputs",
    show_default=True,
    type=MethodName("interpretation"),
    help="Interpretation method.",
)
@click.option("--top", default=5, show_default=True, help="Words for each concept.")
@click.option("--min-count", default=1, show_default=True, help="Leave out words that occur fewer times.")
@click.option(
    "--importance-by",
    default="input-x-gradient",
    show_default=True,
    type=MethodName("attribution", also=["none"]),
    help="Attribution method for importance; 'none' for no importance.",
)
@metrics_option(
    "concepts",
    default=("explained-variance", "fid", "sparsity-ratio"),
    more=" By default the usual ones that are installed.",
)
@set_option("top-inputs.top=10")
@results_options
def concepts(path: str, plain: bool, **options: Any) -> None:
    """Describe in words what a model has learnt at a layer.

    Reads activations, learns concepts, interprets them, and measures their importance for each class and their quality.
    """
    store, folder = options["store"], options["folder"]
    check_destinations(html=options["html"], folder=folder, store=store)
    if store is not None and folder is not None and store.absolute() == folder.absolute():
        raise click.UsageError("--to and --save name one folder; give each its own.")
    _make_methods(options)
    texts, labels = read_texts(options), labels_of((), options)
    space = _saved_space(options)
    model = load_model(path, options)
    results = _concept_story(model, texts, labels, {**options, "saved_space": space})
    space, words, rest = results[1], results[2], results[3:]
    scores = [r for r in rest if hasattr(r, "higher_is_better")]
    matters = next((r for r in rest if r not in scores), None)
    if plain:
        rows = [{"concept": c.concept, "label": c.label, "words": c.words, "note": c.note} for c in words.concepts]
        importance = None if matters is None else dict(zip(matters.targets, matters.scores.tolist(), strict=True))
        echo_json({"concepts": rows, "importance": importance, "scores": [s.to_json() for s in scores]})
    else:
        click.echo(f"{space.concepts} concepts of {space.layer}:\n{words.summary()}")
        if matters is not None:
            click.echo(matters.summary())
        for score in scores:
            click.echo(str(score))
    write_results(results, options["html"], options["folder"], "What the model has learnt")


def _make_methods(options: dict[str, Any]) -> None:
    """Put the methods that were named into the options, made with their parameters.

    Raises:
        InputError: an option was given that a method has no use for, or a parameter cannot be used.
        PluginError: a method is not installed, is of another kind, or cannot be imported.
    """
    by, worded_by, matters_by = options["by"], options["words_by"], options["importance_by"]
    metrics = _metrics(options["metrics"])
    others = (worded_by, matters_by, *metrics)
    given = parameters_of_each(options["pairs"], [by, *others], by)
    if options["saved_space"] is None:
        options["by"] = made_space_method(by, options, others)
    elif idle := next((name for name in ("by", "concepts", "layer") if is_given(name)), by if given[by] else None):
        raise InputError(f"{idle} is for a space that is learnt; leave it out, or leave --space out.")
    wording = {"source": "unique-words", "top": options["top"], "min_count": options["min_count"]}
    known = taken(worded_by, "interpretation", wording)
    options["words_by"] = make(worded_by, "interpretation", given[worded_by], **known)
    options["metrics"] = [make_metric(name, given[name], "concepts") for name in metrics]
    if matters_by != "none":
        options["importance_by"] = make(matters_by, "attribution", given[matters_by])


def _saved_space(options: dict[str, Any]) -> Any:
    """The space of `--space`; None without it."""
    if options["saved_space"] is None:
        return None
    from interp_core.concepts import ConceptSpace

    return Saved.load([options["saved_space"]]).one(ConceptSpace)


def _metrics(names: tuple[str, ...]) -> list[str]:
    """The metrics that were asked for, which must all be installed, or else the usual ones that are."""
    known = {m.name for m in methods("metric")}
    return [name for name in names if is_given("metrics") or name in known]


def _concept_story(model: Any, texts: list[Any], labels: list[str] | None, options: dict[str, Any]) -> list[Any]:
    """Activations, space, interpretation, importance (only for classifiers) and scores, in this order."""
    from interp_core.concepts import fit_concepts, importance, interpret
    from interp_core.metrics import measure

    if not model.labels and is_given("importance_by") and options["importance_by"] != "none":
        raise InputError(f"{model.name} has no classes that concepts could matter to; leave --importance-by out.")
    space = options["saved_space"]
    shown: dict[str, Any] = {"progress": not options["quiet"]}
    if space is not None:
        rows = space.made_by.settings.get("granularity")
        options = {
            "layer": space.layer or options["layer"],
            "granularity": options["granularity"] or rows,
            **{key: value for key, value in options.items() if key not in ("layer", "granularity")},
        }
    split = model.split(layer_of(options["layer"]))
    activations = read_activations(split, texts, labels, options)
    if space is None:
        space = fit_concepts(activations, by=options["by"], **shown)
    words = interpret(space, activations, by=options["words_by"])
    results: list[Any] = [activations, space, words]
    if model.labels and options["importance_by"] != "none":
        results.append(importance(split, space, activations, by=options["importance_by"], **shown))
    return results + [_measured(measure, space, activations, split, metric) for metric in options["metrics"]]


def _measured(measure: Any, space: Any, activations: Any, split: Any, metric: Any) -> Any:
    """The score of a space; a metric that asks the model again is given it."""
    declared = declaration_of(metric)
    more = [split] if declared is not None and "model" in declared.needs else []
    return measure(space, activations, *more, by=metric)
