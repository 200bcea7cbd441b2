"""Texts whose units are components of the model, with the reference that a closed gate lets through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from interp_core.errors import InputError, UnsupportedError, unknown
from interp_core.model import Site, WrappedModel, layer_site, sites_of
from interp_core.text import NO_UNIT, DividedText, Encoded, Text, Unit, as_texts
from jaxtyping import Int
from torch import Tensor

OVER = ("heads", "mlps", "components", "blocks", "positions", "heads-by-position")
ALIGN = ("left", "right")
MEANS = ("mean", "zero")  # references that are no text


@dataclass(frozen=True, eq=False, kw_only=True)
class ComponentText(DividedText):
    """A tokenised text whose units are components of the model.

    Attributes:
        over: the kind of component, see `attribute`; `"concepts"` for those of a space.
        reference: the reference text, `"mean"` or `"zero"`.
        other: the reference text as the model receives it; None for `"mean"` and `"zero"`.
        partner: (t) for each token, the position of its counterpart in the reference, -1 for none; None for a reference
            that is not a text.
        layer: the path of the layer, where the units are positions or concepts at a single layer.
        space: the concept space, where its concepts are the units; it is not saved.

    Examples:
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> about = {"over": "heads", "reference": "so sad", "targets": " today", "progress": False}
        >>> (attribution,) = interp.attribute(model, "so happy", by="shapley", **about)
        >>> attribution.encoded.over, attribution.encoded.reference
        ('heads', 'so sad')
    """

    over: str
    reference: str
    other: Encoded | None = None
    partner: Int[Tensor, " t"] | None = None
    layer: str = ""
    space: Any = None

    def check(self) -> None:
        """Check that the model can be asked again about these units, since a concept space is not saved with them.

        Raises:
            InputError: the units are concepts, and their space is unknown.
        """
        if self.over == "concepts" and self.space is None:
            raise InputError(
                "this attribution was loaded from a file, which does not hold the concept space that it is about; ask "
                "again with over=space."
            )

    @property
    def free(self) -> Tensor:
        """(t) True for tokens without a counterpart in the reference, whose gates stay open."""
        return torch.zeros(len(self), dtype=torch.bool) if self.partner is None else self.partner < 0

    @property
    def key(self) -> tuple[Any, ...]:
        """A key that distinguishes texts that differ in units or reference only."""
        other = None if self.other is None else tuple(self.other.ids.tolist())
        partner = None if self.partner is None else tuple(self.partner.tolist())
        return self.over, self.reference, other, partner, self.layer, id(self.space)


def check_references(reference: Any, texts: int) -> None:
    """Refuse a list that has not one reference for each text.

    Raises:
        InputError: it has more or fewer.
    """
    count = len(as_texts(reference))
    if count != texts and isinstance(reference, list) and as_texts(reference) != [reference]:
        raise InputError(f"{count} references were given for {texts} texts; a list has one for each text.")


def component_text(
    model: WrappedModel, encoded: Encoded, over: Any, reference: Text, *, layer: int | str | None, align: str | None
) -> ComponentText:
    """The text with components as its units.

    Args:
        model: the model.
        encoded: the text, with its continuation if there is one.
        over: what the units are, see `attribute`.
        reference: the reference text, `"mean"` or `"zero"`.
        layer: the layer of positions or concepts; None for all of them.
        align: how a reference of another length is aligned, see `attribute`.

    Raises:
        InputError: an unknown option, or a reference of another length.
        UnsupportedError: the model has no such components, or its decoder reads the source again.
    """
    if model.encoder.start_id is not None and not encoded.source:
        raise UnsupportedError(
            f"the decoder of {model.name} reads the text again, so its components are not told apart."
        )
    if align is not None and align not in ALIGN:
        raise InputError(unknown("align", align, ALIGN))
    name = over if isinstance(over, str) else "concepts"
    path = _layer_of(model, over, layer)
    units = [Unit(text, 0, 0) for text in _names(model, encoded, over, path)]
    other, partner = None, None
    if not (isinstance(reference, str) and reference in MEANS):
        other = _reference(model, encoded, reference)
        partner = _partners(encoded, other, align)
    parts = {one.name: getattr(encoded, one.name) for one in fields(Encoded)}
    return ComponentText(
        **parts,
        units=tuple(units),
        unit_of=torch.full((len(encoded),), NO_UNIT),
        over=name,
        reference=str(reference) if other is None else _prompt_of(other),
        other=other,
        partner=partner,
        layer=path,
        space=None if isinstance(over, str) else over,
    )


def _prompt_of(encoded: Encoded) -> str:
    """The text without its continuation."""
    return encoded.text[: encoded.continuation].rstrip("\n") if encoded.continuation > 0 else str(encoded.text)


def _layer_of(model: WrappedModel, over: Any, layer: int | str | None) -> str:
    """The path of the layer that is meant; empty for all.

    Raises:
        InputError: `over` is unknown, or a layer was given for components of all of them, or none for a space.
    """
    if isinstance(over, str):
        if over not in OVER:
            raise InputError(unknown("over", over, OVER, also="a concept space"))
        if layer is not None and over != "positions":
            raise InputError(f"over={over!r} is about all layers; leave out layer={layer!r}.")
        return "" if layer is None else model.layer_path(layer)
    if not all(hasattr(over, part) for part in ("encode", "decode", "names")):
        raise InputError(f"over is {type(over).__name__}; one of {', '.join(OVER)} or a concept space was expected.")
    known = over.made_by.settings.get("layer") if getattr(over, "made_by", None) is not None else None
    if layer is None and not isinstance(known, str):
        raise InputError("the space does not know its layer; give layer=.")
    return model.layer_path(str(known) if layer is None else layer)


def _names(model: WrappedModel, encoded: Encoded, over: Any, layer: str) -> Iterator[str]:
    """The names of the units."""
    if not isinstance(over, str):
        yield from over.names
        yield "outside the space"
        return
    if over == "positions":
        yield from _positions(model, encoded)
        return
    names = [name for site in sites_of(model, over.removesuffix("-by-position")) for name in site.names]
    if over != "heads-by-position":
        yield from names
        return
    at = list(_positions(model, encoded))
    yield from (f"{name} @ {position}" for name in names for position in at)


def _positions(model: WrappedModel, encoded: Encoded) -> Iterator[str]:
    for i, (token, (start, stop)) in enumerate(zip(encoded.ids.tolist(), encoded.offsets.tolist(), strict=True)):
        said = encoded.text[start:stop].strip() or str(model.tokenizer.convert_ids_to_tokens(token))
        yield f"{i} {said}"


def _reference(model: WrappedModel, encoded: Encoded, reference: Text) -> Encoded:
    """The reference text as the model receives it, with the continuation of the text."""
    if not encoded.source and not 0 <= encoded.prompt < len(encoded) and model.head != "causal":
        return model.encoder(reference)
    continuation = encoded.ids[encoded.prompt :].tolist() if 0 <= encoded.prompt < len(encoded) else []
    return model.encoder.with_ids(reference, continuation) if continuation else model.encoder.prompt(reference)


def _partners(encoded: Encoded, other: Encoded, align: str | None) -> Tensor:
    """For each token of the text the position in the reference that stands for it, -1 for none.

    Raises:
        InputError: the reference has another number of tokens, and how to align it was not said.
    """
    if (len(encoded), encoded.source) == (len(other), other.source):
        return torch.arange(len(encoded))
    if align is None:
        counts = [(one.source or one.prompt) if one.source or one.prompt > 0 else len(one) for one in (encoded, other)]
        raise InputError(
            f"the text has {counts[0]} tokens and its reference {counts[1]}, so that their positions do not "
            "correspond; give a reference of as many tokens, or align='left' or 'right'."
        )
    own, theirs = _stretches(encoded), _stretches(other)
    partner = torch.full((len(encoded),), -1)
    for (a, b), (c, d), how in zip(own, theirs, (align, "right"), strict=False):
        count = min(b - a, d - c)
        if how == "left":
            partner[a : a + count] = torch.arange(c, c + count)
        else:
            partner[b - count : b] = torch.arange(d - count, d)
    return partner


def _stretches(encoded: Encoded) -> Sequence[tuple[int, int]]:
    """The tokens that are aligned with each other: those of the prompt or source, and those behind."""
    border = encoded.source or (encoded.prompt if encoded.prompt > 0 else len(encoded))
    return (0, border), (border, len(encoded))


def positions_sites(model: WrappedModel, layer: str) -> tuple[Site, ...]:
    """The sites that hold all that is known at a position: the embeddings and the output of each block, or of one."""
    if layer:
        return (layer_site(model, layer, ("position",)),)
    return tuple(one if one.kind == "embeddings" else replace(one, holds="output") for one in sites_of(model, "blocks"))


def saved_components(encoded: Encoded | None) -> tuple[dict[str, Tensor | None], dict[str, Any] | None]:
    """What a file keeps of a question about components besides the text: tensors, and JSON values."""
    if not isinstance(encoded, ComponentText):
        return {}, None
    other = encoded.other
    tensors = {} if other is None else {f"reference_{name}": getattr(other, name) for name in ("ids", "types")}
    more = {} if other is None else {"prompt": other.prompt, "source": other.source}
    plain = {"over": encoded.over, "reference": encoded.reference, "layer": encoded.layer, **more}
    return {**tensors, "partner": encoded.partner}, plain


def loaded_components(divided: DividedText, tensors: dict[str, Tensor], data: dict[str, Any]) -> DividedText:
    """The text with its components, if a file says that the units are such; what is read is taken from `tensors`."""
    plain = data.get("components")
    if plain is None:
        return divided
    ids, types, partner = (tensors.pop(name, None) for name in ("reference_ids", "reference_types", "partner"))
    other = None
    if ids is not None:
        nowhere = torch.zeros(len(ids), 2, dtype=torch.long)
        special = torch.zeros(len(ids), dtype=torch.bool)
        places = {"prompt": plain["prompt"], "source": plain["source"]}
        other = Encoded(plain["reference"], ids=ids, offsets=nowhere, special=special, types=types, **places)
    parts = {one.name: getattr(divided, one.name) for one in fields(DividedText)}
    names = {name: plain[name] for name in ("over", "reference", "layer")}
    return ComponentText(**parts, **names, other=other, partner=partner)
