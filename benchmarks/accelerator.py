"""What explanations say and cost on an accelerator, in parts that take under eight minutes in all.

    python benchmarks/accelerator.py [--out FOLDER] [--part PART,PART] [--small] [--device DEVICE]

- `parity`: every attribution method that is installed, on the device and on the CPU: float32, and on the device in
  autocast to bfloat16. The difference is in shares of the largest score, in bfloat16 of the norm of all. In float32
  it is at most 0.001, else exit 1; in bfloat16 more than 0.02 is said. A method that cannot be applied says why.
- `bert`, `llama`: rows a second in bfloat16 beside the bare model over rows of the same length, of random weights in
  the shape of BERT base and of a LLaMA of a billion parameters, at 512 tokens and at 16; peak memory; how often the
  host waited in a batch, outside of the model. The bare model has its ids on the device, and runs in the best of three
  batch sizes; of generators it computes the last logits alone. IG and saliency are beside forward and backward passes.
- `autoencoder`: rows a second of a top-k autoencoder, beside the bare steps.

Each part writes FOLDER/PART.json, and a part whose file is there is not run again: so a run that was stopped is
resumed. With --small all of it is tiny and takes less than a minute. Where there is no accelerator, it is small in any
case, and compares the CPU with the CPU in other batches, which says nothing about one.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import interp_core as interp
import torch
import transformers
from host_syncs import HostSyncs, waits_on_cuda
from interp_core.activations import of_rows
from interp_core.errors import InterpError, InterpWarning
from interp_core.plugin import implementation, methods
from interp_core.testing import word_tokenizer
from interp_core.testing._tiny_models import WORDS
from torch import Tensor

EXACT, HALF = 1e-3, 2e-2  # the most that results may differ by, in float32 and in bfloat16
MOST = 2000  # texts of a measurement, each of which takes some work of the host
FEW = {"samples": 32, "steps": 16}  # of a method whose parity is looked at
NO_ACCELERATOR = (
    "No accelerator was at hand: this compares the CPU with the CPU in other batches, and says nothing about one."
)
Work = Callable[[], Any]


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        bert: sizes of the classifier.
        llama: sizes of the generator.
        lengths: tokens of long texts and of short ones.
        seconds: of each measurement, about, by the rate of the bare model.
        budgets: tokens of a batch of the bare model, of which the best counts.
        autoencoder: width, concepts, rows of a batch, steps.
    """

    bert: dict[str, int]
    llama: dict[str, int]
    lengths: tuple[int, int]
    seconds: float
    budgets: tuple[int, ...]
    autoencoder: tuple[int, int, int, int]


def _sizes(width: int, layers: int, heads: int, inner: int, vocabulary: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
    }


FULL = Scale(
    bert=_sizes(768, 12, 12, 3072, 30522),
    llama={**_sizes(2048, 16, 32, 8192, 128256), "num_key_value_heads": 8},  # 1.2 billion parameters
    lengths=(512, 16),
    seconds=2.0,
    budgets=(8192, 32768, 65536),
    autoencoder=(768, 12288, 4096, 300),
)
SMALL = Scale(
    bert=_sizes(32, 2, 2, 64, 64),
    llama={**_sizes(32, 2, 2, 64, 64), "num_key_value_heads": 1},
    lengths=(24, 6),
    seconds=0.05,
    budgets=(256, 1024),
    autoencoder=(32, 64, 128, 20),
)


def classifier(sizes: dict[str, int], **config: Any) -> Any:
    """A classifier of two classes in the shape of BERT, with random weights."""
    torch.manual_seed(0)
    made = transformers.BertConfig(**sizes, num_labels=2, max_position_embeddings=512, **config)
    return transformers.BertForSequenceClassification(made).eval().requires_grad_(False)


def generator(sizes: dict[str, int], **config: Any) -> Any:
    """A generator in the shape of LLaMA, with random weights."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "tie_word_embeddings": True}
    made = transformers.LlamaConfig(**sizes, **ids, max_position_embeddings=1024, **config)
    return transformers.LlamaForCausalLM(made).eval().requires_grad_(False)


def tokenizer() -> Any:
    """A tokenizer of whole words for texts of up to 512 tokens."""
    words = word_tokenizer()
    words.model_max_length = 512
    return words


def texts_of(tokens: int, count: int, seed: int = 0) -> list[str]:
    """Texts of random words, each of so many tokens, two of which the tokenizer adds."""
    drawn = torch.randint(len(WORDS), (count, tokens - 2), generator=torch.Generator().manual_seed(seed))
    return [" ".join(WORDS[i] for i in row) for row in drawn.tolist()]


class Device:
    """The device that is looked at.

    Args:
        name: as of `torch.device`; None for CUDA, or else the CPU.
    """

    def __init__(self, name: str | None = None) -> None:
        self.device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __str__(self) -> str:
        is_cuda = self.device.type == "cuda"
        return torch.cuda.get_device_name(self.device) if is_cuda else f"{self.device}, {platform.machine()}"

    def wait(self) -> None:
        """Wait until everything is computed."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Work) -> float:
        """Seconds on the clock of one call, until all of it is computed."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """The most megabytes that were taken meanwhile; on the CPU, by the process since it began."""
        found: list[int] = []
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        yield found
        is_cuda = self.device.type == "cuda"
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found.append(round(torch.cuda.max_memory_allocated(self.device) / 2**20) if is_cuda else kilobytes // 1024)


def parity(device: Device, scale: Scale) -> dict[str, Any]:
    """How far scores on the device are from those on the CPU, by method."""
    shapes = {"classifier": (classifier, SMALL.bert), "generator": (generator, SMALL.llama)}
    if scale is FULL:
        larger = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
        shapes = {kind: (make, {**sizes, **larger}) for kind, (make, sizes) in shapes.items()}
    rows = {}
    for kind, (make, sizes) in shapes.items():
        module = make(sizes, initializer_range=0.3)
        here = interp.TextModel(module, tokenizer(), tokens_per_batch=64 if device.device.type == "cpu" else None)
        there = interp.TextModel(make(sizes, initializer_range=0.3).to(device.device), tokenizer())
        half = interp.TextModel(there.model, there.tokenizer, autocast="bfloat16")
        for method in methods("attribution"):
            rows[f"{method.name}, {kind}"] = _parity_of(method, here, there, half)
    return {"limits": {"float32": EXACT, "bfloat16": HALF}, "methods": rows}


def _parity_of(method: Any, here: Any, there: Any, half: Any) -> dict[str, Any]:
    made = implementation(method)
    few = {field.name: FEW[field.name] for field in fields(made) if field.name in FEW}
    text, other = texts_of(12, 2)
    options: dict[str, Any] = {"by": made(**few), "progress": False}
    options |= {"targets": " happy"} if here.head == "causal" else {"targets": 0}
    if "components" in method.needs:
        options |= {"over": "heads", "reference": other}
    try:
        expected, found, rough = (interp.attribute(model, text, **options)[0].scores for model in (here, there, half))
    except InterpError as error:
        return {"refused": str(error)}
    largest, norm = (float(size) or 1.0 for size in (expected.abs().max(), expected.norm()))
    return {
        "float32": float((found - expected).abs().max()) / largest,
        "bfloat16": float((rough - expected).norm()) / norm,
    }


class Bare:
    """The bare model over rows of one length.

    Args:
        model: on its device.
        device: where that is.
        budgets: tokens of a batch.
    """

    def __init__(self, model: Any, device: Device, budgets: Sequence[int]) -> None:
        self.model, self.device, self.budgets = model, device, budgets
        self.last = {"logits_to_keep": 1} if model.config.model_type == "llama" else {}

    def rate(self, tokens: int, *, slopes: bool, body: bool = False, seconds: float) -> float:
        """Rows a second, in the best of the batch sizes."""
        return max(self._rate(max(1, budget // tokens), tokens, slopes, body, seconds) for budget in self.budgets)

    def _rate(self, rows: int, tokens: int, slopes: bool, body: bool, seconds: float) -> float:
        ids = torch.randint(5, 40, (rows, tokens), generator=torch.Generator().manual_seed(0)).to(self.device.device)
        run = self._slopes if slopes else self._forward
        try:
            run(ids, body)
            once = self.device.seconds(lambda: run(ids, body))
        except torch.OutOfMemoryError:
            return 0.0
        times = max(1, int(seconds / len(self.budgets) / once))
        return rows * times / self.device.seconds(lambda: [run(ids, body) for _ in range(times)])

    def _forward(self, ids: Tensor, body: bool) -> None:
        model = self.model.base_model if body else self.model
        with torch.inference_mode():
            model(input_ids=ids, attention_mask=torch.ones_like(ids), **({} if body else self.last))

    def _slopes(self, ids: Tensor, _body: bool) -> None:
        leaf = self.model.get_input_embeddings().weight.detach()[ids].requires_grad_()
        logits = self.model(inputs_embeds=leaf, attention_mask=torch.ones_like(ids), **self.last).logits
        torch.autograd.grad(logits.flatten(1)[:, 1].sum(), leaf)


def rates(device: Device, scale: Scale, make: Any, sizes: dict[str, int]) -> dict[str, Any]:
    """Rows a second of explanations and of activations beside the bare model."""
    module = make(sizes).to(device.device, torch.bfloat16)
    model = interp.TextModel(module, tokenizer())
    bare, split = Bare(module, device, scale.budgets), model.split(-1)
    rows: dict[str, Any] = {}
    for tokens in scale.lengths:
        plain = bare.rate(tokens, slopes=False, seconds=scale.seconds)
        slopes = bare.rate(tokens, slopes=True, seconds=scale.seconds)
        steps, samples = (16, 64) if scale is SMALL else (32, min(1024, 32 * tokens))
        works = {
            f"lime, {tokens} tokens": ("lime", {"samples": samples}, samples, plain),
            f"occlusion, {tokens} tokens": ("occlusion", {}, tokens - 2, plain),
            f"ig, {tokens} tokens": ("integrated-gradients", {"steps": steps}, steps, slopes),
            f"saliency, {tokens} tokens": ("saliency", {}, 1, slopes),
        }
        for name, (by, parameters, each, rate) in works.items():
            texts = texts_of(tokens, min(MOST, max(2, round(rate * scale.seconds / each))))
            targets = {"targets": [" happy"] * len(texts)} if model.head == "causal" else {}
            work = partial(interp.attribute, model, texts, by=by, progress=False, **targets, **parameters)
            rows[name] = _measured(device, model, work, each * len(texts), rate)
        rate = bare.rate(tokens, slopes=False, body=True, seconds=scale.seconds)
        texts = texts_of(tokens, min(MOST, max(2, round(rate * scale.seconds))))
        work = partial(split.activations, texts, granularity="last", progress=False)
        rows[f"activations, {tokens} tokens"] = _measured(device, model, work, len(texts), rate)
    if model.head == "causal":
        tokens, rate = scale.lengths[0], bare.rate(scale.lengths[0], slopes=False, seconds=scale.seconds)
        text = texts_of(tokens - 8, 1)
        work = partial(
            interp.attribute, model, text, by="occlusion", targets=[" happy and so very sad"], progress=False
        )
        rows[f"generation, occlusion, {tokens} tokens"] = _measured(device, model, work, tokens - 10, rate)
    return {"parameters": sum(p.numel() for p in module.parameters()), "rates": rows}


def _measured(device: Device, model: Any, work: Work, rows: int, bare: float) -> dict[str, Any]:
    """One measurement, after a call that is not counted, and another one in which waiting is counted."""
    work()
    with device.peak() as megabytes:
        seconds = device.seconds(work)
    rate = rows / seconds
    return {
        "rows": rows,
        "rows a second": round(rate, 1),
        "bare rows a second": round(bare, 1),
        "share of the bare model": round(rate / bare, 3),
        "peak megabytes": megabytes[0],
        **_waiting(device, model, work),
    }


def _waiting(device: Device, model: Any, work: Work) -> dict[str, Any]:
    """How often the host waited: on CUDA as PyTorch says, the model's own waiting included; else as it would have."""
    if device.device.type == "cuda":
        with waits_on_cuda() as counts:
            work()
        return {"host syncs, with the model's": sum(counts.values()), "where": dict(counts.most_common(5))}
    with HostSyncs(model.model) as seen:
        work()
    waited, inside = sum(seen.counts.values()), sum(seen.inside.values())
    return {"batches": seen.batches, "host syncs": waited, "of the model": inside}


def autoencoder(device: Device, scale: Scale) -> dict[str, Any]:
    """Rows a second of a top-k autoencoder, in memory, beside bare steps of the same sizes."""
    width, concepts, batch, steps = scale.autoencoder
    held = of_rows(torch.randn(16 * batch, width, generator=torch.Generator().manual_seed(0)))
    rows: dict[str, Any] = {}
    for kind in ("float32", "bfloat16"):
        bare = batch * steps / device.seconds(lambda kind=kind: _bare_steps(device, scale, held.values, kind))
        options = {"concepts": concepts, "k": 16, "batch_size": batch, "device": str(device.device), "dtype": kind}
        fit = lambda count, options=options: interp.fit_concepts(held, by="topk-sae", steps=count, **options)  # noqa: E731
        fit(1)
        few, many = (device.seconds(lambda fit=fit, n=n: fit(n)) for n in (steps // 4, 2 * steps))
        rate = batch * (2 * steps - steps // 4) / max(1e-9, many - few)  # without what comes before the first step
        rows[kind] = {"rows a second": round(rate, 1), "bare rows a second": round(bare, 1)}
    return {"sizes": {"width": width, "concepts": concepts, "batch": batch, "steps": steps}, "rates": rows}


def _bare_steps(device: Device, scale: Scale, rows: Tensor, kind: str) -> None:
    """Training steps of an encoder, its 16 largest codes and a decoder, on rows that are on the device."""
    width, concepts, batch, steps = scale.autoencoder
    draws = torch.Generator().manual_seed(0)
    first, second = (torch.randn(width, concepts, generator=draws).to(device.device) / width**0.5 for _ in range(2))
    weights = [first.requires_grad_(), second.requires_grad_()]
    optimiser = torch.optim.Adam(weights, fused=True)
    there = rows.to(device.device)
    for step in range(steps):
        part = there[(step * batch) % len(there) :][:batch]
        with torch.autocast(device.device.type, torch.bfloat16, enabled=kind == "bfloat16"):
            largest, where = (part @ weights[0]).relu().topk(16, dim=-1)
            codes = torch.zeros(len(part), concepts, dtype=largest.dtype, device=device.device)
            again = codes.scatter(1, where, largest) @ weights[1].T
        optimiser.zero_grad()
        (again.float() - part).square().mean().backward()
        optimiser.step()


PARTS: dict[str, Callable[[Device, Scale], dict[str, Any]]] = {
    "parity": parity,
    "bert": lambda device, scale: rates(device, scale, classifier, scale.bert),
    "llama": lambda device, scale: rates(device, scale, generator, scale.llama),
    "autoencoder": autoencoder,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are not in the folder yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("accelerator"))
    parser.add_argument("--part", default=",".join(PARTS), help="parts to run")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--device")
    asked = parser.parse_args(arguments)
    strange = set(asked.part.split(",")) - PARTS.keys()
    if strange:
        parser.error(f"there is no part {', '.join(sorted(strange))}; parts are {', '.join(PARTS)}")
    device = Device(asked.device)
    scale = SMALL if asked.small or device.device.type == "cpu" else FULL
    about = {
        "device": str(device),
        "small": scale is SMALL,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        **({"note": NO_ACCELERATOR} if device.device.type == "cpu" else {}),
    }
    print(json.dumps(about, indent=1))
    asked.out.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    for name in asked.part.split(","):
        file = asked.out / f"{name}.json"
        if not file.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InterpWarning)
                start = time.perf_counter()
                found = PARTS[name](device, scale)
            found = {"about": about, "seconds": round(time.perf_counter() - start, 1), **found}
            unfinished = file.with_suffix(".part")
            unfinished.write_text(json.dumps(found, indent=1))
            unfinished.replace(file)  # whole, or not there
        part = json.loads(file.read_text())
        compared, measured = part.get("methods", {}), part.get("rates", {})
        print(f"{name}, {part['seconds']} s")
        print(*(f"  {key}: {value}" for key, value in (compared | measured).items()), sep="\n", flush=True)
        wrong += [key for key, value in compared.items() if not value.get("float32", 0) <= EXACT]
        rough = [key for key, value in compared.items() if not value.get("bfloat16", 0) <= HALF]
        if rough:
            print(f"  more than {HALF:.0%} off in bfloat16: {', '.join(rough)}")
    if wrong:
        print(f"more than {EXACT} off: {', '.join(wrong)}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
