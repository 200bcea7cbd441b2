"""Budgets that follow a device, waiting for it once a batch, and attention by the fused kernels of PyTorch.

All of it is made for accelerators and tried on the CPU alone, where waiting is counted by following tensors.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interp_core as interp
import pytest
import torch
import transformers
from interp_core.errors import ModelError
from interp_core.model import BatchRunner, ModelRequest, _wrapped_model, whole_text
from interp_core.model import _budget as budget
from interp_core.model._budget import TokenSizes, sizes_of, tokens_that_fit
from interp_core.model._transfer import HostCopy, all_to_device, to_device
from interp_core.testing import planted_model, tiny_classifier, tiny_generator, tiny_llama
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

spec = importlib.util.spec_from_file_location("host_syncs", Path(__file__).parents[1] / "benchmarks" / "host_syncs.py")
assert spec is not None and spec.loader is not None
host_syncs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(host_syncs)
HostSyncs = host_syncs.HostSyncs

TEXTS = ["i feel so happy today and the sun was warm", "sad", "the old dog was never calm", "cold night and rain", "i"]


def options_for(model: interp.TextModel, by: str) -> dict[str, Any]:
    targets = {} if model.head == "single-label" else {"targets": [" happy"] * len(TEXTS)}
    return {"by": by, "progress": False, **targets}


def bert(tokenizer: Any, width: int = 64, layers: int = 4, **more: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=4 * width, num_labels=3, max_position_embeddings=128, **more,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config).eval()


# budgets


def test_the_bytes_of_a_token_are_a_sum_of_terms() -> None:
    base = TokenSizes(width=768, inner=3072, layers=12)
    block = 8 * 768 + 3 * 3072
    assert base.bytes(gradients=False) == 4 * block + 4 * 768
    assert base.bytes(gradients=True) == 4 * 12 * block + 16 * 768
    written = TokenSizes(768, 3072, 12, attention=12 * 512)
    assert written.bytes(gradients=True) - base.bytes(gradients=True) == 4 * 12 * 2 * 12 * 512
    half = TokenSizes(2048, 5632, 22, logits=32000, number=2)
    assert half.bytes(gradients=False) == 2 * (8 * 2048 + 3 * 5632) + 4 * 2048 + 32000 * (2 + 4 + 4)
    assert half.bytes(gradients=True) == 22 * 2 * (8 * 2048 + 3 * 5632) + 16 * 2048 + 32000 * (2 + 4 + 4 + 4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_no_more_is_kept_for_a_backward_pass_than_is_counted_with_and_no_less_than_a_third(attention: str) -> None:
    tokenizer = tiny_classifier().tokenizer
    model = bert(tokenizer, attn_implementation=attention).requires_grad_(False)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    leaf = torch.randn(4, 128, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(inputs_embeds=leaf, attention_mask=torch.ones(4, 128, dtype=torch.long)).logits
    held = sum(size for place, size in kept.items() if place not in weights)
    sizes = sizes_of(model, model.config, width=64, number=4, longest=128)
    counted = 4 * 128 * sizes.bytes(gradients=True)
    assert logits.requires_grad and counted / 3 <= held <= counted


def test_as_many_tokens_fit_as_four_fifths_of_the_free_memory_hold_in_powers_of_two() -> None:
    assert tokens_that_fit(10**9, 10**5) == 4096  # of 8,000
    assert tokens_that_fit(1024 * 10**5 * 5 // 4, 10**5) == 1024
    assert tokens_that_fit(10**15, 1) == budget.BUDGET and tokens_that_fit(1, 10**9) == budget.LEAST


def test_sizes_are_those_of_the_configuration() -> None:
    llama, translator = tiny_llama(), transformers.T5Config(d_model=8, d_ff=20, num_layers=3, vocab_size=50)
    config = llama.config
    sizes = sizes_of(llama.model, config, config.hidden_size, 4, 64)
    assert sizes == TokenSizes(
        config.hidden_size, config.intermediate_size, config.num_hidden_layers, 0, config.vocab_size, 4
    )
    two = sizes_of(transformers.T5ForConditionalGeneration(translator), translator, 8, 2, 64)
    assert two == TokenSizes(8, 20, 6, 0, 50, 2)
    assert sizes_of(planted_model({"happy": (2.0, 0.0)}).model, None, 2, 4, 64) == TokenSizes(2, 8, 1)


class OnAnAccelerator(interp.TextModel):
    """Says that it is on CUDA, for questions about budgets; it runs on the CPU."""

    pretends = True

    @property
    def device(self) -> torch.device:
        return torch.device("cuda") if self.pretends else super().device


def test_on_cuda_the_budget_is_what_fits_and_with_gradients_less(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_llama()
    model = OnAnAccelerator(tiny.model, tiny.tokenizer)
    sizes = sizes_of(tiny.model, tiny.config, tiny.config.hidden_size, 4, tiny.max_tokens)
    free = 10_000 * sizes.bytes(gradients=False) * 5 // 4
    monkeypatch.setattr(_wrapped_model, "free_memory", lambda module: free if module is tiny.model else None)
    assert model.tokens_per_batch == 8192
    share = sizes.bytes(gradients=True) / sizes.bytes(gradients=False)
    most = 10_000 / share
    assert most / 2 < model.tokens_that_fit(gradients=True) <= most
    given = OnAnAccelerator(tiny.model, tiny.tokenizer, tokens_per_batch=77)
    assert given.tokens_per_batch == given.tokens_that_fit(gradients=True) == 77
    monkeypatch.setattr(_wrapped_model, "free_memory", lambda _: None)  # another accelerator, which does not tell
    assert model.tokens_per_batch == 65536
    assert tiny.tokens_per_batch == tiny.tokens_that_fit(gradients=True) == 1024


def test_what_pytorch_has_taken_and_does_not_use_is_free_and_the_fullest_device_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, reserved, used = {0: 1000, 1: 400}, {0: 50, 1: 300}, {0: 20, 1: 100}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (driver[device.index], 10**6))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved[device.index])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: used[device.index])

    class Weight:
        def __init__(self, place: str) -> None:
            self.device = torch.device(place)

    class Spread:
        def parameters(self) -> list[Weight]:
            return [Weight("cuda:0"), Weight("cuda:1"), Weight("cuda:0"), Weight("cpu")]

    assert budget.free_memory(Spread()) == min(1000 + 30, 400 + 200)
    assert budget.free_memory(tiny_classifier().model) is None


def test_batches_of_slopes_keep_to_what_fits_with_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_classifier()
    monkeypatch.setattr(type(model), "tokens_that_fit", lambda self, *, gradients=False: 64 if gradients else 256)
    calls: list[tuple[bool, int]] = []
    inner = model.model.forward

    def forward(*args: Any, **given: Any) -> Any:
        calls.append((torch.is_grad_enabled(), given["input_ids"].numel()))
        return inner(*args, **given)

    assert model.sharing
    monkeypatch.setattr(model.model, "forward", forward)
    interp.attribute(model, TEXTS[0], by="lime", progress=False)
    interp.attribute(model, TEXTS[0], by="integrated-gradients", steps=32, progress=False)
    assert max(n for slopes, n in calls if slopes) <= 64 < max(n for slopes, n in calls if not slopes) <= 256


def test_a_later_run_begins_with_twice_what_fitted_and_grows_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_classifier()
    fits = [100]
    inner = model.model.forward

    def forward(*args: Any, **given: Any) -> Any:
        if given["input_ids"].numel() > fits[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(*args, **given)

    assert model.sharing
    monkeypatch.setattr(model.model, "forward", forward)
    encoded = model.encoder(TEXTS[0])
    requests = [ModelRequest(torch.full((64,), len(encoded)), whole_text(encoded), logits=True)]
    first = BatchRunner(model)
    first.run(requests)
    assert first.budget <= 100
    assert BatchRunner(model).budget == 2 * first.budget
    fits[0], begun = 10**6, []
    for _ in range(8):
        runner = BatchRunner(model)
        begun.append(runner.budget)
        runner.run(requests)
    assert begun == [2 * first.budget] * 8  # nothing ran out since, and nothing is known of more
    model.tried["tokens that fitted"] = 1000
    assert BatchRunner(model).budget == model.tokens_per_batch == 1024


# the host waits once a batch


@pytest.mark.parametrize("make", [tiny_classifier, tiny_llama])
@pytest.mark.parametrize("by", ["occlusion", "lime", "integrated-gradients", "smooth-grad"])
@pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")
def test_the_host_waits_for_the_scores_of_a_batch_and_for_nothing_else(make: Any, by: str) -> None:
    model = make()
    options = options_for(model, by)
    interp.attribute(model, TEXTS, **options)  # what is tried once
    with HostSyncs(model.model) as seen:
        interp.attribute(model, TEXTS, **options)
    assert set(seen.counts) == {"cpu"} and 1 <= seen.counts["cpu"] <= seen.batches


def test_classes_that_are_known_with_the_slopes_are_waited_for_once_for_all_texts() -> None:
    model = tiny_classifier()
    interp.attribute(model, TEXTS, by="saliency", progress=False)
    with HostSyncs(model.model) as seen:
        found = interp.attribute(model, TEXTS, by="saliency", progress=False)
    assert dict(seen.counts) == {"cpu": 2 * seen.batches} and seen.batches < len(TEXTS)
    with torch.no_grad():
        expected = [model.logits(model.encoder(text).ids[None])[0].argmax() for text in TEXTS]
    assert [one.targets[0].index for one in found] == [int(one) for one in expected]


def test_activations_are_waited_for_once_for_all_texts_that_are_read_together() -> None:
    model = tiny_classifier()
    split = model.split(0)
    split.activations(TEXTS, granularity="word", progress=False)
    with HostSyncs(model.model) as seen:
        split.activations(TEXTS, granularity="word", progress=False)
    assert seen.counts["cpu"] == 1 and set(seen.counts) <= {"cpu", "bincount"}


def test_waiting_is_seen_where_it_is_planted() -> None:
    model = nn.Linear(3, 2)

    def seen_in(work: Callable[[torch.Tensor], Any]) -> int:
        with HostSyncs(model) as seen:
            work(model(torch.ones(4, 3)).detach())
        return sum(seen.counts.values())

    assert seen_in(lambda given: given.sum().item()) == 1
    assert seen_in(lambda given: bool(given.isfinite().all())) == 1
    assert seen_in(lambda given: given[given > 0]) == 1
    assert seen_in(lambda given: (given.cpu().tolist(), given.cpu()[0])) == 2  # what is on the host is free
    assert seen_in(lambda given: (given + 1, given[0], given.softmax(-1))) == 0
    assert seen_in(lambda _: torch.ones(3).sum().item()) == 0  # of the host's own


def test_several_tensors_come_to_the_host_together_as_they_were() -> None:
    given = [torch.randn(3, 2), torch.randn(4, 5).bfloat16(), torch.randn(2, 0), torch.randn(2, 2).double()]
    for one, other in zip(HostCopy(given).read(), given, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_a_copy_from_cuda_is_begun_at_once_and_waited_for_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On tensors of CUDA without numbers, since there is none."""
    log: list[str] = []

    class Event:
        def record(self, _stream: Any) -> None:
            log.append("begun")

        def synchronize(self) -> None:
            log.append("waited")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    with FakeTensorMode():
        given = [torch.zeros(3, 2, device="cuda"), torch.zeros(4, device="cuda", dtype=torch.bfloat16)]
        copied = HostCopy(given)
        assert log == ["begun"]
        arrived = copied.read()
    assert log == ["begun", "waited"] and all(one.device == torch.device("cpu") for one in arrived)
    assert [(one.shape, one.dtype) for one in arrived] == [(one.shape, one.dtype) for one in given]


def test_inputs_go_to_cuda_from_pinned_memory_and_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []

    def pinned(tensor: torch.Tensor) -> torch.Tensor:
        log.append("pinned")
        return tensor

    def moved(tensor: torch.Tensor, device: torch.device, **given: Any) -> torch.Tensor:
        log.append((device.type, given))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "to", moved)
    to_device(torch.zeros(2, 3), torch.device("cuda"))
    assert log == ["pinned", ("cuda", {"non_blocking": True})]
    to_device(torch.zeros(2, 3), torch.device("cpu"))
    assert log[2:] == [("cpu", {})]


def test_inputs_of_one_type_go_to_a_device_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []

    def to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        moved.append(tensor.numel())
        return tensor.clone()

    monkeypatch.setattr("interp_core.model._transfer.to_device", to)
    given = {"ids": torch.arange(6).view(2, 3), "mask": torch.ones(2, 3).long(), "decoder": torch.arange(8).view(2, 4)}
    there = all_to_device(given, torch.device("cuda"))
    assert moved == [20] and list(there) == list(given)
    assert all(torch.equal(there[name], given[name]) for name in given)
    all_to_device({**given, "weights": torch.ones(2)}, torch.device("cuda"))
    assert moved == [20, 6, 6, 8, 2]


def test_nan_in_one_text_of_many_is_still_found() -> None:
    model = planted_model({"happy": (2.0, 0.0), "sad": (float("nan"), 0.0)})
    assert interp.attribute(model, ["so happy", "happy"], by="occlusion", targets=0, progress=False)
    with pytest.raises(ModelError, match="NaN or infinity"):
        interp.attribute(model, ["so happy", "sad", "happy"], by="occlusion", targets=0, progress=False)


# attention


@pytest.mark.parametrize("make", [tiny_classifier, tiny_generator, tiny_llama])
@pytest.mark.parametrize(
    "by", ["occlusion", "lime", "saliency", "integrated-gradients", "attention-rollout", "attention-x-gradient"]
)
@pytest.mark.current
@pytest.mark.filterwarnings("ignore::interp_core.errors.InterpWarning")
def test_attention_is_that_of_pytorch_in_every_block_of_every_pass(
    make: Any, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Methods that read attention weights get these from it as well, one call more in each block for the values."""
    model = make()
    options = options_for(model, by)
    interp.attribute(model, TEXTS, **options)
    calls, passes = [0], [0]
    attention, forward = nn.functional.scaled_dot_product_attention, model.model.forward

    def counted(*args: Any, **given: Any) -> Any:
        calls[0] += 1
        return attention(*args, **given)

    def called(*args: Any, **given: Any) -> Any:
        passes[0] += 1
        return forward(*args, **given)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counted)
    monkeypatch.setattr(model.model, "forward", called)
    interp.attribute(model, TEXTS, **options)
    assert passes[0] and calls[0] == len(model.blocks) * passes[0]
    assert model.config._attn_implementation == "sdpa"
