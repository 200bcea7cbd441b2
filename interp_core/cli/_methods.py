"""Methods on the command line: their names, which shells complete, and their parameters, given by `--set`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from interp_core.errors import InputError, UnsupportedError, nearest
from interp_core.plugin import Kind, find_method, implementation, methods, resolve

F = TypeVar("F", bound=Callable[..., Any])


class MethodName(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.2 on
    """Parameter type of options that take the name of a method, with completion from the installed packages.

    Unknown names raise an error later, when the method is made.

    Args:
        kind: the kind that the method must have; any if None.
        measures: the kind of result that a metric must measure; any if empty.
        also: further values that are completed.

    Examples:
        An option of a command that a package adds:

        >>> import click
        >>> from interp_core.cli import MethodName
        >>> option = click.Option(["--by"], type=MethodName("attribution"))
        >>> [item.value for item in option.shell_complete(click.Context(click.Command("mine")), "lim")]
        ['lime']
    """

    def __init__(self, kind: Kind | None = None, *, measures: str = "", also: Iterable[str] = ()) -> None:
        self.kind, self.measures, self.also = kind, measures, tuple(also)
        self.name = "metric" if kind == "metric" else "method"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete a name: list the methods whose names start with `incomplete`, with their summaries."""
        found = [m for m in methods(self.kind) if not self.measures or m.measures == self.measures]
        named = [(m.name, m.summary) for m in found] + [(one, "") for one in self.also]
        return [CompletionItem(name, help=summary) for name, summary in named if name.startswith(incomplete)]


def metrics_option(measures: str, default: tuple[str, ...] = (), more: str = "") -> Callable[[F], F]:
    """Add the option for metrics of one kind of result."""
    return click.option(
        "--measure",
        "metrics",
        multiple=True,
        default=default,
        type=MethodName("metric", measures=measures),
        help=f"Also measure by this metric; may be repeated.{more}",
    )


def set_option(others: str = "") -> Callable[[F], F]:
    """Add `--set`; `others` is an example for methods besides the main one, if the command has any."""
    more = f", or of another that is named, such as {others}" if others else ""
    return click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="[NAME.]KEY=VALUE" if others else "KEY=VALUE",
        help=f"A parameter of the method{more}; may be repeated.",
    )


def parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Turn the values of `--set` into keyword arguments.

    Args:
        pairs: strings of the form `KEY=VALUE`.

    Returns:
        The values, by key. A value that is valid JSON is decoded, any other stays a string.

    Raises:
        click.BadParameter: a string has no `=`.

    Examples:
        >>> from interp_core.cli import parameters
        >>> parameters(("samples=500", "kind=ridge", "signed=true"))
        {'samples': 500, 'kind': 'ridge', 'signed': True}
    """
    import json

    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} must read KEY=VALUE, such as samples=500.")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def parameters_of_each(
    pairs: tuple[str, ...], names: Iterable[str], main: str | None = None
) -> dict[str, dict[str, Any]]:
    """The parameters of `--set` by the method that they are for.

    Args:
        pairs: strings of the form `KEY=VALUE`, for the main method, or `NAME.KEY=VALUE`.
        names: the names of all methods of the command.
        main: the name of the method that `KEY=VALUE` is for; None if each must be named.

    Returns:
        The values by method and key, such as `{"lime": {"samples": 500}, "insertion": {}}`.

    Raises:
        InputError: a method is named that the command does not use, or none where one must be.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in parameters(pairs).items():
        named, dot, parameter = key.rpartition(".")
        name = named if dot else main
        if name not in found:
            such = f"{next(iter(found))}.{parameter}={value}"
            raise InputError(f"--set {key}: name the method or metric, such as {such}.{nearest(named, found)}")
        found[name][parameter] = value
    return found


def make(name: str, kind: Kind, given: Mapping[str, Any], **defaults: Any) -> Any:
    """A method with its parameters of the command line.

    Args:
        name: its name.
        kind: the kind that it must have.
        given: the parameters of `--set`.
        **defaults: those of options of the command, which `--set` goes before.

    Returns:
        The instance.

    Raises:
        InputError: it does not have a parameter or refuses a value; for an option of the command the message says so.
        PluginError: it is not installed, of another kind, or cannot be imported.
    """
    flags = [flag for param in click.get_current_context().command.params for flag in param.opts]
    for key in {flag.removeprefix("--").replace("-", "_") for flag in flags} & set(given):
        if key not in fields_of(name, kind):
            flag = f"--{key.replace('_', '-')} {given[key]}"
            raise InputError(f"{key} is not a parameter of {name}; say {flag} in place of --set.")
    return resolve(name, kind, {**defaults, **given})


def make_metric(name: str, given: Mapping[str, Any], measures: str = "") -> Any:
    """A metric with its parameters of the command line.

    Raises:
        UnsupportedError: it measures another kind of result, or needs what only Python can give it.
        InputError: it does not have a parameter or refuses a value.
        PluginError: it is not installed, is no metric, or cannot be imported.
    """
    declared = find_method(name, "metric")
    if measures not in ("", declared.measures):
        raise UnsupportedError(f"{name} measures {declared.measures}; a metric of {measures!r} is needed here.")
    marks = declared.measures == "attribution" and "labels" in declared.needs
    if marks or "truth" in declared.needs:
        what = "what people marked in each text" if marks else "the planted space"
        raise UnsupportedError(f"{name} compares with {what}, which only interp.measure in Python can be given.")
    return make(name, "metric", given)


def fields_of(name: str, kind: Kind) -> set[str]:
    """The names of the parameters of a method."""
    return {field.name for field in dataclasses.fields(implementation(find_method(name, kind)))}
