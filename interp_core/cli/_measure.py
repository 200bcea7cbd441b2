"""The command measure, which measures saved results with metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from interp_core.cli._methods import MethodName, make_metric, parameters_of_each, set_option
from interp_core.cli._options import example, load_model, model_options, results_options
from interp_core.cli._results import check_destinations, echo_json, write_results
from interp_core.cli._saved import Saved, results_argument
from interp_core.plugin import Method, find_method


@click.command(epilog=example("measure learnt rows --by explained-variance --by sparsity-ratio"))
@results_argument
@click.option(
    "--by", "metrics", multiple=True, required=True, type=MethodName("metric"), help="A metric; may be repeated."
)
@model_options(required=False)
@click.option("--score", default=None, help="For attributions: the score space to measure in, such as logit.")
@click.option(
    "--removal", default=None, help="For attributions: what replaces an absent unit; by default as they were made."
)
@click.option(
    "--max-rows", type=int, default=None, help="For attributions: maximum number of model rows for each text."
)
@click.option(
    "--chance/--no-chance", default=True, show_default=True, help="Also measure the chance level, of random answers."
)
@set_option("infidelity.samples=50")
@results_options
def measure(files: tuple[Path, ...], path: str | None, plain: bool, **options: Any) -> None:
    """Measure saved results with metrics.

    RESULTS are a space and its activations, with an interpretation if that is measured; or attributions, with the model
    that they explain as --model. The metric decides what is measured. With several metrics, --set names the one that
    a parameter belongs to.
    """
    check_destinations(html=options["html"], folder=options["folder"])
    names = options["metrics"]
    declared = {name: find_method(name, "metric") for name in names}
    asking = [name for name, one in declared.items() if one.measures == "attribution" or "model" in one.needs]
    if asking and path is None:
        raise click.UsageError(f"{asking[0]} asks the model again; name it with --model PATH.")
    taken = parameters_of_each(options["pairs"], names, names[0] if len(names) == 1 else None)
    metrics = {name: make_metric(name, taken[name]) for name in names}
    from interp_core.metrics import measure as measured

    saved = Saved.load(files)
    inputs = {name: _inputs(saved, one) for name, one in declared.items()}
    model = load_model(path, options) if path is not None and asking else None
    scores = []
    for name, metric in metrics.items():
        result, given = inputs[name]
        more, asked = _asked(declared[name], given, model, options)
        scores.append(measured(result, *more, by=metric, chance=options["chance"], **asked))
    if plain:
        echo_json({"scores": [score.to_json() for score in scores]})
    else:
        click.echo("\n".join(score.summary() for score in scores))
    write_results(scores, options["html"], options["folder"], "How far to trust it")


def _inputs(saved: Saved, metric: Method) -> tuple[Any, tuple[Any, ...]]:
    """What a metric measures, and what that was made from."""
    from interp_core.activations import Activations
    from interp_core.attribution import Attribution, StoredAttributions
    from interp_core.concepts import ConceptSpace, Interpretation

    if metric.measures == "attribution":
        stored = saved.all(StoredAttributions)
        if len(stored) == 1 and not saved.all(Attribution):
            return stored[0], ()
        every = [*(one for several in stored for one in several), *saved.all(Attribution)]
        return every or [saved.one(Attribution)], ()
    made_from = (saved.one(ConceptSpace), saved.one(Activations))
    if metric.measures == "interpretation":
        return saved.one(Interpretation), made_from
    return made_from[0], made_from[1:]


def _asked(
    metric: Method, given: tuple[Any, ...], model: Any, options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The other arguments of `interp.measure`; the options of attributions are refused by it for other results."""
    asked = {name: options[name] for name in ("score", "removal", "max_rows") if options[name] is not None}
    if metric.measures == "attribution":
        return (model,), {**asked, "progress": not options["quiet"]}
    return (*given, *([model.split(given[0].layer)] if "model" in metric.needs else [])), asked
