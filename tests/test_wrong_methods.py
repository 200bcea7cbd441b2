"""The conformance kit catches methods that are wrong on purpose, and lets those pass that are right."""

from __future__ import annotations

import pytest
from interp_core.plugin import _registry as registry
from interp_core.testing import checks_for, contract_tests, run_checks
from wrong_methods import attributions, draws, runs, scores, spaces, words  # noqa: F401 - they declare themselves
from wrong_methods.catalogue import METHODS, Planted

RIGHT = [planted for planted in METHODS if planted.caught_by is None]
WRONG = [planted for planted in METHODS if planted.caught_by is not None]


@pytest.mark.parametrize("planted", RIGHT, ids=lambda planted: planted.declaration.name)
def test_a_method_that_keeps_its_promises_passes_every_check(planted: Planted) -> None:
    with registry.only(planted.declaration):
        outcomes = list(run_checks(planted.declaration.name))
    assert {outcome.check.name: outcome.message for outcome in outcomes if not outcome.passed} == {}


@pytest.mark.parametrize("planted", WRONG, ids=lambda planted: planted.declaration.name)
def test_a_wrong_method_is_caught_by_the_check_whose_mend_helps(planted: Planted) -> None:
    with registry.only(planted.declaration):
        (check,) = (check for check in checks_for(planted.declaration) if check.name == planted.caught_by)
        with pytest.raises(Exception, match=r".") as caught:
            contract_tests(planted.declaration.name)(check)
    if isinstance(caught.value, AssertionError):
        assert str(caught.value).endswith(f"How to mend it: {check.mend}")
