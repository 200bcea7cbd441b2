"""The commands attribute, which explains texts, and benchmark, which compares methods that do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from interp_core.cli._chats import chat_options
from interp_core.cli._methods import MethodName, make, make_metric, metrics_option, parameters_of_each, set_option
from interp_core.cli._options import (
    asked,
    class_of,
    corpus_options,
    csv_option,
    example,
    labels_of,
    labels_option,
    load_model,
    model_options,
    pairs_option,
    question_options,
    results_options,
    texts_of,
)
from interp_core.cli._results import check_destinations, echo_json, told, write_results
from interp_core.cli._runs import run_of, run_options
from interp_core.plugin import find_method

ON_A_PAGE = 500  # texts of a run in a folder


@click.command(
    epilog=example('attribute --model MODEL --by lime --set samples=200 "I was so happy to hear you laugh."')
)
@model_options()
@click.option("--by", default="lime", show_default=True, type=MethodName("attribution"), help="Attribution method.")
@question_options
@corpus_options(required=False)
@pairs_option
@chat_options
@metrics_option("attribution")
@set_option("infidelity.samples=50")
@labels_option
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="Stop at a text that cannot be explained, or go on without it.",
)
@csv_option
@run_options
@results_options
@click.argument("texts", nargs=-1)
def attribute(texts: tuple[str, ...], path: str, by: str, plain: bool, **options: Any) -> None:
    """Show which words led to the model's answer.

    TEXTS are explained one by one; - reads them from standard input, one a line. With --chat they are files of
    documents: attribute --chat chat.json --documents docs/*.txt --units documents --granularity sentence.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"], store=options["store"])
    spread = run_of(options)
    taken = parameters_of_each(options["pairs"], [by, *options["metrics"]], by)
    explainer = make(by, "attribution", taken[by])
    metrics = [make_metric(name, taken[name], "attribution") for name in options["metrics"]]
    from interp_core.attribution import attribute as explain
    from interp_core.attribution import name_of
    from interp_core.metrics import measure

    corpus, column = texts_of(texts, options), labels_of(texts, options)
    model = load_model(path, options)
    shown: dict[str, Any] = {"progress": not options["quiet"]}
    labels = None if column is None else [class_of(label, model.labels) for label in column]
    arguments = {**asked(model, options), "on_error": options["on_error"], "labels": labels}
    attributions = explain(model, corpus, by=explainer, **arguments, **shown, **spread)
    scores = []
    for metric in metrics:
        own = {"to": options["store"] / "scores" / name_of(metric)} if options["store"] is not None else {}
        scores.append(measure(attributions, model, by=metric, **shown, **{**spread, **own}))
    if options["store"] is not None and not plain:
        click.echo("\n".join(map(str, [attributions.one_line(), *scores])))
        told(f"read it with interp.load_results({str(options['store'])!r})")
    elif plain:
        rows = [a.to_json() for a in attributions]
        echo_json({"attributions": rows, "scores": [s.to_json() for s in scores]})
    else:
        _show(attributions, scores)
    title = "Which words led to the model's answer"
    shown_of = attributions if options["store"] is None else attributions[:ON_A_PAGE]
    if options["html"] is not None and len(shown_of) < len(attributions):
        told(f"the page shows the first {ON_A_PAGE} texts of {len(attributions):,}")
    results: list[Any] = [attributions if options["html"] is None else shown_of, *scores]
    write_results(results, options["html"], options["folder"], title, table=options["table"])


def _show(attributions: Sequence[Any], scores: list[Any]) -> None:
    """Print the words that count most for each target of each text, and the scores."""
    click.echo("\n\n".join(map(str, attributions)))
    right = [one.right for one in attributions if one.right is not None]
    if len(right) > 1:
        click.echo(f"\n{sum(right)} of {len(right)} right")
    for score in scores:
        click.echo(str(score))


@click.command(
    epilog=example(
        'benchmark --model MODEL --by occlusion --by lime --measure insertion "I was so happy." "He made me furious."'
    )
)
@model_options()
@click.option(
    "--by", "methods", multiple=True, required=True, type=MethodName("attribution"), help="A method; may be repeated."
)
@click.option(
    "--measure",
    "metrics",
    multiple=True,
    required=True,
    type=MethodName("metric", measures="attribution"),
    help="A metric; may be repeated.",
)
@question_options
@corpus_options(required=False)
@pairs_option
@chat_options
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="NAME.KEY=VALUE",
    help="A parameter of one method or metric, such as lime.samples=500.",
)
@csv_option
@run_options
@results_options
@click.argument("texts", nargs=-1)
def benchmark(texts: tuple[str, ...], path: str, plain: bool, **options: Any) -> None:
    """Compare attribution methods, and say which to trust.

    Each method is measured on TEXTS by each metric and compared with random orders of the words.
    """
    check_destinations(html=options["html"], folder=options["folder"], table=options["table"], store=options["store"])
    spread = run_of(options)
    taken = parameters_of_each(options["pairs"], [*options["methods"], *options["metrics"]])
    methods = {name: _made(name, "attribution", taken) for name in options["methods"]}
    metrics = {name: _made(name, "metric", taken) for name in options["metrics"]}
    from interp_core.metrics import benchmark as compare

    corpus = texts_of(texts, options)
    model = load_model(path, options)
    asked_so = {**asked(model, options), "progress": not options["quiet"]}
    result = compare(model, corpus, methods=methods, metrics=metrics, **asked_so, **spread)
    if plain:
        echo_json(result.to_json())
    else:
        click.echo("\n".join(_table(result)))
    write_results([result], options["html"], options["folder"], "", table=options["table"])


def _made(name: str, kind: Any, taken: dict[str, dict[str, Any]]) -> Any:
    """The method with its parameters, or its name if it has none, so that one that is broken is a row of its own."""
    find_method(name, kind)
    return make(name, kind, taken[name]) if taken[name] else name


def _table(result: Any) -> list[str]:
    """The lines of a table with a row per method, followed by failures, a legend and the verdict."""
    heads = ["method", *(_head(result, m) for m in result.metrics), "seconds", "rows"]
    rows = [
        [row.method, *(_cell(result, row, m) for m in result.metrics), f"{row.cost.seconds:.1f}", str(row.cost.rows)]
        for row in result.rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    failures = [
        f"{row.method}{', ' * bool(m)}{m} failed: {why}" for row in result.rows for m, why in row.failures.items()
    ]
    legend = "+ better than random orders of the words on the same texts, by more than chance"
    return [*(line.rstrip() for line in lines), "", *failures, legend, result.verdict]


def _head(result: Any, metric: str) -> str:
    better = next((row.scores[metric].higher_is_better for row in result.rows if metric in row.scores), None)
    return metric if better is None else f"{metric} ({'higher' if better else 'lower'} is better)"


def _cell(result: Any, row: Any, metric: str) -> str:
    score = row.scores.get(metric)
    if score is None:
        return "failed"
    interval = f" [{score.interval[0]:.3f}, {score.interval[1]:.3f}]" if score.interval else ""
    return f"{score.value:.3f}{interval}{' +' * result.beats_chance(row, metric)}"
