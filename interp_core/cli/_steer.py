"""The command steer, which compares what a model says with and without strengthened concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from interp_core.cli._options import (
    corpus_options,
    example,
    json_option,
    load_model,
    model_options,
    quiet_option,
    texts_of,
)
from interp_core.cli._results import echo_json, told
from interp_core.cli._saved import RESULTS, Saved
from interp_core.errors import UnsupportedError


@click.command(epilog=example('steer --model MODEL --space learnt --concept 0 --strength 2 "It was a grey day."'))
@model_options()
@click.option(
    "--space",
    "files",
    type=RESULTS,
    multiple=True,
    required=True,
    metavar="RESULTS",
    help="The saved space; may be repeated, for an interpretation that gives concepts their labels.",
)
@click.option(
    "--concept", "named", multiple=True, required=True, help="A number, name or label of a concept; may be repeated."
)
@click.option(
    "--strength", type=float, required=True, help="The amount added to the code of each concept; negative to weaken it."
)
@click.option(
    "--positions",
    type=click.Choice(["all", "first", "last", "generated"]),
    default=None,
    help="The tokens that are steered; by default the kind that the space was learnt from.",
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="For generators: tokens to write.",
)
@corpus_options(required=False)
@json_option
@quiet_option
@click.argument("texts", nargs=-1, metavar="[PROMPT]...")
def steer(texts: tuple[str, ...], path: str, files: tuple[Path, ...], plain: bool, **options: Any) -> None:
    """Compare what a model says with and without strengthened concepts.

    That is the greedy continuation of each PROMPT, or for a classifier the probability of each class. The largest code
    of each concept in the prompts is printed too, since codes have no natural unit. - reads prompts from standard
    input, one a line.
    """
    from interp_core.concepts import ConceptSpace, intervene

    prompts, saved = texts_of(texts, options), Saved.load(files)
    space = saved.one(ConceptSpace)
    concepts = saved.concepts(options["named"], space)
    model = load_model(path, options)
    answer, shown = _answers(model, options["max_new_tokens"]), [model.encoder(prompt).text for prompt in prompts]
    split = model.split(space.layer or -1)
    highest = _highest(split, space, prompts)
    without = [answer(prompt) for prompt in prompts]
    with intervene(
        split, space, add=dict.fromkeys(concepts, options["strength"]), positions=options["positions"] or None
    ):
        changed = [answer(prompt) for prompt in prompts]
    said = list(zip(shown, without, changed, strict=True))
    if plain:
        codes = {str(one): highest[one] for one in concepts}
        told = [{"text": text, "without": before, "with": after} for text, before, after in said]
        echo_json({"concepts": concepts, "strength": options["strength"], "highest_code": codes, "texts": told})
        return
    for one in concepts:
        reached = f"its code is at most {highest[one]:.2f} in these texts"
        click.echo(f"{saved.titles(space)[space.names[one]]} {options['strength']:+g}; {reached}")
    for text, before, after in said:
        click.echo("\n" + "\n".join(_lines(text, before, after)))


def _answers(model: Any, max_new_tokens: int) -> Any:
    """A function from a text to what the model says: the text it generates, or the probability of each class.

    Raises:
        UnsupportedError: the model neither generates nor classifies texts.
    """
    from interp_core.attribution import Options, Session, TargetResolver, continued
    from interp_core.model import GENERATORS
    from interp_core.results import Cost

    session = Session(model, Options(progress=False))
    resolver = TargetResolver(model, session.batch_runner, session.options)

    def generated(text: Any) -> str:
        whole = continued(model, text, None, max_new_tokens, Cost())
        return str(whole.text[len(model.encoder.prompt(text).text) :])

    def classified(text: Any) -> dict[str, float]:
        resolved: Any = resolver.resolve([text], None, answers=True)
        ((encoded, _, logits),) = resolved
        if encoded.cut:
            told(f"{encoded.cut} tokens are beyond what {model.name} takes and were cut off: {encoded.text[:40]!r} …")
        scaled = {"single-label": lambda: logits.float().softmax(-1), "multi-label": lambda: logits.float().sigmoid()}
        values = scaled.get(model.head, lambda: logits)()
        return dict(zip(model.labels, values.tolist(), strict=True))

    if model.head in GENERATORS:
        return generated
    if model.labels:
        return classified
    raise UnsupportedError(f"{model.name} neither generates nor classifies texts; `interp effect` shows its scores.")


def _highest(split: Any, space: Any, prompts: list[Any]) -> list[float]:
    """The highest code of each concept in the prompts, from which a strength can be chosen."""
    learnt_from = space.made_by.settings.get("granularity", "")
    granularity = learnt_from if learnt_from in ("cls", "last") else "token"
    rows = split.activations(prompts, granularity=granularity, progress=False)
    highest: list[float] = space.encode(rows.matrix()).amax(0).tolist()
    return highest


def _lines(text: str, without: Any, changed: Any) -> list[str]:
    """A text, and what the model says without and with the change."""
    if isinstance(without, str):
        return [text, f"  without: {' '.join(without.split())}", f"  with:    {' '.join(changed.split())}"]
    width = max(map(len, without))
    return [text, *(f"  {name:<{width}}  {value:.3f} → {changed[name]:.3f}" for name, value in without.items())]
