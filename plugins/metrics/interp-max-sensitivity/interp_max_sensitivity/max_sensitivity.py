"""Max-sensitivity: how far attributions change when the input hardly does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from interp_core.attribution import Attribution, Question, run_method
from interp_core.errors import InputError, UnsupportedError
from interp_core.metrics import Score
from jaxtyping import Float
from torch import Tensor

NOTHING = "Where all attributions are zero their change is given as it is, in units of the score."


@dataclass(frozen=True)
class MaxSensitivity:
    """Max-sensitivity: the largest relative change of the attributions under small random moves of the features.

    It is max ‖φ(x + e) - φ(x)‖ / ‖φ(x)‖, with 2-norms over the units that are applicable to the target and the
    coordinates of e drawn uniformly between -`radius` and `radius`. The method is run again at x + e, in the score
    space and with the removal of the attributions. A method that draws at random starts from its own seed each time, so
    that its draws alone change nothing.

    The value is at least 0, without a unit: 0 where nothing changes, as for the gradient of a linear score, 1 for a
    change as large as the attributions. Lower is better. A method that ignores the text is never sensitive, so read it
    beside a metric of faithfulness. The cost is that of the attributions, `samples` times.

    Args:
        radius: largest move of a coordinate, as a share of `question.spread`, the standard deviation of a coordinate of
            the model's embeddings; positive. All features move, those that belong to no unit included.
        samples: number of moves, at least 1, the same for all attributions of a text; the largest change grows with it.
            Fewer where `max_rows` leaves no room.
        seed: random seed of the moves.

    Raises:
        InputError: `samples` is below 1, or `radius` is not positive.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> found = interp.attribute(model, ["happy not sad", "so happy today"], by="occlusion", targets="class 0")
        >>> interp.measure(found, model, by="max-sensitivity", chance=False).value < 0.1
        True

    Source:
        Yeh et al. 2019, arXiv:1901.09392, max-sensitivity, by random draws. Departs from it in that the change is
        relative to the size of the attributions, as in captum, so that their unit does not matter.
    """

    radius: float = 0.1
    samples: int = 10
    seed: int = 0
    higher_is_better: ClassVar[bool] = False
    space: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.radius > 0:
            raise InputError(f"{self}: at least 1 sample and a radius above 0 are needed.")

    @property
    def definition(self) -> str:
        """The number in words, with its parameters."""
        return (
            "largest relative change (2-norm) of the attributions as all features move at random by up to "
            f"{self.radius:g} standard deviations of the embeddings, {self.samples} moves"
        )

    def measure(self, attribution: Attribution, question: Question, method: Any) -> Score:
        """Measure the largest relative change for each target.

        Returns:
            The mean over targets, with `values` for each.

        Raises:
            UnsupportedError: the removal acts on whole tokens, while only features can move a little.
        """
        given = attribution.scores.where(question.applicable, torch.zeros(()))
        generator = torch.Generator().manual_seed(self.seed)
        change = torch.zeros(len(question.targets))
        for _ in range(question.afford(self.samples, attribution.rows + 1)):
            found, _ = run_method(method, self._moved(question, generator))
            change = change.maximum((found - given).norm(dim=1))
        size = given.norm(dim=1)
        values = change / torch.where(size > 0, size, 1.0)
        notes = (NOTHING,) if bool((size == 0).any()) else ()
        return Score(float(values.mean()), self.higher_is_better, values, definition=self.definition, notes=notes)

    def _moved(self, question: Question, generator: torch.Generator) -> Question:
        if "gradients" not in question.offers:
            raise UnsupportedError(
                f"features are to move a little, and removal={question.removal!r} asks the model about whole tokens; "
                "use removal='mask', 'mean' or 'zero'."
            )
        share: Float[Tensor, "f d"] = 2 * torch.rand(question.x.shape, generator=generator) - 1
        return question.moved(question.x + self.radius * question.spread * share.to(question.x))
