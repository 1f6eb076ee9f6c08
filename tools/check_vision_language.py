#!/usr/bin/env python3
"""Compile vision-language models and compare their results with recorded ones: embeddings of pictures; logits of whole sequences with and without pictures, alone
and two in a batch; and through the cache, with tokens in one chunk, in chunks of 3 and one by one.

    python3 tools/check_vision_language.py GLMC ROOT [NAME ...] [--levels O0,O3] [--limit 1e-5] [--flag FLAG ...]

ROOT holds a folder per model: config.json, *.safetensors and golden.npz, as tools/make_tiny_vision_language.py makes them. The exit status is 1 when a
relative L2 error exceeds the limit or a model does not compile."""
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from tiny_models import check_all, compiled, error


def continued(model, tokens, chunk, positions=None, embeds=None, token=None):
    """The logits behind every chunk of `tokens` [1, n] through the cache, whose states start with rubbish. Tokens of pictures, `token`, take the next rows of `embeds`;
    single ones that are none go through `decode_images`."""
    numbers = {entry.name: number for number, entry in enumerate(model.entries)}
    states = {info.name: np.full(info.shape, np.nan, info.dtype) for info in model.entries[numbers["decode"]].inputs if info.state is not None}
    with model.session() as session:
        logits, seen = [], 0
        for past in range(0, tokens.shape[1], chunk):
            inputs = dict(states, tokens=tokens[:, past : past + chunk], past=np.array(past, np.int64))
            count = int((inputs["tokens"] == token).sum())
            entry = "decode" if chunk == 1 and not count else "prefill"
            if positions is not None:
                inputs["positions"] = positions[:, :, past : past + chunk]
                if entry == "prefill":
                    inputs["image_embeds"] = embeds[seen : seen + count]
                entry += "_images"
            seen += count
            logits.append(session.run(inputs, entry=numbers[entry])[0][0])
    return np.stack(logits)


def check(program, folder, flags, work):
    """The largest error of a result."""
    golden, model = np.load(folder / "golden.npz"), glmc.load(str(compiled(program, folder, flags, work)))
    numbers = {entry.name: number for number, entry in enumerate(model.entries)}
    token, tokens, positions = json.loads((folder / "config.json").read_text())["image_token_id"], golden["tokens"], golden["positions"]
    errors, embeds = [], []
    with model.session() as session:
        def run(entry, **inputs): return session.run(inputs, entry=numbers[entry])[0]

        for number in range(sum(name.startswith("pixel_values.") for name in golden)):
            pixels, wanted = golden[f"pixel_values.{number}"], golden[f"image_embeds.{number}"]
            embeds.append(run("encode_images", pixel_values=pixels))
            errors += [error(embeds[-1], wanted), error(run("encode_images", pixel_values=np.concatenate([pixels[:, ::-1], pixels]))[len(wanted) :], wanted)]
        embeds = np.concatenate(embeds)
        errors.append(error(run("score", tokens=tokens), golden["text_logits"]))
        errors.append(error(run("score_images", tokens=tokens, positions=positions, image_embeds=embeds), golden["logits"]))
        # Each sequence of a batch takes its own rows.
        both = dict(tokens=np.concatenate([tokens[:, ::-1], tokens]), positions=np.concatenate([positions[:, :, ::-1], positions], axis=1))
        errors.append(error(run("score_images", **both, image_embeds=np.concatenate([embeds[::-1], embeds]))[1:], golden["logits"]))
    for chunk in (tokens.shape[1], 3, 1):
        last = slice(chunk - 1, tokens.shape[1] // chunk * chunk, chunk)
        whole = tokens[:, : tokens.shape[1] // chunk * chunk]
        errors.append(error(continued(model, whole, chunk), golden["text_logits"][0, last]))
        errors.append(error(continued(model, whole, chunk, positions, embeds, token), golden["logits"][0, last]))
    return max(errors)


if __name__ == "__main__":
    check_all(__doc__, check)
