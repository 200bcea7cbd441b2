"""Other values of the parameters of a method, so that it is not only checked with its defaults."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

FEW = 3  # of steps, samples and the like


def away_from_defaults(instance: Any) -> Any:
    """The method with another value for every parameter of which another value can be guessed and is not refused."""
    for field in dataclasses.fields(instance) if dataclasses.is_dataclass(instance) else ():
        if not field.init or field.name == "concepts":  # how many concepts are learnt has a check of its own
            continue
        for value in _others(instance, field):
            try:
                instance = dataclasses.replace(instance, **{field.name: value})
                break
            except Exception:
                continue
    return instance


def _others(instance: Any, field: dataclasses.Field[Any]) -> Iterator[Any]:
    """Other values that a parameter may take."""
    value, text = getattr(instance, field.name), str(field.type)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (FEW, value + 1, value - 1) if value > FEW else (value + 1, value - 1)
    elif isinstance(value, float):
        yield from (0.75 * value, 0.5, 2.0)
    elif isinstance(value, str) and field.name not in ("device", "path"):
        yield from (name for name in _named_in_the_refusal(instance, field.name) if name != value)
    elif value is None:
        yield from (0.5,) if "float" in text else (2,) if "int" in text else ()


def _named_in_the_refusal(instance: Any, parameter: str) -> list[str]:
    """The values that a method says it takes, when it is given one that it does not know."""
    try:
        dataclasses.replace(instance, **{parameter: "unheard of"})
    except Exception as error:
        return [name for name in re.findall(r"'([^']+)'", str(error)) if name not in ("unheard of", parameter)]
    return []
