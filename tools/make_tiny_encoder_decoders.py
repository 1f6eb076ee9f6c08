#!/usr/bin/env python3
"""Make small encoder-decoders with random weights, and what transformers computes with them, for tools/check_encoder_decoders.py and FrontendTests.

    python3 tools/make_tiny_encoder_decoders.py OUT [NAME ...]

Needs torch and transformers (pip install torch transformers). Writes a folder per model below OUT: config.json, model.safetensors in bf16, and golden.npz:
the inputs of `score`, its `logits`, and `last_hidden_state` of the encoder, in fp32, by name; of models that read tokens, the second sequence is shorter."""

import numpy as np
import torch
import transformers
from tiny_models import make_all

T5 = dict(d_model=8, d_kv=3, d_ff=12, num_layers=2, num_heads=2, vocab_size=20, relative_attention_num_buckets=8, relative_attention_max_distance=16, decoder_start_token_id=0)
WHISPER = dict(
    d_model=8, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=2, encoder_ffn_dim=12, decoder_ffn_dim=10, vocab_size=20, num_mel_bins=4,
    max_source_positions=7, max_target_positions=12, pad_token_id=1, bos_token_id=1, eos_token_id=1, decoder_start_token_id=2, begin_suppress_tokens=None)

# Name: class, configuration, whether the head has a matrix of its own.
MODELS = {
    "t5": ("T5ForConditionalGeneration", dict(T5, num_decoder_layers=1), False),
    "t5-gated": ("T5ForConditionalGeneration", dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False), False),
    "t5-gated-untied": ("T5ForConditionalGeneration", dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False), True),
    "t5-far": ("T5ForConditionalGeneration", dict(T5, num_layers=1, relative_attention_num_buckets=6, relative_attention_max_distance=5), False),
    "whisper": ("WhisperForConditionalGeneration", WHISPER, False),
}


def make(folder, name, settings, is_untied):
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**settings)).float().eval()
    if is_untied:
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.35)
    model.bfloat16().save_pretrained(folder)
    model = model_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    assert is_untied == (not torch.equal(model.get_output_embeddings().weight, model.get_decoder().get_input_embeddings().weight))
    if "num_mel_bins" in settings:
        inputs = dict(input_features=torch.randn(2, settings["num_mel_bins"], 2 * settings["max_source_positions"]))
    else:
        inputs = dict(input_ids=torch.randint(2, 20, (2, 11)), attention_mask=torch.ones(2, 11, dtype=torch.int64))
        inputs["input_ids"][1, 8:], inputs["attention_mask"][1, 8:] = 0, 0
    tokens = torch.randint(2, 20, (2, 9))
    with torch.no_grad():
        outputs = model(**inputs, decoder_input_ids=tokens)
    results = dict(logits=outputs.logits, last_hidden_state=outputs.encoder_last_hidden_state)
    np.savez(folder / "golden.npz", **{key: value.numpy() for key, value in dict(inputs, tokens=tokens, **results).items()})


if __name__ == "__main__":
    make_all(__doc__, MODELS, make)
