"""Gates on components, which mix the output of a component with its output in a reference run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from interp_core.errors import LayerError
from interp_core.model._components import Site, given_states
from interp_core.model._hooks import Layout, Tap, hidden_of, module_at, repack
from interp_core.model._module_state import calling_here
from interp_core.model._requests import PaddedBatch
from torch import Tensor, nn

Work = Callable[[int, Tensor, Tensor | None], Tensor]
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]  # of gates (p, t, c), live and reference states (p, t, w)


def mix(gates: Tensor, live: Tensor, reference: Tensor) -> Tensor:
    """`gates · live + (1 - gates) · reference`, exact where a gate is 0 or 1; each gate has as many columns.

    Args:
        gates: (p, t, c) from 0 to 1.
        live: (p, t, w) the states of c components side by side.
        reference: (t, w), or (p, t, w).

    Returns:
        The states, (p, t, w), in the number format of `live`.
    """
    wide = gates.float().repeat_interleave(live.shape[-1] // gates.shape[-1], -1)
    return torch.lerp(reference.float().expand_as(live), live.float(), wide).to(live.dtype)


@dataclass(frozen=True, eq=False)
class GatesInjection:
    """Injection of gates at several sites, which mix the outputs of components with those of a reference run.

    The values that enter are gates (p, t, c), one for each token and channel; rows carry the reference states of their
    text, see `TextRows.reference`.

    Attributes:
        model: the user's model.
        path: the path of a module through which all tokens pass, which stands for the injection.
        sites: the places of the components.
        channels: for each site, the channels of its components.
        layout: how the model lays out hidden states.
        mixes: how sites mix, by the number of the site; `mix` for all others.

    Examples:
        >>> from interp_core.model import GatesInjection, sites_of
        >>> from interp_core.testing import tiny_classifier
        >>> model = tiny_classifier()
        >>> sites, channels = sites_of(model, "mlps"), (slice(0, 1), slice(1, 2), slice(2, 3))
        >>> gates = GatesInjection(model.model, model.embeddings.paths[0], sites, channels, model.layout)
        >>> gates.width  # the embeddings and two MLPs, each 16 wide
        48
    """

    model: nn.Module
    path: str
    sites: tuple[Site, ...]
    channels: tuple[slice, ...]
    layout: Layout
    mixes: tuple[tuple[int, Mix], ...] = ()

    @property
    def width(self) -> int:
        """The number of columns of all sites side by side, which is the width of a reference."""
        return sum(site.width for site in self.sites)

    def open(self, values: Tensor) -> Any:
        """Raise an error, since gates need to know to which texts the rows belong; use `open_for`.

        Raises:
            LayerError: always.
        """
        raise LayerError(
            "gates mix with the reference of a text, so they are opened for a batch, not for values alone."
        )

    @contextmanager
    def open_for(self, batch: PaddedBatch) -> Iterator[Tap]:
        """Open a context in which one pass of the model runs with the gates of a batch."""
        entered, how = Tap(self.path), dict(self.mixes)
        starts = _starts(self.sites)

        def mixed(number: int, live: Tensor, base: Tensor | None) -> Tensor:
            count = len(batch.ids)
            states = _by_row(self.layout.turned(live), count)
            below = None if base is None else self.layout.turned(base)
            columns = slice(starts[number], starts[number] + self.sites[number].width)
            pieces = []
            for rows, reference, border in batch.references:
                own, first = _own(self.sites[number], reference[:, columns], border, batch)
                if below is not None:
                    own = own.to(below) + below[rows, : len(own)]
                gates = batch.values[rows, first:, self.channels[number]] if batch.values is not None else own
                pieces.append(self._mixed(self.sites[number], gates, states[rows], own, how.get(number, mix)))
            entered.value = batch.values
            return self.layout.turned(torch.cat(pieces)).reshape(live.shape)

        with _at(self.model, self.sites, mixed):
            yield entered

    def _mixed(self, site: Site, gates: Tensor, live: Tensor, own: Tensor, how: Mix) -> Tensor:
        """The states of the rows of one text, mixed at its own tokens; those of padding stay."""
        count = own.shape[-2]
        if live.ndim != 3 or live.shape[1] < count or live.shape[-1] != site.width:
            raise LayerError(
                f"{site.path!r} has states of shape {tuple(live.shape)} for {count} tokens, so gates cannot be set at "
                "each of them: this model adds positions (prompt tuning) or lays tokens out in another way."
            )
        changed = how(gates[:, :count].to(live.device), live[:, :count], own.to(live.device))
        return torch.cat([changed, live[:, count:]], dim=1) if live.shape[1] > count else changed


def _by_row(states: Tensor, rows: int) -> Tensor:
    """States as (p, t, w), also where a model lays the tokens of all rows out one after the other."""
    flat = states.ndim == 2 and not len(states) % rows
    return states.reshape(rows, -1, states.shape[-1]) if flat else states


def _starts(sites: Sequence[Site]) -> list[int]:
    starts = [0]
    for site in sites:
        starts.append(starts[-1] + site.width)
    return starts


def _own(site: Site, states: Tensor, border: int, batch: PaddedBatch) -> tuple[Tensor, int]:
    """The reference at the tokens that pass through a site, and the position in the batch at which these begin."""
    if site.side == "both" or not border:
        return states, 0
    return (states[:border], 0) if site.side == "source" else (states[border:], batch.source)


@contextmanager
def _at(model: nn.Module, sites: Sequence[Site], work: Work) -> Iterator[None]:
    """A context in which the states of each site pass through `work`.

    Args:
        model: the user's model.
        sites: where.
        work: from the number of a site, its states, and what these began with if its components are a change, to the
            states that go on.
    """
    counts: Counter[str] = Counter()
    kept: dict[str, Tensor] = {}
    meant = calling_here()
    by_path: dict[str, list[int]] = {}
    for number, site in enumerate(sites):
        by_path.setdefault(site.path, []).append(number)

    def enter(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not meant():
            return None
        states = given_states(args, kwargs)
        for number in by_path[path]:
            if sites[number].call == counts[path] and sites[number].holds == "input" and states is not None:
                states = work(number, states, None)
                args, kwargs = _given(states, args, kwargs)
        if states is not None:
            kept[path] = states
        return args, kwargs

    def leave(path: str, output: Any) -> Any:
        if not meant():
            return None
        call, counts[path] = counts[path], counts[path] + 1
        for number in by_path[path]:
            site = sites[number]
            if site.call == call and site.holds != "input":
                base = kept[path] if site.holds == "change" else None
                output = repack(output, work(number, hidden_of(output, path, hidden=False), base))
        return output

    with ExitStack() as stack:
        for path in by_path:
            module = module_at(model, path)
            before = module.register_forward_pre_hook(
                lambda _m, args, kwargs, path=path: enter(path, args, kwargs), with_kwargs=True
            )
            after = module.register_forward_hook(lambda _m, _i, output, path=path: leave(path, output))
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield


def _given(states: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a module is called with, with other states."""
    if "hidden_states" in kwargs:
        return args, {**kwargs, "hidden_states": states}
    return (states, *args[1:]), kwargs


@dataclass(frozen=True, eq=False)
class SitesReader:
    """Stands where gates would enter, and reads the states of their sites instead.

    Attributes:
        injection: the gates.
        noted: what was read, (p, t, w) of each site.
    """

    injection: GatesInjection
    noted: list[Tensor] = field(default_factory=list)

    @property
    def path(self) -> str:
        """As of the gates."""
        return self.injection.path

    @contextmanager
    def open(self, values: Tensor) -> Iterator[Tap]:
        """A context in which one pass is read; the values change nothing."""
        sites = self.injection.sites
        noted: dict[int, Tensor] = {}

        def note(number: int, live: Tensor, base: Tensor | None) -> Tensor:
            states = self.injection.layout.turned(live if base is None else live - base)
            noted[number] = _by_row(states, 1).detach().clone()  # some models go on with an operation in place
            return live

        with _at(self.injection.model, sites, note):
            yield Tap(self.path, values)
        missing = [site.path for number, site in enumerate(sites) if number not in noted]
        if missing:
            raise LayerError(f"{', '.join(missing[:3])} did not run in this pass, so its components are not known.")
        self.noted.extend(noted[number] for number in range(len(sites)))
