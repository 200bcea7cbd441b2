"""Provenance: how a result was made and what it cost, in enough detail to reproduce it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from interp_core.errors import InputError
from interp_core.plugin import (
    PROGRAM,
    PROGRAM_SOURCE,
    Claim,
    Kind,
    Method,
    declaration_of,
    find_method,
    implementation,
    method,
    methods,
    package_of,
    version_of,
)
from interp_core.results._json import without_infinities

_circumstances: ContextVar[dict[str, Any]] = ContextVar("circumstances", default={})  # noqa: B039 - never written to


@dataclass
class Cost:
    """The cost of a run, counted where the model is called.

    Attributes:
        forwards: the number of forward passes, one for each batch.
        rows: the number of inputs in these passes; an input that is needed twice is evaluated once.
        tokens: the number of tokens in these rows, padding included.
        backwards: the number of backward passes.
        seconds: the wall-clock time, in seconds.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> activations = tiny_classifier().split(-1).activations(["so happy", "a sad dog"], progress=False)
        >>> cost = activations.made_by.cost
        >>> cost.forwards, cost.rows, cost.tokens  # with [CLS] and [SEP], and padded to one length
        (1, 2, 10)
    """

    forwards: int = 0
    rows: int = 0
    tokens: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def add(self, other: Cost) -> None:
        """Add the counts of another cost, but not its seconds, which may have passed at the same time."""
        for name in ("forwards", "rows", "tokens", "backwards"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @contextmanager
    def timed(self) -> Iterator[Cost]:
        """Open a context whose duration is added to `seconds`; yields this value."""
        start = time.perf_counter()
        try:
            yield self
        finally:
            self.seconds += time.perf_counter() - start


@dataclass(frozen=True)
class Usage:
    """The usage of a language model, summed over conversations.

    Attributes:
        conversations: the number of conversations.
        cached: the number of conversations that were answered from a cache, at no cost.
        failed: the number of conversations without an answer.
        prompt_tokens: the number of tokens sent, as the model counts them, without cached and failed conversations.
        answer_tokens: the number of tokens received, reasoning included, without cached and failed conversations.
        price: the price of these tokens, in the currency of the client's price table; None without one.
        dry: whether this was a dry run, in which nothing is asked, and tokens and price are estimates.

    Examples:
        >>> from interp_core.results import Usage
        >>> print(Usage(20, cached=3, failed=1, prompt_tokens=5200, answer_tokens=180, price=0.004))
        20 conversations (3 from the cache, 1 failed), 5200 + 180 tokens, price 0.004
        >>> (Usage(1, prompt_tokens=10) + Usage(2, cached=2)).conversations
        3
    """

    conversations: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    price: float | None = None
    dry: bool = False

    def __add__(self, other: Usage) -> Usage:
        known = [one.price for one in (self, other) if one.price is not None]
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("conversations", "cached", "failed", "prompt_tokens", "answer_tokens")
        }
        return Usage(**counts, price=sum(known) if known else None, dry=self.dry or other.dry)

    def __str__(self) -> str:
        aside = [f"{self.cached} from the cache"] * bool(self.cached)
        aside += ["a dry run, nothing asked"] if self.dry else [f"{self.failed} failed"] * bool(self.failed)
        plural = "" if self.conversations == 1 else "s"
        counted = f"{self.conversations} conversation{plural}" + (f" ({', '.join(aside)})" if aside else "")
        tokens = f", {self.prompt_tokens} + {self.answer_tokens} tokens" if self.prompt_tokens else ""
        return counted + tokens + ("" if self.price is None else f", price {self.price:.3g}")


@dataclass(frozen=True)
class MadeBy:
    """The provenance of a result: the method and its parameters, the model, the settings, the versions and the cost.

    Attributes:
        method: the name of the method, or of the part of the core.
        package: the distribution that declares the method; `"interp-core"` for the core, `"program"` for a class that
            no package declares.
        version: the version of the package.
        source: the paper or program that the method follows.
        parameters: the hyperparameters of the method, as JSON values; `{"repr": "…"}` for one without a JSON form.
        model: the name of the model.
        settings: what the caller chose besides the method, such as the granularity.
        versions: the versions of interp-core, torch and transformers.
        cost: the cost of the run.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> made = tiny_classifier().split(-1).activations(["so happy"], progress=False).made_by
        >>> made.method, made.model, made.settings["layer"]
        ('activations', 'BertForSequenceClassification', 'bert.encoder.layer.1')
        >>> interp.MadeBy.from_json(made.to_json()) == made
        True
    """

    method: str
    package: str = ""
    version: str = ""
    source: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    @property
    def brief(self) -> str:
        """The method and the model: `lime on bert-base-uncased`."""
        return f"{self.method} on {self.model}" if self.model else self.method

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; NaN and infinity become None."""
        return dict(without_infinities(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MadeBy:
        """Read a provenance from the values of `to_json`."""
        return cls(**{**data, "cost": Cost(**data.get("cost", {}))})


@contextmanager
def circumstances(**settings: Any) -> Iterator[None]:
    """Open a context in which settings are added to the provenance of all results.

    Args:
        **settings: JSON values, added to the settings of each result.

    Yields:
        None.

    Examples:
        >>> from interp_core.results import Cost, circumstances, made_by
        >>> with circumstances(weather="rain"):
        ...     made_by("activations", Cost()).settings
        {'weather': 'rain'}
    """
    before = _circumstances.get()
    _circumstances.set({**before, **settings})
    try:
        yield
    finally:
        _circumstances.set(before)


def under_circumstances() -> bool:
    """Say whether results are now made under circumstances, such as an intervention, that other processes do not know.

    Returns:
        True within `circumstances`.

    Examples:
        >>> from interp_core.results import circumstances, under_circumstances
        >>> with circumstances(weather="rain"):
        ...     under_circumstances()
        True
    """
    return bool(_circumstances.get())


def made_by(method: object, cost: Cost, model: str = "", settings: dict[str, Any] | None = None) -> MadeBy:
    """Record the provenance of a result that a method has just produced.

    Args:
        method: an instance of the method, or the name of a part of the core.
        cost: the cost of the run.
        model: the name of the model.
        settings: what the caller chose besides the method, as JSON values; none by default.

    Returns:
        The provenance, with the package, source and parameters of the method and the installed versions.

    Examples:
        >>> from interp_core.results import Cost, made_by
        >>> made = made_by(interp.method("lime", samples=64), Cost(rows=64), model="bert")
        >>> made.package, made.parameters["samples"], made.cost.rows
        ('interp-lime', 64, 64)
    """
    core = isinstance(method, str)
    declared: Method | None = None if core else declaration_of(method)
    package = "interp-core" if core else package_of(declared) if declared else PROGRAM
    return MadeBy(
        method=str(method) if core else declared.name if declared else type(method).__name__,
        package=package,
        version=_release("interp-core") if core else version_of(declared) if declared else "",
        source="" if core else declared.source if declared else PROGRAM_SOURCE,
        parameters=parameters_of(method),
        model=model,
        settings={**(settings or {}), **_circumstances.get()},
        versions={name: _release(name) for name in ("interp-core", "torch", "transformers")},
        cost=cost,
    )


def claims_of(made: MadeBy, kind: Kind) -> frozenset[Claim] | None:
    """Look up the claims of the method that made a result.

    Args:
        made: the provenance of the result.
        kind: the kind of the method, such as `"attribution"`.

    Returns:
        The claims; None if no installed package declares the method.

    Examples:
        >>> from interp_core.results import Cost, claims_of, made_by
        >>> sorted(claims_of(made_by(interp.method("occlusion"), Cost()), "attribution"))
        ['signed']
    """
    known = [m for m in methods(kind) if m.name == made.method and made.package in ("", package_of(m))]
    return known[0].claims if known else None


def made_again(made: MadeBy, kind: Kind) -> Any:
    """Make the method that made a result again, with the same parameters.

    Args:
        made: the provenance of the result.
        kind: the kind of the method, such as `"attribution"`.

    Returns:
        A new instance.

    Raises:
        InputError: no package declares the method, the method does not accept the parameters, or one of them was an
            object that is not kept.
        UnknownMethodError: the package of the method is not installed.
        BrokenPluginError: the method cannot be imported.

    Examples:
        >>> from interp_core.results import Cost, made_again, made_by
        >>> made = made_by(interp.method("lime", samples=64), Cost())
        >>> made_again(made, "attribution").samples
        64
    """
    if made.package in ("", PROGRAM):
        raise InputError(f"{made.method} is not installed, so it cannot be made again by name; give method=….")
    objects = {key for key, value in made.parameters.items() if isinstance(value, dict) and set(value) == {"repr"}}
    lost = min(objects, default="")
    if lost:
        raise InputError(
            f"{made.method} was made with {lost}={made.parameters[lost]['repr']}, an object that is not kept with a "
            "result; make the method again and give it as method=…."
        )
    name = f"{made.package}/{made.method}"
    renamed = getattr(implementation(find_method(name, kind)), "RENAMED", {})  # parameters of earlier releases
    return method(name, kind, **{renamed.get(key, key): value for key, value in made.parameters.items()})


def parameters_of(method: object) -> dict[str, Any]:
    """Convert the hyperparameters of a method to JSON values.

    Args:
        method: an instance of the method.

    Returns:
        The fields of a dataclass by name, without those declared with `repr=False`; a value without a JSON form is
        replaced by `{"repr": "…"}`. Empty for other objects.

    Examples:
        >>> from interp_core.metrics import RandomFit
        >>> from interp_core.results import parameters_of
        >>> parameters_of(RandomFit(concepts=5))
        {'concepts': 5, 'seed': 0}
    """
    if not dataclasses.is_dataclass(method):
        return {}
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method) if f.repr}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return {"repr": repr(value)}


@cache
def _release(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
