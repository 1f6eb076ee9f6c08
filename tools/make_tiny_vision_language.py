#!/usr/bin/env python3
"""Make small vision-language models with random weights, and what transformers computes with them, for tools/check_vision_language.py and FrontendTests.

    python3 tools/make_tiny_vision_language.py OUT [NAME ...]

Needs torch and transformers (pip install torch transformers). Writes a folder per model below OUT: config.json, model.safetensors in bf16, and golden.npz,
in fp32, by name: `pixel_values.N` [images, rows, columns, merge * merge, numbers of a patch] and the `image_embeds.N` of every size of pictures, `tokens`
[1, sequence] with all of them, and their `positions` [3, 1, sequence] and `logits`; and `text_logits` of the same tokens without pictures."""

import json

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import make_all

VISION = dict(depth=2, hidden_size=16, num_heads=2, intermediate_size=10, out_hidden_size=24, image_size=12, patch_size=3)
TEXT = dict(
    vocab_size=40, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, attention_bias=True,
    pad_token_id=0, bos_token_id=1, eos_token_id=2)
TOKENS = dict(image_token_id=35, video_token_id=36, image_start_token_id=37, image_end_token_id=38, video_start_token_id=33, video_end_token_id=34)
EXPERTS = dict(n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, moe_intermediate_size=8, first_k_dense_replace=1)


def rope(sections, **more):
    return dict(rope_parameters=dict(rope_type="default", rope_theta=100.0, mrope_section=sections, **more))


# Name: class, what the text's and the pictures' configurations say beyond these, and how large pictures are, in embeddings. Those whose names end in -flat
# are written as older files are.
MODELS = {
    "glm4v": ("Glm4vForConditionalGeneration", rope([1, 1, 1], partial_rotary_factor=0.5), {}, [(2, 3)]),
    "glm4v-sections": (
        "Glm4vForConditionalGeneration", dict(rope([2, 1, 1, 1, 1]), tie_word_embeddings=True), dict(attention_bias=True, temporal_patch_size=1, in_channels=2, hidden_act="gelu"),
        [(1, 1), (3, 2), (4, 1)]),
    "glm4v-flat": ("Glm4vForConditionalGeneration", rope([2, 2, 2]), dict(spatial_merge_size=3, image_size=18, patch_size=2), [(2, 2)]),
    "glm46v": ("Glm46VForConditionalGeneration", rope([1, 1, 1], partial_rotary_factor=0.5), {}, [(1, 2)]),
    "glm4v_moe": ("Glm4vMoeForConditionalGeneration", dict(EXPERTS, **rope([1, 1, 1], partial_rotary_factor=0.5)), {}, [(2, 3), (1, 2)]),
    "glm_ocr": ("GlmOcrForConditionalGeneration", dict(rope([1, 1, 1], partial_rotary_factor=0.5), attention_bias=False), dict(attention_bias=True), [(2, 1)]),
}


def pixels(vision, grid):
    """Pictures as the model's processor makes them, f32 [patches, numbers of a patch]."""
    count = grid[0] * grid[1] * vision.spatial_merge_size**2
    return torch.randn(count, vision.in_channels * vision.temporal_patch_size * vision.patch_size**2)


def flatten(folder):
    """Puts the text's configuration beside the pictures', and names tensors as older files do."""
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    config["vision_config"].pop("rope_parameters")
    own = dict(rope_theta=rope.pop("rope_theta"), rope_scaling=dict(type=rope.pop("rope_type"), **rope))
    (folder / "config.json").write_text(json.dumps({**text, **own, **config}, indent=1))
    older = {name.replace("model.visual.", "visual.").replace("model.language_model.", "model."): tensor for name, tensor in tensors.items()}
    save_file(older, folder / "model.safetensors", metadata=dict(format="pt"))


def make(folder, name, text, vision, grids):
    model_class = getattr(transformers, name)
    settings = dict(TOKENS, text_config=dict(TEXT, **text), vision_config=dict(VISION, **vision), tie_word_embeddings=text.get("tie_word_embeddings", False))
    model = model_class(model_class.config_class(**settings)).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.25)
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    model = model_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    vision = model.config.vision_config
    merge = vision.spatial_merge_size
    pictures, tokens, kinds = [pixels(vision, grid) for grid in grids], torch.randint(3, 32, (3,)).tolist(), [0] * 3
    for rows, columns in grids:
        count = rows * columns
        tokens += [37] + [35] * count + [38] + torch.randint(3, 32, (2,)).tolist()
        kinds += [0] + [1] * count + [0] * 3
    tokens, kinds = torch.tensor([tokens]), torch.tensor([kinds])
    grid = torch.tensor([[1, rows * merge, columns * merge] for rows, columns in grids])
    with torch.no_grad():
        features = model.model.get_image_features(torch.cat(pictures), grid).pooler_output
        positions, _ = model.model.get_rope_index(tokens, kinds, image_grid_thw=grid)
        logits = model(input_ids=tokens, mm_token_type_ids=kinds, pixel_values=torch.cat(pictures), image_grid_thw=grid, use_cache=False).logits
        model.model.rope_deltas = None
        text_logits = model(input_ids=tokens, use_cache=False).logits
    if folder.name.endswith("-flat"):
        flatten(folder)
    golden = dict(tokens=tokens, positions=positions, logits=logits, text_logits=text_logits)
    for i, ((rows, columns), picture) in enumerate(zip(grids, pictures)):
        golden |= {f"pixel_values.{i}": picture.reshape(1, rows, columns, merge * merge, -1), f"image_embeds.{i}": features[i]}
    np.savez(folder / "golden.npz", **{key: value.numpy() for key, value in golden.items()})


if __name__ == "__main__":
    make_all(__doc__, MODELS, make)
