#!/usr/bin/env python3
"""Compile an exported decoder with its caches as states (`--state`), and compare it, run after run, with ONNX Runtime, which is fed the caches it gave.

    python3 tools/check_states.py GLMC

The decoder has two layers with random weights and a mask, written as exporters write them. The exit status is 1 when a relative L2 error exceeds 1e-5."""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from tiny_models import error

LAYERS, HEADS, WIDTH, VOCABULARY, ROOM = 2, 2, 8, 11, 32
EACH = WIDTH // HEADS
CACHES = [f"{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]


def decoder():
    random, nodes, constants = np.random.default_rng(0), [], []

    def constant(value):
        constants.append(numpy_helper.from_array(value, f"c{len(constants)}"))
        return constants[-1].name

    def weights(*shape):
        return constant((random.standard_normal(shape) * 0.5).astype(np.float32))

    def ints(*values):
        return constant(np.array(values, np.int64))

    def add(op, *inputs, name=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [name or f"v{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def heads(x):
        return add("Transpose", add("Reshape", add("MatMul", x, weights(WIDTH, WIDTH)), ints(0, 0, HEADS, EACH)), perm=[0, 2, 1, 3])

    x = add("Gather", weights(VOCABULARY, WIDTH), "input_ids")
    seen = add("Cast", add("Unsqueeze", "attention_mask", ints(1, 2)), to=1)
    bias = add("Mul", add("Sub", constant(np.float32(1)), seen), constant(np.float32(-1e9)))
    for layer in range(LAYERS):
        query, key, value = heads(x), heads(x), heads(x)
        key = add("Concat", f"past.{layer}.key", key, name=f"present.{layer}.key", axis=2)
        value = add("Concat", f"past.{layer}.value", value, name=f"present.{layer}.value", axis=2)
        scores = add("Add", add("MatMul", query, add("Transpose", key, perm=[0, 1, 3, 2])), bias)
        mixed = add("Transpose", add("MatMul", add("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        x = add("Add", x, add("MatMul", add("Reshape", mixed, ints(0, 0, WIDTH)), weights(WIDTH, WIDTH)))
    add("MatMul", x, weights(WIDTH, VOCABULARY), name="logits")
    values = helper.make_tensor_value_info
    inputs = [values("input_ids", 7, ["batch", "sequence"]), values("attention_mask", 7, ["batch", "all"])]
    inputs += [values(f"past.{name}", 1, ["batch", HEADS, "rows", EACH]) for name in CACHES]
    outputs = [values("logits", 1, ["batch", "sequence", VOCABULARY])] + [values(f"present.{name}", 1, ["batch", HEADS, "all", EACH]) for name in CACHES]
    return helper.make_model(helper.make_graph(nodes, "decoder", inputs, outputs, constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check(program, model, level, work):
    """The largest error of runs of 5, 1, 1, 3, 1 and 7 tokens, the first of which the mask hides after a while."""
    path, artifact = work / "decoder.onnx", work / f"{level}.so"
    onnx.save(model, path)
    words = [program, "compile", str(path), f"-{level}", "--dim", "batch=1", "--state", "past.*=present.*", "--context", str(ROOM), "-o", str(artifact)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{level}: exit status {done.returncode}: {done.stderr.strip()[-300:]}")
    random, count, worst = np.random.default_rng(1), 0, 0
    reference, entry = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), glmc.load(str(artifact))
    states = {f"past.{name}": np.full((1, HEADS, ROOM, EACH), np.nan, np.float32) for name in CACHES}
    past = {name: np.zeros((1, HEADS, 0, EACH), np.float32) for name in states}
    with entry.session(threads=2) as session:
        for tokens in (5, 1, 1, 3, 1, 7):
            inputs = {"input_ids": random.integers(0, VOCABULARY, (1, tokens)), "attention_mask": np.ones((1, count + tokens), np.int64)}
            inputs["attention_mask"][0, 0] = count < 3
            expected = reference.run(None, {**inputs, **past})
            found = session.run({**inputs, **states, "past": np.array(count, np.int64)})
            past, count = dict(zip(past, expected[1:])), count + tokens
            worst = max([worst, error(found[0], expected[0])] + [error(states[name][:, :, :count], past[name]) for name in states])
    return worst


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model, worst = decoder(), 0
    with tempfile.TemporaryDirectory() as work:
        for level in ("O0", "O1", "O3"):
            found = check(sys.argv[1], model, level, Path(work))
            worst = max(worst, found)
            print(f"-{level}  {found:.1e}", flush=True)
    sys.exit(worst > 1e-5)


if __name__ == "__main__":
    main()
