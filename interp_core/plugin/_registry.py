"""Finding methods: discovery through entry points, isolation of broken plugins, late import, messages that help.

Nothing here imports torch or numpy: an implementation is imported when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from interp_core.errors import BrokenPluginError, DuplicateMethodError, InputError, PluginError, UnknownMethodError
from interp_core.plugin import _hookspecs
from interp_core.plugin._arguments import suggestion
from interp_core.plugin._catalogue import catalogue
from interp_core.plugin._declaration import API, GROUP, VERBS, Kind, Method
from interp_core.plugin._requirements import unmet

PROGRAM = "program"  # the package name of methods registered by a program rather than by a distribution


@dataclasses.dataclass(frozen=True)
class Plugin:
    """One installed package: what it declares, or why it could not be read."""

    package: str
    version: str
    methods: tuple[Method, ...] = ()
    failure: str | None = None


_registered: list[Method] = []
_only: list[tuple[Plugin, ...]] = []


def plugins() -> tuple[Plugin, ...]:
    """All installed plugins, broken ones included, then what programs registered."""
    if _only:
        return _only[-1]
    program = (Plugin(PROGRAM, "", tuple(_registered)),) if _registered else ()
    return (*_installed(), *program)


def methods(kind: Kind | None = None) -> tuple[Method, ...]:
    """All declared methods, of one kind if given, by kind and name."""
    found = [m for plugin in plugins() for m in plugin.methods if kind in (None, m.kind)]
    return tuple(sorted(found, key=lambda m: (list(VERBS).index(m.kind), m.name)))


def failures() -> tuple[Plugin, ...]:
    """The plugins that were found and could not be read."""
    return tuple(plugin for plugin in plugins() if plugin.failure)


def find_method(name: str, kind: Kind | None = None) -> Method:
    """The declaration of a method.

    Args:
        name: `"lime"`, or `"acme-lime/lime"` where two packages declare the same name.
        kind: what it must be.

    Raises:
        UnknownMethodError: nobody declares it; the message suggests the nearest name and the package to install.
        DuplicateMethodError: several packages declare it.
        PluginError: it exists and is of another kind.
    """
    package, _, short = name.rpartition("/")
    named = [(p, m) for p in plugins() for m in p.methods if m.name == short and package in ("", p.package)]
    found = [(p, m) for p, m in named if kind in (None, m.kind)]
    if len(found) == 1:
        return found[0][1]
    if found:
        full = " or ".join(f"'{p.package}/{short}'" for p, _ in found)
        raise DuplicateMethodError(f"{len(found)} packages declare {short!r}. Ask for {full}.")
    if named:
        other = named[0][1].kind
        raise PluginError(f"{name!r} is of kind {other!r}; a method of kind {kind!r} was expected here.")
    raise UnknownMethodError(_unknown(name, short, kind))


def implementation(method: Method) -> type[Any]:
    """The class behind a declaration, imported now.

    Raises:
        BrokenPluginError: it cannot be imported; the message says what is missing and how to mend it.
    """
    module, _, attribute = method.target.partition(":")
    dice = random.getstate()  # some libraries draw from it when they are imported
    try:
        found = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        package = package_of(method)
        advice = unmet(package) if package != PROGRAM else ""
        raise BrokenPluginError(
            f"{method.name!r} ({package}) is declared but {method.target!r} cannot be imported: "
            f"{type(error).__name__}: {error}. {advice}".rstrip()
        ) from error
    finally:
        random.setstate(dice)
    verb = VERBS[method.kind]
    if not (isinstance(found, type) and callable(getattr(found, verb, None))):
        raise BrokenPluginError(f"{method.target!r} must be a class with a method {verb}(); {method.name!r} needs it.")
    return found


def method(name: str, kind: Kind | None = None, /, **parameters: Any) -> Any:
    """An instance of a method with the given hyperparameters.

    Raises:
        InputError: a parameter that the method does not have, or a value that it refuses.
    """
    return _made(name, kind, parameters)


def resolve(
    by: Any, kind: Kind, parameters: Mapping[str, Any] | None = None, verb: Callable[..., Any] | None = None
) -> Any:
    """The instance a caller means by `by=`: a name with parameters, or an instance that has them already.

    Args:
        by: a name or an instance.
        kind: what it must be.
        parameters: of the method, where `by` is a name.
        verb: the function that was called, whose options may have been meant by an unknown parameter.

    Raises:
        InputError: a parameter that the method does not have, or parameters beside an instance.
    """
    if isinstance(by, str):
        return _made(by, kind, parameters or {}, verb)
    if isinstance(by, type):
        raise InputError(f"by={by.__name__} is a class; give an instance, such as by={by.__name__}().")
    if not callable(getattr(by, VERBS[kind], None)):
        raise InputError(f"{by!r} has no method {VERBS[kind]}(), so it is not a method of kind {kind!r}.")
    if parameters:
        hints = [hint for name in sorted(parameters) if (hint := suggestion(name, (), verb))]
        raise InputError(
            f"{sorted(parameters)} cannot be given beside an instance; put them into {type(by).__name__}(…)."
            + "".join(hints[:1])
        )
    return by


def _made(name: str, kind: Kind | None, parameters: Mapping[str, Any], verb: Callable[..., Any] | None = None) -> Any:
    made = implementation(find_method(name, kind))
    fields = [f.name for f in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else list(parameters)
    unknown = next((key for key in parameters if key not in fields), None)
    if unknown is not None:
        hint = suggestion(unknown, fields, verb)
        raise InputError(
            f"{name!r} has no parameter {unknown!r}; its parameters are {', '.join(fields) or 'none'}.{hint}"
        )
    try:
        return made(**parameters)
    except TypeError as error:
        raise InputError(f"{name!r} cannot be made with {dict(parameters)}: {error}.") from error


def declaration_of(instance: object) -> Method | None:
    """The declaration an instance belongs to, or None for a method that a program wrote for itself."""
    target = f"{type(instance).__module__}:{type(instance).__qualname__}"
    return next((m for m in methods() if m.target == target), None)


def package_of(method: Method) -> str:
    """The distribution that declares a method."""
    return next((p.package for p in plugins() if method in p.methods), PROGRAM)


def version_of(method: Method) -> str:
    """The version of the distribution that declares a method; empty for a program's own."""
    return next((p.version for p in plugins() if method in p.methods), "")


def register(method: Method) -> Method:
    """Make a method of this program known by name, without a package."""
    if method not in _registered:
        _registered.append(method)
    return method


@contextmanager
def only(*declared: Method) -> Iterator[None]:
    """Within it, exactly these methods are known. For tests."""
    _only.append((Plugin(PROGRAM, "", declared),))
    try:
        yield
    finally:
        _only.pop()


@cache
def _installed() -> tuple[Plugin, ...]:
    return tuple(_read(entry) for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name))


def _read(entry: EntryPoint) -> Plugin:
    package, release = (entry.dist.name, entry.dist.version) if entry.dist else (entry.name, "")
    try:
        with redirect_stdout(sys.stderr):  # what a plugin prints must not end up in output for programs
            return Plugin(package, release, tuple(_declared(entry.load())))
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        advice = unmet(package) if isinstance(error, ImportError) else ""
        return Plugin(package, release, failure=" ".join(f"{reason} {advice}".split()))


def _declared(plugin: object) -> Iterator[Method]:
    """Validate and call one plugin's own hook. A manager for each plugin: one that fails can take no other down."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(_hookspecs)
    manager.register(plugin)
    manager.check_pending()
    if not manager.hook.interp_methods.get_hookimpls():
        raise BrokenPluginError("no function interp_methods() marked with @hookimpl was found; add one.")
    results: list[Iterable[Method]] = manager.hook.interp_methods()
    if not results:
        raise BrokenPluginError("interp_methods() gave None; it must yield interp_core.plugin.Method values.")
    for found in results[0]:
        if not isinstance(found, Method):
            raise BrokenPluginError(f"interp_methods() gave {found!r}; it must yield interp_core.plugin.Method values.")
        if found.api != API:
            newer = "pip install -U interp-core" if found.api > API else "install a newer version of the package"
            raise BrokenPluginError(
                f"{found.name!r} declares api={found.api!r}, and this interp-core speaks api={API}: {newer}."
            )
        yield found


def _unknown(name: str, short: str, kind: Kind | None) -> str:
    known = sorted({m.name for m in methods(kind)})
    near = difflib.get_close_matches(short, known, n=1, cutoff=0.7)
    package = catalogue()["methods"].get(short, f"interp-{short}")
    broken = [p for p in failures() if p.package in (package, short)]
    hints = [f"Did you mean {near[0]!r}?"] if near else []
    hints += [f"The package {p.package} is installed and broken: {p.failure}" for p in broken]
    if not broken:
        hints.append(f"If it has a package of its own: pip install {package}.")
    return f"No installed method is called {name!r}. {' '.join(hints)} Installed: {', '.join(known) or 'none'}."
