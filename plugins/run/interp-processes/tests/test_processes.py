"""Processes that are real, and die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import types
from functools import partial
from pathlib import Path

import interp_core.errors as errors
import pytest
import torch
from interp_core.errors import InputError, ModelError
from interp_core.testing import contract_tests
from interp_processes.executor import Processes
from interp_processes.pickling import dumps, loads
from interp_processes.testing import (
    PROMISES,
    Promise,
    driver,
    is_running,
    killed,
    name_of,
    slept,
    torch_computes_as_it_does_here,
    wait_until,
)

test_contract = contract_tests("processes")


SLOW = {torch_computes_as_it_does_here}  # a process imports torch
CASES = [pytest.param(one, marks=[pytest.mark.slow] if one in SLOW else [], id=name_of(one)) for one in PROMISES]


@pytest.mark.parametrize("promise", CASES)
def test_it_keeps_the_promises_of_executors(promise: Promise, tmp_path: Path) -> None:
    promise(Processes(workers=2), tmp_path)
    assert multiprocessing.active_children() == []


def test_another_thread_is_left_without_work_once_all_is_done() -> None:
    before = threading.active_count()
    assert list(Processes(workers=2).map(len, ["a", "bc"])) == [1, 2]
    assert threading.active_count() == before


def test_no_more_processes_are_started_than_there_are_shards() -> None:
    results = Processes(workers=8).map(slept, [0.2, 0.1])
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()


def test_nothing_is_tried_again_without_retries(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"shard 0 was not worked on: its worker was lost once in a row, .* SIGKILL"):
        list(Processes(workers=1, retries=0).map(partial(killed, tmp_path), [3]))


def test_what_cannot_be_sent_is_refused_before_anything_is_started() -> None:
    with pytest.raises(InputError, match=r"the work cannot be sent to another process .*top of a module"):
        Processes().map(lambda shard: shard, [1])
    with pytest.raises(InputError, match=r"a shard cannot be sent to another process .*lock"):
        list(Processes(workers=1).map(len, [threading.Lock()]))


@pytest.mark.parametrize("given", [{"workers": 0}, {"threads": 0}, {"retries": -1}], ids=str)
def test_counts_that_are_too_small_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))} is .*; a whole number of at least"):
        Processes(**given)


@pytest.mark.slow
def test_the_tensors_of_the_caller_stay_where_they_are() -> None:
    weights = torch.arange(6.0)
    (changed,) = Processes(workers=1).map(weights.add_, [1])
    assert changed.tolist() == [1, 2, 3, 4, 5, 6]
    assert weights.tolist() == [0, 1, 2, 3, 4, 5] and not weights.is_shared()


def test_every_error_of_the_toolkit_survives_being_sent() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, (Exception, Warning))]
    assert len(kinds) >= 12
    for kind in kinds:
        again = loads(dumps(kind("what happened")))
        assert type(again) is kind and str(again) == "what happened"


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, str(folder / "script.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_script_without_its_guard_says_what_is_missing(tmp_path: Path) -> None:
    ended = run(
        """
        from interp_processes.executor import Processes
        print(list(Processes(workers=1).map(len, ["a"])))
        """,
        tmp_path,
    )
    assert ended.returncode == 1 and ended.stdout == ""
    assert "ModelError: a process could not begin: it ended with exit code 1" in ended.stderr
    assert 'must stand below `if __name__ == "__main__":`' in ended.stderr


ONLY_HERE = """
from interp_processes.executor import Processes
def own(shard): ...
next(Processes(workers=1).map(own, [1]))
"""


def test_what_only_a_shell_knows_is_refused_in_words() -> None:
    command = [sys.executable, "-c", ONLY_HERE]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "InputError: a worker cannot read the work (AttributeError" in ended.stderr
    assert "write it to a file" in ended.stderr


def test_a_script_that_is_no_file_is_refused() -> None:
    ended = subprocess.run([sys.executable], input=ONLY_HERE, capture_output=True, text=True, timeout=120, check=False)
    assert "InputError: the main script is '<stdin>', which is not a file" in ended.stderr


def test_an_iterator_that_nobody_closes_does_not_keep_the_program(tmp_path: Path) -> None:
    ended = run(
        """
        from interp_processes.executor import Processes
        from interp_processes.testing import slept
        if __name__ == "__main__":
            results = Processes(workers=2).map(slept, [0, 600, 600, 600])
            print(next(results))
        """,
        tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_a_driver_that_is_killed(by: signal.Signals, tmp_path: Path) -> None:
    command = driver("from interp_processes.executor import Processes", "Processes(workers=2)", tmp_path)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as started:
        assert wait_until(lambda: len(list((tmp_path / "workers").iterdir())) == 2)
        os.kill(started.pid, by)
    workers = [int(file.name) for file in (tmp_path / "workers").iterdir()]
    assert wait_until(lambda: not any(map(is_running, workers)), 15.0)


def test_a_shard_that_a_worker_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class is of a module that only this process knows."""
    module = types.ModuleType("known_here_only")
    exec("class Shard: ...", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(InputError, match=r"a worker cannot read a shard \(ModuleNotFoundError"):
        list(Processes(workers=1).map(str, [module.Shard()]))
