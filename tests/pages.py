"""Reading a page of a report: its heading, its data, and what a browser shows that runs no script."""

import json
import re
from typing import Any


def heading(html: str) -> str:
    return html[html.index("<header") : html.index("</header>")]


def plain(html: str) -> str:
    """What is shown without a script."""
    return html[html.index("<noscript>") : html.index("</noscript>")]


def lines(html: str) -> list[dict[str, Any]]:
    """The index, then a line for each text and each concept."""
    (block,) = re.findall(r'<script type="application/json" id="ip-data">(.*?)</script>', html, re.DOTALL)
    return [json.loads(line) for line in block.split("\n")]


def findings(html: str) -> list[str]:
    return re.findall(r"<li><a[^>]*>([^<]+)</a></li>", heading(html))
