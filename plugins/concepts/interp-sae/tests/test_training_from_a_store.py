"""Training from a store: the same steps as from memory, each row read once a pass, and no thread or state left over."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from interp_core.activations import Activations, Store, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.results import MadeBy
from interp_sae.checkpoint import FILE
from interp_sae.network import ForwardPass, Network
from interp_sae.prefetching import THREAD
from interp_sae.sae import SAE
from interp_sae.testing import Interrupted, Trained, planted_rows
from interp_sae.training import Training
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROWS, WIDTH, SHARD, BATCH = 20_000, 8, 6_000, 500
PASS = ROWS // BATCH  # steps
METHOD = SAE(concepts=12, steps=PASS + 10, batch_size=BATCH, learning_rate=0.03, patience=5, save_every=16)


@pytest.fixture(scope="module")
def rows() -> Tensor:
    """More than are read at a time, so that their order depends on how they are read."""
    return planted_rows(12, WIDTH, rows=ROWS)[0]


@pytest.fixture(scope="module")
def stored(rows: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Activations:
    """The rows in four shards."""
    folder = tmp_path_factory.mktemp("rows") / "store"
    settings = {"layer": "given", "granularity": "sample", "class_names": [], "max_tokens": 0}
    store = Store(folder, {**settings, "made_by": MadeBy("given").to_json()}, [0.0])
    store.begin()
    for number, values in enumerate(rows.split(SHARD)):
        texts = [f"row {number * SHARD + i}" for i in range(len(values))]
        columns = {
            "values": values.clone(),
            "text_of": torch.arange(len(values)),
            "unit_of": torch.zeros(len(values), dtype=torch.long),
            "spans": torch.tensor([(0, len(text)) for text in texts]),
        }
        store.write(number, columns, texts, {"cost": {}, "cut": 0})
    store.finish(-(-len(rows) // SHARD))
    return Activations.load(folder)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


def same_bits(one: ConceptSpace, other: ConceptSpace) -> bool:
    """Whether two trainings took the same steps."""
    tensors = other.state_dict()
    return one.history == other.history and all(torch.equal(t, tensors[n]) for n, t in one.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reading_ahead_changes_no_bit(dtype: str, stored: Activations) -> None:
    """Beside a loop that asks for each batch when the last step is done."""
    method = replace(METHOD, dtype=dtype)
    training = Training(method, stored, method.network)
    for batch in islice(training._batches(), method.steps):
        training._train_on(batch.rows)
        training.step += 1
    plain = training.network.eval().space(training.scaling)
    plain.history = training.history
    assert same_bits(method.fit(stored), plain)


def test_rows_of_a_store_and_of_memory_are_learnt_from_in_the_same_order(stored: Activations, rows: Tensor) -> None:
    assert same_bits(METHOD.fit(stored), METHOD.fit(of_rows(rows)))


@pytest.mark.parametrize("passes", [1, 2])
def test_a_store_is_read_once_in_a_pass(passes: int, stored: Activations, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the sample that the scaling is estimated from are taken by number, those of batches by slices."""
    reads, kind = torch.zeros(ROWS, dtype=torch.long), type(stored.values)
    read = kind.__getitem__

    def counted(values: Any, at: Any) -> Tensor:
        if isinstance(at, slice):
            reads[at] += 1
        return read(values, at)

    monkeypatch.setattr(kind, "__getitem__", counted)
    replace(METHOD, steps=passes * PASS).fit(stored)
    assert set(reads.tolist()) == {passes}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_interrupted_training_ends_with_the_same_file(dtype: str, stored: Activations, tmp_path: Path) -> None:
    """Interrupted in the first pass and in the second, and resumed."""
    files = []
    for name, interruptions in (("whole", ()), ("interrupted", (20, 45))):
        method = replace(METHOD, dtype=dtype, checkpoint=str(tmp_path / name))
        for batches in interruptions:
            with pytest.raises(KeyboardInterrupt):
                method.fit(Interrupted.of(stored, batches, BATCH))
            assert not threads()
        method.fit(stored)
        files.append((tmp_path / name / FILE).read_bytes())
    assert files[0] == files[1]


class Failing(SAE):
    """One whose network fails in the seventh step."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        steps = iter(range(7))

        class Broken(Network):
            def project(self) -> None:
                if next(steps) == 6:
                    raise ZeroDivisionError

        return Broken(self.concepts, sample.shape[1], generator)


def test_a_step_that_fails_leaves_no_thread(stored: Activations) -> None:
    with pytest.raises(ZeroDivisionError):
        Failing(concepts=4, steps=200, batch_size=64).fit(stored)
    assert not threads()


def test_a_store_is_read_in_another_thread_which_is_gone_afterwards(stored: Activations) -> None:
    readers = []

    class Told(Activations):
        def batches(self, rows: int = 0, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
            for batch in super().batches(rows, generator=generator):
                readers.append(threading.current_thread())
                yield batch

    told = Told(**{name: getattr(stored, name) for name in Activations.__dataclass_fields__})
    METHOD.fit(told)
    assert len(readers) == METHOD.steps and len({r.ident for r in readers}) == 1
    assert readers[0].name.startswith(THREAD) and not readers[0].is_alive() and not threads()


def test_random_states_are_left_as_they_are(stored: Activations) -> None:
    before, plain = torch.get_rng_state(), random.getstate()
    METHOD.fit(stored)
    assert torch.equal(torch.get_rng_state(), before) and random.getstate() == plain


class Products(TorchDispatchMode):
    """The number formats of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.formats: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.formats += [part.dtype for part in args if isinstance(part, Tensor)]
        return func(*args, **(kwargs or {}))


class Told(SAE):
    """Says in which number format its network computes the loss."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        class Telling(Network):
            loss_format: torch.dtype

            def reconstruction_loss(self, rows: Tensor, output: ForwardPass) -> Tensor:
                loss = super().reconstruction_loss(rows, output)
                self.loss_format = loss.dtype
                return loss

        return Telling(self.concepts, sample.shape[1], generator)


def test_half_precision_is_of_products_alone(stored: Activations) -> None:
    """Of all six, slopes included; weights, their slopes, Adam's moments and the loss are in single precision."""
    method, single = Told(concepts=12, steps=2, batch_size=BATCH, dtype="bfloat16"), torch.float32
    training = Training(method, stored, method.network)
    with Products() as products:
        training._train_on(next(training._batches()).rows)
    assert products.formats == 6 * 2 * [torch.bfloat16]
    assert training.network.loss_format is single
    for name, parameter in training.network.named_parameters():
        assert parameter.grad is not None and parameter.dtype == parameter.grad.dtype == single, name
        assert {moment.dtype for moment in training.optimiser.state[parameter].values()} == {single}, name


def test_half_precision_explains_as_much_of_a_planted_world() -> None:
    """The share of variance that is left unexplained rises by less than .01."""
    method = SAE(concepts=20, steps=250, learning_rate=0.04, batch_size=128, penalty=0.3)
    x = Trained(method).rows
    explained = {}
    for dtype in ("float32", "bfloat16"):
        space = replace(method, dtype=dtype).fit(of_rows(x))
        explained[dtype] = 1 - float((x - space(x)).square().sum() / (x - x.mean(0)).square().sum())
    assert explained["float32"] > 0.9
    assert explained["bfloat16"] == pytest.approx(explained["float32"], abs=0.01)


class Asked(TorchDispatchMode):
    """Counts how often a tensor is asked where it is not 0, for which a device is waited for."""

    times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func is torch.ops.aten.nonzero.default
        return func(*args, **(kwargs or {}))


class Open(SAE):
    """One whose concepts are all active in every batch."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        network = super().network(sample, generator)
        with torch.no_grad():
            network.bias.fill_(5.0)
        return network


def test_a_device_is_asked_for_dead_concepts_only_when_there_may_be_some(stored: Activations) -> None:
    """At the start, after each `patience` steps in which all concepts were active, and in the end."""
    method = Open(concepts=4, steps=30, batch_size=BATCH, patience=8, learning_rate=1e-6)
    with Asked() as asked:
        space = method.fit(stored)
    assert space.history["dead"] == [0.0] * 30
    assert asked.times == len([0, 8, 16, 24])


class Buried(SAE):
    """One that starts with two concepts that no row can activate."""

    def network(self, sample: Tensor, generator: torch.Generator) -> Network:
        network = super().network(sample, generator)
        with torch.no_grad():
            network.bias[:2] = -15.0
        return network


@pytest.mark.parametrize("given", [{}, {"aux_coefficient": 0.0, "resample": 12}], ids=str)
def test_dead_concepts_are_known_in_each_step(
    given: dict[str, Any], stored: Activations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a training that asks for them in each."""
    method = Buried(concepts=12, steps=60, batch_size=BATCH, learning_rate=0.05, patience=6, **given)
    space = method.fit(stored)
    assert max(space.history["dead"]) > 0 == space.history["dead"][-1]
    monkeypatch.setattr(
        Training,
        "_dead",
        lambda self: (self.network.steps_since_active >= self.config.patience).nonzero().flatten(),
    )
    assert same_bits(method.fit(stored), space)


def test_an_accelerator_learns_what_the_cpu_learns(device: str, stored: Activations) -> None:
    """`INTERP_TEST_DEVICE` names one; batches are copied to it without waiting."""
    cpu, there = METHOD.fit(stored), replace(METHOD, device=device).fit(stored)
    assert float((cpu.dictionary * there.dictionary).sum(1).min()) > 0.99
