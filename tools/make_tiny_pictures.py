#!/usr/bin/env python3
"""Make small encoders of pictures, and of pictures and texts, with random weights, and what transformers computes with them, for tools/check_encoders.py
and FrontendTests.

    python3 tools/make_tiny_pictures.py OUT [NAME ...]

Needs torch and transformers (pip install torch transformers). Writes a folder per model below OUT: config.json, model.safetensors in bf16, and golden.npz
(inputs, and results in fp32, by name)."""

import numpy as np
import torch
import transformers
from tiny_models import make_all

VISION = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, image_size=10, patch_size=4)
TEXT = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, vocab_size=20, max_position_embeddings=11, eos_token_id=19)
WIDE = dict(TEXT, hidden_size=12)
LABELS = dict(id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})

# Name: class, configuration.
MODELS = {
    "vit": ("ViTModel", dict(VISION, pooler_output_size=6)),
    "vit-labels": ("ViTForImageClassification", dict(VISION, image_size=[8, 12], patch_size=[4, 3], qkv_bias=False, hidden_act="gelu_new", **LABELS)),
    "clip": ("CLIPModel", dict(text_config=WIDE, vision_config=VISION, projection_dim=6)),
    "clip-labels": ("CLIPForImageClassification", dict(text_config=WIDE, vision_config=VISION, projection_dim=6, **LABELS)),
    "clip-texts": ("CLIPTextModel", TEXT),
    "clip-texts-projected": ("CLIPTextModelWithProjection", dict(TEXT, projection_dim=6, eos_token_id=2)),
    "clip-pictures": ("CLIPVisionModel", VISION),
    "clip-pictures-projected": ("CLIPVisionModelWithProjection", dict(VISION, projection_dim=6)),
    "siglip": ("SiglipModel", dict(text_config=dict(TEXT, projection_size=8), vision_config=VISION)),
    "siglip-labels": ("SiglipForImageClassification", dict(text_config=TEXT, vision_config=VISION, **LABELS)),
    "siglip-texts": ("SiglipTextModel", dict(TEXT, projection_size=6)),
    "siglip-pictures": ("SiglipVisionModel", VISION),
}
# Results by their names, of those that a class gives.
RESULTS = ("last_hidden_state", "pooler_output", "logits", "text_embeds", "image_embeds", "logits_per_image", "logits_per_text")


def inputs_of(model):
    """Pictures, and texts that end at different places, for what the model's towers take."""
    config, inputs = model.config, {}
    text, vision = getattr(config, "text_config", config), getattr(config, "vision_config", config)
    takes = {"pixel_values"} if "ForImageClassification" in type(model).__name__ else {"pixel_values", "input_ids"}
    if hasattr(text, "vocab_size") and "input_ids" in takes:
        ids = torch.randint(3, 18, (3, 9))
        mask = torch.ones_like(ids)
        for row, end in enumerate([8, 5, 3]):
            ids[row, end], ids[row, end + 1:], mask[row, end + 1:] = 19, 1, 0
        inputs |= dict(input_ids=ids, attention_mask=mask)
    if hasattr(vision, "image_size"):
        size = vision.image_size if isinstance(vision.image_size, (list, tuple)) else [vision.image_size] * 2
        inputs |= dict(pixel_values=torch.randn(2, vision.num_channels, *size))
    return inputs


def make(folder, name, settings):
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**settings)).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.35)
    model.bfloat16().save_pretrained(folder)
    model = model_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    inputs = inputs_of(model)
    with torch.no_grad():
        outputs = model(**inputs)
        results = {key: outputs[key].numpy() for key in RESULTS if outputs.get(key) is not None}
        if "logits_per_image" in results:
            # What the tasks of one tower give, whose lengths are not 1.
            texts = {key: value for key, value in inputs.items() if key != "pixel_values"}
            results["text-embeds"] = model.get_text_features(**texts).pooler_output.numpy()
            results["image-embeds"] = model.get_image_features(inputs["pixel_values"]).pooler_output.numpy()
    np.savez(folder / "golden.npz", **{key: value.numpy() for key, value in inputs.items()}, **results)


if __name__ == "__main__":
    make_all(__doc__, MODELS, make)
