"""Shapley values from a Gaussian process."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare Shapley values from a Gaussian process."""
    yield Method(
        name="shapley-gp",
        kind="attribution",
        target="interp_shapley_gp.shapley_gp:ShapleyGP",
        summary="Shapley values from a Gaussian process over few subsets, chosen in advance",
        source="Rasmussen, Williams 2006; Huszar, Duvenaud 2012, arXiv:1204.1664; Covert, Lee 2021, arXiv:2012.01536",
        claims=frozenset({"complete", "seeded", "signed", "exact-when-small"}),
    )
