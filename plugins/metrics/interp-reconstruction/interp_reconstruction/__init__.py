"""How well a space gives back the activations."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

FEL = "Fel et al. 2023, arXiv:2306.07304, as in interpreto"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare errors row by row, then distances of distributions."""
    for name, target, summary, source in (
        ("mse", "errors:MSE", "mean squared error of the reconstruction", "definition"),
        (
            "explained-variance",
            "errors:ExplainedVariance",
            "share of the variance that the reconstruction gives back",
            "definition",
        ),
        (
            "frechet-distance",
            "distances:FrechetDistance",
            "Fréchet distance of the normal distributions fitted to rows and reconstructions",
            "Dowson, Landau 1982, J. Multivariate Analysis 12(3):450-455",
        ),
        (
            "wasserstein-1d",
            "distances:Wasserstein1D",
            "mean over dimensions of the 1-D Wasserstein distance to reconstructions",
            FEL,
        ),
        ("fid", "distances:FID", "what interpreto calls FID: wasserstein-1d, no Fréchet distance", FEL),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_reconstruction.{target}",
            summary=summary,
            source=source,
            measures="concepts",
        )
