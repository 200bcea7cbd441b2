"""The command `interp`. Subcommands that only look around, such as `interp list`, import neither torch nor numpy."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import warnings
from collections import Counter
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import click
from interp_core.cli._methods import MethodName, parameters
from interp_core.cli._options import example, json_option, quiet_transformers
from interp_core.cli._results import echo_json
from interp_core.errors import BrokenPluginError, InputError, InterpError, InterpWarning, nearest
from interp_core.plugin import (
    VERBS,
    Method,
    catalogue,
    failures,
    find_method,
    implementation,
    methods,
    package_of,
    version_of,
)
from interp_core.plugin import (
    method as make,
)

_HERE = "interp_core.cli"
COMMANDS = {  # those of the core, as one reads them; a module is imported when its command is run or described
    "attribute": "_explain",
    "benchmark": "_explain",
    "activations": "_activations",
    "fit": "_spaces",
    "interpret": "_spaces",
    "cards": "_spaces",
    "importance": "_effects",
    "effect": "_effects",
    "measure": "_measure",
    "steer": "_steer",
    "concepts": "_concepts",
    "report": "_report",
}
PACKAGED = "interp.commands"  # the entry points of commands that packages add


class _Group(click.Group):
    """The commands of the core and of packages, each imported when it is needed.

    Errors of the toolkit and of files are printed in one line, with exit code 1, instead of a traceback; what readers
    of a result should know is printed in one line as well.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = partial(_show_warning, warnings.showwarning)
                return super().invoke(ctx)
        except BrokenPipeError:  # the reader, such as `head`, has seen enough; click ends quietly
            raise
        except (InterpError, OSError) as error:
            click.echo(f"interp: {error}", err=True)
            ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS, *(e.name for e in entry_points(group=PACKAGED))})

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = "" if "Did you mean" in error.message else nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        if name in COMMANDS:
            command: click.Command = getattr(import_module(f"{_HERE}.{COMMANDS[name]}"), name)
            return command
        entries = list(entry_points(group=PACKAGED, name=name))
        if len(entries) > 1:
            return _refusing(name, _clash(name, entries))
        if entries:
            return _packaged(entries[0])
        package = catalogue()["commands"].get(name)
        if package is not None:
            raise InputError(f"the command {name!r} is in a separate package: pip install {package}.")
        return None


def _show_warning(otherwise: Any, message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning of the toolkit without the line of code that it comes from; others as Python does it."""
    if issubclass(category, InterpWarning):
        click.echo(f"interp: note: {message}", err=True)
    else:
        otherwise(message, category, *where)


def _packaged(entry: EntryPoint) -> click.Command:
    """The command of a package, or one that says why it cannot be imported, so that the others keep working."""
    command, failure = _read(entry)
    return command or _refusing(entry.name, failure)


def _read(entry: EntryPoint) -> tuple[click.Command | None, str]:
    """The command of a package, or None and why it cannot be imported."""
    try:
        with redirect_stdout(sys.stderr):  # packages must not print into the output of a command
            command = entry.load()
        if isinstance(command, click.Command):
            return command, ""
        reason = f"{entry.value!r} is not a click command"
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
    return None, f"the command {entry.name!r} of {_package(entry)} is broken: {reason}"


def _refusing(name: str, message: str) -> click.Command:
    def refuse() -> None:
        raise BrokenPluginError(message)

    return click.Command(name, callback=refuse, help=message, context_settings={"ignore_unknown_options": True})


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.name


def _clash(name: str, entries: list[EntryPoint]) -> str:
    several = " and ".join(sorted(map(_package, entries)))
    return f"the command {name!r} is declared by {several}; uninstall all but one, or rename it in its package."


def _broken_commands() -> list[dict[str, str]]:
    """The packages with commands that cannot be imported, and why. Those that no name leads to are not tried."""
    entries, own = list(entry_points(group=PACKAGED)), {*main.commands, *COMMANDS}
    count = Counter(entry.name for entry in entries)
    read = [(entry, _read(entry)[1]) for entry in entries if count[entry.name] == 1 and entry.name not in own]
    return [
        {"package": _package(entry), "version": entry.dist.version if entry.dist else "", "failure": failure}
        for entry, failure in read
        if failure
    ]


def _clashes() -> list[str]:
    """What is wrong with the names of the packages' commands, a sentence each. No command is imported."""
    own = {*main.commands, *COMMANDS}
    named: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=PACKAGED):
        named.setdefault(entry.name, []).append(entry)
    return [
        f"the command {name!r} of {_package(entries[0])} is not reached: interp-core has one of this name; rename it."
        if name in own
        else _clash(name, entries)
        for name, entries in sorted(named.items())
        if name in own or len(entries) > 1
    ]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="interp-core")
def main() -> None:
    """Why a language model answered as it did, what it has learnt, and how far to trust both."""


@main.command("list", epilog=example("list --kind metric"))
@click.option("--kind", type=click.Choice(list(VERBS)), help="Only methods of this kind.")
@json_option
def list_methods(kind: Any, plain: bool) -> None:
    """List the installed methods.

    Broken packages and commands, and commands with the same name, are listed too.
    """
    listed, clashes = methods(kind), _clashes()
    broken: list[dict[str, Any]] = [
        {"package": p.package, "version": p.version, "failure": p.failure} for p in failures()
    ]
    broken += _broken_commands()
    if plain:
        echo_json({"methods": [_described(m) for m in listed], "failures": broken, "clashes": clashes}, indent=1)
        return
    names = Counter(m.name for m in listed)
    shown = {m: m.name if names[m.name] == 1 else f"{package_of(m)}/{m.name}" for m in listed}
    width = max(map(len, shown.values()), default=0)
    for group in dict.fromkeys(m.kind for m in listed):
        click.secho(group, bold=True)
        for method in (m for m in listed if m.kind == group):
            click.echo(f"  {shown[method]:<{width}}  {method.summary}")
    if not listed:
        click.echo("No methods are installed. Install a package such as interp-lime.")
    for plugin in broken:
        click.secho(f"broken  {plugin['package']} {plugin['version']}: {plugin['failure']}", fg="red")
    for clash in clashes:
        click.secho(f"broken  {clash}", fg="red")


@main.command(epilog=example("show lime"))
@click.argument("name", type=MethodName())
@json_option
def show(name: str, plain: bool) -> None:
    """Describe one method.

    Prints what it does, its parameters, its needs and its claims.
    """
    method = find_method(name)
    made = implementation(method)
    fields = [(f.name, f.default) for f in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else []
    if plain:
        data = {**_described(method), "parameters": {key: _jsonable(value) for key, value in fields}}
        echo_json(data, indent=1)
        return
    click.secho(f"{method.name} ({method.kind})", bold=True)
    click.echo(f"{method.summary}\n")
    click.echo(f"{inspect.getdoc(made) or ''}\n")
    rows = [
        ("package", f"{package_of(method)} {version_of(method)}"),
        ("parameters", ", ".join(f"{key}={value!r}" for key, value in fields) or "none"),
        ("needs", ", ".join(sorted(method.needs)) or "nothing beyond the scores"),
        ("claims", ", ".join(sorted(method.claims)) or "nothing"),
        ("source", method.source),
    ]
    for key, text in rows:
        click.echo(f"{key:<11}{text}")


@main.command(epilog=example("check top-inputs"))
@click.argument("name", type=MethodName())
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter for the checks.")
@json_option
def check(name: str, pairs: tuple[str, ...], plain: bool) -> None:
    """Check the promises of a method.

    Prints a line for each, and for broken ones how to mend them.
    """
    from interp_core.testing import run_checks

    find_method(name)
    given = parameters(pairs)
    if given:
        make(name, **given)  # refuses what the method does not have, which no check is about
    outcomes = []
    with quiet_transformers():
        for outcome in run_checks(name, **given):
            outcomes.append(outcome)
            if not plain:
                mark = click.style("kept  ", fg="green") if outcome.passed else click.style("BROKEN", fg="red")
                click.echo(f"{mark} {outcome.check.name}")
                if not outcome.passed:
                    click.echo(f"       {outcome.message}\n       How to mend it: {outcome.check.mend}")
    failed = sum(not o.passed for o in outcomes)
    if plain:
        rows = [
            {"check": o.check.name, "passed": o.passed, "message": o.message, "mend": o.check.mend} for o in outcomes
        ]
        echo_json({"method": name, "checks": rows}, indent=1)
    else:
        click.echo(f"{name}: {len(outcomes) - failed} of {len(outcomes)} promises kept.")
    sys.exit(1 if failed else 0)


@main.command("new-plugin", epilog=example("new-plugin my-method --kind metric"))
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(VERBS)), default="attribution", show_default=True, help="The kind of the method."
)
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="The folder to write it to."
)
def new_plugin(name: str, kind: Any, into: Path) -> None:
    """Write a package for a new method.

    The package can be installed and passes its checks unchanged.
    """
    from interp_core.plugin import write_plugin

    folder = write_plugin(name, kind, into)
    install = f"pip install --no-build-isolation --no-deps -e {folder}"
    click.echo(f"Wrote {folder}. Now:\n  {install}\n  interp check {name}\n  pytest {folder}")


def _described(method: Method) -> dict[str, Any]:
    plain = {key: sorted(v) if isinstance(v, frozenset) else v for key, v in dataclasses.asdict(method).items()}
    return {**plain, "package": package_of(method), "version": version_of(method)}


def _jsonable(value: Any) -> Any:
    import json

    try:
        json.dumps(value)
    except TypeError:
        return repr(value)
    return value
