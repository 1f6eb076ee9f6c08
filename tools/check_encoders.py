#!/usr/bin/env python3
"""Compile encoders and compare their results with recorded ones.

    python3 tools/check_encoders.py GLMC ROOT [NAME ...] [--levels O0,O3] [--limit 1e-5] [--flag FLAG ...]

ROOT holds a folder per model: config.json, *.safetensors and golden.npz with inputs and results by name. tools/make_tiny_encoders.py makes such folders.
The exit status is 1 when a relative L2 error exceeds the limit or a model does not compile."""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from tiny_models import check_all, compiled, error


def check(program, folder, flags, work):
    """The largest error of a result."""
    golden, model = np.load(folder / "golden.npz"), glmc.load(str(compiled(program, folder, flags, work)))
    results = model(**{info.name: golden[info.name] for info in model.inputs})
    return max(error(result, golden[info.name]) for info, result in zip(model.outputs, results))


if __name__ == "__main__":
    check_all(__doc__, check)
