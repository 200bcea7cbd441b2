"""Tiny models with random weights, a planted model with known answers, and a digest of the state of a model."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch
from interp_core.model import TextModel
from jaxtyping import Float
from torch import Tensor, nn

WORDS = tuple(
    "i feel so very happy sad angry glad and or but today when the a day night sun rain cat dog house road tree was is "  # noqa: SIM905
    "not never always good bad calm tired old new red blue warm cold".split()
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_tokenizer() -> Any:
    """Make a fast tokenizer of 39 lower-case words, in memory; other words are `[UNK]`.

    Returns:
        A `transformers.PreTrainedTokenizerFast` for texts of at most 32 tokens, with BERT's special tokens.

    Examples:
        >>> from interp_core.testing import word_tokenizer
        >>> tokenizer = word_tokenizer()
        >>> tokenizer.convert_ids_to_tokens(tokenizer("So happy, cat")["input_ids"])
        ['[CLS]', 'so', 'happy', '[UNK]', 'cat', '[SEP]']
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    inner = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    kinds = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=32, model_input_names=kinds, **names)


def tiny_classifier(seed: int = 0, labels: int = 3, **config: Any) -> TextModel:
    """Make a text classifier: a BERT with random weights and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        labels: the number of classes.
        **config: values for the `BertConfig`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_classifier
        >>> tiny_classifier(labels=2).labels
        ('LABEL_0', 'LABEL_1')
    """
    import transformers

    return _tiny(
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**{**_BERT, "num_labels": labels, **config}),
        seed,
    )


def tiny_generator(seed: int = 0, **config: Any) -> TextModel:
    """Make a causal language model: a GPT-2 with random weights and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        **config: values for the `GPT2Config`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_generator
        >>> model = tiny_generator()
        >>> model.head, model.blocks
        ('causal', ('transformer.h.0', 'transformer.h.1'))
    """
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
_BERT = {**_SIZES, "pad_token_id": 0, "initializer_range": 0.5}


def tiny_llama(seed: int = 0, **config: Any) -> TextModel:
    """Make a causal language model: a LLaMA with random weights, grouped-query attention and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        **config: values for the `LlamaConfig`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_llama
        >>> tiny_llama().blocks
        ('model.layers.0', 'model.layers.1')
    """
    import transformers

    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "num_key_value_heads": 1, "initializer_range": 0.5}
    return _tiny(transformers.LlamaForCausalLM, transformers.LlamaConfig(**{**_SIZES, **ids, **config}), seed)


def tiny_filler(seed: int = 0, **config: Any) -> TextModel:
    """Make a masked language model: a BERT with random weights and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        **config: values for the `BertConfig`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_filler
        >>> (attribution,) = interp.attribute(
        ...     tiny_filler(), "so [MASK] today", by="occlusion", targets="happy", progress=False
        ... )
        >>> attribution.words  # the gap is not a unit
        ['so', 'today']
    """
    import transformers

    return _tiny(transformers.BertForMaskedLM, transformers.BertConfig(**{**_BERT, **config}), seed)


def tiny_tagger(seed: int = 0, tags: tuple[str, ...] = ("O", "LOC", "PER"), **config: Any) -> TextModel:
    """Make a tagger (token classifier): a BERT with random weights and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        tags: the names of the tags.
        **config: values for the `BertConfig`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_tagger
        >>> model = tiny_tagger()
        >>> model.head, model.tags
        ('tokens', ('O', 'LOC', 'PER'))
    """
    import transformers

    names = {"id2label": dict(enumerate(tags)), "label2id": {tag: i for i, tag in enumerate(tags)}}
    return _tiny(transformers.BertForTokenClassification, transformers.BertConfig(**{**_BERT, **names, **config}), seed)


def tiny_extractor(seed: int = 0, **config: Any) -> TextModel:
    """Make a model for extractive question answering: a BERT with random weights and 2 blocks of width 16.

    Args:
        seed: the seed of the weights; the global random state is not changed.
        **config: values for the `BertConfig`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_extractor
        >>> pair = ("was the dog sad", "the old dog was never calm")
        >>> (attribution,) = interp.attribute(
        ...     tiny_extractor(), [pair], by="occlusion", targets="never calm", progress=False
        ... )
        >>> attribution.targets[0].label, [part.label for part in attribution.targets[0].parts]
        ('never calm', ['start', 'stop'])
    """
    import transformers

    return _tiny(transformers.BertForQuestionAnswering, transformers.BertConfig(**{**_BERT, **config}), seed)


def tiny_translator(kind: str = "bart", seed: int = 0, **config: Any) -> TextModel:
    """Make an encoder-decoder generator: a BART or T5 with random weights and 2 blocks of width 16 in each stack.

    Args:
        kind: `"bart"` or `"t5"`.
        seed: the seed of the weights; the global random state is not changed.
        **config: values for the `BartConfig` or `T5Config`.

    Returns:
        The model with the tokenizer of `word_tokenizer`.

    Examples:
        >>> from interp_core.testing import tiny_translator
        >>> model = tiny_translator("t5")
        >>> (attribution,) = interp.attribute(
        ...     model, "so happy", by="occlusion", targets="good day", progress=False
        ... )
        >>> attribution.words, len(attribution.targets)
        (['so', 'happy', 'good', 'day'], 2)
    """
    import transformers

    ids = {"pad_token_id": 0, "eos_token_id": 3, "vocab_size": _SIZES["vocab_size"], "d_model": 16}
    if kind == "t5":
        sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
        t5 = transformers.T5Config(**{**ids, **sizes, "initializer_factor": 1.5, **config})
        return _tiny(transformers.T5ForConditionalGeneration, t5, seed)
    both = {"layers": 2, "attention_heads": 2, "ffn_dim": 32}
    both_sizes = {f"{stack}_{name}": size for stack in ("encoder", "decoder") for name, size in both.items()}
    more = {"max_position_embeddings": 32, "decoder_start_token_id": 3, "bos_token_id": 2, "init_std": 0.5}
    bart = transformers.BartConfig(**{**ids, **both_sizes, **more, "forced_eos_token_id": None, **config})
    return _tiny(transformers.BartForConditionalGeneration, bart, seed)


def _tiny(maker: Any, config: Any, seed: int) -> TextModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker(config)
    return TextModel(model.eval(), word_tokenizer())


class _BagOfWords(nn.Module):
    """The logits are sums of what each word is worth, so that the right attributions are known."""

    def __init__(self, worth: Float[Tensor, "v k"]) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(worth.clone(), freeze=False)
        self.config = _Config(num_labels=worth.shape[1])

    def get_input_embeddings(self) -> nn.Module:
        """The module that maps ids to vectors."""
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
    """Make a bag-of-words classifier with given weights, so that the correct attributions are known.

    Args:
        worth: for each word, what it adds to the logits, one number for each class. Other words and the mask token add
            nothing; all words must be in the vocabulary of `word_tokenizer`.

    Returns:
        The model, with the classes `class 0`, `class 1`, … It has no blocks.

    Examples:
        >>> from interp_core.testing import planted_model
        >>> model = planted_model({"happy": (3.0, -1.0), "sad": (-2.0, 2.0)})
        >>> (attribution,) = interp.attribute(
        ...     model, "happy not sad", by="occlusion", targets="class 0", progress=False
        ... )
        >>> attribution.scores
        tensor([[ 3.,  0., -2.]])
    """
    classes = len(next(iter(worth.values())))
    table = torch.zeros(len(SPECIAL) + len(WORDS), classes)
    for word, values in worth.items():
        table[len(SPECIAL) + WORDS.index(word)] = torch.tensor(values)
    return TextModel(_BagOfWords(table).eval(), word_tokenizer())


def state_of(model: TextModel) -> str:
    """Compute a digest of what a call must not change: weights, buffers, flags, hooks, configuration, random states.

    The tokenizer is not included, since a `TextModel` works with its own copy.

    Args:
        model: the model.

    Returns:
        A SHA-256 digest in hexadecimal; equal if nothing has changed.

    Examples:
        >>> from interp_core.testing import state_of, tiny_classifier
        >>> model = tiny_classifier()
        >>> before = state_of(model)
        >>> attributions = interp.attribute(model, "so happy", by="occlusion", progress=False)
        >>> state_of(model) == before
        True
        >>> _ = model.model.train()
        >>> state_of(model) == before
        False
    """
    digest = hashlib.sha256()
    for name, tensor in (*model.model.named_parameters(), *model.model.named_buffers()):
        digest.update(f"{name} {tensor.requires_grad} {tensor.device} {tensor.dtype} {tensor.grad is None}".encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    for name, module in model.model.named_modules():
        hooks = [[id(h) for h in kind.values()] for kind in (module._forward_hooks, module._forward_pre_hooks)]
        own = id(module.__dict__.get("forward")), len(module._backward_hooks)
        digest.update(f"{name} {module.training} {hooks} {own}".encode())
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
