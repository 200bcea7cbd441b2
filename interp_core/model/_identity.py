"""What a model is known by when a run is resumed."""

from __future__ import annotations

from typing import Any

from interp_core.model._served import ServedModel
from interp_core.model._wrapped_model import WrappedModel

NUMBERS = 64


def identity_of(model: WrappedModel | ServedModel) -> tuple[dict[str, Any], list[float]]:
    """What a model is known by when a run is resumed.

    Args:
        model: the model.

    Returns:
        Settings on which results depend, as JSON values, its name among them; and some numbers that it gives for a
        fixed text, which tell its weights from others. Of a served model the name alone.

    Examples:
        >>> from interp_core.model import identity_of
        >>> from interp_core.testing import planted_model
        >>> settings, sample = identity_of(planted_model({"happy": (2.0, 0.0)}))
        >>> settings["model"], len(sample)
        ('_BagOfWords', 2)
    """
    if not isinstance(model, WrappedModel):
        return {"model": model.name}, []
    settings = {
        "model": model.name,
        "dtype": str(model.dtype),
        "max_tokens": model.max_tokens,
        "tokens_per_batch": model.budget_asked,
        **model.how_it_runs,
    }
    return settings, model.logits(model.some_ids()).flatten()[-NUMBERS:].float().tolist()
