"""The contract of a method: selection of its checks, and their run with or without pytest."""

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
    _check_calls,
    _check_concepts,
    _check_declaration,
    _check_interpretations,
    _check_metrics,
    _check_models,
    _check_run,
    _check_sampling,
)
from interp_core.testing._check import Check, Outcome
from interp_core.testing._planted_worlds import TopicLLM
from interp_core.testing._surroundings import isolated

_FILES = (
    _check_declaration,
    _check_calls,
    _check_attribution,
    _check_models,
    _check_sampling,
    _check_concepts,
    _check_interpretations,
    _check_metrics,
    _check_run,
)


def checks_for(method: Method) -> list[Check]:
    """Select the checks that apply to a method.

    Args:
        method: the declaration of the method. Its kind, needs and claims select the checks, never its name.

    Returns:
        The checks, in the order in which they run.

    Examples:
        >>> from interp_core.plugin import find_method
        >>> from interp_core.testing import checks_for
        >>> names = [check.name for check in checks_for(find_method("integrated-gradients"))]
        >>> "scores add up to the difference explained" in names  # it claims to be complete
        True
        >>> "another seed gives another draw" in names  # it does not claim to be seeded
        False
    """
    return [check for file in _FILES for check in file.CHECKS if check.applies(method)]


def run_checks(name: str, **parameters: Any) -> Iterator[Outcome]:
    """Run the checks of a method one after the other; a failed check does not end the run.

    Args:
        name: the name of the method, or `package/name`.
        **parameters: hyperparameters of the method; the others have their defaults.

    Yields:
        The outcome of each check; if the implementation cannot be imported, only that of `its target exists`.

    Raises:
        UnknownMethodError: no installed package declares the method.
        DuplicateMethodError: several packages declare it; name the package.

    Examples:
        >>> from interp_core.testing import run_checks
        >>> outcome = next(o for o in run_checks("occlusion") if o.check.name == "a linear score is explained exactly")
        >>> outcome.passed
        True
    """
    method = find_method(name)
    checks = checks_for(method)
    try:
        implementation(method)
    except PluginError as error:  # nothing else can be checked
        yield Outcome(next(c for c in checks if c.name == "its target exists"), False, str(error))
        return
    for check in checks:
        try:
            _run(check, method, parameters)
        except UnsupportedError as error:
            yield Outcome(check, _may_refuse(method), "" if _may_refuse(method) else _located(error))
        except AssertionError as error:
            yield Outcome(check, False, str(error) or _located(error))
        except (Exception, SystemExit) as error:  # any failure of the method under test is an outcome
            yield Outcome(check, False, _located(error))
        else:
            yield Outcome(check, True)


def _run(check: Check, method: Method, parameters: dict[str, Any]) -> None:
    """One check, with random states that no earlier check has left; whatever the method changes is put back."""
    with isolated():
        check.run(method, _instance(method, parameters))


def _located(error: BaseException) -> str:
    """The error as text, with the line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


def contract_tests(name: str, **parameters: Any) -> Callable[..., None]:
    """Make a pytest test that runs each check of a method as a separate case.

    Args:
        name: the name of the method, or `package/name`.
        **parameters: hyperparameters of the method; the others have their defaults.

    Returns:
        A test function, to be assigned to a name that starts with `test_`.

    Raises:
        UnknownMethodError: no installed package declares the method.
        DuplicateMethodError: several packages declare it; name the package.

    Examples:
        >>> from interp_core.testing import contract_tests
        >>> test_contract = contract_tests("occlusion")
        >>> cases = test_contract.pytestmark[0].kwargs["ids"]
        >>> "the planted word is first" in cases
        True
    """
    import pytest

    method = find_method(name)
    checks = checks_for(method)

    @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
    def test_contract(check: Check) -> None:
        try:
            _run(check, method, parameters)
        except AssertionError as error:
            raise AssertionError(f"{error}\nHow to mend it: {check.mend}") from error
        except UnsupportedError:
            if not _may_refuse(method):
                raise

    return test_contract


def _may_refuse(method: Method) -> bool:
    """Whether a method may refuse a model: one that needs the inside of a model does not support every model."""
    return method.kind == "attribution" and bool(method.needs & {"internals", "components"})


def _instance(method: Method, parameters: dict[str, Any]) -> Any:
    """An instance for the checks; a method that asks a language model gets a `TopicLLM`.

    A method that does nothing without a parameter, such as a path, says in `CHECKED_WITH` what to check it with.
    """
    made = implementation(method)
    names = {f.name for f in dataclasses.fields(made)} if dataclasses.is_dataclass(made) else set()
    planted = {"llm": TopicLLM()} if "llm" in names else {}
    return made(**{**planted, **getattr(made, "CHECKED_WITH", {}), **parameters})
