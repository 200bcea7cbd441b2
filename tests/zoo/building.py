"""Small models with random weights, from the configurations of all families of transformers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto

from zoo.exceptions import HEADLESS, KEPT, MIXED, NO_TEXT, SEES, SIGHT, SPECIAL_SIZES
from zoo.tokenizing import BOS, EOS, KINDS, LONGEST, PAD, VOCABULARY, tokenizer_of

HEADS = {
    "classes": "SEQUENCE_CLASSIFICATION",
    "tags": "TOKEN_CLASSIFICATION",
    "gaps": "MASKED_LM",
    "continuation": "CAUSAL_LM",
    "translation": "SEQ_TO_SEQ_CAUSAL_LM",
    "answer": "QUESTION_ANSWERING",
}
WIDTH, INNER, HEADS_A_LAYER, LAYERS = 32, 48, 2, 2  # two of all that there are several of
MOST_WEIGHTS = 1_300_000
# the names that configurations have for a size
_NAMES: dict[int, str] = {
    VOCABULARY: "vocab_size src_vocab_size tgt_vocab_size decoder_vocab_size vocab_size_per_layer_input",
    WIDTH: "hidden_size d_model n_embd dim emb_dim embedding_size word_embed_proj_dim embed_dim lru_width "
    "attention_hidden_size pooler_hidden_size cross_attention_hidden_size",
    INNER: "intermediate_size ffn_dim d_ff n_inner encoder_ffn_dim decoder_ffn_dim hidden_dim inner_dim d_inner dff "
    "moe_intermediate_size shared_expert_intermediate_size feed_forward_size expert_ffn_hidden_size ffn_hidden_size "
    "intermediate_size_mlp shared_intermediate_size block_ff_dim",
    HEADS_A_LAYER: "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads "
    "num_encoder_attention_heads num_decoder_attention_heads num_key_value_heads n_head_kv num_kv_heads "
    "num_experts_per_tok moe_k moe_top_k top_k_experts num_selected_experts type_vocab_size num_hidden_layers n_layer "
    "n_layers num_layers encoder_layers decoder_layers num_decoder_layers num_encoder_layers num_hidden_layers_decoder",
    WIDTH // HEADS_A_LAYER: "head_dim d_kv attention_head_dim kv_channels d_head v_head_dim q_lora_rank kv_lora_rank "
    "mamba_d_head index_head_dim",
    LONGEST + 8: "max_position_embeddings n_positions max_seq_len n_ctx seq_length",
    1: "n_group topk_group first_k_dense_replace",
    4: "num_experts num_local_experts n_routed_experts moe_num_experts mamba_n_heads mamba_dt_rank index_topk",
    6: "sliding_window attention_window",
    8: "qk_rope_head_dim qk_nope_head_dim mamba_d_state rotary_dim hidden_size_per_layer_input num_buckets "
    "index_n_heads",
    64: "mamba_d_ssm",
}
SIZES = {name: size for size, names in _NAMES.items() for name in names.split()}
IDS = {
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "decoder_start_token_id": EOS,
    "forced_eos_token_id": None,
    "forced_bos_token_id": None,
    "sep_token_id": EOS,
}


class CannotBuildError(Exception):
    """A family that has no small model, and why."""


@dataclass(frozen=True)
class Small:
    """A small model with its tokenizer.

    Attributes:
        family: the `model_type`.
        head: one of `HEADS`.
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        kind: the kind of its tokenizer.
    """

    family: str
    head: str
    model: Any
    tokenizer: Any
    kind: str


def families() -> list[tuple[str, str]]:
    """Each family with each of its heads."""
    found = []
    for head, name in HEADS.items():
        table = getattr(modeling_auto, f"MODEL_FOR_{name}_MAPPING_NAMES")
        # the masked head of a model with two stacks is its translating one
        twice = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES if head == "gaps" else {}
        found += [(f, head) for f in table if (f, head) not in HEADLESS and twice.get(f) != table[f]]
    return sorted(found)


def class_of(family: str, head: str) -> Any:
    name = getattr(modeling_auto, f"MODEL_FOR_{HEADS[head]}_MAPPING_NAMES")[family]
    return getattr(transformers, name)


def built(family: str, head: str) -> Small:
    """A small model.

    Raises:
        CannotBuildError: there is none, and why.
    """
    if family in NO_TEXT:
        raise CannotBuildError(NO_TEXT[family])
    parts = CONFIG_MAPPING[family].sub_configs
    if family not in MIXED and any(sight in part for part in parts for sight in SIGHT):
        raise CannotBuildError(SEES)
    number = zlib.crc32(f"{family} {head}".encode())
    try:
        config = small_config(family)
    except Exception as error:
        raise CannotBuildError(_why(error)) from error
    if head == "translation" and not getattr(config, "is_encoder_decoder", False):
        raise CannotBuildError(SEES)
    if head in ("classes", "tags"):
        config.num_labels = 3
    if head == "continuation" and hasattr(config, "is_decoder"):
        config.is_decoder = True
    if getattr(config, "is_encoder_decoder", False):
        config.decoder_start_token_id = EOS
    maker = class_of(family, head)
    check_size(maker, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number % 2**31)
        try:
            model = maker(config)
        except Exception as error:
            raise CannotBuildError(_why(error)) from error
        spread(model)
    special = "gpt" if head == "continuation" else "bert"
    if head != "continuation" and getattr(config, "is_encoder_decoder", False):
        special = "t5"
    special = {"xlnet": "xlnet", "longformer": "roberta"}.get(family, special)
    kind = KINDS[number % len(KINDS)]
    small = Small(family, head, model.eval(), tokenizer_of(kind, special), kind)
    ids = torch.tensor([[BOS, *range(5, 12), EOS, EOS, *range(6, 12), EOS]])
    with torch.no_grad():
        try:
            both = {"decoder_input_ids": ids} if head == "translation" else {}
            model(input_ids=ids, **both)
        except Exception as error:
            raise CannotBuildError(_why(error)) from error
    return small


def _why(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "needs a library that is not installed"
    return f"no small sizes were found with which it runs ({type(error).__name__})"


def check_size(maker: Any, config: Any) -> None:
    """Raise if the general rule left something large."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        try:
            model = maker(config)
        except Exception:  # some cannot be built there
            return
    count = sum(p.numel() for p in model.parameters())
    if count > MOST_WEIGHTS:
        raise CannotBuildError("no small sizes were found")


def small_config(family: str) -> Any:
    """The configuration of a family with all its sizes small."""
    if family == "encoder-decoder":
        stacks = small_config("bert"), small_config("bert-generation")
        return transformers.EncoderDecoderConfig.from_encoder_decoder_configs(*stacks)
    kind = CONFIG_MAPPING[family]
    return _shrunk(kind, SPECIAL_SIZES.get(family, {}))


def _shrunk(kind: Any, special: dict[str, Any]) -> Any:
    default = kind()
    sizes: dict[str, Any] = {}
    layers = special.get("num_hidden_layers", LAYERS)
    subs = getattr(kind, "sub_configs", {})
    mapped = {v: k for k, v in getattr(kind, "attribute_map", {}).items()}
    for name, value in {**vars(default), **{n: getattr(default, n, None) for n in mapped}}.items():
        if name in KEPT or name in subs:
            continue
        if name in SIZES and value is not None and not isinstance(value, list | tuple | dict):
            sizes[name] = SIZES[name]
        elif name in IDS and (value is not None or name in ("pad_token_id", "eos_token_id", "bos_token_id")):
            sizes[name] = IDS[name]
        elif name in ("layer_types", "mlp_layer_types", "layers_block_type") and isinstance(value, list):
            kinds = list(dict.fromkeys(value))
            sizes[name] = [kinds[i % len(kinds)] for i in range(layers)]
    for name in subs:
        part = getattr(default, name, None)
        if isinstance(part, transformers.PreTrainedConfig):
            sizes[name] = _shrunk(type(part), special.get(name, {}))
    sizes.update({k: v for k, v in special.items() if k not in subs})
    sizes = {k: v for k, v in sizes.items() if v is not None or k not in special}
    return kind(**sizes)


def spread(model: Any) -> None:
    """Weights that make each word matter: those that come with a model are so small that all scores are alike."""
    for name, weight in model.named_parameters():
        if not weight.is_floating_point() or "A_log" in name:
            continue
        if weight.ndim >= 2:
            table = "embed" in name or name.endswith(("wte.weight", "wpe.weight"))
            inward = (
                4.0
                if table or not weight.numel()
                else max(1, weight[0].numel())
                if weight.ndim == 2
                else weight.shape[-1]
            )
            weight.data.normal_(0, 1.2 * float(inward) ** -0.5)
        else:
            weight.data.add_(torch.randn_like(weight), alpha=0.1)
