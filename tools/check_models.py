#!/usr/bin/env python3
"""Compile the public models and compare every output with ONNX Runtime's, or with a BERT in numpy where the model is a folder.

    python3 tools/check_models.py GLMC FOLDER [--levels O0,O3] [NAME ...]

FOLDER holds what fetch_models.py and make_models.py write. Each model is compiled at each level for each of its shapes (tools/models.py)
and, where it has free dimensions, once with all of them left free. The table shows the largest relative L2 error of any output; the
exit status is 1 when one exceeds 1e-4 or a model does not compile."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from bert_reference import last_hidden_state
from models import MODELS
from tiny_models import error

LIMIT = 1e-4


def reference(path, feed):
    if path.is_dir():
        return [last_hidden_state(path, **feed)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def compile_model(program, path, level, shapes, artifact):
    fixed = [f"--shape={name}:{'x'.join(map(str, shape))}" for name, shape in (shapes or {}).items() if shape]
    done = subprocess.run([program, "compile", str(path), f"-{level}", "-o", str(artifact), *fixed], capture_output=True, text=True)
    return None if done.returncode == 0 else f"exit status {done.returncode}: {done.stderr.strip()[-200:]}"


def largest_error(artifact, feed, expected):
    results = glmc.load(artifact).session(threads=2).run(feed)
    return max(map(error, results, expected))


def check(program, model, folder, level, work):
    """Yields (what, error or message)."""
    path = model.path(folder)
    free = any(isinstance(n, str) for _, shape in model.inputs.values() for n in shape)
    cases = [(sizes, model.feed(sizes)) for sizes in model.sizes]
    expected = [reference(path, feed) for _, feed in cases]
    for number, (sizes, feed) in enumerate(cases):
        artifact = work / f"fixed-{level}-{number}.so"
        failure = compile_model(program, path, level, model.shapes(sizes), artifact)
        yield sizes, "fixed", failure or largest_error(artifact, feed, expected[number])
    if free:
        artifact = work / f"free-{level}.so"
        failure = compile_model(program, path, level, None, artifact)
        for (sizes, feed), values in zip(cases, expected):
            yield sizes, "free", failure or largest_error(artifact, feed, values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], metavar="NAME")
    parser.add_argument("--levels", default="O0,O3")
    options = parser.parse_intermixed_args()
    failed = 0
    print("| model | sizes | level | dimensions | error |\n|---|---|---|---|---|", flush=True)
    for name in options.names or MODELS:
        for level in options.levels.split(","):
            with tempfile.TemporaryDirectory() as work:
                for sizes, dimensions, result in check(options.glmc, MODELS[name], options.folder, level, Path(work)):
                    failed += isinstance(result, str) or not result <= LIMIT
                    shown = result if isinstance(result, str) else f"{result:.1e}"
                    print(f"| {name} | {' '.join(f'{k}={v}' for k, v in sizes.items())} | -{level} | {dimensions} | {shown} |", flush=True)
    print(f"\n{failed} above {LIMIT:g} or not compiled")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
