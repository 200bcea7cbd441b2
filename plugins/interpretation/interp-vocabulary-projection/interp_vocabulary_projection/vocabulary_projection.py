"""What the direction of a concept does to the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from interp_core.activations import Activations
from interp_core.concepts import ConceptSpace, Interpretation, LabelledConcept
from interp_core.errors import InputError
from interp_core.model import SplitModel
from interp_core.results import counted
from interp_core.text import Text
from jaxtyping import Float
from torch import Tensor

from interp_vocabulary_projection.directions import directions_of
from interp_vocabulary_projection.output_head import OutputHead
from interp_vocabulary_projection.tokens import Vocabulary, vocabulary_of

SHARE = 0.975  # of random directions, which stay below each of the two chance levels
TINY = 1e-300  # in place of a length of 0


@dataclass(frozen=True)
class VocabularyProjection:
    """Vocabulary projection: the tokens whose logits the direction of a concept raises and lowers.

    The direction is what one unit of the code adds to a state: the row of the dictionary, or the slope of `decode` at
    the mean code of up to 1,024 rows. It is passed through everything that follows the last block, as the derivative of
    the logits along it, at the mean state of the corpus there. The final norm, its gain and the unembedding thus count
    as they are in any model. For LayerNorm with gain g and unembedding W the change is `W (g * (d - mean(d) - x (x·d) /
    n)) / s`, where `x` is the mean state standardised, `s` its standard deviation and `n` the width; for RMSNorm the
    same without the mean; the layers that masked language models have before the unembedding are treated alike. The
    mean over the tokens that are shown is subtracted, since a constant changes no probability.

    Concepts of a lower layer are shown by their direct path, as if they were added to the output of the last block:
    what the blocks in between do with them is not seen, and `token-change` measures it. Concepts of a layer above the
    last block, such as the final norm, enter there.

    The words are the raised tokens, strongest first, then the lowered ones with negative changes, in logits for each
    unit of the code. The label is made of the first raised tokens. The score is how many standard deviations of the
    vocabulary the first token stands out. A note says where random directions of the same length do as much: at least
    one of 40 raises a token by as many logits, and at least one by as many standard deviations.

    The cost is one pass over each of `texts` texts, and one of the head for each concept and random direction. Only
    causal and masked language models with one stack are supported.

    Args:
        top: maximum number of tokens shown as raised, and as lowered; at least 1.
        texts: maximum number of texts, evenly spaced in the corpus, whose mean state is taken; at least 1.
        samples: number of random directions for the note; 0 for none.
        special: show special and unused tokens too.
        seed: random seed of the random directions and of the rows for the mean code, at least 0.

    Raises:
        InputError: a number is out of range.

    Examples:
        >>> import interp_core as interp
        >>> from interp_core.concepts import AffineSpace
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> split = model.split(-1)
        >>> rows = split.activations(["so happy today", "the old cat was sad"])
        >>> happy, sad = model.model.lm_head.weight.detach()[model.tokenizer.convert_tokens_to_ids(["happy", "sad"])]
        >>> space = AffineSpace((happy - sad)[None], (happy - sad)[None])
        >>> found = interp.interpret(space, rows, by="vocabulary-projection", model=split, top=3)
        >>> found[0].words[0][0], "sad" in [word for word, change in found[0].words if change < 0]
        ('happy', True)

    Source:
        Geva et al. 2022, arXiv:2203.14680, section 3, for the projection of a direction; nostalgebraist 2020,
        "interpreting GPT: the logit lens", for the head at other layers. Departs from them in the derivative at the
        mean state, where they leave the final norm out or apply it to a direction as if that were a state.
    """

    top: int = 10
    texts: int = 64
    samples: int = 100
    special: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.top < 1 or self.texts < 1 or min(self.samples, self.seed) < 0:
            raise InputError(
                f"top={self.top} and texts={self.texts} must be at least 1, samples={self.samples} and "
                f"seed={self.seed} at least 0."
            )

    def interpret(self, space: ConceptSpace, activations: Activations, split: SplitModel) -> Interpretation:
        """Find the raised and lowered tokens of every concept of the space.

        Runs the model once on each of `texts` texts, and its head once for each concept and each random direction.

        Returns:
            Words with changes in logits, a label and a score for each concept.

        Raises:
            UnsupportedError: the model predicts no tokens of a vocabulary, or has an encoder and a decoder.
            InputError: the states of the concepts have another width than those of the last block, or a direction is
                not finite.
        """
        head = OutputHead.of(split)
        if space.width != head.layer.width:
            raise InputError(
                f"the directions have width {space.width}, but the output of {head.layer.path!r} has width "
                f"{head.layer.width}; choose a layer that writes to the residual stream, such as a block."
            )
        chosen = self._texts(activations)
        state, directions = head.mean_state(chosen), directions_of(space, activations, self.seed).double()
        if not bool(directions.isfinite().all()):
            concept = int((~directions.isfinite().all(1)).nonzero()[0])
            raise InputError(
                f"the direction of {space.names[concept]!r} holds numbers that are not finite; learn the space again."
            )
        lengths = directions.norm(dim=1)  # in double precision, where no square of a single number is lost
        units = (directions / lengths.clamp(min=TINY)[:, None]).float()
        vocabulary = vocabulary_of(split.model.tokenizer, head.size, special=self.special)
        chance = self._chance(head, state, vocabulary)
        concepts: list[LabelledConcept] = []
        for changes in head.pushed(state, units):
            for row in _centred(changes, vocabulary):
                concepts.append(self._labelled(len(concepts), row, float(lengths[len(concepts)]), vocabulary, chance))
        notes = (
            f"Strengths are logits for each unit of the code, to first order at the mean state of "
            f"{counted(len(chosen), 'text')}, less the mean of all tokens shown.",
            _path_note(split, head),
            vocabulary.left_out,
        )
        return Interpretation(tuple(concepts), notes=tuple(note for note in notes if note))

    def _texts(self, activations: Activations) -> list[Text]:
        count = len(activations.texts)
        places = torch.linspace(0, count - 1, min(self.texts, count)).round().long().unique()
        return [activations.texts[i] for i in places.tolist()]

    def _chance(
        self, head: OutputHead, state: Float[Tensor, " d"], vocabulary: Vocabulary
    ) -> Float[Tensor, " 2"] | None:
        """How far random directions of length one raise their strongest token, as in `_reach`."""
        if not self.samples:
            return None
        drawn = torch.randn(self.samples, len(state), generator=torch.Generator().manual_seed(self.seed))
        unit = drawn / drawn.norm(dim=1, keepdim=True)
        reached = []
        for changes in head.pushed(state, unit):
            shown = _centred(changes, vocabulary)
            reached += [_reach(side) for row in shown for side in (row, -row)]
        return torch.stack(reached).quantile(SHARE, dim=0)

    def _labelled(
        self,
        concept: int,
        changes: Float[Tensor, " s"],  # for a direction of length one
        length: float,
        vocabulary: Vocabulary,
        chance: Float[Tensor, " 2"] | None,
    ) -> LabelledConcept:
        count = min(self.top, len(changes))
        most, least = changes.topk(count), (-changes).topk(count)
        up = [(i, v) for i, v in zip(most.indices.tolist(), most.values.tolist(), strict=True) if v > 0]
        down = [(i, -v) for i, v in zip(least.indices.tolist(), least.values.tolist(), strict=True) if v > 0]
        if not up:
            return LabelledConcept(concept, None, note="its direction moves no token against another.")
        ids = vocabulary.ids.tolist()
        words = tuple((vocabulary.text(ids[i]), change * length) for i, change in (*up, *down))
        raised, lowered = _reach(changes), _reach(-changes)
        note = "" if chance is None else _chance_note(raised, lowered, chance, length)
        return LabelledConcept(
            concept, vocabulary.label(ids[i] for i, _ in up), words, score=float(raised[1]), note=note
        )


def _centred(changes: Float[Tensor, "b v"], vocabulary: Vocabulary) -> Float[Tensor, "b s"]:
    shown = changes[:, vocabulary.ids]
    return shown - shown.mean(1, keepdim=True)


def _reach(centred: Float[Tensor, " s"]) -> Float[Tensor, " 2"]:
    """How far a direction of length one raises its strongest token: in logits, and in standard deviations."""
    most, spread = centred.max(), centred.square().mean().sqrt()
    return torch.stack([most, most / spread.clamp(min=1e-30)])


def _chance_note(
    raised: Float[Tensor, " 2"], lowered: Float[Tensor, " 2"], chance: Float[Tensor, " 2"], length: float
) -> str:
    """A note where random directions raise a token as far, by both measures."""
    if bool((raised > chance).any()):
        return ""
    (logits, deviations), (most_logits, most_deviations) = raised.tolist(), chance.tolist()
    said = (
        f"random directions do as much: its strongest token is up by {logits * length:.2g} logits (a random direction "
        f"of its length: up to {most_logits * length:.2g}) and {deviations:.1f} standard deviations of the vocabulary "
        f"(up to {most_deviations:.1f})."
    )
    return said + (" What it lowers stands out." if bool((lowered > chance).any()) else "")


def _path_note(split: SplitModel, head: OutputHead) -> str:
    if split.path == head.layer.path:
        return ""
    return (
        f"The concepts are of {split.path!r}, and shown by their direct path: added to the output of "
        f"{head.layer.path!r}, without what the blocks between make of them."
    )
