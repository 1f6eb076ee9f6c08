"""A BERT encoder in numpy, straight from the paper (Devlin et al., 2018) and the names in a folder of safetensors: what `glmc` must reproduce."""
import json
import math

import numpy as np

DTYPES = {"F32": np.float32, "F16": np.float16}


class Weights:
    def __init__(self, path):
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        self.arrays = {
            name.removeprefix("bert."): np.frombuffer(data[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]], DTYPES[entry["dtype"]])
            .reshape(entry["shape"]).astype(np.float64)
            for name, entry in header.items() if entry["dtype"] in DTYPES
        }

    def linear(self, x, name):
        return x @ self.arrays[name + ".weight"].T + self.arrays[name + ".bias"]

    def norm(self, x, name, epsilon):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + epsilon) * self.arrays[name + ".weight"] + self.arrays[name + ".bias"]


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def last_hidden_state(folder, input_ids, token_type_ids, attention_mask):
    """[batch, length, hidden], in f64."""
    config = json.loads((folder / "config.json").read_text())
    weights, heads, epsilon = Weights(folder / "model.safetensors"), config["num_attention_heads"], config["layer_norm_eps"]
    batch, length = input_ids.shape
    tables = [weights.arrays[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")]
    x = weights.norm(tables[0][input_ids] + tables[1][:length] + tables[2][token_type_ids], "embeddings.LayerNorm", epsilon)
    masked = np.where(attention_mask[:, None, None, :] != 0, 0, -np.inf)
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        q, k, v = (weights.linear(x, f"{layer}attention.self.{part}").reshape(batch, length, heads, -1).transpose(0, 2, 1, 3) for part in ("query", "key", "value"))
        mixed = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]) + masked) @ v
        x = weights.norm(weights.linear(mixed.transpose(0, 2, 1, 3).reshape(x.shape), layer + "attention.output.dense") + x, layer + "attention.output.LayerNorm", epsilon)
        wide = gelu(weights.linear(x, layer + "intermediate.dense"))
        x = weights.norm(weights.linear(wide, layer + "output.dense") + x, layer + "output.LayerNorm", epsilon)
    return x
