#!/usr/bin/env python3
"""Compile encoders and compare their results with recorded ones.

    python3 tools/check_encoders.py GLMC ROOT [NAME ...] [--levels O0,O3] [--limit 1e-5] [--flag FLAG ...]

ROOT holds a folder per model: config.json, *.safetensors and golden.npz with inputs and results by name. tools/make_tiny_encoders.py makes such folders.
The exit status is 1 when a relative L2 error exceeds the limit or a model does not compile."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc
from check_decoders import error


def check(program, folder, flags, work):
    """The largest error of a result."""
    artifact = work / f"{folder.name}{''.join(flags)}.so"
    done = subprocess.run([program, "compile", str(folder), *flags, "-o", str(artifact)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{folder.name} {' '.join(flags)}: exit status {done.returncode}: {done.stderr.strip()[-300:]}")
    golden, model = np.load(folder / "golden.npz"), glmc.load(str(artifact))
    results = model(**{info.name: golden[info.name] for info in model.inputs})
    return max(error(result, golden[info.name]) for info, result in zip(model.outputs, results))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("root", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--levels", default="O0,O3")
    parser.add_argument("--limit", type=float, default=1e-5)
    parser.add_argument("--flag", action="append", default=[])
    options = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory() as work:
        for folder in sorted(options.root.iterdir()):
            if not (folder / "golden.npz").exists() or options.names and folder.name not in options.names:
                continue
            for level in options.levels.split(","):
                found = check(options.glmc, folder, [f"-{level}", *options.flag], Path(work))
                worst = max(worst, found)
                print(f"{folder.name:24} -{level}  {found:.1e}", flush=True)
    sys.exit(worst > options.limit)


if __name__ == "__main__":
    main()
