"""The commands attribute, which explains texts, and benchmark, which compares methods that do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from interp_core.cli._options import (
    asked,
    corpus_options,
    html_option,
    json_option,
    load_model,
    model_option,
    pairs_option,
    parameters,
    question_options,
    save_option,
    texts_of,
)
from interp_core.cli._results import write_results
from interp_core.errors import InputError
from interp_core.plugin import find_method, method

LABEL = 60  # characters of the label of a target on a terminal


@click.command()
@model_option
@click.option("--by", default="lime", show_default=True, help="Attribution method.")
@question_options
@corpus_options(required=False)
@pairs_option
@click.option(
    "--measure", "metrics", multiple=True, metavar="METRIC", help="Also measure by this metric; may be repeated."
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter of the method.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="Stop at a text that cannot be explained, or go on without it.",
)
@html_option
@save_option
@json_option
@click.argument("texts", nargs=-1)
def attribute(texts: tuple[str, ...], path: str, by: str, plain: bool, **options: Any) -> None:
    """Show which words of TEXTS led to the model's answer."""
    _known((by,), options["metrics"])
    from interp_core.attribution import attribute as explain
    from interp_core.metrics import measure

    corpus, taken = texts_of(texts, options), parameters(options["pairs"])
    model = load_model(path)
    arguments = {**asked(model, options, taken), "on_error": options["on_error"]}
    attributions = explain(model, corpus, by=by, **arguments, **taken)
    scores = [measure(attributions, model, by=name) for name in options["metrics"]]
    write_results([attributions, *scores], options["html"], options["folder"], "Which words led to the model's answer")
    if plain:
        rows = [_attribution_row(a) for a in attributions]
        click.echo(json.dumps({"attributions": rows, "scores": [s.to_json() for s in scores]}, ensure_ascii=False))
        return
    for attribution in attributions:
        if len(attributions) > 1:
            click.secho(attribution.text, bold=True)
        for k, target in enumerate(attribution.targets):
            words = ", ".join(f"{word} {score:+.3f}" for word, score in attribution.top(k))
            click.echo(f"{_cut(target.label)!r}: {words}")
    for score in scores:
        click.echo(str(score))


@click.command()
@model_option
@click.option("--by", "methods", multiple=True, required=True, metavar="METHOD", help="A method; may be repeated.")
@click.option("--measure", "metrics", multiple=True, required=True, metavar="METRIC", help="A metric; may be repeated.")
@question_options
@corpus_options(required=False)
@pairs_option
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="NAME.KEY=VALUE",
    help="A parameter of one method or metric, such as lime.samples=500.",
)
@click.option("--csv", "table", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole table.")
@html_option
@save_option
@json_option
@click.argument("texts", nargs=-1)
def benchmark(texts: tuple[str, ...], path: str, plain: bool, **options: Any) -> None:
    """Compare methods on TEXTS: each is measured by each metric and compared with random orders of the words."""
    _known(options["methods"], options["metrics"])
    from interp_core.metrics import benchmark as compare

    corpus, taken = texts_of(texts, options), _parameters_of_each(options)
    model = load_model(path)
    result = compare(
        model,
        corpus,
        methods={name: _made(name, "attribution", taken) for name in options["methods"]},
        metrics={name: _made(name, "metric", taken) for name in options["metrics"]},
        **asked(model, options, {}),
    )
    write_results([result], options["html"], options["folder"], "")
    if options["table"]:
        result.to_csv(options["table"])
        click.echo(f"Wrote {options['table']}", err=True)
    if plain:
        click.echo(json.dumps(_benchmark_data(result), ensure_ascii=False))
        return
    for line in _table(result):
        click.echo(line)


def _known(methods: tuple[str, ...], metrics: tuple[str, ...]) -> None:
    """Refuse an unknown name before models are loaded, which may take long."""
    for name in methods:
        find_method(name, "attribution")
    for name in metrics:
        find_method(name, "metric")


def _parameters_of_each(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`lime.samples=500` as `{"lime": {"samples": 500}}`."""
    by_name: dict[str, dict[str, Any]] = {}
    names = (*options["methods"], *options["metrics"])
    for key, value in parameters(options["pairs"]).items():
        name, _, parameter = key.rpartition(".")
        if name not in names:
            raise InputError(f"--set {key}: name the method or metric, such as {names[0]}.{parameter}={value}.")
        by_name.setdefault(name, {})[parameter] = value
    return by_name


def _made(name: str, kind: Any, taken: dict[str, dict[str, Any]]) -> Any:
    return method(name, kind, **taken[name]) if name in taken else name


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


def _benchmark_data(result: Any) -> dict[str, Any]:
    def scores(row: Any) -> dict[str, Any]:
        return {m: {**s.to_json(), "beats_chance": result.beats_chance(row, m)} for m, s in row.scores.items()}

    rows = [
        {
            "method": row.method,
            "parameters": dict(row.parameters),
            "scores": scores(row),
            "cost": vars(row.cost),
            "failures": dict(row.failures),
        }
        for row in result.rows
    ]
    trusted = result.trusted.method if result.trusted else None
    return {"model": result.model, "texts": result.texts, "rows": rows, "trusted": trusted, "verdict": result.verdict}


def _attribution_row(attribution: Any) -> dict[str, Any]:
    return {
        "text": attribution.text,
        "units": [[u.text, u.start, u.stop] for u in attribution.units],
        "targets": [t.label for t in attribution.targets],
        "scores": attribution.scores.tolist(),
        "score_space": attribution.score_space,
        "error": None if attribution.error is None else attribution.error.tolist(),
        "rows": attribution.rows,
        "made_by": attribution.made_by.to_json(),
        "notes": list(attribution.notes),
    }


def _cut(label: str) -> str:
    return label if len(label) <= LABEL else label[: LABEL - 1] + "…"
