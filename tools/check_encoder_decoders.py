#!/usr/bin/env python3
"""Compile encoder-decoders and compare their results with recorded ones: of whole sequences, and of every sequence alone, its source encoded once and its
tokens read in chunks of 3 and one by one through the cache.

    python3 tools/check_encoder_decoders.py GLMC ROOT [NAME ...] [--levels O0,O3] [--limit 1e-5] [--flag FLAG ...]

ROOT holds a folder per model: config.json, *.safetensors and golden.npz, as tools/make_tiny_encoder_decoders.py makes them. The exit status is 1 when a
relative L2 error exceeds the limit or a model does not compile."""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from tiny_models import check_all, compiled, error


def alone(model, source, tokens, chunk):
    """The encoder's states for `source`, an input by name with batch 1, and the logits behind every chunk of `tokens` [n]; states start with rubbish."""
    names = [entry.name for entry in model.entries]
    infos = [info for name in ("encode", "decode") for info in model.entries[names.index(name)].inputs if info.state is not None]
    states = {info.name: np.full(info.shape, np.nan, info.dtype) for info in infos}
    with model.session() as session:
        def run(entry, inputs):
            return session.run({info.name: {**inputs, **states}[info.name] for info in model.entries[names.index(entry)].inputs}, entry=names.index(entry))[0]

        encoded, logits = run("encode", source), []
        for past in range(0, len(tokens), chunk):
            inputs = {"tokens": tokens[None, past : past + chunk], "past": np.array(past, np.int64), "source": np.array(encoded.shape[1], np.int64)}
            logits.append(run("decode" if chunk == 1 else "prefill", inputs)[0])
    return encoded[0], np.stack(logits)


def check(program, folder, flags, work):
    """The largest error of a result."""
    golden, model = np.load(folder / "golden.npz"), glmc.load(str(compiled(program, folder, flags, work)))
    logits, = model(**{info.name: golden[info.name] for info in model.inputs})
    errors = [error(logits, golden["logits"])]
    for row, tokens in enumerate(golden["tokens"]):
        if "input_ids" in golden:
            length = int(golden["attention_mask"][row].sum())
            source = {"input_ids": golden["input_ids"][row : row + 1, :length]}
        else:
            source = {"input_features": golden["input_features"][row : row + 1]}
        for chunk in (3, 1):
            encoded, logits = alone(model, source, tokens, chunk)
            errors.append(error(encoded, golden["last_hidden_state"][row, : len(encoded)]))
            errors.append(error(logits, golden["logits"][row, chunk - 1 :: chunk]))
    return max(errors)


if __name__ == "__main__":
    check_all(__doc__, check)
