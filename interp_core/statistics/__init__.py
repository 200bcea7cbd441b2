"""Statistics of means: confidence intervals over inputs, and sampling until standard errors are small enough."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from interp_core.statistics._intervals import FEWEST, interval_of_mean, widening
    from interp_core.statistics._sampling import averaged, check_sampling, portions

__all__ = [
    "FEWEST",
    "averaged",
    "check_sampling",
    "interval_of_mean",
    "portions",
    "widening",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "_intervals": ["FEWEST", "interval_of_mean", "widening"],
        "_sampling": ["averaged", "check_sampling", "portions"],
    },
)
