"""A judge that compares words and understands none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_CLASS = re.compile(r"^- (.*?): (.*)$", re.MULTILINE)
_LINE = re.compile(r"^\d+\. (.*(?:\nConcepts: .*)?)$", re.MULTILINE)


@dataclass(frozen=True)
class WordGuesser:
    """Predicts the class whose concepts share most words with a text and what is told of it; the first class if none
    does. A baseline for a language model, and for dry runs.

    Examples:
        >>> from interp_consim.word_guesser import WordGuesser
        >>> told = "Classes: dull, merry\\n\\n- dull: rain (3.1)\\n- merry: sun (2.0)\\n\\n1. the sun shone\\n2. it is"
        >>> WordGuesser().generate([{"role": "user", "content": told}])
        '{"answers": ["merry", "dull"]}'
    """

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The answer to one conversation."""
        user = messages[-1]["content"]
        first = user.splitlines()[0].removeprefix("Classes: ").split(", ")[0]
        concepts = {name: _words(said) for name, said in _CLASS.findall(user)} or {first: set()}
        answers = [max(concepts, key=lambda name: len(concepts[name] & _words(line))) for line in _LINE.findall(user)]
        return json.dumps({"answers": answers})


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if not word.isdecimal()}
