"""What the general rule of `building` does not know: families without a small model for text, and special sizes."""

from __future__ import annotations

from typing import Any

SEES = "reads images or audio beside text"
PAGES = "reads the layout of a page beside text"
TABLES = "reads tables, which need the tokenizer of its own"
PIECES = "is a part of a larger model, and does not run alone"
_SEEING = (
    "dots3_note emu3 fuyu gemma3n git got_ocr2 layoutlmv2 layoutlmv3 llama4 lxmert mllama modernvbert moshi musicgen "
    "musicgen_melody neomme perceiver phi4_multimodal qwen2_audio seamless_m4t seamless_m4t_v2 trocr ultravbert whisper"
)
NO_TEXT: dict[str, str] = {
    **dict.fromkeys(_SEEING.split(), SEES),
    "mra": "needs kernels for a GPU, without which its attention is zero",
    "bros": PAGES,
    "t5gemma2": SEES,
    "markuplm": "reads the tree of a page beside text",
    "tapas": TABLES,
    "gemma4_assistant": PIECES,
    "gemma4_unified_assistant": PIECES,
    "blt": "has patches of bytes with tables of millions of hashes, so that no small model stands for it",
    "cpmant": "takes prompts of its own, made by a tokenizer of its own",
}
SIGHT = ("vision", "audio", "speech", "image", "vq_")  # in the name of a part's configuration: not a text model
MIXED = {"gemma3"}  # although it can also see

HYBRID = {"layers_block_type": None, "layer_types": None}  # follows from other settings
FULL = {"layer_types": ["full_attention", "full_attention"]}
MLA = {"head_dim": 8}
SMALL_SIGHT = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "image_size": 28,
}
SPECIAL_SIZES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "deepseek_v3", "youtu", "mistral4", "deepseek_v32", "glm_moe_dsa"), MLA),
    **{family: {"head_dim": 16, "layer_types": FULL["layer_types"]} for family in ("ministral",)},
    **{family: {"head_dim": 16} for family in ("hunyuan_v1_dense", "hunyuan_v1_moe")},
    "bamba": {**HYBRID, "attn_layer_indices": [1]},
    "falcon_h1": HYBRID,
    "jamba": {**HYBRID, "attn_layer_period": 2, "attn_layer_offset": 1},
    "codegen": {"n_head": 4},
    "ctrl": {"dff": 48},
    "deepseek_v2": {"head_dim": 8, "num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "esm": {"vocab_size": 272},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 6, "attention_layers": None},
    "kimi_linear": {"linear_attn_config": None},
    "led": {"max_encoder_position_embeddings": 128, "max_decoder_position_embeddings": 128, "attention_window": [6, 6]},
    "longformer": {"max_position_embeddings": 130, "attention_window": [6, 6]},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 16},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8},
    "mobilebert": {
        "embedding_size": 32,
        "true_hidden_size": 32,
        "intra_bottleneck_size": 32,
        "num_feedforward_networks": 2,
    },
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "lilt": {"channel_shrink_ratio": 2},
    "xmod": {"default_language": "en_XX"},
    "reformer": {
        "hash_seed": 0,
        "is_decoder": False,
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 16],
        "attn_layers": ["local", "lsh"],
        "feed_forward_size": 32,
        "attention_head_size": 16,
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "num_buckets": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": 128,
    },
    "roc_bert": {
        "shape_vocab_size": 272,
        "pronunciation_vocab_size": 272,
        "shape_embed_dim": 8,
        "pronunciation_embed_dim": 8,
    },
    "qwen3_next": {
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    },
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "recurrent_gemma": {**HYBRID, "block_types": ["recurrent", "attention"], "attention_window_size": 6},
    "zaya": {"num_experts_per_tok": 1},
    "zamba": {
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "num_hidden_layers": 4,
        "layer_types": None,
        "attention_head_dim": 32,
        "attention_hidden_size": 64,
    },
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "num_hidden_layers": 4,
        "layer_types": None,
        "mamba_headdim": 16,
        "n_mamba_heads": 4,
        "attention_head_dim": 32,
        "attention_hidden_size": 64,
    },
    "mimo_v2_flash": {"rope_parameters": None},
    "gemma3": {"vision_config": SMALL_SIGHT},
}
HEADLESS: set[tuple[str, str]] = set()
KEPT: set[str] = set()
