"""How large the page of a report is, and how soon it is there: 2,000 texts by five methods, and 10,000 concepts.

Run from the repository with chromium and chromedriver installed: `python benchmarks/page.py`. It prints the size of the
file, the time of the first paint, and the longest task of the page, and exits with 1 above 25 MB, a second, or 200 ms.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests")]

WATCH = (
    "window.slow = [0]; new PerformanceObserver((list) => list.getEntries().forEach((e) => slow.push(e.duration)))"
    ".observe({type: 'longtask', buffered: true});"
)
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"


def measured(html: str, folder: str) -> tuple[float, float]:
    """The first paint of a page and its longest task while every tab is opened once, in milliseconds."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    driver: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.get(file.as_uri())
        for tab in driver.find_elements("css selector", "[role=tab]"):
            tab.click()
            time.sleep(0.5)
        return driver.execute_script(PAINT), max(driver.execute_script("return window.slow"))
    finally:
        driver.quit()


def main() -> int:
    """Measure both pages."""
    from interp_core.reporting import report
    from page_worlds import big_attributions, big_concepts

    worst = 0
    for name, values in (
        ("2,000 texts by five methods", big_attributions(2000)),
        ("10,000 concepts", big_concepts(10_000)),
    ):
        begun = time.perf_counter()
        html = report(*values).html
        made, size = time.perf_counter() - begun, len(html.encode()) / 1e6
        with TemporaryDirectory() as folder:
            paint, longest = measured(html, folder)
        print(f"{name}: made in {made:.1f} s, {size:.1f} MB, first paint {paint:.0f} ms, longest task {longest:.0f} ms")
        worst = max(worst, int(size > 25 or paint > 1000 or longest > 200))
    return worst


if __name__ == "__main__":
    sys.exit(main())
