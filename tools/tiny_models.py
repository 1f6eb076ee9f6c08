"""What the tools that make small models (make_tiny_*.py) and compare their results (check_*.py) have in common."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def make_all(document, models, make):
    """The program of a tool that makes models: `make(folder, *models[name])` for those that the command line names, from the same random numbers every time."""
    import torch

    if len(sys.argv) < 2:
        sys.exit(document)
    for name in sys.argv[2:] or list(models):
        torch.manual_seed(list(models).index(name))
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        make(folder, *models[name])
        print(folder)


def error(found, expected):
    """The relative L2 error."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.linalg.norm(found.astype(np.float64) - expected) / max(np.linalg.norm(expected.astype(np.float64)), 1e-30))


def compiled(program, folder, flags, work):
    """The artifact of a model's folder, in the folder `work`."""
    artifact = work / f"{folder.name}{''.join(flags)}.so"
    done = subprocess.run([program, "compile", str(folder), *flags, "-o", str(artifact)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{folder.name} {' '.join(flags)}: exit status {done.returncode}: {done.stderr.strip()[-300:]}")
    return artifact


def check_all(document, check):
    """The program of a tool that compares: `check(glmc, folder, flags, work)` gives the error of a model, whose recorded results lie in golden.npz."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
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
