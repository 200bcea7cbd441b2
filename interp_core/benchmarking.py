"""Runs every attribution method and every metric on the same texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interp_core import registry
from interp_core.attribution import attribute
from interp_core.comparison import Benchmark, Row
from interp_core.errors import BrokenPluginError, BudgetError, InputError, ModelError, UnsupportedError
from interp_core.given import Text, as_texts
from interp_core.metrics import measure
from interp_core.model import TextModel
from interp_core.scoring import name_of

Named = Sequence[Any] | Mapping[str, Any]
EXPECTED = (UnsupportedError, BudgetError, ModelError, BrokenPluginError)


def benchmark(
    model: TextModel,
    texts: Text | Sequence[Text],
    *,
    methods: Named,
    metrics: Named,
    labels: Sequence[Any] | None = None,
    **options: Any,
) -> Benchmark:
    """Every method measured by every metric on the same texts.

    Args:
        model: the model.
        texts: five or more, so that methods can be told from chance.
        methods: names or instances of attribution methods; a mapping gives them names of your own.
        metrics: names or instances of metrics of attributions, or a mapping.
        labels: what people marked in each text, for metrics that compare with it.
        **options: as for `interp.attribute`: `targets`, `granularity`, `removal`, `score`, …

    Raises:
        InputError: no methods or metrics, or a name given twice. What goes wrong within one method or metric is kept
            in its row, and the others go on.
    """
    chosen, wanted = _named(methods, "methods"), _named(metrics, "metrics")
    needs = {name: _needs(name, metric) for name, metric in wanted.items()}
    unmarked = [name for name, needed in needs.items() if "labels" in needed] if labels is None else []
    if unmarked:
        raise InputError(f"{', '.join(unmarked)} compares with what people marked; give labels=, spans for each text.")
    corpus = as_texts(texts)
    rows = []
    for name, method in chosen.items():
        try:
            found = attribute(model, corpus, by=method, **options)
        except EXPECTED as error:
            rows.append(Row(name, failures={"": str(error)}))
            continue
        scores, failures = {}, {}
        for metric_name, metric in wanted.items():
            what = (model, labels) if "labels" in needs[metric_name] else (model,)
            again = None if isinstance(method, str) else method
            try:
                asked = {"progress", *(() if "method" in needs[metric_name] else ("removal",))} & options.keys()
                same = {name: options[name] for name in asked}
                scores[metric_name] = measure(found, *what, by=metric, method=again, **same)
            except (*EXPECTED, InputError) as error:
                failures[metric_name] = str(error)
        made = found[0].made_by
        rows.append(Row(name, made.parameters, scores, made.cost, failures, made))
    deciding = tuple(name for name, needed in needs.items() if "method" not in needed)  # the others ask for steadiness
    return Benchmark(tuple(rows), tuple(wanted), model.name, len(corpus), deciding)


def _named(several: Named | str, what: str) -> dict[str, Any]:
    given: Named = [several] if isinstance(several, str) else several
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {one if isinstance(one, str) else name_of(one): one for one in given}
    if not found or len(found) < len(given):
        raise InputError(
            f"the {what} are {', '.join(map(str, found)) or 'none'}, {len(given)} in all; at least one is needed, and "
            "names that differ: give two of one kind as a mapping of names to instances."
        )
    return found


def _needs(name: str, metric: Any) -> frozenset[str]:
    """What a metric is given beside attribution and question.

    Raises:
        UnsupportedError: it measures something else than attributions.
    """
    declared = registry.get(metric, "metric") if isinstance(metric, str) else registry.declaration_of(metric)
    if declared is not None and declared.measures != "attribution":
        raise UnsupportedError(f"{name} measures {declared.measures}; a benchmark is of attributions.")
    found: frozenset[str] = declared.needs if declared else getattr(metric, "needs", frozenset())
    return found
