"""Plausibility: agreement with human rationales."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the three measures of ERASER."""
    for name, target, summary in (
        (
            "plausibility-auprc",
            "AveragePrecision",
            "average precision of attributions in finding the units that people marked",
        ),
        ("plausibility-token-f1", "TokenF1", "F1 of the top units against those that people marked"),
        ("plausibility-iou-f1", "IouF1", "F1 of runs of the top units against runs that people marked"),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_plausibility.agreement:{target}",
            summary=summary,
            source="DeYoung et al. 2020, arXiv:1911.03429",
            needs=frozenset({"labels"}),
            measures="attribution",
        )
