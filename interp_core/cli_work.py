"""The commands that run a model: attribute, concepts, report, demo. Each imports what it needs when it runs."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from interp_core import registry
from interp_core.errors import InputError

model_option = click.option("--model", "path", required=True, metavar="PATH", help="Folder or hub id of the model.")
html_option = click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
save_option = click.option(
    "--save", "folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the results here."
)
set_option = click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter of the method.")
json_option = click.option("--json", "plain", is_flag=True, help="Print JSON for programs.")


@click.command()
@model_option
@click.option("--by", default="lime", show_default=True, help="Attribution method.")
@click.option(
    "--targets",
    multiple=True,
    help="A class (may be repeated), 'all', or a generator's continuation; the model's own answer if left out.",
)
@click.option("--granularity", default="word", show_default=True)
@click.option(
    "--removal", default="auto", show_default=True, help="What an absent unit is: mask, mean, zero, drop, attention."
)
@click.option("--layer", default=None, help="Explain through this layer: a block's number or a module path.")
@click.option("--measure", "metrics", multiple=True, metavar="METRIC", help="Also measure by this; may be repeated.")
@set_option
@html_option
@save_option
@json_option
@click.argument("texts", nargs=-1, required=True)
def attribute(texts: tuple[str, ...], path: str, by: str, plain: bool, **options: Any) -> None:
    """Say which words of TEXTS made the model answer so."""
    registry.get(by, "attribution")  # before anything is loaded, which may take long
    for name in options["metrics"]:
        registry.get(name, "metric")
    from interp_core import attribution, metrics

    model = _load(path)
    layer = options["layer"]
    asked = {key: options[key] for key in ("granularity", "removal")}
    asked["targets"] = _targets(options["targets"], bool(model.labels))
    found = attribution.attribute(
        model,
        list(texts),
        by=by,
        **asked,
        layer=_layer(layer) if layer is not None else None,
        **parameters(options["pairs"]),
    )
    scores = [metrics.measure(found, model, by=name) for name in options["metrics"]]
    _written([found, *scores], options["html"], options["folder"], "Which words made the model answer so")
    if plain:
        rows = [_attribution_row(a) for a in found]
        click.echo(json.dumps({"attributions": rows, "scores": [s.to_json() for s in scores]}, ensure_ascii=False))
        return
    for one in found:
        if len(found) > 1:
            click.secho(one.text, bold=True)
        for k, target in enumerate(one.targets):
            words = ", ".join(f"{word} {score:+.3f}" for word, score in one.top(k))
            click.echo(f"{target.label!r}: {words}")
    for score in scores:
        click.echo(str(score))


@click.command()
@model_option
@click.option("--layer", default="-1", show_default=True, help="Where to split: a block's number or a module path.")
@click.option(
    "--data", required=True, metavar="FILE", help="A .csv, .tsv, .jsonl or .txt file (or .gz), or a data set's name."
)
@click.option("--column", default="text", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), default=None, help="Use only the first texts.")
@click.option(
    "--granularity", default=None, help="What a row is: cls (classifiers' default), word, token, sentence, sample."
)
@click.option("--by", default="semi-nmf", show_default=True, help="Concept method.")
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
@set_option
@html_option
@save_option
@json_option
def concepts(path: str, data: str, by: str, plain: bool, **options: Any) -> None:
    """Say what the model has learnt at a layer, in words, and how much it matters to each class."""
    from interp_core.corpus import read_column

    registry.get(by, "concepts")
    registry.get(options["words_by"], "interpretation")
    texts = read_column(data, options["column"])[: options["limit"]]
    model = _load(path)
    results = _concept_story(model, texts, by, options)
    _written(results, options["html"], options["folder"], "What the model has learnt")
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

    split = model.split(_layer(options["layer"]))
    granularity = options["granularity"] or ("cls" if model.labels else "word")
    held = split.activations(texts, granularity=granularity, predictions=bool(model.labels))
    space = fit_concepts(held, by=by, concepts=options["concepts"], **parameters(options["pairs"]))
    wording = {"source": "unique-words", "top": options["top"], "min_count": options["min_count"]}
    chosen = wording if options["words_by"] == "top-inputs" else {}
    words = interpret(space, held, by=options["words_by"], **chosen)
    results: list[Any] = [held, space, words]
    if model.labels and options["importance_by"] != "none":
        results.append(importance(split, space, held, by=options["importance_by"]))
    known = {m.name for m in registry.methods("metric")}
    wanted = [name for name in ("explained-variance", "fid", "sparsity-ratio") if name in known]
    return results + [measure(space, held, by=name) for name in wanted]


def _load(path: str) -> Any:
    import transformers
    from interp_core.loading import load

    transformers.utils.logging.disable_progress_bar()
    return load(path)


def _targets(given: tuple[str, ...], classifies: bool) -> Any:
    if not given:
        return None
    if classifies:
        return [int(t) if t.isdigit() else t for t in given]
    return given[0] if len(given) == 1 else list(given)


def _layer(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("samples=500", "by=x")` as keyword arguments; values are read as JSON where they are JSON."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} must read KEY=VALUE, such as samples=500.")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _attribution_row(one: Any) -> dict[str, Any]:
    return {
        "text": one.text,
        "units": [[u.text, u.start, u.stop] for u in one.units],
        "targets": [t.label for t in one.targets],
        "scores": one.scores.tolist(),
        "made_by": one.made_by.to_json(),
        "notes": list(one.notes),
    }


def _written(results: list[Any], html: Path | None, folder: Path | None, title: str) -> None:
    if folder:
        from interp_core.saved import save_results

        save_results(folder, results)
        click.echo(f"Kept the results in {folder}", err=True)
    if html:
        from interp_core.reporting import report as render

        click.echo(f"Wrote {render(*results, title=title).save(html)}", err=True)


COMMANDS = (attribute, concepts, report, demo)
