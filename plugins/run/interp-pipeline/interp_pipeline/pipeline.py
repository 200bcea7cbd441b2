"""Pipelines: steps that are run in order, each once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import interp_core as interp
from interp_core.errors import InputError, InterpError, unknown
from interp_core.metrics import Score
from interp_core.model import TextModel
from interp_core.plugin import declaration_of
from interp_core.results import write_text

from interp_pipeline.corpus import Corpus, as_classes, check_texts, read_corpus
from interp_pipeline.document import Document, read
from interp_pipeline.kept import Kept
from interp_pipeline.keys import key_of, key_of_folder, key_of_model, key_of_texts, releases
from interp_pipeline.steps import Step, change_of, described, steps_of

RECORD = "run.json"


@dataclass(frozen=True, eq=False)
class Run(Mapping[str, Any]):
    """What a pipeline gave: the result of each step, by name.

    Attributes:
        results: the results.
        computed: the names of the steps that were computed; the others were found where an earlier run kept them.
        depends_on: for each step the key of all that its result depends on.
        seconds: how long each computed step took.
        folder: where the results are kept.
    """

    results: Mapping[str, Any]
    computed: tuple[str, ...]
    depends_on: Mapping[str, str]
    seconds: Mapping[str, float]
    folder: Path

    def __getitem__(self, name: str) -> Any:
        """The result of a step.

        Raises:
            InputError: there is no such step.
        """
        if name not in self.results:
            raise InputError(unknown("the step", name, self.results))
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"Run({len(self)} steps, {len(self.computed)} computed, kept in {str(self.folder)!r})"


class Pipeline:
    """Named steps as data: a model, texts, and what is done with them.

    The result of each step is kept under a key of all that it depends on: the options of the step, the method with its
    parameters and release, the weights of the model, the texts with their labels, and the steps it builds on. A step
    whose key is known is not computed again. An interrupted run thus goes on where it stopped, and a changed step is
    computed again together with those that build on it, and no others.

    Paths are relative to the file of the pipeline. Labels that are classes of the model are given to attributions and
    activations; labels of other classes to activations alone.

    Args:
        source: a `.toml` or `.yaml` file, or a mapping of the same form.

    Attributes:
        document: the entries, with their lines.
        steps: the steps, checked.

    Raises:
        InputError: an entry is unknown or missing, or a method is not installed or refuses a parameter; the message
            says where.

    Examples:
        >>> from interp_pipeline.pipeline import Pipeline
        >>> pipeline = Pipeline({"steps": {"why": {"do": "attribute", "by": "occlusion"}}})
        >>> [step.name for step in pipeline.steps]
        ['why']
    """

    def __init__(self, source: Mapping[str, Any] | str | Path) -> None:
        self.document: Document = read(source).resolved()
        self.steps: list[Step] = steps_of(self.document)
        check_texts(self.document)
        table = self.document.table("model")
        if table and not isinstance(table.get("path"), str):
            wrong = next((key for key in table if key != "path"), "path")
            raise self.document.error(("model", wrong), "the model is named by its path, a folder or hub id.")

    def __repr__(self) -> str:
        named = ", ".join(f"{step.name}: {step.verb}" for step in self.steps)
        return f"Pipeline({named})"

    def run(
        self,
        folder: str | Path,
        *,
        model: TextModel | None = None,
        texts: Sequence[Any] | None = None,
        labels: Sequence[Any] | None = None,
        progress: bool = True,
        told: Callable[[str], None] = lambda _: None,
    ) -> Run:
        """Run the steps.

        Args:
            folder: folder where results are kept, and found again.
            model: the model, in place of the one that the document names.
            texts: the texts, in place of those of the document.
            labels: the true class of each text, in place of those of the document.
            progress: show progress bars in terminals and notebooks.
            told: called with one line for each step when it is done.

        Returns:
            The result of each step, by name. `run.json` in the folder says how to repeat the run.

        Raises:
            InputError: there is no model or there are no texts, or a step cannot use what it was given.
            InterpError: as raised by the verbs; the message says which step it was.
        """
        work = _Work(self, Kept(Path(folder)), model, texts, labels, progress)
        results: dict[str, Any] = {}
        seconds: dict[str, float] = {}
        for step in self.steps:
            start = time.perf_counter()
            key = work.key(step)
            if work.kept.holds(step.name, key):
                results[step.name] = work.kept.load(step.name, key)
                told(f"{step.name}: {results[step.name]!r}, from before")
                continue
            try:
                results[step.name] = work.compute(step, results)
            except InterpError as error:
                raise type(error)(str(self.document.error(step.place, str(error)))) from error
            seconds[step.name] = time.perf_counter() - start
            told(f"{step.name}: {results[step.name]!r}, {seconds[step.name]:.1f} s")
        run = Run(results, tuple(seconds), work.keys, seconds, Path(folder))
        self._record(work, run)
        return run

    def _record(self, work: _Work, run: Run) -> None:
        record = {
            "pipeline": json.loads(json.dumps(self.document.data, default=str)),
            "source": self.document.source,
            "model": work.model_key,
            "texts": work.texts_key,
            "releases": releases(),
            "steps": dict(run.depends_on),
        }
        write_text(run.folder / RECORD, json.dumps(record, ensure_ascii=False, indent=1))


@dataclass
class _Work:
    """One run: what the steps are computed with, loaded when the first needs it."""

    pipeline: Pipeline
    kept: Kept
    given_model: TextModel | None
    given_texts: Sequence[Any] | None
    given_labels: Sequence[Any] | None
    progress: bool
    keys: dict[str, str] = field(default_factory=dict)

    @cached_property
    def model_key(self) -> str:
        """The key of the model; of one in a folder it is found without loading it."""
        table = dict(self.pipeline.document.table("model"))
        path = table.pop("path", None)
        if self.given_model is None and path is not None and Path(path).is_dir():
            return key_of_folder(Path(path), table)
        return key_of_model(self.model)

    @cached_property
    def model(self) -> TextModel:
        """The model."""
        if self.given_model is not None:
            return self.given_model
        table = dict(self.pipeline.document.table("model"))
        path = table.pop("path", None)
        if path is None:
            raise self.pipeline.document.error(("model",), "no model: give its path, or run(…, model=…).")
        try:
            return interp.load(path, **table)
        except InterpError as error:
            raise type(error)(str(self.pipeline.document.error(("model", "path"), str(error)))) from error

    @cached_property
    def corpus(self) -> Corpus:
        """The texts, and their labels if there are any."""
        return read_corpus(self.pipeline.document, self.given_texts, self.given_labels)

    @cached_property
    def texts_key(self) -> str:
        """The key of the texts and their labels."""
        return key_of_texts(*self.corpus)

    def key(self, step: Step) -> str:
        """The key of a step's result."""
        inputs = {role: self._input_key(name) for role, name in step.inputs.items()}
        methods = [described(method) for method in step.methods]
        parts = {
            "verb": step.verb,
            "options": step.options,
            "methods": methods,
            "inputs": inputs,
            "releases": releases(),
        }
        self.keys[step.name] = key_of(parts)
        return self.keys[step.name]

    def _input_key(self, name: str) -> str:
        return self.model_key if name == "model" else self.texts_key if name == "texts" else self.keys[name]

    def compute(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Compute a step and keep its result."""
        key, options = self.keys[step.name], dict(step.options)
        by = {"by": step.methods[0]} if step.methods else {}
        inputs = {role: results[name] for role, name in step.inputs.items() if name in results}
        value: Any
        if step.verb == "activations":
            return self._activations(step, key, options)
        if step.verb == "attribute":
            value = interp.attribute(self.model, self.corpus[0], **by, **self._labels, **options, **self._shown)
        elif step.verb == "benchmark":
            value = interp.benchmark(self.model, self.corpus[0], **options, **self._shown)
        elif step.verb == "fit":
            value = interp.fit_concepts(inputs["activations"], **by, **options, **self._shown)
        elif step.verb == "interpret":
            value = interp.interpret(inputs["space"], inputs["activations"], **by, **options)
        elif step.verb == "measure":
            value = self._measured(inputs["of"], step, results, options)
        else:
            split, held = self.model.split(inputs["activations"].layer), inputs["activations"]
            if step.verb == "importance":
                value = interp.importance(split, inputs["space"], held, **by, **options, **self._shown)
            else:
                change, rest = change_of(options)
                value = interp.effect(split, inputs["space"], held, change, **rest, **self._shown)
        return self.kept.keep(step.name, key, value)

    @property
    def _shown(self) -> dict[str, Any]:
        return {"progress": self.progress}

    @property
    def _labels(self) -> dict[str, Any]:
        """The labels, where they are classes of the model."""
        labels = as_classes(self.pipeline.document, self.corpus[1], self.model.labels)
        return {} if labels is None else {"labels": labels}

    def _activations(self, step: Step, key: str, options: dict[str, Any]) -> Any:
        """Activations are written to a store, from which a run that was killed in the middle goes on."""
        split, store = self.model.split(options.pop("layer")), self.kept.unfinished(step.name, key)
        labels = self._labels.get("labels")
        names: dict[str, Any] = {}
        if labels is None and self.corpus[1] is not None:
            labels = [str(label) for label in self.corpus[1]]
            names = {"class_names": sorted(set(labels))}
        found = split.activations(self.corpus[0], to=store, labels=labels, **names, **options, **self._shown)
        return self.kept.keep_store(step.name, key, store, found)

    def _measured(self, result: Any, step: Step, results: Mapping[str, Any], options: dict[str, Any]) -> Score:
        """A score of attributions, or of a space on the activations that it was learnt from."""
        if isinstance(result, list):
            return interp.measure(result, self.model, by=step.methods[0], **options, **self._shown)
        source = next(one for one in self.pipeline.steps if one.name == step.inputs["of"])
        held, declared = results[source.inputs["activations"]], declaration_of(step.methods[0])
        more = [self.model.split(held.layer)] if declared is not None and "model" in declared.needs else []
        return interp.measure(result, held, *more, by=step.methods[0], **options, **self._shown)
