"""Comprehensiveness and sufficiency, hard and soft."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

ERASER = "DeYoung et al. 2020, arXiv:1911.03429"
SOFT = "Zhao, Aletras 2023, arXiv:2305.10496"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both measures of ERASER, then those that erase in part."""
    for name, target, summary, source in (
        ("comprehensiveness", "erasure:Comprehensiveness", "how far the score falls without the best units", ERASER),
        ("sufficiency", "erasure:Sufficiency", "how far the score falls with the best units alone", ERASER),
        (
            "soft-comprehensiveness",
            "soft:SoftComprehensiveness",
            "how far the score falls when units fade the more the better they are",
            SOFT,
        ),
        (
            "soft-sufficiency",
            "soft:SoftSufficiency",
            "how well the score lasts when units fade the less the better they are",
            SOFT,
        ),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_eraser.{target}",
            summary=summary,
            source=source,
            measures="attribution",
        )
