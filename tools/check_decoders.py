#!/usr/bin/env python3
"""Compile decoders and compare the logits of every position, and what follows greedily, with recorded ones: of whole sequences, and through the cache with
the prompt in one chunk, in chunks of 7 and token by token.

    python3 tools/check_decoders.py GLMC ROOT [--levels O0,O3] [NAME ...]

ROOT holds a folder per model: config.json, *.safetensors, and golden.npz with `ids` [n], `logits` [n, vocabulary] and, optionally, `greedy16` [16],
the tokens that follow. tools/make_tiny_decoders.py makes such folders. The exit status is 1 when a relative L2 error exceeds 1e-5, a token
differs, or a model does not compile."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from tiny_models import error

LIMIT = 1e-5


def generate(model, ids, count, chunk):
    """`count` tokens that follow `ids` greedily, through `prefill` in chunks of `chunk` tokens and `decode`, over a cache that starts with rubbish. Also
    the logits behind `ids`."""
    names = [entry.name for entry in model.entries]
    states = {info.name: np.full(info.shape, np.nan, info.dtype) for info in model.entries[names.index("decode")].inputs if info.state is not None}
    with model.session() as session:
        def run(entry, tokens, past):
            return session.run({"tokens": tokens[None], "past": np.array(past, np.int64), **states}, entry=names.index(entry))[0][0]

        for past in range(0, len(ids), chunk):
            logits = run("prefill", ids[past : past + chunk], past)
        first, tokens = logits, []
        for past in range(len(ids), len(ids) + count):
            tokens.append(int(logits.argmax()))
            logits = run("decode", np.array(tokens[-1:], np.int64), past)
    return tokens, first


def check(program, folder, level, work):
    """Returns (is it right, what to print)."""
    artifact = work / f"{folder.name}-{level}.so"
    done = subprocess.run([program, "compile", str(folder), f"-{level}", "-o", str(artifact)], capture_output=True, text=True)
    if done.returncode != 0:
        return False, f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
    golden = np.load(folder / "golden.npz")
    model = glmc.load(str(artifact))
    ids = golden["ids"].astype(np.int64).reshape(-1)
    logits, = model(ids[None])
    distance = error(logits[0], golden["logits"])
    twice, = model(np.stack([ids, ids[::-1]]))
    batched = error(twice[0], golden["logits"])
    tokens = []
    for _ in golden["greedy16"] if "greedy16" in golden else []:
        tokens.append(int(logits[0, -1].argmax()))
        logits, = model(np.concatenate([ids, tokens])[None])
    continuations = [tokens]
    for chunk in (len(ids), 7, 1):
        cached, last = generate(model, ids, len(tokens), chunk)
        distance = max(distance, error(last, golden["logits"][-1]))
        continuations.append(cached)
    same = "greedy16" not in golden or all(tokens == golden["greedy16"].tolist() for tokens in continuations)
    return max(distance, batched) <= LIMIT and same, f"{distance:.1e}, in a batch {batched:.1e}, greedy tokens {'equal' if same else 'differ'}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("root", type=Path)
    options.add_argument("names", nargs="*")
    options.add_argument("--levels", default="O0,O3")
    options = options.parse_args()
    folders = [f for f in sorted(options.root.iterdir()) if (f / "golden.npz").exists() and (not options.names or f.name in options.names)]
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        for folder in folders:
            for level in options.levels.split(","):
                right, text = check(options.program, folder, level, Path(work))
                wrong += not right
                print(f"{folder.name:18} {level:3} {'ok   ' if right else 'WRONG'} {text}", flush=True)
    print(f"{len(folders)} models, {wrong} wrong")
    return 1 if wrong or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
