"""Insertion and deletion."""

from collections.abc import Iterable

from interp_core.plugin import Method, hookimpl

SOURCE = "Petsiuk, Das, Saenko 2018, arXiv:1806.07421"


@hookimpl
def interp_methods() -> Iterable[Method]:
    """Declare both curves."""
    yield Method(
        name="insertion",
        kind="metric",
        target="interp_insertion_deletion.curves:Insertion",
        summary="area under the score as units are put back, highest attribution first",
        source=SOURCE,
        measures="attribution",
    )
    yield Method(
        name="deletion",
        kind="metric",
        target="interp_insertion_deletion.curves:Deletion",
        summary="area under the score as units are removed, highest attribution first",
        source=SOURCE,
        measures="attribution",
    )
