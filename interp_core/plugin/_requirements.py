"""What an installed distribution requires and does not find."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement


def unmet(package: str) -> str:
    """What a distribution requires beside what is installed, and the command that mends it."""
    try:
        needed = [Requirement(line) for line in requires(package) or ()]
    except PackageNotFoundError:
        return ""
    lacking = [r for r in needed if (r.marker is None or r.marker.evaluate({"extra": ""})) and not _satisfied(r)]
    if not lacking:
        return ""
    listed = ", ".join(f"{r.name}{r.specifier} ({_installed_version(r.name) or 'not installed'})" for r in lacking)
    return f"It needs {listed}: pip install '{package}'."


def _satisfied(requirement: Requirement) -> bool:
    found = _installed_version(requirement.name)
    return bool(found) and requirement.specifier.contains(found, prereleases=True)


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
