#!/usr/bin/env python3
"""Make small encoders with random weights, and what transformers computes with them, for tools/check_encoders.py and FrontendTests.

    python3 tools/make_tiny_encoders.py OUT [NAME ...]

Needs torch and transformers (pip install torch transformers), which nothing else here does. Writes a folder per model below OUT: config.json,
model.safetensors in bf16, golden.npz (inputs, and results in fp32, by name); of sentence-transformers' kind, also modules.json and 1_Pooling/config.json."""
import json

import numpy as np
import torch
import transformers
from tiny_models import make_all

COMMON = dict(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=14)
DISTILBERT = dict(vocab_size=20, dim=8, hidden_dim=12, n_layers=2, n_heads=2, max_position_embeddings=14)
LABELS = dict(id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})

# Name: class, what differs from COMMON, ways of pooling.
MODELS = {
    "bert": ("BertModel", dict(hidden_act="gelu_new"), None),
    "bert-texts": ("BertForSequenceClassification", LABELS, None),
    "bert-tokens": ("BertForTokenClassification", LABELS, None),
    "bert-answers": ("BertForQuestionAnswering", {}, None),
    "bert-words": ("BertForMaskedLM", {}, None),
    "bert-words-untied": ("BertForMaskedLM", dict(tie_word_embeddings=False), None),
    "bert-sentences": ("BertModel", {}, dict(pooling_mode_mean_tokens=True)),
    "bert-sentences-several": ("BertModel", {}, dict(
        pooling_mode_cls_token=True, pooling_mode_mean_tokens=True, pooling_mode_max_tokens=True, pooling_mode_mean_sqrt_len_tokens=True)),
    "roberta": ("RobertaModel", dict(type_vocab_size=1, pad_token_id=1), None),
    "roberta-texts": ("RobertaForSequenceClassification", dict(type_vocab_size=1, pad_token_id=1, **LABELS), None),
    "roberta-words": ("RobertaForMaskedLM", dict(type_vocab_size=1, pad_token_id=1), None),
    "xlm-roberta-tokens": ("XLMRobertaForTokenClassification", dict(type_vocab_size=2, pad_token_id=1), None),
    "mpnet-sentences": ("MPNetModel", dict(pad_token_id=1), dict(pooling_mode_mean_sqrt_len_tokens=True)),
    "mpnet-texts": ("MPNetForSequenceClassification", dict(pad_token_id=3, max_position_embeddings=40), None),
    "mpnet-words": ("MPNetForMaskedLM", dict(pad_token_id=1), None),
    "electra-texts": ("ElectraForSequenceClassification", dict(embedding_size=6, **LABELS), None),
    "electra-words": ("ElectraForMaskedLM", dict(embedding_size=6), None),
    "distilbert": ("DistilBertModel", DISTILBERT, None),
    "distilbert-texts": ("DistilBertForSequenceClassification", DISTILBERT, None),
    "distilbert-answers": ("DistilBertForQuestionAnswering", DISTILBERT, None),
    "distilbert-words": ("DistilBertForMaskedLM", dict(DISTILBERT, activation="relu"), None),
}
# Results by their names, of those that a class gives.
RESULTS = ("last_hidden_state", "logits", "start_logits", "end_logits")


def make(folder, name, settings, pooling):
    model_class = getattr(transformers, name)
    settings = settings if "dim" in settings else {**COMMON, **settings}
    model = model_class(model_class.config_class(**settings)).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.35)
    model.tie_weights()
    model.bfloat16().save_pretrained(folder)
    model = model_class.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()

    length = min(11, model.config.max_position_embeddings - 3) if settings.get("max_position_embeddings", 0) < 40 else 33
    pad = model.config.pad_token_id or 0
    ids = torch.randint(2, 20, (2, length))
    mask = torch.ones_like(ids)
    ids[1, length - 4:], mask[1, length - 4:] = pad, 0
    inputs = dict(input_ids=ids)
    if getattr(model.config, "type_vocab_size", 0) > 1 and "mpnet" not in model.config.model_type:
        inputs["token_type_ids"] = torch.randint(0, model.config.type_vocab_size, ids.shape)
    inputs["attention_mask"] = mask
    with torch.no_grad():
        outputs = model(**inputs)
    results = {key: outputs[key].numpy() for key in RESULTS if key in outputs}
    if pooling:
        results = dict(sentence_embedding=pooled(results["last_hidden_state"], mask.numpy()[:, :, None], pooling))
        kinds = ["Transformer", "Pooling", "Normalize"]
        modules = [dict(idx=i, name=str(i), path=f"{i}_{kind}" if i else "", type=f"sentence_transformers.models.{kind}") for i, kind in enumerate(kinds)]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(dict(word_embedding_dimension=8, pooling_mode_weightedmean_tokens=False, **pooling)))
    elif getattr(outputs, "pooler_output", None) is not None:
        results["pooler_output"] = outputs.pooler_output.numpy()
    np.savez(folder / "golden.npz", **{key: value.numpy() for key, value in inputs.items()}, **results)


def pooled(states, mask, pooling):
    """As sentence-transformers' Pooling and Normalize do (Reimers and Gurevych 2019), which puts several vectors side by side in this order."""
    ways = dict(
        pooling_mode_cls_token=lambda: states[:, 0],
        pooling_mode_max_tokens=lambda: np.where(mask == 1, states, -1e9).max(1),
        pooling_mode_mean_tokens=lambda: (states * mask).sum(1) / mask.sum(1),
        pooling_mode_mean_sqrt_len_tokens=lambda: (states * mask).sum(1) / np.sqrt(mask.sum(1)))
    vector = np.concatenate([ways[way]() for way in ways if pooling.get(way)], 1)
    return (vector / np.linalg.norm(vector, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    make_all(__doc__, MODELS, make)
