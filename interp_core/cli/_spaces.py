"""The commands fit, interpret and cards: learn a space from stored rows, interpret it, and make cards of concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from interp_core.cli._methods import MethodName, fields_of, make, parameters_of_each, set_option
from interp_core.cli._options import (
    class_of,
    csv_option,
    example,
    html_option,
    json_option,
    load_model,
    model_options,
    quiet_option,
    results_options,
)
from interp_core.cli._results import check_destinations, echo_json, write_results
from interp_core.cli._saved import RESULTS, Saved, results_argument
from interp_core.errors import InputError
from interp_core.plugin import Kind

concepts_option = click.option("--concepts", default=20, show_default=True, help="The number of concepts to learn.")
space_method = click.option(
    "--by", default="semi-nmf", show_default=True, type=MethodName("concepts"), help="Concept method."
)


@click.command(epilog=example("fit rows --by semi-nmf --concepts 4 --save learnt"))
@results_argument
@space_method
@concepts_option
@set_option()
@click.option(
    "--save",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Keep the concept space in this folder.",
)
@html_option
@json_option
@quiet_option
def fit(files: tuple[Path, ...], by: str, plain: bool, **options: Any) -> None:
    """Learn a concept space from stored activations.

    RESULTS are the activations, such as the folder of `interp activations`.
    """
    check_destinations(html=options["html"], folder=options["folder"])
    method = made_space_method(by, options)
    from interp_core.activations import Activations
    from interp_core.concepts import fit_concepts

    rows = Saved.load(files).one(Activations)
    space = fit_concepts(rows, by=method, progress=not options["quiet"])
    if plain:
        echo_json(space.to_json())
    else:
        click.echo(space.summary())
    write_results([space], options["html"], options["folder"], "What the model has learnt")


@click.command(epilog=example("interpret learnt rows --set top=3 --save words"))
@results_argument
@click.option(
    "--by", default="top-inputs", show_default=True, type=MethodName("interpretation"), help="Interpretation method."
)
@model_options(required=False, for_what="methods")
@click.option("--concept", "numbers", type=int, multiple=True, help="Only this concept, by number; may be repeated.")
@click.option(
    "--class",
    "named",
    default=None,
    help="Only in texts of this class: by prediction, or by label where predictions are not stored.",
)
@set_option()
@csv_option
@results_options
def interpret(files: tuple[Path, ...], by: str, path: str | None, plain: bool, **options: Any) -> None:
    """Put the concepts of a saved space into words.

    RESULTS are the space and the activations in which its concepts are looked up.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"])
    method = make(by, "interpretation", parameters_of_each(options["pairs"], [by], by)[by])
    from interp_core.activations import Activations
    from interp_core.concepts import ConceptSpace
    from interp_core.concepts import interpret as put_into_words

    saved = Saved.load(files)
    space, rows = saved.one(ConceptSpace), saved.one(Activations)
    if options["named"] is not None:
        by_what = "labels" if rows.predictions is None else "predictions"
        rows = rows.of_class(class_of(options["named"], rows.class_names), by=by_what)
    split = None if path is None else load_model(path, options).split(rows.layer)
    words = put_into_words(space, rows, by=method, concepts=list(options["numbers"]) or "all", model=split)
    if plain:
        echo_json(words.to_json())
    else:
        click.echo(words.summary())
    write_results([words], options["html"], options["folder"], "Concepts in words", table=options["table"])


@click.command(epilog=example("cards learnt rows words"))
@results_argument
@click.option(
    "--tokens",
    "token_files",
    type=RESULTS,
    default=None,
    metavar="RESULTS",
    help="An interpretation by vocabulary-projection or token-change: the tokens that concepts raise and lower.",
)
@click.option("--concept", "numbers", type=int, multiple=True, help="Only this concept, by number; may be repeated.")
@csv_option
@results_options
def cards(files: tuple[Path, ...], plain: bool, **options: Any) -> None:
    """Collect what is known of each concept of a saved space on a card.

    RESULTS are the space and its activations, and optionally interpretations, the importance, effects of changing one
    concept each, and scores of labels. With several interpretations, each made by `interp interpret --class NAME`,
    the labels say their class.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"])
    from interp_core.activations import Activations
    from interp_core.concepts import ConceptSpace, Effect, Importance, Interpretation, concept_cards
    from interp_core.metrics import Score

    saved = Saved.load(files)
    space, rows = saved.one(ConceptSpace), saved.one(Activations)
    known: dict[str, Any] = {
        "tokens": Saved.load([options["token_files"]]).one(Interpretation) if options["token_files"] else None,
        "importance": saved.one(Importance) if saved.all(Importance) else None,
        "effects": saved.all(Effect),
        "scores": [one for one in saved.all(Score) if one.values is not None],
    }
    found = concept_cards(space, rows, saved.all(Interpretation), **known, concepts=list(options["numbers"]) or "all")
    if plain:
        echo_json(found.to_json())
    else:
        click.echo(found.summary())
    write_results([found], options["html"], options["folder"], "Cards of concepts", table=options["table"])


def made_space_method(by: str, options: dict[str, Any], others: tuple[str, ...] = ()) -> Any:
    """The concept method with its parameters: those of `--set`, and `--concepts` where it has a use for it."""
    given = parameters_of_each(options["pairs"], [by, *others], by)[by]
    return make(by, "concepts", given, **taken(by, "concepts", {"concepts": options["concepts"]}))


def taken(name: str, kind: Kind, values: dict[str, Any]) -> dict[str, Any]:
    """Of some options those that are parameters of a method.

    Raises:
        InputError: another was given on the command line.
    """
    known = fields_of(name, kind)
    for option in values:
        if option not in known and is_given(option):
            raise InputError(f"{name} has no use for --{option.replace('_', '-')}; leave it out.")
    return {option: value for option, value in values.items() if option in known}


def is_given(option: str) -> bool:
    """Whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(option)
    return source not in (None, ParameterSource.DEFAULT)
