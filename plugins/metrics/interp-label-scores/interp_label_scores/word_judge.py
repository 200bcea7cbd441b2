"""A judge that compares words and understands none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_LABEL = re.compile(r"^Label: (.*)$", re.MULTILINE)
_LINE = re.compile(r"^\d+\. (.*)$", re.MULTILINE)
_MARKED = re.compile(r"<<(.*?)>>")


@dataclass(frozen=True)
class WordJudge:
    """Answers the questions of these scores by the words that are there: a baseline for a language model, and for dry
    runs.

    An excerpt has a concept if it shares a word with the label; how active it is on a unit is the share of the label's
    pairs of letters that the unit has; the intruder shares the fewest words with the other excerpts.

    Examples:
        >>> from interp_label_scores.word_judge import WordJudge
        >>> asked = 'Reply with {"verdicts": …}', "Label: rain or snow\\n\\n1. the rain fell\\n2. the sun shone"
        >>> WordJudge().generate([{"role": role, "content": c} for role, c in zip(("system", "user"), asked)])
        '{"verdicts": [1, 0]}'
    """

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The answer to one conversation."""
        system, user = messages[0]["content"], messages[-1]["content"]
        found = _LABEL.search(user)
        label, lines = found[1] if found else "", _LINE.findall(user)
        if '"intruder"' in system:
            return json.dumps({"intruder": _odd_one_out(lines) + 1})
        if '"activations"' in system:
            pairs = _pairs(label)
            return json.dumps({"activations": [round(10 * _share(pairs, _pairs(line)), 2) for line in lines]})
        marked = [m[1] if (m := _MARKED.search(line)) else line for line in lines]
        return json.dumps({"verdicts": [int(bool(_words(label) & _words(line))) for line in marked]})


def _odd_one_out(lines: list[str]) -> int:
    words = [_words(line) for line in lines]
    near = [sum(len(own & other) / (len(own | other) or 1) for other in words) for own in words]
    return near.index(min(near, default=0.0))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _pairs(text: str) -> set[str]:
    return {word[i : i + 2] for word in _words(text) for i in range(len(word) - 1)}


def _share(of: set[str], held: set[str]) -> float:
    return len(of & held) / (len(of) or 1)
