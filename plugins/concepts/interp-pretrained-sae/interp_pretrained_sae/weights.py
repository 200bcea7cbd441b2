"""Weights as files hold them, checked, and the identities that bring all autoencoders to one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interp_core.errors import InputError
from jaxtyping import Float
from torch import Tensor

SHORTEST = 1e-8  # length of a direction that is divided by


def checked(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], kind: str) -> dict[str, Tensor]:
    """The weights in float32.

    Args:
        weights: of a file, by name.
        shapes: what is expected, by name.
        kind: what it is, for messages.

    Raises:
        InputError: a tensor is missing, of another shape, or unknown, so that it would be left out.
    """
    missing, unknown = sorted(shapes.keys() - weights.keys()), sorted(weights.keys() - shapes.keys())
    if missing or unknown:
        raise InputError(
            f"a {kind} has the tensors {', '.join(sorted(shapes))}; this file lacks {', '.join(missing) or 'none'} and "
            f"has {', '.join(unknown) or 'none'} beside them, so that it cannot be read as one."
        )
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise InputError(f"{name} of this {kind} is {tuple(weights[name].shape)}; {shape} was expected.")
    return {name: weights[name].float() for name in shapes}


def size_of(weights: Mapping[str, Tensor], names: Iterable[str], kind: str) -> tuple[int, int]:
    """The two sides of the first of some matrices that is there.

    Raises:
        InputError: none is there, or it is not a matrix.
    """
    tensor = next((weights[name] for name in names if name in weights), None)
    if tensor is None or tensor.ndim != 2:
        raise InputError(
            f"{kind} needs a matrix called {' or '.join(names)}; this file has {', '.join(sorted(weights))}."
        )
    return int(tensor.shape[0]), int(tensor.shape[1])


def by_length(
    encoder: Float[Tensor, "l d"], bias: Float[Tensor, " l"], dictionary: Float[Tensor, "l d"]
) -> tuple[Float[Tensor, "l d"], Float[Tensor, " l"], Float[Tensor, "l d"]]:
    """The same autoencoder with directions of length 1: their lengths go into the codes."""
    length = dictionary.norm(dim=1).clamp(min=SHORTEST)
    return encoder * length[:, None], bias * length, dictionary / length[:, None]


def of_gate(
    encoder: Float[Tensor, "l d"], gain: Float[Tensor, " l"], magnitude: Float[Tensor, " l"], gate: Float[Tensor, " l"]
) -> tuple[Float[Tensor, "l d"], Float[Tensor, " l"], Float[Tensor, " l"]]:
    """The encoder, bias and threshold with which a JumpReLU does what a gate does.

    The gate is open where e·x + gate > 0, and the code is then eᵍ e·x + magnitude: it is open where what would be the
    code is above magnitude - eᵍ gate.

    Args:
        encoder: the gate's.
        gain: g, the logarithm of how much more the magnitude reads.
        magnitude: bias of the code.
        gate: bias of the gate.

    Source:
        Rajamanoharan et al. 2024, arXiv:2404.16014, section 3.2 (weights tied).
    """
    more = gain.exp()
    return encoder * more[:, None], magnitude, magnitude - more * gate
