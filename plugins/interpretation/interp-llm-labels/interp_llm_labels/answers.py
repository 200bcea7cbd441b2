"""From what a language model says to a label, or to what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from interp_llm.reading import json_in, spoken

LETTERS = 15  # characters a word may have, on average, before an answer is taken for an explanation
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "rationale": {"type": "string"},
        "label": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["rationale", "label", "confidence"],
    "additionalProperties": False,
}

_PREFIX = re.compile(r"(?:(?:short |concept )?label|concept|answer)\s*[*_]*\s*(?:[:：]|\bis\b)", re.IGNORECASE)
_SAID = re.compile(r"\blabel\s*(?:[:：]|(?:is|would be)\b)\s*(.+)", re.IGNORECASE)
_STRESSED = re.compile(r"\*\*([^*\n]+)\*\*|[\"“]([^\"“”\n]+)[\"”]")
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_WRAPPING = " \t*_`#\"'“”‘’«»"
_REFUSAL = re.compile(
    r"(i'?m|i am) (sorry|unable)|(sorry|unfortunately),? (but|i|no|we)\b|as an ai\b|<think>|"
    r"i (can(no|')?t|could ?n('|o)t) (tell|help|assist|do|find|identify|determine|see|name|provide|label)",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"none(\W|$)|no (common|clear|shared) (theme|pattern|concept|topic|meaning)", re.IGNORECASE)
_LIKE_JSON = re.compile(r"\s*(?:```\w*\s*)?[\[{]\s*[\[{\"'\]}]")
NOT_READ = "no JSON object with a label, or one that was cut off"


@dataclass(frozen=True)
class Reading:
    """What an answer says: a label, and what the model adds to it."""

    label: str
    confidence: float | None = None
    rationale: str = ""

    @property
    def nothing(self) -> bool:
        """Whether it says that there is no pattern."""
        return bool(_NOTHING.match(self.label))


def reading_of(answer: str, words: int) -> Reading:
    """The label of at most `words` words in an answer, with confidence and rationale if it gives them."""
    data = json_in(answer)
    if isinstance(data, dict):
        data = {str(name).lower(): value for name, value in data.items()}
        label, sure, why = (data.get(name) for name in ("label", "confidence", "rationale"))
        sound = isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1
        confidence = float(sure) if sound and sure is not None else None
        return Reading(_bare(label) if isinstance(label, str) else "", confidence, why if isinstance(why, str) else "")
    return Reading("" if json_like(answer) else label_in(answer, words))


def label_in(answer: str, words: int = 8) -> str:
    """The first line that is a label, without thoughts, fences, "Label:", quotation marks, emphasis and a full stop.

    Where a model wraps it into a sentence, what stands after "label is", or what the sentence stresses.
    """
    lines = [line for line in _FENCE.sub("", spoken(answer)).splitlines() if _bare(line)]
    lines = next(([line] for line in lines if re.match(r"\W*label\s*\W*[:：]\W*\w", line, re.IGNORECASE)), lines)
    if len(lines) > 1 and lines[0].rstrip().endswith((":", "：")) and not _PREFIX.fullmatch(_bare(lines[0])):
        lines = lines[1:]  # "Here is a label for it:"
    first = lines[0] if lines else ""
    label = _bare(first)
    said = _SAID.search(first)
    if said and _bare(said[1]) and not _PREFIX.match(first.strip().lstrip("-•> ").strip(_WRAPPING)):
        stressed = _STRESSED.search(said[1])
        return _bare(next(filter(None, stressed.groups())) if stressed else said[1])
    if len(label.split()) > words and (stressed := _STRESSED.search(first)):
        return _bare(next(filter(None, stressed.groups())))
    return label


def json_like(answer: str) -> bool:
    """Whether an answer begins as JSON does."""
    return bool(_LIKE_JSON.match(spoken(answer)))


def fault_of(label: str, words: int) -> str:
    """What keeps a label of at most `words` words from being used; empty if nothing does."""
    if not label:
        return "nothing in it"
    if _REFUSAL.match(label.replace("’", "'")):
        return "no label but a refusal or a thought"
    if len(label) > words * LETTERS:
        return f"{len(label)} characters, where at most {words * LETTERS} make {words} words"
    return ""


def _bare(line: str) -> str:
    line = "".join(c for c in line if c.isprintable() or c.isspace())  # what moves a cursor, or cannot be written
    text = line.strip().lstrip("-•> ").strip(_WRAPPING)
    text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) and text.casefold() != "concept is" else text
    return text.strip(_WRAPPING).rstrip(".").strip(_WRAPPING)
