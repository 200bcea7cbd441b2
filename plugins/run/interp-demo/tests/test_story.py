"""The demonstration runs offline, tells the whole story, and says what the model does."""

import re
import subprocess
import sys
from pathlib import Path

import interp_core as interp
import pytest
from interp_demo import story


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """What `interp demo` prints, and the page it writes: told once for all that is asked of it."""
    path = tmp_path_factory.mktemp("demo") / "report.html"
    command = [str(Path(sys.executable).with_name("interp")), "demo", "--html", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), path.read_text(encoding="utf-8")


def test_it_says_five_lines_and_writes_one_file(told: tuple[list[str], str]) -> None:
    lines, html = told
    assert "</html>" in html
    assert len(lines) == 5 and lines[0].endswith("report.html")
    assert 50_000 < len(html) < 5_000_000
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)


def test_the_report_has_every_class_and_part(told: tuple[list[str], str]) -> None:
    _, html = told
    for part in (*interp.load(story.MODEL).labels, "lime", "semi-nmf", "insertion", "explained-variance", "1602.04938"):
        assert part in html, part
    assert ">hate<" in html and ">coin<" in html


def test_what_speaks_for_each_class_is_a_word_of_its_emotion(told: tuple[list[str], str]) -> None:
    known = {
        "sadness": "sad lonely miss tear cry grief heavy hollow gloomy empty heartbroken sorrow",
        "joy": "happy joy glad cheerful delighted smile laugh thrilled grin delight",
        "love": "love tender adore cherish darling fond dear heart devoted affection",
        "anger": "angry hate mad furious annoyed rage fury resent irritate outraged",
        "fear": "afraid scared terrified nervous anxious worried fear frightened dread panic",
        "surprise": "stunned unexpected surprised amazed astonished believe shocked suddenly speechless",
    }
    (line,) = [line for line in told[0] if line.startswith("What speaks for each class")]
    said = dict(pair.split(": ", 1) for pair in line.removeprefix("What speaks for each class: ").split("; "))
    right = [name for name, words in said.items() if any(w in words for w in known[name].split())]
    assert len(right) >= 5, said


def test_explanations_of_unseen_sentences_are_better_than_chance() -> None:
    model, texts = interp.load(story.MODEL), story.corpus()
    found = interp.attribute(model, texts.unseen(each=3), by="lime", progress=False)
    score = interp.measure(found, model, by="insertion", progress=False)
    assert score.interval is not None and score.chance is not None and score.interval[0] > score.chance
