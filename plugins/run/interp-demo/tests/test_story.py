"""The demonstration runs offline, tells the whole story, and says what the model does."""

import re
import subprocess
import sys
from pathlib import Path

import interp_core as interp
from interp_demo import story

EMOTIONS = {
    "sadness": "sad lonely miss tear cry grief heavy hollow gloomy empty heartbroken sorrow",
    "joy": "happy joy glad cheerful delighted smile laugh thrilled grin delight",
    "love": "love tender adore cherish darling fond dear heart devoted affection",
    "anger": "angry hate mad furious annoyed rage fury resent irritate outraged",
    "fear": "afraid scared terrified nervous anxious worried fear frightened dread panic",
    "surprise": "stunned unexpected surprised amazed astonished believe shocked suddenly speechless",
}


def test_it_tells_the_whole_story_in_five_lines_and_one_file(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    command = [str(Path(sys.executable).with_name("interp")), "demo", "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines, html = done.stdout.splitlines(), page.read_text(encoding="utf-8")
    assert "</html>" in html
    assert len(lines) == 5 and lines[0].endswith("report.html")
    assert 50_000 < len(html) < 5_000_000
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)
    for part in (*interp.load(story.MODEL).labels, "lime", "semi-nmf", "insertion", "explained-variance", "1602.04938"):
        assert part in html, part
    assert ">hate<" in html and ">coin<" in html
    (line,) = [line for line in lines if line.startswith("What speaks for each class")]
    said = dict(pair.split(": ", 1) for pair in line.removeprefix("What speaks for each class: ").split("; "))
    right = [name for name, words in said.items() if any(word in words for word in EMOTIONS[name].split())]
    assert len(right) >= 5, said


def test_explanations_of_unseen_sentences_are_better_than_chance() -> None:
    model, texts = interp.load(story.MODEL), story.corpus()
    found = interp.attribute(model, texts.unseen(each=3), by="lime", progress=False)
    score = interp.measure(found, model, by="insertion", progress=False)
    assert score.interval is not None and score.chance is not None and score.interval[0] > score.chance
