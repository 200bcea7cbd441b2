"""A real Ray cluster on this machine, whose actors die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from interp_core.errors import InputError
from interp_core.testing import contract_tests, tiny_classifier
from interp_processes.testing import PROMISES, Promise, driver, is_running, name_of, noted, wait_until
from interp_ray.cluster import import_quietly
from interp_ray.executor import Ray

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("connected")]

test_contract = contract_tests("ray")


@pytest.fixture(scope="module")
def connected() -> Iterator[None]:
    """One cluster for the tests that do not start their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import_quietly()
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_it_keeps_the_promises_of_executors(promise: Promise, tmp_path: Path) -> None:
    promise(Ray(workers=2), tmp_path)


def test_the_cluster_of_the_caller_is_left_running_with_all_its_room() -> None:
    import ray

    assert list(Ray().map(len, ["a", "bc", "def"])) == [1, 2, 3]
    assert ray.is_initialized()
    assert wait_until(lambda: ray.available_resources().get("CPU") == 2, 15.0)


def test_more_actors_than_there_is_room_for_keep_no_shard_waiting(tmp_path: Path) -> None:
    assert list(Ray(workers=5).map(partial(noted, tmp_path), range(8))) == [2 * shard for shard in range(8)]


def test_a_cluster_without_room_is_not_waited_for() -> None:
    with pytest.raises(InputError, match=r"no machine of the cluster has room .* 64 CPUs; they have: 2 CPUs"):
        next(Ray(cpus=64).map(len, ["a"]))


def test_what_the_tests_and_notebooks_define_is_sent_along() -> None:
    factor = 3
    assert list(Ray(workers=1).map(lambda shard: factor * shard, [1, 2])) == [3, 6]


def test_work_that_the_actors_cannot_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is on the path here only."""
    (tmp_path / "only_here.py").write_text("def work(shard): ...")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(InputError, match=r"a worker cannot read the work \(ModuleNotFoundError"):
        list(Ray(workers=1).map(only_here.work, [1]))


def test_a_model_gives_the_numbers_that_it_gives_here() -> None:
    model = tiny_classifier().model
    ids = torch.arange(3, 9)[None]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            here = [model(ids + shard).logits for shard in range(4)]
            there = list(Ray(workers=2).map(lambda shard: model(ids + shard).logits, range(4)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


ALONE = """
import faulthandler, os, random, signal, sys, warnings
import numpy
from interp_ray.executor import Ray

def state():
    return (dict(os.environ), random.getstate(), sys.excepthook, list(warnings.filters), faulthandler.is_enabled(),
            signal.getsignal(signal.SIGTERM))

before = state()
results = Ray(workers=1).map(lambda shard: 2 * shard, range(3))
print(list(results))
import ray
print(ray.is_initialized())
print([i for i, (one, other) in enumerate(zip(before, state())) if one != other])
"""


def test_a_cluster_that_was_started_ends_with_the_call_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(ALONE)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "alone.py")], capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.stdout == "[0, 2, 4]\nFalse\n[]\n", ended.stderr
    assert ended.stderr == ""


ELSEWHERE = """
from interp_ray.executor import Ray

def node(shard):
    import ray
    return ray.get_runtime_context().get_node_id()

print(*Ray(workers=1).map(node, range(2)))
"""


def test_the_cluster_that_the_environment_names_is_used_and_left_running(tmp_path: Path) -> None:
    import ray

    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    address = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, str(tmp_path / "elsewhere.py")]
    ended = subprocess.run(
        command, env={**os.environ, **address}, capture_output=True, text=True, timeout=180, check=False
    )
    here = ray.get_runtime_context().get_node_id()
    assert ended.stdout == f"{here} {here}\n", ended.stderr
    assert list(Ray(workers=1).map(len, ["ab"])) == [2]


def test_a_driver_that_is_killed_takes_its_actors_along(tmp_path: Path) -> None:
    command = driver("from interp_ray.executor import Ray", "Ray(workers=2)", tmp_path)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as started:
        assert wait_until(lambda: len(list((tmp_path / "workers").iterdir())) == 2, 120.0)
        os.kill(started.pid, signal.SIGKILL)
    actors = [int(file.name) for file in (tmp_path / "workers").iterdir()]
    assert wait_until(lambda: not any(map(is_running, actors)), 30.0)
