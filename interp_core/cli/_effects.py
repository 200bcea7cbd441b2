"""The commands importance and effect, which measure how much concepts matter and what changing them does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from interp_core.cli._methods import MethodName, make, parameters_of_each, set_option
from interp_core.cli._options import (
    contrast_option,
    csv_option,
    example,
    load_model,
    model_options,
    results_options,
    targets_of,
    together,
)
from interp_core.cli._results import check_destinations, echo_json, write_results
from interp_core.cli._saved import Saved, results_argument
from interp_core.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])


def concept_question_options(command: F) -> F:
    """Add the options that say what concepts matter to."""
    targets = click.option(
        "--targets",
        multiple=True,
        help="A class (may be repeated), 'all' (the default) or 'predicted'; the next token for a generator.",
    )
    score = click.option(
        "--score",
        default="auto",
        show_default=True,
        help="The score space: logit, probability, log-probability, log-odds or entropy.",
    )
    return together(command, (targets, contrast_option, score))


@click.command(epilog=example("importance learnt rows --model MODEL --by input-x-gradient"))
@results_argument
@model_options()
@click.option(
    "--by", default="input-x-gradient", show_default=True, type=MethodName("attribution"), help="Attribution method."
)
@concept_question_options
@click.option("--max-rows", type=int, default=None, help="Maximum number of model rows for each text.")
@set_option()
@csv_option
@results_options
def importance(files: tuple[Path, ...], path: str, by: str, plain: bool, **options: Any) -> None:
    """Show how much each concept of a saved space matters.

    RESULTS are the space and the activations, and an interpretation where concepts are to be shown with their labels.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"])
    method = make(by, "attribution", parameters_of_each(options["pairs"], [by], by)[by])
    from interp_core.concepts import importance as matter

    saved, space, rows = _found(files)
    split = load_model(path, options).split(rows.layer)
    question = {**_question(split.model, options), "max_rows": options["max_rows"]}
    result = matter(split, space, rows, by=method, **question)
    if plain:
        echo_json(result.to_json())
    else:
        click.echo(saved.titled(result, space).summary())
    write_results([result], options["html"], options["folder"], "How much each concept matters", table=options["table"])


@click.command(epilog=example("effect learnt rows --model MODEL --ablate 0 --scale 1=2"))
@results_argument
@model_options()
@click.option("--ablate", multiple=True, metavar="CONCEPT", help="Set the code of this concept to 0; may be repeated.")
@click.option("--scale", multiple=True, metavar="CONCEPT=FACTOR", help="Multiply the code by this; may be repeated.")
@click.option("--add", multiple=True, metavar="CONCEPT=AMOUNT", help="Add this to the code; may be repeated.")
@concept_question_options
@csv_option
@results_options
def effect(files: tuple[Path, ...], path: str, plain: bool, **options: Any) -> None:
    """Show the effect of changing concepts on the scores.

    RESULTS are the saved space and the activations. A CONCEPT is a number or a name, or a label where an interpretation
    is among RESULTS.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"])
    amounts = {how: [_amount(how, pair) for pair in options[how]] for how in ("scale", "add")}
    if not (options["ablate"] or any(amounts.values())):
        raise click.UsageError("say what changes: --ablate CONCEPT, --scale CONCEPT=FACTOR or --add CONCEPT=AMOUNT.")
    from interp_core.concepts import Change
    from interp_core.concepts import effect as effect_of

    saved, space, rows = _found(files)
    changed = {}
    for how, pairs in amounts.items():
        numbers = saved.concepts([named for named, _ in pairs], space)
        changed[how] = dict(zip(numbers, (value for _, value in pairs), strict=True))
    change = Change(saved.concepts(options["ablate"], space), **changed)
    change.factors(space)  # refuses one that cannot be
    split = load_model(path, options).split(rows.layer)
    result = effect_of(split, space, rows, change, **_question(split.model, options))
    if plain:
        echo_json(result.to_json())
    else:
        click.echo("\n".join(_lines(result, saved.titles(space), _unit(split.model, options["score"]))))
    write_results([result], options["html"], options["folder"], "What changing concepts does", table=options["table"])


def _found(files: tuple[Path, ...]) -> tuple[Saved, Any, Any]:
    """What was saved, and of it the space and the activations."""
    from interp_core.activations import Activations
    from interp_core.concepts import ConceptSpace

    saved = Saved.load(files)
    return saved, saved.one(ConceptSpace), saved.one(Activations)


def _question(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What the scores are of.

    Raises:
        InputError: the model is a generator, and no token was named.
    """
    from interp_core.model import GENERATORS

    targets = targets_of(options, bool(model.labels))
    if targets is None and model.head in GENERATORS:
        raise InputError(f"{model.name} generates; name the next tokens that are meant, such as --targets ' good'.")
    asked = {"score": options["score"], "progress": not options["quiet"]}
    return asked if targets is None else {"targets": targets, **asked}


def _amount(how: str, pair: str) -> tuple[str, float]:
    """A concept and a number, from `CONCEPT=NUMBER`."""
    concept, equals, number = pair.rpartition("=")
    try:
        return concept, float(number if equals else "")
    except ValueError:
        raise click.BadParameter(f"{pair!r} must read CONCEPT=NUMBER, such as 3=2.0.", param_hint=f"--{how}") from None


def _lines(result: Any, titles: dict[str, str], unit: str) -> list[str]:
    """What changed, and below it a line for each target."""
    changes = result.change.items()
    told = [f"{how} {', '.join(_change(one, amounts, titles) for one in amounts)}" for how, amounts in changes]
    texts, intervals = len(result.per_text), result.intervals
    sure = ", with its 95 % interval" if any(intervals) else ""
    head = f"{'; '.join(told)}: mean change of the {unit} in {texts} text{'s' * (texts != 1)}{sure}"
    width = max(map(len, result.targets))
    rows = zip(result.targets, result.mean.tolist(), intervals, strict=True)
    lines = [f"  {t:<{width}}  {mean:+.3f}" + (f"  [{i[0]:+.3f}, {i[1]:+.3f}]" if i else "") for t, mean, i in rows]
    return [head, *lines, *result.notes]


def _unit(model: Any, score: str) -> str:
    """What the scores of targets are, where `auto` leaves it to the head of the model."""
    from interp_core.model import GENERATORS

    automatic = "log-probability" if model.head in GENERATORS | {"masked"} else "logit"
    return automatic if score == "auto" else score


def _change(name: str, amounts: Any, titles: dict[str, str]) -> str:
    """A concept by its title, and by how much it is changed."""
    by = f" by {amounts[name]:g}" if isinstance(amounts, dict) else ""
    return f"{titles.get(name, name)}{by}"
