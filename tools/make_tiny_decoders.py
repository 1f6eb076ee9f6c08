#!/usr/bin/env python3
"""Make small decoders with random weights, and what transformers computes with them, for tools/check_decoders.py.

ChatGLM is no part of transformers: its models are those of another type that computes the same, with their tensors and their configuration renamed.

    python3 tools/make_tiny_decoders.py OUT [NAME ...]

Needs torch and transformers (pip install torch transformers), which nothing else here does. Writes a folder per model below OUT: config.json,
model.safetensors in bf16, golden.npz (`ids`, `logits` of every position in fp32, `greedy16`, the tokens that follow)."""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
    bos_token_id=1, eos_token_id=2, pad_token_id=0, head_dim=8)
GPT2 = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)


def rope(kind, theta=10000.0, **settings):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **settings))


YARN = dict(factor=4.0, original_max_position_embeddings=16)
GROUPED = dict(n_routed_experts=8, n_shared_experts=2, n_group=4, topk_group=2, num_experts_per_tok=3, moe_intermediate_size=20, first_k_dense_replace=1)
LATENT = dict(q_lora_rank=16, kv_lora_rank=12, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, num_key_value_heads=4, head_dim=4)

# Name: model type, what differs from COMMON; of ChatGLM also what its configuration says beyond what `as_chatglm` does.
MODELS = {
    "llama-head": ("llama", dict(head_dim=12)),
    "llama-biases": ("llama", dict(attention_bias=True, mlp_bias=True, hidden_act="gelu")),
    "llama-tied": ("llama", dict(hidden_act="relu", tie_word_embeddings=True)),
    "llama-linear": ("llama", rope("linear", 100.0, factor=3.0)),
    "llama-llama3": ("llama", rope("llama3", factor=8.0, original_max_position_embeddings=32, low_freq_factor=1.0, high_freq_factor=4.0)),
    "llama-yarn": ("llama", rope("yarn", **YARN)),
    "llama-yarn-scales": ("llama", rope("yarn", **YARN, mscale=1.0, mscale_all_dim=0.7)),
    "llama-yarn-ramp": ("llama", rope("yarn", **YARN, attention_factor=1.7, beta_fast=4, beta_slow=0.3, truncate=False)),
    "mistral-window": ("mistral", dict(sliding_window=5)),
    "mistral-whole": ("mistral", dict(sliding_window=None)),
    "qwen2-window": ("qwen2", dict(use_sliding_window=True, sliding_window=4, max_window_layers=1)),
    "qwen2-types": ("qwen2", dict(use_sliding_window=True, sliding_window=4, layer_types=["full_attention", "sliding_attention", "full_attention"])),
    "qwen3-bias": ("qwen3", dict(head_dim=16, attention_bias=True)),
    "qwen3_moe": ("qwen3_moe", dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, norm_topk_prob=True)),
    "qwen3_moe-sparse": ("qwen3_moe", dict(num_experts=4, num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[1])),
    "mixtral-window": ("mixtral", dict(num_local_experts=4, num_experts_per_tok=1, sliding_window=4)),
    "phi3-partial": ("phi3", rope("default", 1000.0, partial_rotary_factor=0.5)),
    "gemma2-types": ("gemma2", dict(sliding_window=5, attn_logit_softcapping=2.0, layer_types=["full_attention", "full_attention", "sliding_attention"])),
    "gemma3-types": ("gemma3_text", dict(sliding_window=5, layer_types=["full_attention", "sliding_attention", "sliding_attention"])),
    "glm-partial": ("glm", dict(head_dim=16, attention_bias=False, **rope("default", 1000.0, partial_rotary_factor=0.25))),
    "chatglm": ("glm", dict(attention_bias=True, rms_norm_eps=1e-3, **rope("default", 50000.0, partial_rotary_factor=0.5)), dict(rope_ratio=5, original_rope=True)),
    "chatglm-tied": ("glm", dict(attention_bias=False, tie_word_embeddings=True, head_dim=12, **rope("default", partial_rotary_factor=0.5)), {}),
    "chatglm-halves": ("phi3", rope("default", partial_rotary_factor=0.5), dict(original_rope=False)),
    "glm4-head": ("glm4", dict(head_dim=12, **rope("default", 1000.0, partial_rotary_factor=0.5))),
    "glm4_moe-groups": ("glm4_moe", dict(GROUPED, use_qk_norm=True, routed_scaling_factor=1.7)),
    "glm4_moe_lite": ("glm4_moe_lite", dict(LATENT, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, moe_intermediate_size=20, first_k_dense_replace=1)),
    "gpt2-layers": ("gpt2", dict(GPT2, n_inner=40, scale_attn_by_inverse_layer_idx=True)),
    "smollm3": ("smollm3", dict(no_rope_layer_interval=2)),
    "smollm3-window": ("smollm3", dict(no_rope_layers=[0, 1, 1], use_sliding_window=True, sliding_window=4, attention_bias=True, tie_word_embeddings=False)),
    "granite": ("granite", dict(attention_multiplier=0.3, embedding_multiplier=3.0, residual_multiplier=0.5, logits_scaling=4.0)),
}


def as_chatglm(folder, more):
    """Renames the tensors and the configuration in `folder` as ChatGLM's own code calls them."""
    config, tensors, renamed = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors"), {}
    places = {"model.embed_tokens": "transformer.embedding.word_embeddings", "model.norm": "transformer.encoder.final_layernorm", "lm_head": "transformer.output_layer"}
    parts = {"self_attn.qkv_proj": "self_attention.query_key_value", "self_attn.o_proj": "self_attention.dense", "mlp.gate_up_proj": "mlp.dense_h_to_4h", "mlp.down_proj": "mlp.dense_4h_to_h"}
    for layer in range(config["num_hidden_layers"]):
        places[f"model.layers.{layer}"] = f"transformer.encoder.layers.{layer}"
        for kind in ("weight", "bias"):
            own = [tensors.pop(f"model.layers.{layer}.self_attn.{part}_proj.{kind}", None) for part in "qkv"]
            if own[0] is not None:
                tensors[f"model.layers.{layer}.self_attn.qkv_proj.{kind}"] = torch.cat(own)
    for name, tensor in tensors.items():
        for old, new in [*sorted(places.items(), key=lambda place: -len(place[0])), *parts.items()]:
            name = name.replace(old, new)
        renamed[name] = tensor
    # What no layer reads, as published files have it.
    renamed["transformer.rotary_pos_emb.inv_freq"] = torch.ones(config["head_dim"] // 4)
    save_file(renamed, folder / "model.safetensors", metadata=dict(format="pt"))
    keys = dict(num_layers="num_hidden_layers", padded_vocab_size="vocab_size", ffn_hidden_size="intermediate_size", seq_length="max_position_embeddings",
                layernorm_epsilon="rms_norm_eps", kv_channels="head_dim", multi_query_group_num="num_key_value_heads", hidden_size="hidden_size",
                num_attention_heads="num_attention_heads", eos_token_id="eos_token_id", pad_token_id="pad_token_id", tie_word_embeddings="tie_word_embeddings", num_hidden_layers="num_hidden_layers", vocab_size="vocab_size")
    own = dict(model_type="chatglm", add_bias_linear=False, add_qkv_bias=config.get("attention_bias", False), apply_query_key_layer_scaling=True,
               apply_residual_connection_post_layernorm=False, attention_softmax_in_fp32=True, bias_dropout_fusion=True, fp32_residual_connection=False, hidden_dropout=0.0,
               multi_query_attention=True, post_layer_norm=True, pre_seq_len=None, prefix_projection=False, quantization_bit=0, rmsnorm=True)
    (folder / "config.json").write_text(json.dumps({**own, **{new: config[old] for new, old in keys.items()}, **more}, indent=1))


def make(folder, kind, settings, renamed=None):
    settings = settings if kind == "gpt2" else {**COMMON, **settings}
    config = AutoConfig.for_model(kind, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn_like(weight)
            weight.copy_(weight + 0.2 * noise if weight.dim() < 2 else noise * (1.0 if "embed" in name else 0.35))
    model.tie_weights()
    model.bfloat16().save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = torch.randint(3, settings["vocab_size"], (1, 24))
    with torch.no_grad():
        logits, tokens = model(ids, use_cache=False).logits[0].numpy(), ids
        for _ in range(16):
            tokens = torch.cat([tokens, model(tokens, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)], 1)
    if renamed is not None:
        as_chatglm(folder, renamed)
    np.savez(folder / "golden.npz", ids=ids[0].numpy(), logits=logits, greedy16=tokens[0, ids.shape[1]:].numpy())


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or MODELS:
        torch.manual_seed(0)
        make(Path(sys.argv[1]) / name, *MODELS[name])
        print(name)


main()
