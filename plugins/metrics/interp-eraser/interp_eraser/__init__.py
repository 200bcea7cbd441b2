"""Comprehensiveness and sufficiency, hard and soft."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

ERASER = "DeYoung et al. 2020, arXiv:1911.03429"
SOFT = "Zhao, Aletras 2023, arXiv:2305.10496"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both measures of ERASER, then those that erase in part."""
    for name, target, summary, source in (
        (
            "comprehensiveness",
            "erasure:Comprehensiveness",
            "fall of the score without the units of highest attribution",
            ERASER,
        ),
        ("sufficiency", "erasure:Sufficiency", "fall of the score with only the units of highest attribution", ERASER),
        (
            "soft-comprehensiveness",
            "soft:SoftComprehensiveness",
            "fall of the score as units are removed in part, by their attributions",
            SOFT,
        ),
        (
            "soft-sufficiency",
            "soft:SoftSufficiency",
            "what is kept of the score as units stay in part, by their attributions",
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
