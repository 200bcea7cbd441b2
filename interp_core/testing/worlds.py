"""Planted worlds: questions, models, activations and corpora whose right answers are known."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from interp_core.activations import Activations, of_rows
from interp_core.concepts import ConceptSpace
from interp_core.model import TextModel
from interp_core.question import Question, ask
from jaxtyping import Float
from torch import Tensor, nn

WORDS = tuple(
    [
        "i",
        "feel",
        "so",
        "very",
        "happy",
        "sad",
        "angry",
        "glad",
        "and",
        "or",
        "but",
        "today",
        "when",
        "the",
        "a",
        "day",
        "night",
        "sun",
        "rain",
        "cat",
        "dog",
        "house",
        "road",
        "tree",
        "was",
        "is",
        "not",
        "never",
        "always",
        "good",
        "bad",
        "calm",
        "tired",
        "old",
        "new",
        "red",
        "blue",
        "warm",
        "cold",
    ]
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def linear_world(
    seed: int = 0, units: int = 8, targets: int = 2, width: int = 3
) -> tuple[Question, Float[Tensor, "k u"]]:
    """A question whose scores are linear in the features, and what each unit contributes to each target."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(targets, units, width, generator=generator, dtype=torch.float64).float()
    x = torch.randn(units, width, generator=generator)
    question = ask(lambda v: torch.einsum("pfd,kfd->pk", v, weight) + 0.5, x, names=[f"w{i}" for i in range(units)])
    return question, (weight * x).sum(-1)


def tangled_world(seed: int = 0, units: int = 14, targets: int = 2) -> Question:
    """A smooth question in which the units interact."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(2 * units, 16, generator=generator) / units**0.5
    second = torch.randn(16, targets, generator=generator)
    x = torch.randn(units, 2, generator=generator)
    return ask(lambda v: torch.tanh(v.flatten(1) @ first) @ second, x)


def word_tokenizer() -> Any:
    """A fast tokenizer of whole words, made in memory."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    inner = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=32, **names)


def tiny_classifier(seed: int = 0, labels: int = 3, **config: Any) -> TextModel:
    """A BERT of random weights, made from a config: 2 blocks of width 16."""
    import transformers

    return _tiny(
        transformers.BertForSequenceClassification,
        transformers.BertConfig(
            **{**_SIZES, "num_labels": labels, "pad_token_id": 0, "initializer_range": 0.5, **config}
        ),
        seed,
    )


def tiny_generator(seed: int = 0, **config: Any) -> TextModel:
    """A GPT-2 of random weights, made from a config: 2 blocks of width 16."""
    import transformers

    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": len(SPECIAL) + len(WORDS)}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "initializer_range": 0.5}
    return _tiny(transformers.GPT2LMHeadModel, transformers.GPT2Config(**{**sizes, **ids, **config}), seed)


_SIZES = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def _tiny(maker: Any, config: Any, seed: int) -> TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker(config)
    return TextModel(model.eval(), word_tokenizer())


class _BagOfWords(nn.Module):
    """Logits are sums of what each word is worth: the answers of every sound method are known."""

    def __init__(self, worth: Float[Tensor, "v k"]) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(worth.clone(), freeze=False)
        self.config = _Config(num_labels=worth.shape[1])

    def get_input_embeddings(self) -> nn.Module:
        """Where the ids become vectors."""
        words: nn.Module = self.words
        return words

    def forward(self, input_ids: Tensor, attention_mask: Tensor, return_dict: bool = True) -> dict[str, Tensor]:
        worth: Tensor = self.words(input_ids)
        return {"logits": (worth * attention_mask[:, :, None]).sum(1)}


class _Config:
    def __init__(self, num_labels: int) -> None:
        self.num_labels = num_labels
        self.id2label = {i: f"class {i}" for i in range(num_labels)}
        self.pad_token_id = 0
        self.num_hidden_layers = 0


def planted_model(worth: dict[str, tuple[float, ...]]) -> TextModel:
    """A classifier to whose logits each word adds what it is worth; other words, and the mask, nothing."""
    classes = len(next(iter(worth.values())))
    table = torch.zeros(len(SPECIAL) + len(WORDS), classes)
    for word, values in worth.items():
        table[len(SPECIAL) + WORDS.index(word)] = torch.tensor(values)
    return TextModel(_BagOfWords(table).eval(), word_tokenizer())


class PlantedSpace(ConceptSpace):
    """A dictionary of orthonormal directions with the codes that were planted: project, take off what is below the
    threshold.
    """

    offset: Tensor

    def __init__(self, dictionary: Float[Tensor, "c d"], offset: Float[Tensor, " d"]) -> None:
        super().__init__(dictionary)
        self.register_buffer("offset", offset)

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        codes: Tensor = (values - self.offset) @ self.dictionary.T
        return torch.where(codes > 0.3, codes, torch.zeros_like(codes))

    def decode(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        return codes @ self.dictionary + self.offset


class MixedSpace(PlantedSpace):
    """The planted space with its codes mixed up by a rotation: what a wrong answer looks like."""

    def encode(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        noise = torch.randn(self.concepts, self.concepts, generator=torch.Generator().manual_seed(1))
        return super().encode(values) @ torch.linalg.qr(noise).Q


def dictionary_world(
    seed: int = 0, rows: int = 800, concepts: int = 5, width: int = 12
) -> tuple[Activations, PlantedSpace]:
    """Rows made of a few orthonormal directions, each active now and then by a positive amount, with a little noise.

    The directions differ in how strong they are, so that methods which order by variance can tell them apart as well.
    """
    generator = torch.Generator().manual_seed(seed)
    dictionary = torch.linalg.qr(torch.randn(width, concepts, generator=generator)).Q.T.contiguous()
    active = torch.rand(rows, concepts, generator=generator) < 0.25
    codes = active * (0.6 + torch.rand(rows, concepts, generator=generator)) * torch.linspace(1.0, 3.0, concepts)
    noise = 0.02 * torch.randn(rows, width, generator=generator)
    labels = codes.argmax(1)
    activations = of_rows(
        codes @ dictionary + noise, labels=labels, class_names=tuple(f"class {i}" for i in range(concepts))
    )
    return activations, PlantedSpace(dictionary, torch.zeros(width))


TOPICS = (("sun", "rain", "warm", "cold"), ("cat", "dog", "tree", "house"), ("happy", "glad", "calm", "good"))


def topic_world(seed: int = 0, texts: int = 120) -> tuple[Activations, PlantedSpace]:
    """Texts of filler with one word of one topic each, and activations that say which topic it is."""
    dice = random.Random(seed)
    corpus, rows = [], []
    for i in range(texts):
        topic = i % len(TOPICS)
        words = [
            "i",
            "feel",
            dice.choice(["so", "very"]),
            dice.choice(TOPICS[topic]),
            "and",
            dice.choice(["today", "a", "the"]),
        ]
        corpus.append(" ".join(words))
        rows.append([float(topic == j) * (1 + 0.1 * dice.random()) for j in range(len(TOPICS))])
    space = PlantedSpace(torch.eye(len(TOPICS)), torch.zeros(len(TOPICS)))
    return of_rows(torch.tensor(rows), corpus), space


@dataclass(frozen=True)
class TopicLLM:
    """A language model for tests: it answers with the topic words of its last message, most frequent first."""

    def generate(self, messages: list[dict[str, str]]) -> str:
        """The two topic words that are said most often."""
        said = "".join(c if c.isalpha() else " " for c in messages[-1]["content"].lower()).split()
        known = [word for topic in TOPICS for word in topic]
        ranked = sorted((w for w in known if w in said), key=lambda w: -said.count(w))
        return " ".join(ranked[:2]) or "none"

    def generate_all(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        """An answer for each."""
        return [self.generate(messages) for messages in conversations]


def state_of(model: TextModel) -> str:
    """A digest of all that must not change: weights, buffers, flags, hooks, tokenizer, and the global random states."""
    digest = hashlib.sha256()
    for name, tensor in (*model.model.named_parameters(), *model.model.named_buffers()):
        digest.update(f"{name} {tensor.requires_grad} {tensor.device} {tensor.dtype} {tensor.grad is None}".encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    for name, module in model.model.named_modules():
        hooks = [len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks)]
        digest.update(f"{name} {module.training} {hooks} {'forward' in module.__dict__}".encode())
    config = (
        model.config.to_json_string(use_diff=False)
        if hasattr(model.config, "to_json_string")
        else str(vars(model.config))
    )
    digest.update(config.encode())
    digest.update(torch.get_rng_state().numpy().tobytes() + repr(random.getstate()).encode())
    digest.update(
        repr(np.random.get_state()).encode() + f"{torch.is_grad_enabled()} {torch.get_default_dtype()}".encode()
    )
    return digest.hexdigest()


def unit_spans(activations: Activations, text: str) -> set[tuple[int, int]]:
    """The characters of all units that the corpus has for a text."""
    pairs = zip(activations.texts, activations.units, strict=True)
    return {(unit.start, unit.stop) for own, units in pairs if own == text for unit in units}
