"""Where sentences end, and where an abbreviation only looks like an end."""

from __future__ import annotations

import pytest
from interp_core.text import clause_spans, sentence_spans

SENTENCES = [
    "See fig. 3 for it.| He left.",
    "as in Fig. 3 and Figs. 4 and 5.| It rains.",
    "The dog is in the fig.| The cat is not.",
    "By eq. (4), sect. 2 and sec. 5 it holds.| So it is.",
    "Vol. 3 and ch. 7 are short.| Chap. 8 is long.",
    "It takes approx. 5 days.| We wait.",
    "See p. 12 and pp. 3 for it.| Go.",
    "He works at Acme Inc.| She left.",
    "He works at Acme Inc.| Bananas are sold there.",
    "He works at Acme Inc. and left.",
    "Acme Inc. CEO Ada Jones spoke.",
    "The company is Foo Ltd.| The other is Bar Corp.| Both are big.",
    "We ate apples, pears, etc.| The rest was bad.",
    "We ate apples, etc.| Bananas came later.",
    "We ate apples, etc. and slept.",
    "Dr. Smith and Mr. Jones met Mrs. Hall.| Prof. Ada spoke.",
    "Gov. Brown and Sen. Lee met at St. Paul.| Ms. Marple saw it.",
    "J. R. Tolkien and George W. Bush wrote.| It sold.",
    "J. R. R. Tolkien wrote it.",
    "It was 5 p.m. on a Monday.| He slept at 6 p.m.| He woke.",
    "He lives in the U.S.| She lives in the U.K.| The cat is in D.C.",
    "The U.S. economy grew.| It slowed.",
    "She has a Ph.D.| He has a B.A. in art.| Dogs ran.",
    "Smith et al. (2020) showed it.| However, Jones et al. did not.",
    "It was in May.| Dogs ran.| He said no.| Cats sat.",
    "Jan. 5 was cold.| No. 5 is alive.",
    "Some, e.g. Apple, grew, i.e. they sold.",
    "It costs 3.50 dollars.| Really?| Yes!| Good.",
    'He said "Go."| Then he left.',
    "Visit example.com.| It works.",
    "今日は晴れです。|明日は雨です。",
    "你好。|你是谁？|价格是3.5元。|很贵！",
    "안녕하세요.| 반갑습니다.",
    "Hola.| ¿Cómo estás?| ¡Bien!",
    "El Dr. Pérez y la Sra. López viven en EE.UU.| Su hija no.",
    "La Srta. Ruiz y la Dra. Gómez viven en la Av. Juárez.| Adiós.",
    "Compró pan, leche, etc.| Luego volvió.",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_sentences_end_where_they_do(marked: str) -> None:
    text = marked.replace("|", "")
    assert [text[start:stop] for start, stop in sentence_spans(text)] == [one.strip() for one in marked.split("|")]


@pytest.mark.parametrize("text", ["", " \n ", "etc.", "  etc. So. "])
def test_spans_hold_all_that_is_not_white_space(text: str) -> None:
    assert " ".join(text[start:stop] for start, stop in sentence_spans(text)) == " ".join(text.split())


def test_clauses_are_cut_out_of_these_sentences() -> None:
    text = "See eq. (4), please; it holds. So it is."
    assert [text[a:b] for a, b in clause_spans(text)] == ["See eq. (4),", "please;", "it holds.", "So it is."]
