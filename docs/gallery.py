"""Takes the pictures of docs/images again: reports of the two models that the packages carry, seen in Chromium.

Run by hand after the page of a report has changed: `python docs/gallery.py`, or with the names of some pictures.
It needs chromium, chromedriver, selenium, matplotlib and pillow, and takes about two minutes.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
from interp_core.errors import InterpWarning
from interp_core.reporting import Report
from interp_demo import story
from PIL import Image
from selenium import webdriver

IMAGES = Path(__file__).parent / "images"
LARGEST = 200_000  # bytes
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
WRONG = "My ex turned up drunk, and I angrily told him to leave."
FOLDED = "Array.from(document.querySelectorAll('details.ip-fold'))"


@dataclass(frozen=True)
class Picture:
    """A part of a page.

    Attributes:
        page: makes the page.
        address: where on the page, without the `#`.
        height: the most that is kept of it, in pixels.
        first: a script that runs before.
        part: the selector of what is kept.
        width: of the window, in pixels.
    """

    page: Callable[[], Report]
    address: str
    height: int = 900
    first: str = ""
    part: str = "#ip-main"
    width: int = 1160


# Pages


@cache
def demo() -> Report:
    """What `interp demo` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        list(story.tell(path))
        return Report(path.read_text(encoding="utf-8"))


@cache
def held_out() -> Report:
    """All sentences that the classifier was not trained on, with their labels."""
    corpus = story.corpus()
    texts, labels = [corpus.texts[i] for i in corpus.held_out], [corpus.labels[i] for i in corpus.held_out]
    why = interp.attribute(interp.load(story.MODEL), texts, by="occlusion", targets="all", labels=labels)
    return interp.report(list(why), title="Held-out sentences")


def number_of(text: str) -> int:
    """The number of a held-out sentence on its page."""
    corpus = story.corpus()
    return [corpus.texts[i] for i in corpus.held_out].index(text) + 1


@cache
def concepts() -> Report:
    """Cards of the concepts of the last block."""
    model, corpus = interp.load(story.MODEL), story.corpus()
    split = model.split(-1)
    activations = split.activations(corpus.texts, granularity="cls", predictions=True)
    space = interp.fit_concepts(activations, by="semi-nmf", concepts=10)
    words = interp.interpret(space, activations, by="top-inputs", source="unique-words", min_count=5, lemmatize=True)
    matter = interp.importance(split, space, activations, by="input-x-gradient")
    cards = interp.concept_cards(space, activations, words, importance=matter)
    return interp.report(cards, matter, title="What the last block has learnt")


@cache
def sources() -> Report:
    """Which document the answer is from."""
    (context,) = interp.lookup_contexts(1, sentences=(4, 4), seed=3)
    chat = interp.Chat([{"role": "user", "content": context.question}], documents=context.sentences)
    asked = {"units": "documents", "granularity": "document", "removal": "drop", "score": "log-odds"}
    why = interp.attribute(interp.lookup_model(), chat, by="occlusion", max_new_tokens=1, **asked)
    return interp.report(list(why), title="From which document?")


@cache
def components() -> Report:
    """Which head or MLP looks the answer up, by two methods."""
    (context,) = interp.lookup_contexts(1, sentences=(4, 4), seed=3)
    other = context.name_swap()
    asked = {
        "over": "components",
        "reference": other.prompt,
        "targets": interp.contrast(context.answer, other.answer),
        "score": "logit",
    }
    model = interp.lookup_model()
    found = [interp.attribute(model, context.prompt, by=name, **asked)[0] for name in ("occlusion", "shapley")]
    return interp.report(found, title="Where is it looked up?")


def compared() -> interp.Benchmark:
    """Five methods by two metrics."""
    methods = {
        "occlusion": "occlusion",
        "kernel-shap": interp.method("kernel-shap", samples=32),
        "integrated-gradients": "integrated-gradients",
        "saliency": "saliency",
        "random": "random",
    }
    texts = story.corpus().unseen(each=6)
    return interp.benchmark(interp.load(story.MODEL), texts, methods=methods, metrics=["insertion", "deletion"])


@cache
def benchmark() -> Report:
    """The table of methods and metrics."""
    return interp.report(compared(), title="Which method to trust")


# Figures


def waterfall() -> Any:
    """One text and one class."""
    (why,) = interp.attribute(interp.load(story.MODEL), WRONG, by="kernel-shap", targets="all")
    return why.plot(kind="waterfall", target="surprise")


def heat_map() -> Any:
    """One text and all classes."""
    (why,) = interp.attribute(interp.load(story.MODEL), story.PROVERB, by="kernel-shap", targets="all")
    return why.plot(kind="heatmap")


# What is made


def unfolded(start: str) -> str:
    """A script that opens what is folded under a line that begins so."""
    return f"{FOLDED}.filter((one) => one.innerText.startsWith('{start}')).forEach((one) => {{ one.open = true; }})"


ONLY_WRONG = """
const box = Array.from(document.querySelectorAll('select')).find((one) => one.ariaLabel === 'show');
box.value = 'wrong';
box.dispatchEvent(new Event('change'));
"""
PAGES = {
    "report": Picture(demo, "t=1&k=anger", height=1010, part=".ip-page"),
    "texts": Picture(demo, "t=3&k=fear"),
    "heat": Picture(demo, "t=3&k=fear", first=unfolded("Heat map"), part=".ip-stage"),
    "words": Picture(held_out, "tab=words&k=joy&w=happy"),
    "concepts": Picture(demo, "tab=concepts&g=0&c=14", height=1060),
    "components": Picture(components, "tab=components"),
    "trust": Picture(demo, "tab=trust", height=945),
    "made": Picture(demo, "tab=made", height=620, first=unfolded("lime")),
    "wrong": Picture(held_out, f"t={number_of(WRONG)}&k=surprise", first=ONLY_WRONG),
    "card": Picture(concepts, "tab=concepts&g=0&c=3", height=960),
    "sources": Picture(sources, "t=1", height=1000),
    "benchmark": Picture(benchmark, "tab=trust"),
}
FIGURES = {"waterfall": waterfall, "heat-map": heat_map}


def browser() -> Any:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    light = {"name": "prefers-color-scheme", "value": "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [light]})
    return driver


def seen(driver: Any, picture: Picture, folder: Path) -> bytes:
    """The part of the page as PNG."""
    file = picture.page().save(folder / f"{picture.page.__name__}.html")
    size = {"width": picture.width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get("about:blank")
    driver.get(f"{file.as_uri()}#{picture.address}")
    time.sleep(1)
    driver.execute_script(picture.first)
    time.sleep(0.5)
    box = driver.execute_script(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.x + scrollX, box.y + scrollY, box.width, box.height];",
        picture.part,
    )
    edge = 0 if picture.part == ".ip-page" else 12
    clip = {
        "x": max(0, box[0] - edge),
        "y": max(0, box[1] - edge),
        "width": box[2] + 2 * edge,
        "height": min(picture.height, box[3] + 2 * edge),
        "scale": 1,
    }
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return base64.b64decode(taken["data"])


def drawn(draw: Callable[[], Any]) -> bytes:
    """A figure of matplotlib as PNG."""
    held = io.BytesIO()
    draw().savefig(held, format="png", dpi=130, bbox_inches="tight")
    return held.getvalue()


def few(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours: the 128 most frequent, which stay as they are, and 128 spread over all others."""
    pixels = np.asarray(picture).reshape(-1, 3).astype(np.int64)
    colours, place, amount = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    spread = picture.quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = np.concatenate([colours[(-amount).argsort()[:128]], np.array(spread[: 3 * 128]).reshape(-1, 3)])
    nearest = ((colours[:, None] - palette[None]) ** 2).sum(-1).argmin(1)
    held = Image.fromarray(nearest[place].reshape(picture.height, picture.width).astype(np.uint8), mode="P")
    held.putpalette(palette.astype(np.uint8).tobytes())
    return held


def kept(name: str, picture: bytes) -> None:
    """Write a picture with few colours."""
    file = IMAGES / f"{name}.png"
    few(Image.open(io.BytesIO(picture)).convert("RGB")).save(file, optimize=True)
    said = f"{file.name}: {file.stat().st_size / 1000:.0f} kB"
    if file.stat().st_size > LARGEST:
        raise SystemExit(f"{said}, more than {LARGEST / 1000:.0f}.")
    print(said)


def main(names: list[str]) -> None:
    """Make the pictures of these names, or all."""
    warnings.simplefilter("ignore", InterpWarning)  # notes stand on the pages
    wanted = names or [*PAGES, *FIGURES]
    with tempfile.TemporaryDirectory() as folder:
        driver = browser()
        try:
            for name in wanted:
                kept(name, drawn(FIGURES[name]) if name in FIGURES else seen(driver, PAGES[name], Path(folder)))
        finally:
            driver.quit()


if __name__ == "__main__":
    main(sys.argv[1:])
