"""Each check holds one promise of the toolkit to plain transformers, for one small model."""

from __future__ import annotations

import copy
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import interp_core as interp
import numpy as np
import torch
from interp_core.concepts import AffineSpace
from interp_core.errors import InterpError
from interp_core.model import hidden_of
from torch import Tensor

from zoo.asking import QUESTION, TEXTS, Plain, wrapped
from zoo.building import Small
from zoo.keeping import state_of
from zoo.watching import Emptied, Watch

CLOSE = 5e-4
READS_IDS = {"gemma3n_text", "gemma4_text", "gemma4", "gemma4_unified_text"}


class WrongError(AssertionError):
    """Numbers that are not those of plain transformers."""


class NothingToCheckError(Exception):
    """The check says nothing of this model."""


@dataclass(frozen=True)
class Outcome:
    """How a check of a model ended.

    Attributes:
        check: its name.
        verdict: "right", "refused", "wrong", "raw" (an error that is none of the toolkit's) or "none".
        reason: the message.
    """

    check: str
    verdict: str
    reason: str = ""


def same(found: Any, expected: Any, what: str) -> None:
    found, expected = torch.as_tensor(found).float(), torch.as_tensor(expected).float()
    if found.shape != expected.shape:
        raise WrongError(f"{what}: {tuple(found.shape)}, not {tuple(expected.shape)}")
    size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    apart = float((found - expected).abs().max()) if expected.numel() else 0.0
    if not apart <= CLOSE * size:
        raise WrongError(f"{what}: off by {apart:.3g} where the largest is {size:.3g}")


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max()) if one.shape == other.shape else float("inf")


class Checks:
    """The checks of one small model."""

    def __init__(self, small: Small) -> None:
        self.plain = Plain(small)
        self.small = small
        self.zoo = wrapped(self.plain)
        self.text = self.plain.texts[0]
        self.twin  # noqa: B018 - a model that keeps the states of a pass cannot be copied after it

    def asked(self, by: Any, which: slice = slice(0, 1), model: Any = None, **options: Any) -> list[Any]:
        targets = self.plain.targets
        targets = targets[which] if isinstance(targets, list) else targets
        return interp.attribute(
            model or self.zoo, self.plain.texts[which], by=by, targets=targets, progress=False, **options
        )

    @cached_property
    def occluded(self) -> Any:
        return self.asked("occlusion")[0]

    @cached_property
    def twin(self) -> Plain:
        """A copy of the model, for what changes a model for good, such as transformers' own hooks."""
        return Plain(replace(self.small, model=copy.deepcopy(self.plain.model)))

    def places(self, found: Any) -> tuple[Tensor, int, Tensor]:
        """The ids, those of the source, and the unit of each token; the ids are the tokenizer's own."""
        ids, source = self.plain.ids(self.text)
        same(found.encoded.ids, ids, "ids")
        return ids, source, found.encoded.unit_of

    def intact(self) -> None:
        found = self.occluded
        ids, source, _ = self.places(found)
        with torch.no_grad():
            expected = self.plain.scores(self.plain.call(ids, source), self.plain.moved(found.targets, source))
        same(found.intact, expected, "intact")

    def occlusion(self) -> None:
        found = self.occluded
        ids, source, owners = self.places(found)
        mask = self.small.tokenizer.mask_token_id
        if mask is None and self.small.family in READS_IDS:
            raise NothingToCheckError("reads ids again below, and a mean has no id")
        with torch.no_grad():
            intact = self.plain.scores(self.plain.call(ids, source), self.plain.moved(found.targets, source))
            for unit in range(len(found.units)):
                if mask is not None:
                    without = torch.where(owners == unit, mask, ids)
                    output = self.plain.call(without, source)
                    score = self.plain.scores(output, self.plain.moved(found.targets, source))
                else:
                    rows = self.plain.embedded(ids, source)
                    table = self.plain.tables[0]
                    mean = table(torch.arange(len(table.weight))[None])[0].mean(0)
                    rows = torch.where((owners == unit)[:, None], mean, rows)
                    score = self.plain.score_of(rows, ids, source, found.targets)
                able = found.applicable[:, unit]
                same(found.scores[:, unit][able], (intact - score)[able], f"without unit {unit}")

    def slopes(self, rows: Tensor, found: Any, ids: Tensor, source: int) -> Tensor:
        """The gradient (k, t, d) of each score by the embeddings."""
        leaf = rows.clone().requires_grad_()
        weights = [weight for weight in self.plain.model.parameters() if weight.requires_grad]
        for weight in weights:
            weight.requires_grad_(False)
        scores = self.plain.score_of(leaf, ids, source, found.targets)
        slopes = torch.stack([torch.autograd.grad(s, leaf, retain_graph=True)[0] for s in scores])
        for weight in weights:
            weight.requires_grad_(True)
        return slopes

    def in_units(self, tokens: Tensor, found: Any) -> Tensor:
        owners = found.encoded.unit_of
        return torch.stack([tokens[:, owners == u].sum(1) for u in range(len(found.units))], 1) * found.applicable

    def gradient(self) -> None:
        (found,) = self.asked("input-x-gradient", removal="zero")
        ids, source, _ = self.places(found)
        rows = self.plain.embedded(ids, source)
        expected = (self.slopes(rows, found, ids, source) * rows).sum(-1)
        same(found.scores, self.in_units(expected, found), "input x gradient")

    def integrated(self) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(3)
        (found,) = self.asked(interp.method("integrated-gradients", steps=3), removal="zero")
        ids, source, owners = self.places(found)
        rows = self.plain.embedded(ids, source)
        total: Any = 0
        base = torch.where((owners < 0)[:, None], rows, torch.zeros(()))
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            total = total + weight * self.slopes(base + float(node) * (rows - base), found, ids, source)
        same(found.scores, self.in_units((total * (rows - base)).sum(-1), found), "integrated gradients")

    def attention(self) -> None:
        watch = Watch()
        (found,) = self.asked(watch)
        ids, source, _ = self.places(found)
        expected = self.plain_attention(ids, source)
        if len(watch.seen) != len(expected):
            raise WrongError(f"attention: {len(watch.seen)} layers, not {len(expected)}")
        for number, weights in watch.seen:
            given = expected[number][0]
            if "_swa" in self.small.family:  # what goes into a sink is not in the weights that transformers gives out
                weights = weights / weights.sum(-1, keepdim=True)
            same(weights, given, f"attention of layer {number}")

    def plain_attention(self, ids: Tensor, source: int) -> list[Tensor]:
        own = self.twin
        try:
            own.model.set_attn_implementation("eager")
            with torch.no_grad():
                given = own.call(ids, source, output_attentions=True).get("attentions")
        except Exception as error:
            raise NothingToCheckError(f"gives out no attention: {type(error).__name__}") from error
        if given is None or any(one is None for one in given):
            raise NothingToCheckError("gives out no attention")
        return list(given)

    def company(self) -> None:
        alone = [self.occluded, *(self.asked("occlusion", slice(i, i + 1))[0] for i in (1, 2))]
        for side in ("right", "left"):
            together = self.asked("occlusion", slice(0, 3), wrapped(self.plain, side))
            for one, found in zip(alone, together, strict=True):
                same(found.intact, one.intact, f"intact, padded on the {side}")
                same(found.scores, one.scores, f"occlusion, padded on the {side}")

    @cached_property
    def bare(self) -> tuple[Any, Tensor]:
        """The first text as activations are read for it, and its ids for a plain call."""
        text = self.text
        encoded = self.zoo.encoder(text)
        ids = (
            self.small.tokenizer(*text)["input_ids"]
            if isinstance(text, tuple)
            else self.small.tokenizer(text)["input_ids"]
        )
        return encoded, torch.tensor(ids)

    def plain_pass(self, ids: Tensor, model: Any = None, **options: Any) -> Any:
        """A plain call for activations; the decoder of a model with two stacks is given its start."""
        if self.small.head == "translation":
            start = self.plain.model.config.decoder_start_token_id
            options["decoder_input_ids"] = torch.tensor([[start]])
        with torch.no_grad():
            return (model or self.plain.model)(input_ids=ids[None], return_dict=True, **options)

    @contextmanager
    def hooked(
        self, layer: Any, replacement: Callable[[Tensor], Tensor] | None = None, *, all_positions: bool = False
    ) -> Any:
        """A context in which a plain hook records the outputs of a block, and replaces them."""
        seen: list[Tensor] = []
        module = self.plain.model.get_submodule(layer.path.split("@")[0])
        call, length = int(layer.path.partition("@")[2] or 0), None if all_positions else len(self.bare[1])

        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            states = output[0] if isinstance(output, tuple | list) else output
            turned = states.transpose(0, 1) if self.small.family == "xlnet" else states  # it has tokens first
            seen.append(turned[:, :length])  # some models pad a text
            if replacement is None or len(seen) - 1 != call:
                return None
            new = torch.cat([replacement(seen[-1]), turned[:, seen[-1].shape[1] :]], dim=1)
            new = new.transpose(0, 1) if self.small.family == "xlnet" else new
            if isinstance(output, torch.Tensor):
                return new
            parts = [new, *output[1:]]
            return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)

        handle = module.register_forward_hook(hook)
        try:
            yield lambda: seen[call] if len(seen) > call else self.not_run(layer)
        finally:
            handle.remove()

    def not_run(self, layer: Any) -> Tensor:
        """A block that a plain hook did not see: the toolkit has to refuse it."""
        layer.activations(list(TEXTS), progress=False)
        raise WrongError(f"{layer.path} did not run, and has activations")

    @property
    def numbers(self) -> range:
        return range(len(self.zoo.blocks))

    def activations(self) -> None:
        encoded, ids = self.bare
        output = self.plain_pass(ids, self.twin.model, output_hidden_states=True)
        two = len(self.plain.tables) > 1
        states = output.get("encoder_hidden_states") if two else output.get("hidden_states")
        texts = self.plain.texts if isinstance(self.text, str) else None
        for number in self.numbers:
            split = self.zoo.split(number)
            with self.hooked(split) as seen:
                self.plain_pass(ids)
            expected = seen()[0]
            if states is not None and len(states) == len(self.zoo.blocks) + 1 and number + 1 < len(self.numbers):
                # some models give out what enters a block, others what leaves it
                near = min((states[number + 1], states[number]), key=lambda one: apart(one[0, : len(ids)], expected))
                same(expected, near[0, : len(ids)], f"block {number} against hidden_states")
            if texts is None:
                from interp_core.model import BatchRunner

                (held,) = split.states(BatchRunner(self.zoo), [encoded])
                same(held, expected, f"states of block {number}")
                continue
            held = split.activations(texts, granularity="word", progress=False)
            from interp_core.text import divide

            owners = divide(encoded, "word").unit_of
            words = torch.stack([expected[owners == u].mean(0) for u in range(int(owners.max()) + 1)])
            same(held.values[held.text_of == 0], words, f"words of block {number} in company")

    def resume(self) -> None:
        encoded, ids = self.bare
        for number in self.numbers:
            split = self.zoo.split(number)
            with self.hooked(split) as seen:
                self.plain_pass(ids)
            states = hidden_of(seen(), split.path)
            noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(number)) * states.std()
            with self.hooked(split, lambda _value, changed=states + noise: changed):
                output = self.plain_pass(ids)
            (found,) = split.resume([(states + noise)[0]], [encoded])
            if self.small.head == "answer":
                same(
                    found,
                    torch.stack([output["start_logits"][0], output["end_logits"][0]]),
                    f"span from block {number}",
                )
            else:
                same(found, output["logits"][0], f"logits from block {number}")

    def intervention(self) -> None:
        _, ids = self.bare
        split = self.zoo.split(0)
        width = split.width
        directions = torch.eye(width)[:4]
        space = AffineSpace(directions, directions)
        with interp.intervene(split, space, ablate=[0], add={1: 0.7}, positions="all"):
            found = self.plain_pass(ids)

        def changed(value: Tensor) -> Tensor:
            other = value.clone()
            other[..., 0] = 0
            other[..., 1] += 0.7
            return other

        with self.hooked(split, changed, all_positions=True):
            expected = self.plain_pass(ids)
        key = "start_logits" if self.small.head == "answer" else "logits"
        same(found[key], expected[key], "logits under a changed concept")

    def removal(self) -> None:
        """With every word removed, two texts of equal length give one answer."""
        answers = []
        for text in self.twins():
            emptied, head = Emptied(), self.small.head
            targets: Any = [7]
            if head in ("continuation", "translation"):
                targets = [lambda logits: logits[:, 7]]
            elif head == "answer":
                targets = [text]
            elif head == "tags":
                targets = [interp.at((0, 1), 1)]
            elif head == "classes":
                targets = "all"
            asked: Any = {"answer": ("what", text), "gaps": f"{text} {self.small.tokenizer.mask_token}"}.get(head, text)
            interp.attribute(self.zoo, [asked], by=emptied, targets=targets, progress=False)
            answers.append(emptied.seen[0])
        same(answers[1], answers[0], "two texts with all words removed")

    def components(self) -> None:
        """With every gate open the answer is that to the text, with every gate closed that to the reference."""
        texts = [self.framed(text) for text in self.twins()]
        targets = self.plain.targets[0] if isinstance(self.plain.targets, list) else self.plain.targets
        for over in ("blocks", "components"):
            options = {"over": over, "reference": texts[1:], "targets": targets, "progress": False}
            found = interp.attribute(self.zoo, texts[:1], by=Ends(), **options)[0]
            for text, row, what in zip(texts, found.scores[:, :2].T, ("open", "closed"), strict=True):
                ids, source = self.plain.ids(text)
                with torch.no_grad():
                    expected = self.plain.scores(self.plain.call(ids, source), self.plain.moved(found.targets, source))
                same(row, expected, f"{over} {what}")

    def framed(self, text: str) -> Any:
        """A text in the form that the head needs."""
        if self.small.head == "answer":
            return QUESTION, text
        return f"{text} {self.small.tokenizer.mask_token}" if self.small.head == "gaps" else text

    def state(self) -> None:
        """Nothing of the model is changed by the toolkit, its trials of the model included."""
        self.plain_pass(self.bare[1])  # some models note the length of what they have read
        model = wrapped(self.plain)
        before = state_of(self.plain.model)
        targets = self.plain.targets[:1] if isinstance(self.plain.targets, list) else self.plain.targets
        try:
            interp.attribute(model, self.plain.texts[:1], by="input-x-gradient", targets=targets, progress=False)
            if self.small.head != "answer":
                model.split(0).activations(list(TEXTS[:2]), progress=False)
        except InterpError:  # what is refused has left nothing either
            pass
        if state_of(self.plain.model) != before:
            raise WrongError("the model has changed")

    def ids_of(self, text: str) -> list[int]:
        return list(self.small.tokenizer(text)["input_ids"])

    def twins(self) -> tuple[str, str]:
        words = ("dog", "cat", "sun", "red", "bad", "old", "the", "day", "sea", "sky", "was", "so", "happy", "glad")
        for i, one in enumerate(words):
            for other in words[i + 1 :]:
                if len(self.ids_of(f"{one} {one}")) == len(self.ids_of(f"{other} {other}")):
                    return f"{one} {one}", f"{other} {other}"
        raise NothingToCheckError("no two texts of equal length")


class Ends:
    """What a question scores with everything kept, and with everything removed."""

    def attribute(self, question: Any) -> Tensor:
        ends = torch.stack([question.intact(), question.emptied()], dim=1)
        return torch.cat([ends, torch.zeros(len(ends), len(question.units) - 2)], dim=1)


CHECKS = (
    "intact", "occlusion", "gradient", "integrated", "attention", "company", "activations", "resume", "intervention",
    "removal", "components", "state",
)  # fmt: skip


def outcomes(small: Small, which: tuple[str, ...] = CHECKS) -> list[Outcome]:
    """How each check of a small model ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            checks = Checks(small)
        except InterpError as error:
            return [Outcome(name, "refused", f"{type(error).__name__}: {error}") for name in which]
        return [_outcome(checks, name) for name in which]


def _outcome(checks: Checks, name: str) -> Outcome:
    try:
        getattr(checks, name)()
    except NothingToCheckError as reason:
        return Outcome(name, "none", str(reason))
    except WrongError as error:
        return Outcome(name, "wrong", str(error))
    except InterpError as error:
        return Outcome(name, "refused", f"{type(error).__name__}: {error}")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome(name, "raw", f"{type(error).__name__}: {str(error)[:200]} ({where})")
    return Outcome(name, "right")
