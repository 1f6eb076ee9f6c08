"""Small decoders as files, without torch: folders that the checks compile, and that fuzz_files.py damages."""
import json
import random
import struct

# Like those of the families, as far as they differ; glmc refuses the values that do not go together.
CONFIGS = {
    "llama": dict(model_type="llama", hidden_act="silu", rope_theta=10000.0, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "mistral": dict(model_type="mistral", sliding_window=5, attention_dropout=0.0),
    "qwen2": dict(model_type="qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, rope_scaling=None),
    "qwen3": dict(model_type="qwen3", attention_bias=False, layer_types=["full_attention", "full_attention"]),
    "qwen3_moe": dict(model_type="qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[]),
    "mixtral": dict(model_type="mixtral", num_local_experts=4, num_experts_per_tok=2),
    "phi3": dict(model_type="phi3", partial_rotary_factor=0.5, original_max_position_embeddings=32, rope_scaling=dict(type="longrope", short_factor=[1.0, 1.5], long_factor=[2.0, 4.0])),
    "gemma3": dict(model_type="gemma3_text", query_pre_attn_scalar=8, hidden_activation="gelu_pytorch_tanh", sliding_window=5, layer_types=["sliding_attention", "full_attention"], attn_logit_softcapping=None,
                   final_logit_softcapping=None, rope_parameters=dict(full_attention=dict(rope_theta=1e6, rope_type="default"), sliding_attention=dict(rope_theta=1e4, rope_type="default"))),
    "glm4": dict(model_type="glm4", partial_rotary_factor=0.5, attention_bias=True),
    "glm4_moe": dict(model_type="glm4_moe", n_routed_experts=8, n_shared_experts=1, n_group=2, topk_group=1, num_experts_per_tok=2, moe_intermediate_size=8, first_k_dense_replace=1, routed_scaling_factor=1.5, norm_topk_prob=True),
    "chatglm": dict(model_type="chatglm", num_layers=2, padded_vocab_size=48, ffn_hidden_size=24, kv_channels=8, multi_query_attention=True, multi_query_group_num=1, rmsnorm=True, layernorm_epsilon=1e-5, seq_length=64, add_qkv_bias=True),
    "gpt2": dict(model_type="gpt2", n_embd=16, n_layer=2, n_head=2, n_positions=64, activation_function="gelu_new"),
}


def config(family="llama", vocabulary=48, width=16, layers=2, **more):
    """Of two heads with one key head, a context of 64 tokens and a tied head."""
    if family in ("chatglm", "gpt2"): return {**CONFIGS[family], **more}  # all keys are called differently
    common = dict(vocab_size=vocabulary, hidden_size=width, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=1, head_dim=width // 2,
                  max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1)
    return {**common, **CONFIGS[family], **more}


def shapes(config):
    """The tensors of a llama or gemma3 and their shapes."""
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, keys = (head * config[f"num_{kind}_heads"] for kind in ("attention", "key_value"))
    gemma = config["model_type"] == "gemma3_text"
    found = {"model.embed_tokens.weight": [config["vocab_size"], width], "model.norm.weight": [width]}
    for layer in range(config["num_hidden_layers"]):
        for name, shape in (("self_attn.q_proj", [heads, width]), ("self_attn.k_proj", [keys, width]), ("self_attn.v_proj", [keys, width]), ("self_attn.o_proj", [width, heads]), ("mlp.gate_proj", [inner, width]),
                            ("mlp.up_proj", [inner, width]), ("mlp.down_proj", [width, inner]), ("input_layernorm", [width]), ("post_attention_layernorm", [width]),
                            *((("pre_feedforward_layernorm", [width]), ("post_feedforward_layernorm", [width]), ("self_attn.q_norm", [head]), ("self_attn.k_norm", [head])) if gemma else ())):
            found[f"model.layers.{layer}.{name}.weight"] = shape
    return found


def safetensors(shapes, seed=None):
    """A file of f16: normally distributed numbers, around 1 for vectors, or zeros without a seed. In place of a shape may stand (type, shape, bytes)."""
    header, body, source = {}, bytearray(), random.Random(seed)
    for name, shape in shapes.items():
        kind, start = "F16", len(body)
        if isinstance(shape, tuple):
            kind, shape, content = shape
            body += content
        else:
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            body += bytes(2 * count) if seed is None else struct.pack(f"<{count}e", *(source.gauss(len(shape) == 1, 0.3) for _ in range(count)))
        header[name] = dict(dtype=kind, shape=shape, data_offsets=[start, len(body)])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(body)


def files(family="llama", seed=None, **sizes):
    """The files of a folder by name: config.json and model.safetensors."""
    settings = config(family, **sizes)
    return {"config.json": json.dumps(settings).encode(), "model.safetensors": safetensors(shapes(settings), seed)}


def sharded(family="llama", seed=None, **sizes):
    """The same with the tensors in two files and an index."""
    settings = config(family, **sizes)
    all = shapes(settings)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    halves = [dict(list(all.items())[: len(all) // 2]), dict(list(all.items())[len(all) // 2 :])]
    index = dict(metadata=dict(total_size=0), weight_map={tensor: name for name, half in zip(names, halves) for tensor in half})
    return {"config.json": json.dumps(settings).encode(), "model.safetensors.index.json": json.dumps(index).encode(), **{name: safetensors(half, seed) for name, half in zip(names, halves)}}


METHODS = {"gptq": {}, "awq": dict(version="gemm"), "compressed-tensors": dict(format="pack-quantized")}


def quantised(method, seed=None, **sizes):
    """A llama whose layers are quantised to four bits in groups of eight."""
    settings = {**config("llama", **sizes), "quantization_config": dict(quant_method=method, bits=4, group_size=8, **METHODS[method])}
    source, found = random.Random(seed), {}

    def words(*shape): return "I32", list(shape), source.randbytes(4 * shape[0] * shape[1])
    for name, shape in shapes(settings).items():
        if not name.endswith("_proj.weight"):
            found[name] = shape
            continue
        layer, (n, k) = name.removesuffix(".weight"), shape
        if method == "compressed-tensors":
            parts = {"weight_packed": words(n, k // 8), "weight_scale": [n, k // 8], "weight_shape": ("I64", [2], struct.pack("<2q", n, k))}
        else:
            parts = {"qweight": words(k // 8, n) if method == "gptq" else words(k, n // 8), "qzeros": words(k // 8, n // 8), "scales": [k // 8, n]}
            if method == "gptq": parts["g_idx"] = ("I32", [k], struct.pack(f"<{k}i", *(i // 8 for i in range(k))))
        found.update({f"{layer}.{part}": value for part, value in parts.items()})
    return {"config.json": json.dumps(settings).encode(), "model.safetensors": safetensors(found, seed)}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
