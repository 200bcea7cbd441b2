"""References as BibTeX entries, as far as they are known: authors, year, and where the paper is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_PAPER = re.compile(r"(?:[^:;]*: )?(?P<authors>[^:;]+?),? (?P<year>(?:18|19|20)\d\d)\b,? ?(?P<rest>.*)")
_PLAIN = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
}


def bibtex_of(references: Sequence[str]) -> str:
    """An entry for each paper that is named in the references, each once.

    Args:
        references: such as `"Shrikumar, Greenside 2017, arXiv:1704.02685; Owen 1977"`.

    Returns:
        The entries, with a blank line between them. Titles are not known.
    """
    entries: dict[str, str] = {}
    for part in (part.strip() for reference in references for part in reference.split(";")):
        found = _PAPER.fullmatch(part)
        if found is None or not any(character.isupper() for character in found["authors"]):
            continue
        first = key = _key(found["authors"], found["year"])
        for letter in "bcdefghijklmnopqrstuvwxyz":
            entry = _entry(key, found["authors"], found["year"], found["rest"])
            if entries.setdefault(key, entry) == entry:
                break
            key = first + letter
    return "\n\n".join(entries.values())


def _key(authors: str, year: str) -> str:
    plain = unicodedata.normalize("NFKD", re.split(r",| et al\.", authors)[0]).encode("ascii", "ignore").decode()
    first = re.sub(r"\W", "", plain)
    return f"{first.lower() or 'paper'}{year}"


def _entry(key: str, authors: str, year: str, rest: str) -> str:
    several = [name.strip() for name in re.split(r",| and ", authors.replace(" et al.", ", others")) if name.strip()]
    lines = [f"  author = {{{_escaped(' and '.join(several))}}}", f"  year = {{{year}}}", _where(rest)]
    return f"@misc{{{key},\n" + ",\n".join(line for line in lines if line) + "\n}"


def _where(rest: str) -> str:
    arxiv = re.search(r"arXiv:(\d{4}\.\d{4,5})", rest)
    if arxiv:
        return f"  eprint = {{{arxiv[1]}}},\n  archivePrefix = {{arXiv}}"
    doi = re.search(r"doi:([^\s,;]+)", rest)
    if doi:
        return f"  doi = {{{doi[1]}}}"
    return f"  howpublished = {{{_escaped(rest)}}}" if rest else ""


def _escaped(text: str) -> str:
    return "".join(_PLAIN.get(character, character) for character in text)
