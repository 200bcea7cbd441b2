"""Reading the declarations of one installed package, isolated so that a broken one does not affect the others."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from inspect import signature
from types import FunctionType

import pluggy
from interp_core.errors import BrokenPluginError
from interp_core.plugin import _hookspecs
from interp_core.plugin._declaration import API, GROUP, Method
from interp_core.plugin._requirements import unmet


@dataclass(frozen=True)
class Plugin:
    """An installed package with the methods that it declares, or the reason why it is broken.

    Attributes:
        package: the name of the distribution; `PROGRAM` for methods that a program registers.
        version: the version of the distribution; empty for a program.
        methods: the declarations of its methods.
        failure: why the package is broken, in one line; None if it is not.

    Examples:
        >>> from interp_core.plugin import plugins
        >>> [plugin] = [p for p in plugins() if p.package == "interp-occlusion"]
        >>> [method.name for method in plugin.methods], plugin.failure
        (['occlusion'], None)
    """

    package: str
    version: str
    methods: tuple[Method, ...] = ()
    failure: str | None = None


def read(entry: EntryPoint) -> Plugin:
    """What the package of an entry point declares, or why it cannot be read."""
    package, release = _name_and_version(entry)
    try:
        with redirect_stdout(sys.stderr):  # plugins must not print into the output of a command
            return Plugin(package, release, tuple(_declared(entry.load())))
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        advice = unmet(package) if isinstance(error, ImportError) else ""
        return Plugin(package, release, failure=" ".join(f"{reason} {advice}".split()))


def _name_and_version(entry: EntryPoint) -> tuple[str, str]:
    """Of the distribution, from the head of its metadata: to parse the rest takes longer than all else in a listing."""
    head = (entry.dist.read_text("METADATA") or "").partition("\n\n")[0] if entry.dist else ""
    said = dict(re.findall(r"^(Name|Version): *(.+?) *$", head, re.MULTILINE))
    return said.get("Name", entry.name), said.get("Version", "")


def _hook(plugin: object) -> Callable[[], Iterable[Method] | None]:
    """The hook of one plugin. Where anything is unusual about it, pluggy says what is wrong.

    Raises:
        BrokenPluginError: there is none.
    """
    marked = {n: f for n, f in vars(plugin).items() if isinstance(f, FunctionType) and hasattr(f, f"{GROUP}_impl")}
    if set(marked) == {"interp_methods"} and not signature(marked["interp_methods"]).parameters:
        return marked["interp_methods"]
    manager = pluggy.PluginManager(GROUP)  # one of its own, so that it cannot affect others
    manager.add_hookspecs(_hookspecs)
    manager.register(plugin)
    manager.check_pending()
    if not manager.hook.interp_methods.get_hookimpls():
        raise BrokenPluginError("no function interp_methods() marked with @hookimpl was found; add one.")
    return lambda: next(iter(manager.hook.interp_methods()), None)


def _declared(plugin: object) -> Iterator[Method]:
    """Call the hook of one plugin, and check the methods."""
    results = _hook(plugin)()
    if results is None:
        raise BrokenPluginError("interp_methods() gave None; it must yield interp_core.plugin.Method values.")
    for value in results:
        if not isinstance(value, Method):
            raise BrokenPluginError(f"interp_methods() gave {value!r}; it must yield interp_core.plugin.Method values.")
        if value.api != API:
            newer = "pip install -U interp-core" if value.api > API else "install a newer version of the package"
            raise BrokenPluginError(
                f"{value.name!r} declares api={value.api!r}, and this interp-core speaks api={API}: {newer}."
            )
        yield value
