"""The states of components in one pass of the model, and a check that nothing else carries a text."""

from __future__ import annotations

from contextvars import Context
from dataclasses import replace

import torch
from interp_core.errors import LayerError, UnsupportedError
from interp_core.model._forward import BatchRunner
from interp_core.model._gates import GatesInjection, SitesReader
from interp_core.model._requests import ModelRequest, Side, TextRows
from interp_core.model._rounding import agree, rounding
from interp_core.model._wrapped_model import WrappedModel
from torch import Tensor


def read_sites(runner: BatchRunner, rows: TextRows, injection: GatesInjection) -> Tensor:
    """Read the states of the sites of components in one pass over one row.

    Args:
        runner: calls the model.
        rows: the row.
        injection: the gates, which name the sites.

    Returns:
        (t, w) the states of all sites side by side; 0 at tokens that do not pass through a site.

    Raises:
        LayerError: a site did not run, or has no state for each token.

    Examples:
        >>> from interp_core.model import BatchRunner, GatesInjection, read_sites, sites_of, whole_text
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> sites, channels = sites_of(model, "mlps"), (slice(0, 1), slice(1, 2), slice(2, 3))
        >>> gates = GatesInjection(model.model, model.embeddings.paths[0], sites, channels, model.layout)
        >>> row = whole_text(model.encoder("so happy"))(torch.arange(1))
        >>> read_sites(BatchRunner(model), row, gates).shape  # the embeddings and two MLPs, each 16 wide
        torch.Size([4, 48])
    """
    length, reader = rows.ids.shape[1], SitesReader(injection)
    with torch.inference_mode(False), torch.no_grad():
        request = ModelRequest(torch.tensor([length]), lambda _: rows, injection=reader)
        dummy = torch.zeros(1, length, 1, device=runner.model.device)
        runner.forward([replace(rows, values=dummy)], request)
    columns = []
    for site, states in zip(injection.sites, reader.noted, strict=True):
        side = slice(None) if site.side == "both" or not rows.source else _tokens_of(site.side, rows.source)
        column = states.new_zeros(length, site.width)
        if states.ndim != 3 or states.shape[1:] != column[side].shape:
            raise LayerError(
                f"{site.path!r} has states of shape {tuple(states.shape)} for {len(column[side])} tokens, not one for "
                "each, so its components cannot be set at each of them."
            )
        column[side] = states[0]
        columns.append(column.float().to(runner.model.device))
    return torch.cat(columns, dim=1)


def _tokens_of(side: Side, source: int) -> slice:
    return slice(source) if side == "source" else slice(source, None)


def check_all_closed(model: WrappedModel, injection: GatesInjection) -> None:
    """Check on a short text that nothing but the components of a model carries information about the text.

    Args:
        model: the model.
        injection: the gates of all components.

    Raises:
        UnsupportedError: with all gates closed, the model does not give the output of the reference.

    Examples:
        >>> from interp_core.model import GatesInjection, check_all_closed, sites_of
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> sites, channels = sites_of(model, "mlps"), (slice(0, 1), slice(1, 2), slice(2, 3))
        >>> gates = GatesInjection(model.model, model.embeddings.paths[0], sites, channels, model.layout)
        >>> check_all_closed(model, gates)
    """
    closed, expected = Context().run(_closed_and_expected, model, injection)
    if not agree(closed, expected, rounding(model.model, autocast=model.autocast)):
        raise UnsupportedError(
            f"with all of its components set to their reference, {model.name} does not answer as it does to the "
            "reference: its blocks read the text, or what is below them, once more. Explain words instead."
        )


def _closed_and_expected(model: WrappedModel, injection: GatesInjection) -> tuple[Tensor, Tensor]:
    """The logits for a short text with all gates closed, and those for the reference."""
    runner, source = BatchRunner(model), model.some_ids()
    start = model.encoder.start_id
    ids = source if start is None else torch.cat([source, torch.tensor([[start]])], dim=1)
    border = 0 if start is None else source.shape[1]
    kept = {start, *model.tokenizer.all_special_ids} - {None, model.tokenizer.unk_token_id}
    count = min(len(model.tokenizer), model.embeddings.count)
    words = torch.tensor([i for i in range(count) if i not in model.tokenizer.all_special_ids][: ids.shape[1] + 1])
    drawn = words[torch.arange(ids.shape[1]) % len(words)][None]
    drawn = torch.where(drawn == ids, words[-1], drawn)
    other = torch.where(torch.isin(ids, torch.tensor(sorted(kept))), ids, drawn)
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.inference_mode(False), torch.no_grad():
        there = TextRows(other, mask, source=border)
        channels = max(one.stop for one in injection.channels)
        gates = torch.zeros(1, ids.shape[1], channels, device=model.device)
        reference = read_sites(runner, there, injection)
        here = TextRows(ids, mask, values=gates, source=border, reference=reference)
        request = ModelRequest(torch.tensor([ids.shape[1]]), lambda _: here, injection=injection)
        closed = runner.forward([here], request).logits
        return closed, runner.forward([there], replace(request, injection=None)).logits
