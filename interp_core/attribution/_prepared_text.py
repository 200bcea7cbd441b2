"""A text with everything that its question needs."""

from __future__ import annotations

from dataclasses import dataclass

from interp_core.model import Readout, Space
from interp_core.text import DividedText
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PreparedText:
    """A text with everything that its question needs, as made by `Session.prepare`.

    Attributes:
        encoded: the text in units.
        readout: maps logits to the scores of the targets.
        removal: the name of the removal, see `absence`.
        intact: (k) the scores of the unchanged text, if they are known.
        number: the index of the text in the run.
        logits: (v) the logits of the unchanged text, for classifiers and if they are known.

    Examples:
        >>> from interp_core.attribution import Options, Session
        >>> from interp_core.testing import planted_model
        >>> session = Session(planted_model({"happy": (3.0, -1.0)}), Options(progress=False))
        >>> (prepared,) = session.prepare(["so happy"], None, "word")
        >>> [unit.text for unit in prepared.encoded.units], prepared.removal, prepared.space
        (['so', 'happy'], 'mask', 'logit')
        >>> prepared.intact
        tensor([3.])
    """

    encoded: DividedText
    readout: Readout
    removal: str
    intact: Tensor | None = None
    number: int = 0
    logits: Tensor | None = None

    @property
    def space(self) -> Space:
        """The score space."""
        return self.readout.space
