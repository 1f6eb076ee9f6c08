#!/usr/bin/env python3
"""Run an artifact on random inputs: python3 run.py MODEL.so"""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))
import glmc

model = glmc.load(sys.argv[1])
print(f"{model.name}: {model.inputs} -> {model.outputs}")
rng = np.random.default_rng(0)
inputs = {info.name: rng.random([size or 2 for size in info.shape]).astype(info.dtype) for info in model.inputs}
with model.session(threads=2) as session:
    for info, value in zip(model.outputs, session.run(inputs)):
        print(f"{info.name}: {value.dtype}{list(value.shape)}", f"mean {value.mean():.6g}" if value.size else "")
