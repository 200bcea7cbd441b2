"""One question about the concepts of many texts, for pointwise methods and heads that read one row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from interp_core.attribution import Question, run_method
from interp_core.concepts._questions import NUMBERS_AT_A_TIME, ConceptQuestions, named_units
from interp_core.errors import PluginError
from interp_core.model import ModelRequest, Readout, TextRows, readout_of
from interp_core.plugin import declaration_of
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm


def contributions(source: ConceptQuestions, method: Any) -> Float[Tensor, "n k c"]:
    """The scores of c concepts for k targets in each of n texts, see `importance`.

    Args:
        source: the questions about the texts.
        method: an attribution method.
    """
    if not are_asked_together(source, method):
        return torch.stack(source.each(lambda question: run_method(method, question)[0], "importance"))
    with source.session.cost.timed():
        return _contributions(source, method)


def are_asked_together(source: ConceptQuestions, method: Any) -> bool:
    """Whether the rows of all texts make one question: nothing that the method or the head does joins two rows."""
    declared = declaration_of(method)
    return declared is not None and "pointwise" in declared.claims and source.one_row


def _contributions(source: ConceptQuestions, method: Any) -> Float[Tensor, "n k c"]:
    count, groups = len(source.activations), source.targets.shared()
    most = max(len(targets) for targets in groups)
    step = max(1, NUMBERS_AT_A_TIME // (max(source.space.concepts, source.space.width) * most))
    scores = torch.empty(count, most, source.space.concepts)
    quiet = None if source.session.options.progress else True
    with tqdm(total=count, desc="importance", unit="text", disable=quiet, leave=False) as bar:
        for targets, numbers in groups.items():
            readout = readout_of(targets, source.session.options.score, source.split.model.head)
            source.targets.check([readout])
            for some in numbers.split(step):
                scores[some] = _of_rows(source, method, readout, some)
                bar.update(len(some))
    return scores


def _of_rows(source: ConceptQuestions, method: Any, readout: Readout, numbers: Tensor) -> Float[Tensor, "b k c"]:
    rows = source.activations.values[numbers].to(source.split.model.device)
    codes = source.encoded(rows)
    b, c = codes.shape
    features = codes.reshape(b * c, 1)
    question = Question(
        _RowsRunner(source, readout, rows, codes),
        x=features,
        baseline=torch.zeros_like(features),
        unit_of=torch.arange(b * c),
        units=named_units(source.space.names) * b,
        targets=readout.targets,
        text=f"{b} rows",
        removal="zero",
    )
    scores, _ = run_method(method, question)
    return scores.reshape(-1, b, c).transpose(0, 1)


def _refused() -> PluginError:
    return PluginError(
        "a method that claims to be 'pointwise' asks for the gradient at the text itself and nothing else; this one "
        "asks for scores. Its package should drop the claim."
    )


@dataclass
class _RowsRunner:
    """The gradients of the scores of b rows, each by the codes of its own row. It computes no scores: their sum over
    rows would mean nothing.
    """

    source: ConceptQuestions
    readout: Readout
    rows: Float[Tensor, "b d"]
    codes: Float[Tensor, "b c"]

    def at(self, x: Float[Tensor, "p f 1"]) -> Float[Tensor, "p k"]:
        raise _refused()

    def masked(self, keep: Bool[Tensor, "p u"]) -> Float[Tensor, "p k"]:
        raise _refused()

    def decides(self, keep: Bool[Tensor, "p u"]) -> Int[Tensor, "p k"]:
        raise _refused()

    def moved(self, x: Float[Tensor, "f 1"]) -> _RowsRunner:
        raise _refused()

    def gradients(self, x: Float[Tensor, "p f 1"]) -> Iterator[Float[Tensor, "k f 1"]]:
        b, c = self.codes.shape
        split, runner, decode = self.source.split, self.source.session.batch_runner, self.source.space.decode
        token = self.source.one_token()
        with torch.no_grad():
            context = self.rows.float() - decode(self.codes)  # what the concepts do not explain
        for variant in x:
            codes = variant.reshape(b, c)

            def build(numbers: Tensor, codes: Tensor = codes) -> TextRows:
                leaf = codes[numbers.to(codes.device)].detach().clone().requires_grad_()
                states = context[numbers.to(codes.device)] + decode(leaf)
                ids = token.ids.expand(len(numbers), -1)
                types = None if token.types is None else token.types.expand(len(numbers), -1)
                return TextRows(ids, torch.ones_like(ids, dtype=torch.bool), states[:, None], leaf, types=types)

            request = ModelRequest(
                torch.ones(b, dtype=torch.long), build, self.readout, split.injection, gradients=True
            )
            yield torch.stack(runner.run([request])[0].gradients, dim=1).reshape(-1, b * c, 1)
