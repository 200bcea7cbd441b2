"""Which checks a method is held to, and running them with or without pytest."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interp_core.errors import PluginError, UnsupportedError
from interp_core.plugin import Method, find_method, implementation
from interp_core.testing import (
    _check_attribution,
    _check_concepts,
    _check_declaration,
    _check_sampling,
    _check_values,
)
from interp_core.testing._check import Check, Outcome
from interp_core.testing._planted_worlds import TopicLLM

_KINDS = (_check_declaration, _check_attribution, _check_sampling, _check_concepts, _check_values)


def checks_for(method: Method) -> list[Check]:
    """The checks that apply to a declaration, by its kind and claims; never by its name."""
    return [check for kind in _KINDS for check in kind.CHECKS if check.applies(method)]


def run_checks(name: str, **parameters: Any) -> Iterator[Outcome]:
    """Every check of a method, one outcome each.

    Args:
        name: the method.
        **parameters: hyperparameters for the checks, in place of the defaults.
    """
    method = find_method(name)
    checks = checks_for(method)
    try:
        implementation(method)
    except PluginError as error:  # nothing else can be said of it
        yield Outcome(next(c for c in checks if c.name == "its target exists"), False, str(error))
        return
    for check in checks:
        try:
            check.run(method, _instance(method, parameters))
        except UnsupportedError as error:
            yield Outcome(check, _may_refuse(method), "" if _may_refuse(method) else _told(error))
        except AssertionError as error:
            yield Outcome(check, False, str(error) or _told(error))
        except (Exception, SystemExit) as error:  # any failure of the method under test is an outcome
            yield Outcome(check, False, _told(error))
        else:
            yield Outcome(check, True)


def _told(error: BaseException) -> str:
    """The error with the place it comes from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


def contract_tests(name: str, **parameters: Any) -> Callable[..., None]:
    """A pytest test that runs each check of a method as a case of its own."""
    import pytest

    method = find_method(name)
    checks = checks_for(method)

    @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
    def test_contract(check: Check) -> None:
        try:
            check.run(method, _instance(method, parameters))
        except AssertionError as error:
            raise AssertionError(f"{error}\nHow to mend it: {check.mend}") from error
        except UnsupportedError:
            if not _may_refuse(method):
                raise

    return test_contract


def _may_refuse(method: Method) -> bool:
    """What looks into a model may refuse those that it cannot see, or that its rules do not hold for."""
    return method.kind == "attribution" and "internals" in method.needs


def _instance(method: Method, parameters: dict[str, Any]) -> Any:
    """An instance for the checks; one that asks a language model is given the one of the planted world."""
    made = implementation(method)
    names = {f.name for f in dataclasses.fields(made)} if dataclasses.is_dataclass(made) else set()
    planted = {"llm": TopicLLM()} if "llm" in names and "llm" not in parameters else {}
    return made(**planted, **parameters)
