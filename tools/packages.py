"""The packages of this repository: found by one function, written from one table.

python tools/packages.py --editable    # arguments for pip, one a line; standard library only
python tools/packages.py --write       # writes each pyproject.toml, the extras of the core, and the catalogue
python tools/packages.py --check       # fails where they differ from the table
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLE = Path(__file__).with_suffix(".toml")
CATALOGUE = ROOT / "interp_core" / "plugin" / "catalogue.json"
SHELVES = ("attribution", "concepts", "interpretation", "metrics", "run")
DEFAULT_EXTRAS = ("attribution", "concepts", "interpretation", "metrics")


@dataclass(frozen=True)
class Package:
    """A package of this repository, as it lies in its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """Of the distribution, and of the folder."""
        return self.folder.name

    @property
    def shelf(self) -> str:
        """The folder that it lies in."""
        return self.folder.parent.name

    @property
    def module(self) -> str:
        """Its top module."""
        return self.name.replace("-", "_")


def packages() -> list[Package]:
    """The packages there are on disk, by name. Whoever looks for packages asks here."""
    found = [Package(file.parent) for file in (ROOT / "plugins").rglob("pyproject.toml")]
    return sorted(found, key=lambda package: package.name)


def table() -> dict[str, dict[str, Any]]:
    """What the table says of each package, with its shelf and extra."""
    data = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: {"extra": shelf, **said, "shelf": shelf} for shelf in SHELVES for name, said in data[shelf].items()}


def outputs() -> Iterator[tuple[Path, str]]:
    """Every file that is written, with its text."""
    from interp_core.plugin import render_pyproject

    data = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    said = table()
    for name, one in said.items():
        folder = ROOT / "plugins" / one["shelf"] / name
        yield (
            folder / "pyproject.toml",
            render_pyproject(
                name,
                data["version"],
                one["description"],
                name.removeprefix("interp-"),
                [data["core"], *one["dependencies"]],
                commands=one.get("commands", {}),
                names=one.get("names", {}),
                values=one.get("values", {}),
            ),
        )
    yield ROOT / "pyproject.toml", _with_extras((ROOT / "pyproject.toml").read_text(encoding="utf-8"), said)
    yield CATALOGUE, json.dumps(_catalogue(said), indent=1, sort_keys=True) + "\n"


def _catalogue(said: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    methods, commands, names = {}, {}, {}
    for name, one in said.items():
        module = name.replace("-", "_")
        top = ROOT / "plugins" / one["shelf"] / name / module / "__init__.py"
        for method in runpy.run_path(str(top)).get("interp_methods", tuple)():
            methods[method.name] = name
        commands |= dict.fromkeys(one.get("commands", {}), name)
        names |= dict.fromkeys(one.get("names", {}), name)
    return {"methods": methods, "commands": commands, "names": names}


def _with_extras(text: str, said: dict[str, dict[str, Any]]) -> str:
    lines = []
    for extra in DEFAULT_EXTRAS:
        names = sorted(name for name, one in said.items() if one["extra"] == extra)
        lines += [f"{extra} = [", *(f'    "{name}",' for name in names), "]"]
    rest = sorted(name for name, one in said.items() if one["extra"] == "all")
    everything = [f"interp-core[{','.join(DEFAULT_EXTRAS)}]", *rest]
    lines.append(f"all = [{', '.join(json.dumps(one) for one in everything)}]")
    head = "[project.optional-dependencies]\n"
    return re.sub(re.escape(head) + r".*?\n(?=\n\[)", lambda _: head + "\n".join(lines) + "\n", text, flags=re.DOTALL)


def main() -> int:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("editable", "write", "check"):
        parser.add_argument(f"--{option}", action="store_true")
    asked = parser.parse_args()
    if asked.editable:
        print("\n".join(f"--editable {package.folder.relative_to(ROOT)}" for package in packages()))
    if asked.write:
        for file, text in outputs():
            file.write_text(text, encoding="utf-8")
    if asked.check:
        wrong = [str(f.relative_to(ROOT)) for f, text in outputs() if not f.is_file() or f.read_text("utf-8") != text]
        there = {package.name for package in packages()}
        wrong += [f"{name} is not in the table" for name in sorted(there - set(table()))]
        if wrong:
            print("run `make packages`, these differ from tools/packages.toml:", *wrong, sep="\n  ", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
