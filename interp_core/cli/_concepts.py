"""The command concepts, which describes in words what a model has learnt. Heavy imports wait until it runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from interp_core.cli._options import (
    corpus_options,
    html_option,
    json_option,
    layer_of,
    load_model,
    model_option,
    parameters,
    read_texts,
    save_option,
)
from interp_core.cli._results import check_destinations, echo_json, write_results
from interp_core.errors import InputError
from interp_core.plugin import find_method, implementation, methods, resolve


@click.command()
@model_option
@click.option("--layer", default="-1", show_default=True, help="Where to split: a block's number or a module path.")
@corpus_options(required=True)
@click.option(
    "--granularity",
    default=None,
    help="What one row of activations is: cls (default for classifiers), word (for others), token, sentence, sample.",
)
@click.option("--by", default="semi-nmf", show_default=True, help="Concept method.")
@click.option("--labels", "label_column", default=None, help="Column of the classes, for methods that learn from them.")
@click.option(
    "--to",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Write the activations to this folder, from which an interrupted run is resumed.",
)
@click.option("--concepts", default=20, show_default=True)
@click.option("--words-by", default="top-inputs", show_default=True, help="Interpretation method.")
@click.option("--top", default=5, show_default=True, help="Words per concept.")
@click.option("--min-count", default=1, show_default=True, help="Leave out words that occur less often.")
@click.option(
    "--importance-by",
    default="input-x-gradient",
    show_default=True,
    help="Attribution method for importance; 'none' for no importance.",
)
@click.option(
    "--measure",
    "metrics",
    multiple=True,
    default=("explained-variance", "fid", "sparsity-ratio"),
    metavar="METRIC",
    help="Also measure by this metric; may be repeated. By default the usual ones that are installed.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter of the method.")
@html_option
@save_option
@json_option
def concepts(path: str, data: str, by: str, plain: bool, **options: Any) -> None:
    """Describe in words what a model has learnt at a layer, and how much it matters to each class."""
    from interp_core.text import read_column

    check_destinations(html=options["html"], folder=options["folder"])
    _make_methods(by, options)
    texts = read_texts({"data": data, **options})
    if options["label_column"]:
        options["labels"] = read_column(data, options["label_column"])[: options["limit"]]
    model = load_model(path)
    results = _concept_story(model, texts, options)
    space, words, rest = results[1], results[2], results[3:]
    scores = [r for r in rest if hasattr(r, "higher_is_better")]
    if plain:
        rows = [{"concept": c.concept, "label": c.label, "words": c.words, "note": c.note} for c in words.concepts]
        echo_json({"concepts": rows, "scores": [s.to_json() for s in scores]})
    else:
        click.echo(f"{space.concepts} concepts of {space.layer}:")
        for concept in words.concepts:
            click.echo(f"  {concept.concept:>3}  {concept.label or concept.note or 'no words'}")
        for score in scores:
            click.echo(str(score))
    write_results(results, options["html"], options["folder"], "What the model has learnt")


def _make_methods(by: str, options: dict[str, Any]) -> None:
    """Put the methods that were named into the options, made with their parameters.

    Raises:
        InputError: an option was given that a method has no use for, or a parameter cannot be used.
        PluginError: a method is not installed, is of another kind, or cannot be imported.
    """
    counted, taken = _taken(by, "concepts", {"concepts": options["concepts"]}), parameters(options["pairs"])
    options["by"] = resolve(by, "concepts", {**counted, **taken})
    wording = {"source": "unique-words", "top": options["top"], "min_count": options["min_count"]}
    name = options["words_by"]
    options["words_by"] = resolve(name, "interpretation", _taken(name, "interpretation", wording))
    options["metrics"] = [resolve(name, "metric") for name in _metrics(options["metrics"])]
    if options["importance_by"] != "none":
        options["importance_by"] = resolve(options["importance_by"], "attribution")


def _taken(name: str, kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Of some options those that are parameters of a method.

    Raises:
        InputError: another was given on the command line.
    """
    made = implementation(find_method(name, kind))
    known = {f.name for f in dataclasses.fields(made)}
    for option in values:
        if option not in known and _given(option):
            raise InputError(f"{name} has no use for --{option.replace('_', '-')}; leave it out.")
    return {option: value for option, value in values.items() if option in known}


def _given(option: str) -> bool:
    """Whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(option)
    return source not in (None, ParameterSource.DEFAULT)


def _metrics(names: tuple[str, ...]) -> list[str]:
    """The metrics that were asked for, which must all be installed, or else the usual ones that are."""
    known = {m.name for m in methods("metric")}
    return [name for name in names if _given("metrics") or name in known]


def _concept_story(model: Any, texts: list[str], options: dict[str, Any]) -> list[Any]:
    """Activations, space, interpretation, importance (only for classifiers) and scores, in this order."""
    from interp_core.concepts import fit_concepts, importance, interpret
    from interp_core.metrics import measure

    if not model.labels and _given("importance_by") and options["importance_by"] != "none":
        raise InputError(f"{model.name} has no classes that concepts could matter to; leave --importance-by out.")
    split = model.split(layer_of(options["layer"]))
    granularity = options["granularity"] or ("cls" if model.labels else "word")
    activations = _labelled(split, texts, options, granularity=granularity, predictions=bool(model.labels))
    space = fit_concepts(activations, by=options["by"])
    words = interpret(space, activations, by=options["words_by"])
    results: list[Any] = [activations, space, words]
    if model.labels and options["importance_by"] != "none":
        results.append(importance(split, space, activations, by=options["importance_by"]))
    return results + [measure(space, activations, by=metric) for metric in options["metrics"]]


def _labelled(split: Any, texts: list[str], options: dict[str, Any], **asked: Any) -> Any:
    """The activations, with labels if a column was named; the classes are the model's if it has all of them."""
    labels: list[str] | None = options.get("labels")
    if labels is None:
        return split.activations(texts, to=options["store"], **asked)
    known = split.model.labels
    names = list(known) if set(labels) <= set(known) else sorted(set(labels))
    asked |= {"predictions": asked["predictions"] and tuple(names) == known, "class_names": names}
    return split.activations(texts, to=options["store"], labels=labels, **asked)
