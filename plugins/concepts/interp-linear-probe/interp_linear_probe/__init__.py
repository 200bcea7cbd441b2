"""Linear probes."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare linear probes."""
    yield Method(
        name="linear-probe",
        kind="concepts",
        target="interp_linear_probe.linear_probe:LinearProbe",
        summary="a linear classifier for each class, scored on held-out texts",
        source="Alain, Bengio 2016, arXiv:1610.01644; Haufe et al. 2014, NeuroImage 87:96-110 (directions)",
        needs=frozenset({"labels"}),
        claims=frozenset({"seeded", "decodes", "recovers"}),
    )
