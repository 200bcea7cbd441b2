"""One run of a served model over texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from interp_core.attribution import Options, PreparedText, Question, Session
from interp_core.errors import TargetError, UnsupportedError
from interp_core.model import Readout, ServedModel
from interp_core.text import NO_UNIT, DividedText, Encoded, Granularity

from interp_remote.asker import Asker
from interp_remote.runner import SERVED, RemoteRunner, question_about, retokenised_note
from interp_remote.targets import RemoteTargets

SPACES = ("auto", "log-probability", "probability", "log-odds")


class RemoteSession(Session):
    """One run of a served model over texts. Made by `RemoteModel.session`.

    Raises:
        UnsupportedError: the options ask for what a server does not offer.
        TargetError: a score space that log-probabilities of tokens do not give.
    """

    takes: ClassVar[Any] = ServedModel
    batches: ClassVar[Any] = Asker
    resolves: ClassVar[Any] = RemoteTargets

    def __init__(self, model: Any, options: Options) -> None:
        for name in ("layer", "over"):
            if getattr(options, name, None) is not None:
                raise UnsupportedError(f"{name}={getattr(options, name)!r} was asked of a served model. {SERVED}")
        if options.score not in SPACES:
            raise TargetError(
                f"score={options.score!r}: a server says log-probabilities of single tokens, and neither their logits "
                f"nor the whole distribution; it is one of {', '.join(SPACES)}."
            )
        super().__init__(model, options)
        self._address = model.base_url
        self._asker.progress = options.progress

    @property
    def _asker(self) -> Asker:
        return cast(Asker, self.batch_runner)

    @property
    def asked(self) -> dict[str, Any]:
        """What the server was asked, as results record it."""
        usage, moved = self._asker.usage, [any(one) for one in self._asker.retokenised.values()]
        counts = {name: getattr(usage, name) for name in ("cached", "prompt_tokens", "answer_tokens", "price")}
        return {
            "server": self._address,
            "usage": {"requests": usage.conversations, **counts},
            "retokenised": {"prompts": len(moved), "moved": sum(moved)},
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of the tokens of all variants."""
        return retokenised_note(list(self._asker.retokenised.values()))

    def settings(self, granularity: Granularity) -> dict[str, Any]:
        """The settings of the run, see `Session.settings`; there is no layer."""
        return {name: value for name, value in super().settings(granularity).items() if name != "layer"}

    def removal_name(self, readout: Readout) -> str:
        """The name of the removal: `"drop"`.

        Raises:
            UnsupportedError: another one was asked for.
        """
        removal = self.options.removal
        if not (isinstance(removal, str) and removal in ("auto", "drop")):
            named = removal if isinstance(removal, str) else "tensor"
            raise UnsupportedError(
                f"removal={named!r} changes what a model reads below its text, and a server takes only text; use "
                "'drop', which leaves out the characters of a unit."
            )
        return "drop"

    def question(self, prepared: PreparedText, states: Any = None, ask: Any = None) -> Question:
        """The question about one text, see `Session.question`."""
        send = ask or (lambda prompts: self._asker.run([prompts])[0])
        runner = RemoteRunner(self._asker, prepared.encoded, prepared.readout, send)
        return question_about(runner, self.options.max_rows)

    def _divided(self, encoded: Encoded, granularity: Granularity, number: int) -> DividedText:
        """The prompt in units. What follows it is explained, so that it is in none and stays."""
        divided = super()._divided(encoded, granularity, number)
        own = divided.continuation
        units = tuple(unit for unit in divided.units if own < 0 or unit.start < own)
        return replace(
            divided, units=units, unit_of=torch.where(divided.unit_of < len(units), divided.unit_of, NO_UNIT)
        )
