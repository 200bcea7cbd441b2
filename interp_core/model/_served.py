"""Models that are not here, such as one behind a server: they ask the questions about their texts themselves."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from interp_core.model._heads import Head


@runtime_checkable
class ServedModel(Protocol):
    """A model that `attribute` and `measure` take although no module of it is here.

    Attributes:
        name: the name of the model.
        head: what it answers, see `interp_core.model.Head`.
        labels: the names of its classes; empty unless it classifies texts.
        tokens_per_batch: the most tokens of texts that are prepared together.

    Examples:
        >>> from interp_core.model import ServedModel
        >>> from interp_core.testing import tiny_generator
        >>> isinstance(interp.RemoteModel("http://localhost:8000/v1", "my-model"), ServedModel)
        True
        >>> isinstance(tiny_generator(), ServedModel)
        False
    """

    name: str
    head: Head
    labels: tuple[str, ...]
    tokens_per_batch: int

    def session(self, options: Any) -> Any:
        """The run that asks its questions: a `Session` of its own.

        Args:
            options: the `Options` of the run.
        """
        ...
