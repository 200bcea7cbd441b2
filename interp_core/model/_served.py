"""The protocol of served models, such as one behind a server, which answer questions by a run of their own."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from interp_core.model._heads import Head


@runtime_checkable
class ServedModel(Protocol):
    """Protocol of a model that `attribute` and `measure` accept although its weights are elsewhere.

    Attributes:
        name: the name of the model.
        head: the type of its head, see `interp_core.model.Head`.
        labels: the names of its classes; empty unless it classifies texts.
        tokens_per_batch: the maximum number of tokens of texts that are prepared together.

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
        """Start a run, in place of a `Session`.

        Args:
            options: the `Options` of the run.

        Returns:
            The run.
        """
        ...
