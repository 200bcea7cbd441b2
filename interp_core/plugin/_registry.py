"""The registry, which finds methods through entry points; a broken plugin does not affect the others.

Neither torch nor numpy is imported here: an implementation is imported on first use.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from interp_core.errors import (
    BrokenPluginError,
    DuplicateMethodError,
    InputError,
    PluginError,
    UnknownMethodError,
    nearest,
    unknown,
)
from interp_core.plugin._arguments import check_types, named_options, suggestion, values_of
from interp_core.plugin._catalogue import catalogue
from interp_core.plugin._declaration import GROUP, VERBS, Kind, Method
from interp_core.plugin._discovery import Plugin, read
from interp_core.plugin._methods import Methods
from interp_core.plugin._requirements import unmet

LONGEST = 80  # characters of a value that a message repeats
LISTED = 30  # names that a reader looks through
PROGRAM = "program"  # stands for the package of methods that a program registers


_registered: list[Method] = []
_only: list[tuple[Plugin, ...]] = []


def plugins() -> tuple[Plugin, ...]:
    """List all installed plugins, including broken ones, and the methods that the program has registered.

    Returns:
        One `Plugin` for each entry point of the group `interp`, and a last one if the program has registered methods.

    Examples:
        >>> from interp_core.plugin import plugins
        >>> "interp-occlusion" in {plugin.package for plugin in plugins()}
        True
    """
    if _only:
        return _only[-1]
    program = (Plugin(PROGRAM, "", tuple(_registered)),) if _registered else ()
    return (*_installed(), *program)


@named_options
def methods(kind: Kind | None = None) -> Methods:
    """List all installed and registered methods.

    Args:
        kind: the kind of the methods; None for all kinds.

    Returns:
        The declarations, sorted by kind and name.

    Raises:
        InputError: there is no such kind.

    Examples:
        >>> methods = interp.methods("attribution")
        >>> "occlusion" in {method.name for method in methods}
        True
    """
    _check_kind(kind)
    declared = [m for plugin in plugins() for m in plugin.methods if kind in (None, m.kind)]
    return Methods(sorted(declared, key=lambda m: (list(VERBS).index(m.kind), m.name)))


def failures() -> tuple[Plugin, ...]:
    """List the installed plugins that are broken.

    Returns:
        The plugins; the `failure` of each says what is wrong with it.

    Examples:
        >>> from interp_core.plugin import failures
        >>> [plugin.failure for plugin in failures()]
        []
    """
    return tuple(plugin for plugin in plugins() if plugin.failure)


def find_method(name: str, kind: Kind | None = None) -> Method:
    """Find the declaration of a method by name.

    Args:
        name: the name, such as `"lime"`, or `"acme-lime/lime"` if several packages declare it.
        kind: the kind that the method must have; any if None.

    Returns:
        The declaration.

    Raises:
        UnknownMethodError: no package declares it; the message suggests the most similar name and what to install.
        DuplicateMethodError: several packages declare it.
        PluginError: the method is of another kind.
        InputError: there is no such kind, or the name is not a string.

    Examples:
        >>> from interp_core.plugin import find_method
        >>> find_method("occlusion").summary
        'how much the score falls when one unit is removed'
        >>> find_method("occlusion", kind="metric")
        Traceback (most recent call last):
        interp_core.errors.PluginError: 'occlusion' is of kind 'attribution'; a method of kind 'metric' was expected
        here.
    """
    _check_kind(kind)
    if not isinstance(name, str):
        raise InputError(f"a method is found by its name; {type(name).__name__} was given.")
    package, _, short = name.rpartition("/")
    named = [(p, m) for p in plugins() for m in p.methods if m.name == short and package in ("", p.package)]
    fitting = [(p, m) for p, m in named if kind in (None, m.kind)]
    if len(fitting) == 1:
        return fitting[0][1]
    if fitting:
        full = " or ".join(f"'{p.package}/{short}'" for p, _ in fitting)
        raise DuplicateMethodError(f"{len(fitting)} packages declare {short!r}. Ask for {full}.")
    if named:
        other = named[0][1].kind
        raise PluginError(f"{name!r} is of kind {other!r}; a method of kind {kind!r} was expected here.")
    raise UnknownMethodError(_unknown(name, short, kind))


def implementation(method: Method) -> type[Any]:
    """Import the class that implements a method.

    Args:
        method: the declaration of the method.

    Returns:
        The class.

    Raises:
        BrokenPluginError: the class cannot be imported, or lacks the function of its kind; the message says what is
            missing.

    Examples:
        >>> from interp_core.plugin import find_method, implementation
        >>> implementation(find_method("lime"))(samples=500).samples
        500
    """
    module, _, attribute = method.target.partition(":")
    state = random.getstate()  # some libraries draw random numbers when they are imported
    try:
        made = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        package = package_of(method)
        advice = unmet(package) if package != PROGRAM else ""
        raise BrokenPluginError(
            f"{method.name!r} ({package}) is declared but {method.target!r} cannot be imported: "
            f"{type(error).__name__}: {error}. {advice}".rstrip()
        ) from error
    finally:
        random.setstate(state)
    verb = VERBS[method.kind]
    if not (isinstance(made, type) and callable(getattr(made, verb, None))):
        raise BrokenPluginError(f"{method.target!r} must be a class with a method {verb}(); {method.name!r} needs it.")
    return made


def method(name: str, kind: Kind | None = None, /, **parameters: Any) -> Any:
    """Make an instance of a method, by name.

    Args:
        name: the name, such as `"lime"`, or `"acme-lime/lime"` if several packages declare it.
        kind: the kind that the method must have; any if None.
        **parameters: hyperparameters; the others have the method's defaults.

    Returns:
        The instance.

    Raises:
        InputError: the method does not have one of the parameters, or does not accept its value.
        PluginError: the name is unknown, ambiguous or belongs to another kind, or the method cannot be imported.

    Examples:
        >>> interp.method("lime", samples=500)
        Lime(samples=500, ...)
        >>> interp.method("lime", sample=500)
        Traceback (most recent call last):
        interp_core.errors.InputError: 'lime' has no parameter 'sample'; its parameters are samples, ...
    """
    return _made(name, kind, parameters)


def resolve(
    by: Any, kind: Kind, parameters: Mapping[str, Any] | None = None, verb: Callable[..., Any] | None = None
) -> Any:
    """Resolve the method that a caller gives as `by=`.

    Args:
        by: the name of a method, or an instance.
        kind: the kind that the method must have.
        parameters: hyperparameters, if `by` is a name.
        verb: the function that was called; its options are suggested for unknown parameters.

    Returns:
        The instance.

    Raises:
        InputError: the method does not have one of the parameters or does not accept its value, parameters were given
            with an instance, `by` is a class or not a method of this kind, or its `ready()` raises since it cannot run,
            for example without a key.
        PluginError: the name is unknown, ambiguous or belongs to another kind, or the method cannot be imported.

    Examples:
        >>> from interp_core.plugin import resolve
        >>> by_name = resolve("lime", "attribution", {"samples": 500})
        >>> by_name.samples
        500
        >>> resolve(by_name, "attribution") is by_name
        True
        >>> resolve("lime", "attribution", {"progres": False}, verb=interp.attribute)
        Traceback (most recent call last):
        interp_core.errors.InputError: 'lime' has no parameter 'progres'; ... Did you mean 'progress', an option of
        attribute?
    """
    resolved = _made(by, kind, parameters or {}, verb) if isinstance(by, str) else _instance(by, kind, parameters, verb)
    if callable(ready := getattr(resolved, "ready", None)):
        ready()
    return resolved


def _instance(
    by: Any, kind: Kind, parameters: Mapping[str, Any] | None = None, verb: Callable[..., Any] | None = None
) -> Any:
    if isinstance(by, type):
        raise InputError(f"by={by.__name__} is a class; give an instance, such as by={by.__name__}().")
    if not callable(getattr(by, VERBS[kind], None)):
        raise InputError(
            f"by={_shown(by)} has no method {VERBS[kind]}(), so it is not a method of kind {kind!r}; give the name of "
            "one, or an instance."
        )
    if parameters:
        hints = [hint for name in sorted(parameters) if (hint := suggestion(name, (), verb))]
        raise InputError(
            f"{sorted(parameters)} cannot be given beside an instance; put them into {type(by).__name__}(…)."
            + "".join(hints[:1])
        )
    check_types(type(by), values_of(by), type(by).__name__)
    return by


def _made(name: str, kind: Kind | None, parameters: Mapping[str, Any], verb: Callable[..., Any] | None = None) -> Any:
    made = implementation(find_method(name, kind))
    fields = [f.name for f in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else list(parameters)
    strange = next((key for key in parameters if key not in fields), None)
    if strange is not None:
        hint = suggestion(strange, fields, verb, getattr(made, "RENAMED", {}))
        raise InputError(
            f"{name!r} has no parameter {strange!r}; its parameters are {', '.join(fields) or 'none'}.{hint}"
        )
    check_types(made, parameters, name)
    try:
        return made(**parameters)
    except TypeError as error:
        raise InputError(f"{name!r} cannot be made with {dict(parameters)}: {error}.") from error


def declaration_of(instance: object) -> Method | None:
    """Find the declaration of the method that an object is an instance of.

    Args:
        instance: an instance of a method, or any object.

    Returns:
        The declaration, or None if no package declares its class.

    Examples:
        >>> from interp_core.plugin import declaration_of
        >>> declaration_of(interp.method("occlusion")).name
        'occlusion'
    """
    target = f"{type(instance).__module__}:{type(instance).__qualname__}"
    return next((m for plugin in plugins() for m in plugin.methods if m.target == target), None)


def package_of(method: Method) -> str:
    """Find the distribution that declares a method.

    Args:
        method: the declaration of the method.

    Returns:
        The name of the distribution; `PROGRAM` if there is none.

    Examples:
        >>> from interp_core.plugin import find_method, package_of
        >>> package_of(find_method("insertion"))
        'interp-insertion-deletion'
    """
    return next((p.package for p in plugins() if _declares(p, method)), PROGRAM)


def version_of(method: Method) -> str:
    """Find the version of the distribution that declares a method.

    Args:
        method: the declaration of the method.

    Returns:
        The version; empty if no distribution declares it.

    Examples:
        >>> from importlib.metadata import version
        >>> from interp_core.plugin import find_method, version_of
        >>> version_of(find_method("occlusion")) == version("interp-occlusion")
        True
    """
    return next((p.version for p in plugins() if _declares(p, method)), "")


def _declares(plugin: Plugin, method: Method) -> bool:
    return any(m is method or (m.name == method.name and m == method) for m in plugin.methods)


@named_options
def register(method: Method) -> Method:
    """Register a method by name within this program, without a package.

    Args:
        method: the declaration of the method.

    Returns:
        The same declaration.

    Examples:
        >>> from unittest.mock import patch  # so that the example leaves the registry as it was
        >>> mine = interp.Method(
        ...     name="mine", kind="attribution", target="my_program:Mine", summary="my scores", source="definition"
        ... )
        >>> with patch("interp_core.plugin._registry._registered", []):
        ...     mine is interp.register(mine), mine in interp.methods("attribution")
        (True, True)
    """
    if method not in _registered:
        _registered.append(method)
    return method


@contextmanager
def only(*declared: Method) -> Iterator[None]:
    """For tests: a context in which only these methods are known."""
    _only.append((Plugin(PROGRAM, "", declared),))
    try:
        yield
    finally:
        _only.pop()


@cache
def _installed() -> tuple[Plugin, ...]:
    return tuple(read(entry) for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name))


def _check_kind(kind: object) -> None:
    if kind is not None and kind not in VERBS:
        raise InputError(unknown("kind", kind, VERBS))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{type(value).__name__}(…)"


def _unknown(name: str, short: str, kind: Kind | None) -> str:
    known = sorted({m.name for m in methods(kind)})
    near = nearest(short, known).strip()
    package = catalogue()["methods"].get(short)  # of other names none is said: a guess could be a stranger's
    broken = [p for p in failures() if p.package in (package, short, f"interp-{short}")]
    hints = [near] if near else []
    hints += [f"The package {p.package} is installed and broken: {p.failure}" for p in broken]
    if package and not broken:
        hints.append(f"It is in a separate package: pip install {package}.")
    if len(known) <= LISTED:
        hints.append(f"Installed: {', '.join(known) or 'none'}.")
    elif not near:
        hints.append(f"{len(known)} are installed; `interp list` shows them.")
    return f"No installed method is called {name!r}. {' '.join(hints)}"
