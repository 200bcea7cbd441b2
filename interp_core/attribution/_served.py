"""Which run asks the questions about a model: one of its own, if it is served elsewhere."""

from __future__ import annotations

from typing import Any, cast

from interp_core.attribution._options import Options
from interp_core.attribution._session import Session
from interp_core.model import ServedModel, WrappedModel


def session_of(model: Any, options: Options | None = None, *, pointwise: bool = False) -> Session:
    """A run of a model over texts: of a `ServedModel` its own, of any other one a `Session`.

    Args:
        model: the model.
        options: the options of the run; the defaults of `Options` if None.
        pointwise: every question is about the scores and slopes at the text alone, see `Session`.

    Returns:
        The run.

    Raises:
        InputError: the model is neither a `TextModel` nor a `ServedModel`, or has no layer `options.layer`.
        UnsupportedError: a served model does not offer what the options ask for.

    Examples:
        >>> from interp_core.attribution import Options, session_of
        >>> from interp_core.testing import planted_model
        >>> session_of(planted_model({"happy": (3.0, -1.0)}), Options(progress=False)).cost.rows
        0
    """
    if not isinstance(model, WrappedModel) and isinstance(model, ServedModel):
        return cast(Session, model.session(options or Options()))
    return Session(model, options, pointwise=pointwise)
