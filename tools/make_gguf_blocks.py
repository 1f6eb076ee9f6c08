#!/usr/bin/env python3
"""Record what the PyPI package gguf reads from random blocks of each of ggml's types: Tests/FrontendTests/gguf/blocks.json. Needs gguf and numpy."""
import base64
import json
from pathlib import Path

import gguf
import numpy as np

from check_gguf import SCALES, blocks

TARGET = Path(__file__).resolve().parent.parent / "Tests/FrontendTests/gguf/blocks.json"


def main():
    rng = np.random.default_rng(11)
    cases = []
    for kind in SCALES:
        packed, values = blocks(rng, kind, 3, 512)
        text = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        cases.append(dict(type=int(gguf.GGMLQuantizationType[kind]), name=kind, rows=3, columns=512, blocks=text(packed), values=text(values.astype("<f4"))))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
