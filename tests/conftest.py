"""What several files of tests are given."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
QUIET = ("quic", "background-networking", "component-update", "sync")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier."""
    from interp_core.testing import tiny_classifier
    from saved_models import saved

    return saved(tiny_classifier(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a generator."""
    from interp_core.testing import tiny_generator
    from saved_models import saved

    return saved(tiny_generator(), tmp_path_factory.mktemp("models") / "tiny-lm")


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that is driven by the tests."""
    if not (CHROMIUM and DRIVER):
        if os.environ.get("CI"):
            pytest.fail("chromium and chromedriver are needed in CI")
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(chrome: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens HTML as a person with these settings would see it."""

    def opened(
        html: str, *, width: int = 1280, scheme: str = "light", script: bool = True, address: str = "", before: str = ""
    ) -> Any:
        settings = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", settings)
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        chrome.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        chrome.get("about:blank")  # an address alone would not load the page again
        added = chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before}) if before else None
        chrome.get(file.as_uri() + address)
        if added:
            chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        if script and 'id="ip-data"' in html:
            from selenium.webdriver.support.ui import WebDriverWait

            drawn = "return Boolean(document.querySelector('[role=tabpanel]:not([hidden]) > *'))"
            WebDriverWait(chrome, 20).until(lambda driver: driver.execute_script(drawn))
        return chrome

    yield opened
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
