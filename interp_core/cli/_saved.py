"""Saved results that a command continues from, distinguished by kind, and look-up of the concepts named in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from interp_core.cli._options import number_in
from interp_core.errors import InputError, nearest

RESULTS = click.Path(path_type=Path)
MADE_BY = {  # what a command may need, and which one saves it
    "ConceptSpace": ("concept space", "interp fit"),
    "Activations": ("activations", "interp activations"),
    "Interpretation": ("interpretation", "interp interpret"),
    "Importance": ("importance", "interp importance"),
    "Effect": ("effects", "interp effect"),
    "Attribution": ("attributions", "interp attribute"),
}

results_argument = click.argument("files", nargs=-1, required=True, type=RESULTS, metavar="RESULTS...")


@dataclass(frozen=True)
class Saved:
    """Results from files and folders.

    Args:
        results: the results.
    """

    results: list[Any]

    @classmethod
    def load(cls, files: Sequence[Path]) -> Saved:
        """The results in files, stores of activations and folders of results.

        Raises:
            InputError: there are none, or one cannot be read.
        """
        from interp_core.results import load_results

        return cls(load_results(*files))

    def all(self, kind: type) -> list[Any]:
        """The results of one kind."""
        return [one for one in self.results if isinstance(one, kind)]

    def one(self, kind: type) -> Any:
        """The only result of one kind.

        Raises:
            InputError: there is none, or there are several.
        """
        found = self.all(kind)
        if len(found) == 1:
            return found[0]
        what, command = MADE_BY[kind.__name__]
        count = f"{len(found)} of them were given; give one" if found else f"none was given; `{command}` saves some"
        raise InputError(f"this command needs {'' if what.endswith('s') else 'one '}{what}, and {count}.")

    def titles(self, space: Any) -> dict[str, str]:
        """Each concept by name, and with its label behind it if there is an interpretation."""
        labels = self._labels(space)
        return {name: f"{name} ({labels[i]})" if i in labels else name for i, name in enumerate(space.names)}

    def titled(self, importance: Any, space: Any) -> Any:
        """An importance whose concepts have their labels."""
        return replace(importance, concepts=tuple(self.titles(space).values()))

    def concepts(self, named: Sequence[str], space: Any) -> list[int]:
        """The numbers of several concepts.

        Raises:
            InputError: one of them is named twice, or is none.
        """
        found = [self.concept(one, space) for one in named]
        twice = next((one for one in found if found.count(one) > 1), None)
        if twice is not None:
            raise InputError(f"concept {twice} is named twice; name it once.")
        return found

    def concept(self, named: str, space: Any) -> int:
        """The number of a concept that is given by its number, its name or its label.

        Raises:
            InputError: there is no such concept, or several have this label.
        """
        if named in space.names:
            return int(space.names.index(named))
        number = number_in(named)
        if isinstance(number, int) and 0 <= number < space.concepts:
            return number
        labels = self._labels(space)
        found = [number for number, label in labels.items() if label.split() == named.split()]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"concepts {', '.join(map(str, found))} have the label {named!r}; give the number of one.")
        known = [*space.names, *labels.values()]
        raise InputError(
            f"there is no concept {named!r}; give a number from 0 to {space.concepts - 1}, a name such as "
            f"{space.names[0]!r}, or a label of an interpretation that is given too.{nearest(named, known)}"
        )

    def _labels(self, space: Any) -> dict[int, str]:
        from interp_core.concepts import Interpretation

        found = self.all(Interpretation)
        words = self.one(Interpretation) if found else ()
        for what, own, other in _places(words, space) if found else ():
            if own and other and own != other:
                raise InputError(
                    f"the interpretation is of concepts of {what} {own!r}, and the space of {what} {other!r}; give the "
                    "interpretation of this space, or none."
                )
        return {c.concept: c.label for c in words if c.label and c.concept < space.concepts}


def _places(words: Any, space: Any) -> list[tuple[str, str, str]]:
    """Which layer and model the concepts of an interpretation and those of a space are of."""
    layers = str(words.made_by.settings.get("layer", "")), space.layer
    return [("layer", *layers), ("model", words.made_by.model, space.made_by.model)]
