"""The document of a pipeline: read from TOML, YAML or Python, with the line of each entry for messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interp_core.errors import InputError

Place = tuple[str, ...]  # the names on the way to an entry, such as ("steps", "words", "top")
HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$")
KEY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_-]+))\s*=""")


@dataclass(frozen=True)
class Document:
    """What a pipeline says, as plain values.

    Attributes:
        data: the entries.
        source: the file, for messages; empty for a pipeline from Python.
        lines: the line of each entry in the file.
    """

    data: Mapping[str, Any]
    source: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)

    def table(self, name: str) -> Mapping[str, Any]:
        """One of the tables; empty if it is not there.

        Raises:
            InputError: it is something else.
        """
        table = self.data.get(name, {})
        if not isinstance(table, Mapping):
            raise self.error((name,), f"{name} is {table!r}; a table of options was expected.")
        return table

    def resolved(self) -> Document:
        """The document with paths that lie beside its file as absolute ones, so that it says the same from anywhere."""
        data = {name: dict(entries) if isinstance(entries, Mapping) else entries for name, entries in self.data.items()}
        for table, key in (("model", "path"), ("texts", "data")):
            named = self.table(table).get(key)
            beside = Path(self.source).parent / named if self.source and isinstance(named, str) else Path(str(named))
            if isinstance(named, str) and beside.exists():
                data[table][key] = str(beside.absolute())
        return replace(self, data=data)

    def error(self, place: Place, message: str) -> InputError:
        """The error about an entry, which says where it stands."""
        named = ".".join(place)
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        where = f"{self.source}, line {line}, {named}" if line else f"{self.source}, {named}" if self.source else named
        return InputError(f"{where}: {message}")


def read(source: Mapping[str, Any] | str | Path) -> Document:
    """The document that a caller gives: a mapping, or a `.toml`, `.yaml` or `.yml` file.

    Raises:
        InputError: there is no such file, it is of another kind, or it is damaged; the message names the line.
    """
    if isinstance(source, Mapping):
        return Document(source)
    path = Path(source)
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; a pipeline is a .toml or .yaml file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not in UTF-8: {error}") from error
    if path.suffix == ".toml":
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{str(path)!r} is no TOML: {error}") from error
        return Document(data, str(path), dict(_toml_lines(text)))
    if path.suffix in (".yaml", ".yml"):
        return _yaml(path, text)
    raise InputError(f"{str(path)!r} is neither .toml nor .yaml; a pipeline is written in one of these.")


def _toml_lines(text: str) -> Iterator[tuple[Place, int]]:
    """The line of each table and key."""
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            try:
                entries = tomllib.loads(f"[{header[1]}]")
            except tomllib.TOMLDecodeError:  # a line of a list, or of a text
                continue
            table = ()
            while entries:
                name, entries = next(iter(entries.items()))
                table = (*table, name)
            yield table, number
        elif key := KEY.match(line):
            yield (*table, key[1] or key[2] or key[3]), number


def _yaml(path: Path, text: str) -> Document:
    try:
        import yaml
    except ImportError as error:
        raise InputError("a pipeline in YAML needs the package PyYAML: pip install PyYAML.") from error
    try:
        node, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{str(path)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, Mapping):
        raise InputError(f"{str(path)!r} holds no entries; model, texts and steps were expected.")
    return Document(data, str(path), dict(_yaml_lines(node, ())))


def _yaml_lines(node: Any, place: Place) -> Iterator[tuple[Place, int]]:
    """The line of each key of nested mappings."""
    for key, value in node.value if node.id == "mapping" else ():
        inner = (*place, str(key.value))
        yield inner, key.start_mark.line + 1
        yield from _yaml_lines(value, inner)
