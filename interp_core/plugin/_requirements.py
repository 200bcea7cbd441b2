"""The unmet requirements of an installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def unmet(package: str) -> str:
    """The unmet requirements of a distribution and the command that installs them, as a sentence, if there are any."""
    from packaging.requirements import Requirement  # imported when something is missing, since it takes long

    try:
        needed = [Requirement(line) for line in requires(package) or ()]
    except PackageNotFoundError:
        return ""
    missing = [r for r in needed if (r.marker is None or r.marker.evaluate({"extra": ""})) and not _satisfied(r)]
    if not missing:
        return ""
    listed = ", ".join(f"{r.name}{r.specifier} ({_installed_version(r.name) or 'not installed'})" for r in missing)
    return f"It needs {listed}: pip install '{package}'."


def _satisfied(requirement: Requirement) -> bool:
    installed = _installed_version(requirement.name)
    return bool(installed) and requirement.specifier.contains(installed, prereleases=True)


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
