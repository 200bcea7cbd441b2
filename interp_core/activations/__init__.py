"""Activations of a layer for a corpus: one row for each unit, in memory or in a store on disk."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.activations._activations import Activations
    from interp_core.activations._classes import classes_of, names_of
    from interp_core.activations._covariance import directions, mean_of, moments
    from interp_core.activations._given_rows import of_rows
    from interp_core.activations._orientation import orient_by_skewness
    from interp_core.activations._part import digest_of_rows, of_texts
    from interp_core.activations._shards import cut_notes
    from interp_core.activations._store import Store, remaining

__all__ = [
    "Activations",
    "Store",
    "classes_of",
    "cut_notes",
    "digest_of_rows",
    "directions",
    "mean_of",
    "moments",
    "names_of",
    "of_rows",
    "of_texts",
    "orient_by_skewness",
    "remaining",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_activations": ["Activations"],
        "_classes": ["classes_of", "names_of"],
        "_covariance": ["directions", "mean_of", "moments"],
        "_given_rows": ["of_rows"],
        "_orientation": ["orient_by_skewness"],
        "_part": ["digest_of_rows", "of_texts"],
        "_shards": ["cut_notes"],
        "_store": ["Store", "remaining"],
    },
)
