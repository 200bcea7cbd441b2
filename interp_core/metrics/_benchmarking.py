"""The verb `benchmark`, which measures every method with every metric on the same texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp_core.attribution import Removal, attribute, name_of
from interp_core.errors import BrokenPluginError, BudgetError, FolderError, InputError, ModelError, UnsupportedError
from interp_core.metrics._benchmark import Benchmark, Row
from interp_core.metrics._measure import measure
from interp_core.model import WrappedModel, identity_of
from interp_core.plugin import Kind, declaration_of, find_method, named_options, resolve
from interp_core.results import SHARD_SIZE, Folder, Shard, described, place_of_run
from interp_core.text import Granularity, Region, Text, as_texts

Named = Sequence[Any] | Mapping[str, Any]
EXPECTED = (UnsupportedError, BudgetError, ModelError, BrokenPluginError)


@named_options
def benchmark(
    model: WrappedModel,
    texts: Text | Sequence[Text],
    *,
    methods: Named,
    metrics: Named,
    labels: Sequence[Any] | None = None,
    targets: Any = None,
    granularity: Granularity = "word",
    units: Region = None,
    removal: Removal = "auto",
    score: str = "auto",
    output: Granularity = "token",
    layer: int | str | None = None,
    over: Any = None,
    reference: Any = None,
    align: str | None = None,
    max_new_tokens: int = 12,
    max_rows: int | None = None,
    truncation: str = "longest_first",
    chance: bool = True,
    to: str | Path | None = None,
    executor: Any = None,
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
) -> Benchmark:
    """Measure every attribution method with every metric on the same texts.

    If a method or a metric fails, its error message is kept in the row of the method, and the others still run.

    Args:
        model: the model.
        texts: one text or several, as in `attribute`; at least five are needed to tell a method from chance.
        methods: names or instances of attribution methods; or a mapping from names of your own to these.
        metrics: names or instances of metrics of attributions; or a mapping from names of your own to these.
        labels: for metrics that compare with human annotation: a list of character spans [start, stop) for each text.
        targets: what to explain, as in `attribute`.
        granularity: what a unit is, as in `attribute`.
        units: the part of a text that is explained, as in `attribute`.
        removal: what replaces an absent unit, as in `attribute`.
        score: the score space that is explained, as in `attribute`.
        output: for generators, what one target is, as in `attribute`.
        layer: the layer whose hidden states are the features, as the number of a block or a module path; None for the
            embeddings.
        over: components of the model that are scored in place of the units of the text, as in `attribute`.
        reference: with `over`, what a closed gate lets through, as in `attribute`.
        align: with `over`, how a reference of another length is aligned, as in `attribute`.
        max_new_tokens: for generators, the maximum number of tokens to generate.
        max_rows: the maximum number of model rows for each text, for each method and each metric; None for no limit.
        truncation: which text of a pair is cut when the pair is longer than the model accepts, as in `attribute`.
        chance: whether to measure random orders too, at least four of each text; without them there is no verdict.
        to: a folder in which attributions and scores are written as they are made, each in its own folder, and at the
            end the benchmark itself. The same call resumes a run that was interrupted.
        executor: where shards of texts are processed, as in `attribute`.
        shard_size: with `to` or `executor`, the number of texts in a shard.
        progress: show progress bars in a terminal or notebook.

    Returns:
        The scores, costs and failures of each method, with the method to trust.

    Raises:
        InputError: there are no methods or metrics, a name occurs twice, a metric needs `labels`, a text, target or
            option cannot be used, or the folder holds another run.
        UnsupportedError: a metric measures another kind of result.
        UnknownMethodError: no installed package declares one of the methods or metrics.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0), "angry": (-1.0, 1.5)})
        >>> texts = [f"i was {how} {mood} today" for how in ("so", "very") for mood in ("happy", "sad", "angry")]
        >>> result = interp.benchmark(model, texts, methods="occlusion", metrics="insertion", progress=False)
        >>> result.trusted.method
        'occlusion'
        >>> result.rows[0].scores["insertion"].values.shape
        torch.Size([6])
    """
    chosen, measured_by = _named(methods, "methods", "attribution"), _named(metrics, "metrics", "metric")
    needs = {name: _needs(name, metric) for name, metric in measured_by.items()}
    unmarked = [name for name, needed in needs.items() if "labels" in needed] if labels is None else []
    if unmarked:
        raise InputError(f"{', '.join(unmarked)} compares with what people marked; give labels=, spans for each text.")
    corpus = as_texts(texts)
    if labels is not None and len(labels) != len(corpus):
        raise InputError(f"{len(labels)} labels were given for {len(corpus)} texts; spans for each were expected.")
    rows = []
    asked: dict[str, Any] = {
        "targets": targets,
        "granularity": granularity,
        "units": units,
        "removal": removal,
        "score": score,
        "output": output,
        "layer": layer,
        "over": over,
        "reference": reference,
        "align": align,
        "max_new_tokens": max_new_tokens,
        "max_rows": max_rows,
        "truncation": truncation,
    }
    settings = {
        **asked,
        "methods": list(chosen.items()),
        "metrics": list(measured_by.items()),
        "labels": labels,
        "chance": chance,
        "shard_size": shard_size,
    }
    place = None if to is None else _begun(place_of_run(to), model, corpus, settings)
    spread: dict[str, Any] = {"executor": executor, "shard_size": shard_size, "progress": progress}
    compared = _Compared(model, corpus, labels, needs, measured_by, asked, {**spread, "chance": chance})
    for number, (name, method) in enumerate(chosen.items()):
        rows.append(compared.row(name, method, None if place is None else place / f"method-{number:03d}"))
    deciding = tuple(name for name, needed in needs.items() if "method" not in needed)  # the others measure stability
    result = Benchmark(tuple(rows), tuple(measured_by), model.name, len(corpus), deciding)
    if place is not None:
        result.save(place / "result.json")
    return result


@dataclass(frozen=True, eq=False)
class _Compared:
    """What all methods of a benchmark are asked and measured by."""

    model: WrappedModel
    corpus: Sequence[Text]
    labels: Sequence[Any] | None
    needs: Mapping[str, frozenset[str]]
    metrics: Mapping[str, Any]
    asked: dict[str, Any]
    spread: dict[str, Any]

    def row(self, name: str, method: Any, place: Path | None) -> Row:
        """The scores of one method, its failures and its cost; `place` is its folder."""
        spread = {key: value for key, value in self.spread.items() if key != "chance"}
        to = None if place is None else place / "attributions"
        try:
            attributions = attribute(self.model, self.corpus, by=method, **self.asked, to=to, **spread)
        except EXPECTED as error:
            return Row(name, failures={"": str(error)})
        scores, failures = {}, {}
        instance = None if isinstance(method, str) else method
        for number, (metric_name, metric) in enumerate(self.metrics.items()):
            needs = self.needs[metric_name]
            again = "method" in needs or self.asked["over"] is not None
            try:
                scores[metric_name] = measure(
                    attributions,
                    *((self.model, self.labels) if "labels" in needs else (self.model,)),
                    by=metric,
                    method=instance,
                    removal=None if again else self.asked["removal"],
                    to=None if place is None else place / f"metric-{number:03d}",
                    **self.spread,
                )
            except FolderError:
                raise
            except (*EXPECTED, InputError) as error:
                failures[metric_name] = str(error)
        made = attributions.made_by
        return Row(name, made.parameters, scores, made.cost, failures, made)


def _begun(place: Path, model: WrappedModel, corpus: Sequence[Text], asked: dict[str, Any]) -> Path:
    """The folder of a benchmark, which is created, or resumed by a call with the same settings.

    Raises:
        FolderError: it holds something else.
    """
    known, sample = identity_of(model)
    settings = {"holds": "benchmark", **described(asked), "texts given": Shard(0, 0, tuple(corpus)).digest}
    settings["labels given"] = settings.pop("labels")  # of people, and not those of the model
    Folder(place, "run", {**known, **settings}, sample).begin()
    return place


def _named(several: Named | str, what: str, kind: Kind) -> dict[str, Any]:
    """Methods or metrics by name.

    Raises:
        InputError: there are none, two have the same name, or one is not of this kind.
        PluginError: no package declares one of them, or it is of another kind.
    """
    items: Named = [several] if isinstance(several, str) else several
    if isinstance(items, Mapping):
        named = dict(items)
    else:
        named = {item if isinstance(item, str) else name_of(item): item for item in items}
    if not named:
        raise InputError(f"no {what} were given; at least one is needed.")
    if len(named) < len(items):
        raise InputError(
            f"the {what} are {', '.join(map(str, named))}, {len(items)} in all, so that names occur twice; give two of "
            "one name as a mapping of your own names to instances."
        )
    for item in named.values():  # a name that is not known must not stop a long run in its middle
        with suppress(BrokenPluginError):  # kept in its row
            resolve(item, kind)
    return named


def _needs(name: str, metric: Any) -> frozenset[str]:
    """What a metric gets besides the attribution and the question.

    Raises:
        UnsupportedError: it measures something other than attributions.
    """
    declared = find_method(metric, "metric") if isinstance(metric, str) else declaration_of(metric)
    if declared is not None and declared.measures != "attribution":
        raise UnsupportedError(f"{name} measures {declared.measures}; a benchmark measures attributions.")
    needs: frozenset[str] = declared.needs if declared else getattr(metric, "needs", frozenset())
    return needs
