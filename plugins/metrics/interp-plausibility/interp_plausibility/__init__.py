"""Plausibility: agreement with human rationales."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the three measures of ERASER."""
    for name, target, summary in (
        ("plausibility-auprc", "AveragePrecision", "how well the order of units finds those that people marked"),
        ("plausibility-token-f1", "TokenF1", "how well the best units agree with those that people marked"),
        ("plausibility-iou-f1", "IouF1", "how well runs of the best units match the pieces that people marked"),
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
