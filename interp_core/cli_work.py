"""The commands concepts, report and demo. Each imports what it needs when it runs."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from interp_core import registry
from interp_core.cli_options import (
    corpus_options,
    html_option,
    json_option,
    layer_of,
    load_model,
    model_option,
    parameters,
    save_option,
    write_results,
)
from interp_core.errors import InputError


@click.command()
@model_option
@click.option("--layer", default="-1", show_default=True, help="Where to split: a block's number or a module path.")
@corpus_options(required=True)
@click.option(
    "--granularity", default=None, help="What a row is: cls (classifiers' default), word, token, sentence, sample."
)
@click.option("--by", default="semi-nmf", show_default=True, help="Concept method.")
@click.option("--labels", "label_column", default=None, help="Column of the classes, for methods that learn from them.")
@click.option(
    "--to",
    "store",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Keep the activations in this folder; a run that was interrupted goes on from there.",
)
@click.option("--concepts", default=20, show_default=True)
@click.option("--words-by", default="top-inputs", show_default=True, help="Interpretation method.")
@click.option("--top", default=5, show_default=True, help="Words a concept.")
@click.option("--min-count", default=1, show_default=True, help="Only words that occur so often.")
@click.option(
    "--importance-by",
    default="input-x-gradient",
    show_default=True,
    help="Attribution method for importance; 'none' for no importance.",
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter of the method.")
@html_option
@save_option
@json_option
def concepts(path: str, data: str, by: str, plain: bool, **options: Any) -> None:
    """Say what the model has learnt at a layer, in words, and how much it matters to each class."""
    from interp_core.corpus import read_column

    registry.get(by, "concepts")
    registry.get(options["words_by"], "interpretation")
    texts = read_column(data, options["column"])[: options["limit"]]
    if options["label_column"]:
        options["labels"] = read_column(data, options["label_column"])[: options["limit"]]
    model = load_model(path)
    results = _concept_story(model, texts, by, options)
    write_results(results, options["html"], options["folder"], "What the model has learnt")
    space, words, rest = results[1], results[2], results[3:]
    scores = [r for r in rest if hasattr(r, "higher_is_better")]
    if plain:
        rows = [{"concept": c.concept, "label": c.label, "words": c.words, "note": c.note} for c in words.concepts]
        click.echo(json.dumps({"concepts": rows, "scores": [s.to_json() for s in scores]}, ensure_ascii=False))
        return
    click.echo(f"{space.concepts} concepts of {space.layer}:")
    for concept in words.concepts:
        click.echo(f"  {concept.concept:>3}  {concept.label or concept.note or 'no words'}")
    for score in scores:
        click.echo(str(score))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"), show_default=True)
@click.option("--title", default="")
def report(files: tuple[Path, ...], html: Path, title: str) -> None:
    """Make one offline HTML file of saved results (FILES, or folders of them)."""
    from interp_core.reporting import report as render
    from interp_core.saved import load_result

    paths = [
        p for f in files for p in (sorted(f.iterdir()) if f.is_dir() else [f]) if p.suffix in (".json", ".safetensors")
    ]
    if not paths:
        raise InputError("there are no results in the given folders; --save writes some.")
    click.echo(f"Wrote {render(*map(load_result, paths), title=title).save(html)}")


@click.command()
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"), show_default=True)
@click.option(
    "--llm", default=None, help="A language model that names the concepts, such as openai; top words if left out."
)
@click.option(
    "--llm-set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the language model, such as base_url=….",
)
def demo(html: Path, llm: str | None, pairs: tuple[str, ...]) -> None:
    """Tell the whole story on a small emotion classifier that comes with interp-demo, offline."""
    try:
        story = import_module("interp_demo.story")
    except ModuleNotFoundError as error:
        raise InputError("the demonstration is a package of its own: pip install interp-demo.") from error
    for line in story.tell(html, llm, parameters(pairs)):
        click.echo(line)


def _concept_story(model: Any, texts: list[str], by: str, options: dict[str, Any]) -> list[Any]:
    """Activations, space, words, importance and quality, in this order; importance only where there are classes."""
    from interp_core.concepts import fit_concepts
    from interp_core.contribution import importance
    from interp_core.interpretation import interpret
    from interp_core.metrics import measure

    split = model.split(layer_of(options["layer"]))
    granularity = options["granularity"] or ("cls" if model.labels else "word")
    held = _labelled(split, texts, options, granularity=granularity, predictions=bool(model.labels))
    names = {f.name for f in dataclasses.fields(registry.implementation(registry.get(by, "concepts")))}
    count = {"concepts": options["concepts"]} if "concepts" in names else {}
    space = fit_concepts(held, by=by, **count, **parameters(options["pairs"]))
    wording = {"source": "unique-words", "top": options["top"], "min_count": options["min_count"]}
    chosen = wording if options["words_by"] == "top-inputs" else {}
    words = interpret(space, held, by=options["words_by"], **chosen)
    results: list[Any] = [held, space, words]
    if model.labels and options["importance_by"] != "none":
        results.append(importance(split, space, held, by=options["importance_by"]))
    known = {m.name for m in registry.methods("metric")}
    wanted = [name for name in ("explained-variance", "fid", "sparsity-ratio") if name in known]
    return results + [measure(space, held, by=name) for name in wanted]


def _labelled(split: Any, texts: list[str], options: dict[str, Any], **asked: Any) -> Any:
    """The activations, with labels if a column of them was named: the model's classes, or else names of their own."""
    given: list[str] | None = options.get("labels")
    if given is None:
        return split.activations(texts, to=options["store"], **asked)
    known = split.model.labels
    names = list(known) if set(given) <= set(known) else sorted(set(given))
    asked |= {"predictions": asked["predictions"] and tuple(names) == known, "class_names": names}
    return split.activations(texts, to=options["store"], labels=given, **asked)


COMMANDS = (concepts, report, demo)
