"""What is refused before any cluster is needed."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from interp_core.errors import InputError
from interp_ray.executor import Ray


@pytest.mark.parametrize("given", [{"workers": 0}, {"threads": 0}, {"retries": -1}], ids=str)
def test_counts_that_are_too_small_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))} is .*; a whole number of at least"):
        Ray(**given)


@pytest.mark.parametrize("given", [{"cpus": -1}, {"gpus": -0.5}, {"cpus": 0, "gpus": 0}], ids=str)
def test_an_actor_that_asks_for_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="numbers of at least 0 were expected, and one above it"):
        Ray(**given)


def test_work_that_cannot_be_sent_is_refused_before_a_cluster_is_started() -> None:
    with pytest.raises(InputError, match="the work cannot be sent to the cluster"):
        next(Ray().map(threading.Lock().__enter__, [1]))
    ray = sys.modules["ray"]
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("machines", "asked", "expected"),
    [
        ([{"CPU": 8.0}], Ray(), 8),
        ([{"CPU": 8.0}], Ray(cpus=3), 2),
        ([{"CPU": 8.0, "GPU": 2.0}], Ray(gpus=1), 2),
        ([{"CPU": 8.0, "GPU": 2.0}], Ray(gpus=0.25), 8),
        ([{"CPU": 2.0, "GPU": 2.0}], Ray(cpus=0, gpus=0.1), 20),
        ([{"CPU": 3.0}, {"CPU": 3.0}], Ray(cpus=2), 2),
        ([{"CPU": 64.0}, {"CPU": 4.0, "GPU": 1.0}], Ray(gpus=1), 1),
        ([{"CPU": 8.0}], Ray(workers=3), 3),
        ([{"CPU": 8.0}], Ray(workers=30), 30),
    ],
    ids=str,
)
def test_there_are_as_many_actors_as_there_is_room_for(
    machines: list[dict[str, float]], asked: Ray, expected: int
) -> None:
    assert asked._workers(machines) == expected


def test_a_cluster_of_which_no_machine_has_room_for_an_actor_is_refused() -> None:
    with pytest.raises(InputError, match="which asks for 1 CPUs and 2 GPUs; they have: 4 CPUs, 1 GPUs; 2 CPUs, 1 GPUs"):
        Ray(gpus=2)._workers([{"CPU": 4.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 1.0}])
