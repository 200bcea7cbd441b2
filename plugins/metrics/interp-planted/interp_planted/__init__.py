"""How much of a planted dictionary was found."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

SYNTH = "SynthSAEBench, as in SAELens 6 (sae_lens.synthetic)"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the comparisons with a planted space."""
    for name, target, summary, source in (
        (
            "planted-mcc",
            "PlantedMCC",
            "mean |cosine| of planted features with their matches",
            "O'Neill et al. 2024, arXiv:2411.13117",
        ),
        ("planted-f1", "PlantedF1", "how well a match tells when its planted feature is active", SYNTH),
        ("planted-uniqueness", "PlantedUniqueness", "share of planted features that some concept is closest to", SYNTH),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"interp_planted.planted:{target}",
            summary=summary,
            source=source,
            needs=frozenset({"truth"}),
            measures="concepts",
        )
