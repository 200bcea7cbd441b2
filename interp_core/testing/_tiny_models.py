"""Tiny models made from configs, a planted one whose answers are known, and the digest of all that must not change."""

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
    """A fast tokenizer of whole words, made in memory."""
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
    """A BERT of random weights, made from a config: 2 blocks of width 16."""
    import transformers

    return _tiny(
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**{**_BERT, "num_labels": labels, **config}),
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
_BERT = {**_SIZES, "pad_token_id": 0, "initializer_range": 0.5}


def tiny_llama(seed: int = 0, **config: Any) -> TextModel:
    """A LLaMA of random weights with grouped queries."""
    import transformers

    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "num_key_value_heads": 1, "initializer_range": 0.5}
    return _tiny(transformers.LlamaForCausalLM, transformers.LlamaConfig(**{**_SIZES, **ids, **config}), seed)


def tiny_filler(seed: int = 0, **config: Any) -> TextModel:
    """A masked language model, a BERT of random weights."""
    import transformers

    return _tiny(transformers.BertForMaskedLM, transformers.BertConfig(**{**_BERT, **config}), seed)


def tiny_tagger(seed: int = 0, tags: tuple[str, ...] = ("O", "LOC", "PER"), **config: Any) -> TextModel:
    """A model that labels tokens, a BERT of random weights."""
    import transformers

    names = {"id2label": dict(enumerate(tags)), "label2id": {tag: i for i, tag in enumerate(tags)}}
    return _tiny(transformers.BertForTokenClassification, transformers.BertConfig(**{**_BERT, **names, **config}), seed)


def tiny_extractor(seed: int = 0, **config: Any) -> TextModel:
    """A model that finds the answer in a context, a BERT of random weights."""
    import transformers

    return _tiny(transformers.BertForQuestionAnswering, transformers.BertConfig(**{**_BERT, **config}), seed)


def tiny_translator(kind: str = "bart", seed: int = 0, **config: Any) -> TextModel:
    """An encoder and a decoder of random weights, of the shape of BART or T5."""
    import transformers

    ids = {"pad_token_id": 0, "eos_token_id": 3, "vocab_size": _SIZES["vocab_size"], "d_model": 16}
    if kind == "t5":
        sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
        made = transformers.T5Config(**{**ids, **sizes, "initializer_factor": 1.5, **config})
        return _tiny(transformers.T5ForConditionalGeneration, made, seed)
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


def state_of(model: TextModel) -> str:
    """A digest of all that must not change: weights, buffers, flags, hooks, configuration, random states.

    The tokenizer is not among it: a `TextModel` works with a copy of its own.
    """
    digest = hashlib.sha256()
    for name, tensor in (*model.model.named_parameters(), *model.model.named_buffers()):
        digest.update(f"{name} {tensor.requires_grad} {tensor.device} {tensor.dtype} {tensor.grad is None}".encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    for name, module in model.model.named_modules():
        hooks = [[id(h) for h in held.values()] for held in (module._forward_hooks, module._forward_pre_hooks)]
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
