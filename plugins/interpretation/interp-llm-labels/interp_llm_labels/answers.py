"""From what a language model says to a label, or to what is wrong with it."""

from __future__ import annotations

import re

NO_PATTERN = "NONE"
LETTERS = 15  # characters a word may have, on average, before an answer is taken for an explanation

_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_PREFIX = re.compile(r"(?:(?:short |concept )?label|concept|answer)\s*[*_]*\s*[:：]", re.IGNORECASE)
_WRAPPING = " \t*_`#\"'“”‘’«»"
_REFUSAL = re.compile(r"(i'?m|i am) (sorry|unable)|sorry\b|i can(no|')?t\b|as an ai\b|<think>", re.IGNORECASE)


def label_in(answer: str) -> str:
    """The first line that holds anything, without "Label:", quotation marks, emphasis and a full stop."""
    candidates = (_bare(line) for line in _THOUGHTS.sub("", answer).splitlines())
    return next(filter(None, candidates), "")


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
    text = line.strip().lstrip("-•> ").strip(_WRAPPING)
    text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    return text.strip(_WRAPPING).rstrip(".").strip(_WRAPPING)
