"""What the tests of executors share: work that ends badly, and promises that each executor keeps.

Only tests import this module. A package of an executor runs the promises, each as a case:

    @pytest.mark.parametrize("promise", PROMISES, ids=name_of)
    def test_promise(promise: Promise, tmp_path: Path) -> None:
        promise(Processes(workers=2), tmp_path)
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from interp_core.errors import InputError, InterpError, InterpWarning, TargetError

from interp_processes.in_order import AHEAD

Promise = Callable[[Any, Path], None]
WORKERS = 2  # of an executor that is held to the promises


def slept(seconds: float) -> float:
    """Work that takes a while.

    Args:
        seconds: how long.
    """
    time.sleep(seconds)
    return seconds


def noted(folder: Path, shard: int) -> int:
    """Work that leaves a file for each call, named after the shard.

    Args:
        folder: where to.
        shard: a number, which is doubled.
    """
    (folder / f"{shard}-{uuid4()}").touch()
    return 2 * shard


def killed_at_first(folder: Path, shard: int) -> int:
    """Work that kills its process on shard 3, but for the second time.

    Args:
        folder: where it leaves files, as `noted` does.
        shard: a number, which is doubled.
    """
    doubled = noted(folder, shard)
    if shard == 3 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return doubled


def killed(folder: Path, shard: int) -> int:
    """Work that always kills its process on shard 3.

    Args:
        folder: where it leaves files, as `noted` does.
        shard: a number, which is doubled.
    """
    doubled = noted(folder, shard)
    if shard == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return doubled


def stuck(folder: Path, shard: int) -> int:
    """Work that never ends on shards but 0, and leaves the number of its process as the name of a file.

    Args:
        folder: where to.
        shard: a number.
    """
    (folder / str(os.getpid())).touch()
    if shard:
        time.sleep(600)
    return shard


def warned(shard: int) -> int:
    """Work that warns.

    Args:
        shard: a number.
    """
    warnings.warn("the work warns", InterpWarning, stacklevel=2)
    warnings.warn(f"shard {shard % 2}", FutureWarning, stacklevel=2)
    return shard


class UnreadableError(Exception):
    """An error that can be pickled and not be made again."""

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(f"{what}: {why}")


def failed(kind: str, shard: int) -> int:
    """Work that fails on shard 2.

    Args:
        kind: what it raises there.
        shard: a number.
    """
    if shard < 2:
        return shard
    if kind == "own":
        raise TargetError("target 7 does not exist")
    if kind == "unreadable":
        raise UnreadableError("a thing", why="broken")
    return threading.Lock()  # type: ignore[return-value]


def computing(_shard: int) -> tuple[Any, ...]:
    """Work that says how torch computes where it runs.

    Args:
        _shard: anything.
    """
    import torch

    enabled = torch.are_deterministic_algorithms_enabled()
    return torch.get_num_threads(), torch.get_default_dtype(), enabled, torch.is_grad_enabled()


class Weighty:
    """Work that leaves a file each time that it is written or read as bytes.

    Args:
        folder: where to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getstate__(self) -> dict[str, Any]:
        """Note that it is written."""
        (self.folder / f"written-{uuid4()}").touch()
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Note that it is read."""
        self.__dict__ = state
        (self.folder / f"read-{uuid4()}").touch()

    def __call__(self, shard: int) -> int:
        """The number of the process, after a moment that gives others their turn."""
        time.sleep(0.05)
        return os.getpid()


def calls(folder: Path) -> list[int]:
    """The shards that `noted` was called with, in order of size, as often as it was.

    Args:
        folder: where it left files.
    """
    return sorted(int(file.name.split("-")[0]) for file in folder.glob("*-*"))


def is_running(process: int) -> bool:
    """Whether a process of this number runs.

    Args:
        process: the number.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(happens: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something happens within some time.

    Args:
        happens: asked ten times a second.
        seconds: the time.
    """
    until = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def results_are_in_order_where_durations_are_uneven(executor: Any, _folder: Path) -> None:
    """The first shard takes longest."""
    durations = [0.3, 0.0, 0.1, 0.02, 0.15, 0.0, 0.05]
    assert list(executor.map(slept, iter(durations))) == durations


def endless_shards_are_drawn_as_they_are_needed(executor: Any, folder: Path) -> None:
    """Counted after each result."""
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    results = executor.map(partial(noted, folder), endless())
    for count in range(1, 12):
        assert next(results) == 2 * count
        assert drawn <= count + AHEAD * WORKERS
    results.close()


def the_work_is_written_once_and_read_once_by_each_worker(executor: Any, folder: Path) -> None:
    """Twelve shards, two workers."""
    processes = set(executor.map(Weighty(folder), range(12)))
    assert os.getpid() not in processes
    assert len(list(folder.glob("written-*"))) == 1
    assert len(processes) <= len(list(folder.glob("read-*"))) <= WORKERS


def a_killed_worker_costs_its_shard_only(executor: Any, folder: Path) -> None:
    """The shard is worked on twice, all others once; the caller is told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert list(executor.map(partial(killed_at_first, folder), range(9))) == [2 * shard for shard in range(9)]
    assert calls(folder) == sorted([*range(9), 3])
    assert [w.category for w in told if "shard 3 was worked on again" in str(w.message)] == [InterpWarning]


def a_shard_that_always_kills_is_named(executor: Any, folder: Path) -> None:
    """After the results of the shards before; it was worked on retries + 1 times."""
    results, before = executor.map(partial(killed, folder), range(9)), []
    try:
        for result in results:
            before.append(result)
    except InterpError as error:
        told = str(error)
    assert before == [0, 2, 4]
    assert "shard 3" in told and "memory" in told and f"{executor.retries + 1} times" in told
    assert calls(folder).count(3) == executor.retries + 1


def an_error_keeps_its_type_after_the_results_before(executor: Any, _folder: Path) -> None:
    """With the line of the work that raised it as a note."""
    results, before = executor.map(partial(failed, "own"), range(6)), []
    try:
        for result in results:
            before.append(result)
    except Exception as error:
        raised = error
    assert before == [0, 1]
    assert type(raised) is TargetError and str(raised) == "target 7 does not exist"
    assert "in failed" in "".join(raised.__notes__)


def an_error_that_cannot_be_made_again_is_told_in_words(executor: Any, _folder: Path) -> None:
    """Its name and text."""
    raised = _raised(executor, partial(failed, "unreadable"))
    assert isinstance(raised, InterpError) and "UnreadableError: a thing: broken" in str(raised)


def a_result_that_cannot_be_sent_is_refused(executor: Any, _folder: Path) -> None:
    """A lock, which nobody can write down."""
    raised = _raised(executor, partial(failed, "result"))
    assert isinstance(raised, InputError) and "cannot be sent to the process that asked" in str(raised)


def an_error_of_the_shards_comes_after_the_results_before(executor: Any, folder: Path) -> None:
    """As if they were worked on one after another."""

    def broken() -> Any:
        yield from (0, 1, 2)
        raise OSError("the file ends here")

    results, before = executor.map(partial(noted, folder), broken()), []
    try:
        for result in results:
            before.append(result)
    except OSError as error:
        told = str(error)
    assert before == [0, 2, 4] and told == "the file ends here"


def warnings_of_the_work_reach_the_caller_once(executor: Any, _folder: Path) -> None:
    """Six shards give three different ones, with their own file."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert list(executor.map(warned, range(6))) == list(range(6))
    found = {(w.category, str(w.message)) for w in told}
    assert len(told) == 3
    assert found == {(InterpWarning, "the work warns"), (FutureWarning, "shard 0"), (FutureWarning, "shard 1")}


def a_closed_iterator_leaves_no_worker(executor: Any, folder: Path) -> None:
    """Both workers are in the middle of a shard."""
    results = executor.map(partial(stuck, folder), itertools.count())
    assert next(results) == 0
    assert wait_until(lambda: len(list(folder.iterdir())) == WORKERS)
    time.sleep(0.2)
    results.close()
    processes = [int(file.name) for file in folder.iterdir()]
    assert wait_until(lambda: not any(map(is_running, processes)), 15.0), processes


def torch_computes_as_it_does_here(executor: Any, _folder: Path) -> None:
    """Threads are those of the executor."""
    import torch

    torch.use_deterministic_algorithms(True)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            (found,) = executor.map(computing, [0])
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_default_dtype(torch.float32)
    assert found == (executor.threads, torch.float64, True, False)


PROMISES: tuple[Promise, ...] = (
    results_are_in_order_where_durations_are_uneven,
    endless_shards_are_drawn_as_they_are_needed,
    the_work_is_written_once_and_read_once_by_each_worker,
    a_killed_worker_costs_its_shard_only,
    a_shard_that_always_kills_is_named,
    an_error_keeps_its_type_after_the_results_before,
    an_error_that_cannot_be_made_again_is_told_in_words,
    a_result_that_cannot_be_sent_is_refused,
    an_error_of_the_shards_comes_after_the_results_before,
    warnings_of_the_work_reach_the_caller_once,
    a_closed_iterator_leaves_no_worker,
    torch_computes_as_it_does_here,
)
DRIVER = """
import itertools
from functools import partial
from pathlib import Path
{imported}
from interp_processes.testing import stuck

if __name__ == "__main__":
    for _ in {executor}.map(partial(stuck, Path({folder!r})), itertools.count()):
        pass
"""


def driver(imported: str, executor: str, folder: Path) -> list[str]:
    """The command of a program that uses an executor and never ends.

    Args:
        imported: its line that imports the executor.
        executor: the executor, as code.
        folder: where its workers leave their numbers.
    """
    (folder / "workers").mkdir()
    script = folder / "driver.py"
    script.write_text(DRIVER.format(imported=imported, executor=executor, folder=str(folder / "workers")))
    return [sys.executable, str(script)]


def name_of(promise: Promise) -> str:
    """The name of a promise.

    Args:
        promise: one of `PROMISES`.
    """
    return promise.__name__


def _raised(executor: Any, work: Callable[[int], Any]) -> Exception | None:
    try:
        list(executor.map(work, range(6)))
    except Exception as error:
        return error
    return None
