"""How few concepts a row needs."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

MODULE = "interp_sparsity.sparsity"
DEFINITION = "definition"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare the counts of non-zero codes."""
    for name, target, summary, source in (
        ("sparsity", "Sparsity", "share of the codes that are not zero", DEFINITION),
        (
            "sparsity-ratio",
            "SparsityRatio",
            "share of non-zero codes, over the number of concepts",
            "Poché et al., interpreto",
        ),
        ("l0", "L0", "how many concepts are active in a row, on average", DEFINITION),
        ("dead-concepts", "DeadConcepts", "share of the concepts that are active in no row", DEFINITION),
    ):
        yield Method(
            name=name,
            kind="metric",
            target=f"{MODULE}:{target}",
            summary=summary,
            source=source,
            measures="concepts",
        )
