#!/usr/bin/env python3
"""Time the public models as two builds of glmc compile them, in turn, in one process: what a change did to speed, size and results.

    python3 tools/compare_builds.py OLD NEW FOLDER [--threads 1] [--rounds 7] [--seconds 0.3] [--flag FLAG ...] [NAME ...]

OLD and NEW are glmc programs, FOLDER holds what fetch_models.py and make_models.py write. The best round of each build counts; `time` and `size` are NEW divided by OLD,
`difference` is the relative L2 distance of their first outputs. The last line has the geometric means."""
import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from models import MODELS
from timing import artifact_runner, best_ms, compile_model, error, row


def compare(name, model, options, work):
    path, feed, builds = model.path(options.folder), model.feed(), {"old": options.old, "new": options.new}
    artifacts = {build: work / f"{build}.so" for build in builds}
    for build, program in builds.items():
        try:
            compile_model(program, path, feed, artifacts[build], options.flag)
        except subprocess.CalledProcessError as problem:
            return row([name, *["–"] * 4, f"the {build} build ends with status {problem.returncode}"])
    results = {build: artifact_runner(artifact, feed)(1)()[0] for build, artifact in artifacts.items()}
    times = best_ms({build: artifact_runner(artifact, feed)(options.threads) for build, artifact in artifacts.items()}, options.rounds, options.seconds)
    sizes = {build: artifact.stat().st_size for build, artifact in artifacts.items()}
    time, size = times["new"] / times["old"], sizes["new"] / sizes["old"]
    row([name, f"{times['old']:.4g}", f"{times['new']:.4g}", f"{time:.3f}", f"{size:.4f}", error(results["new"], results["old"].astype(np.float64))])
    return time, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--flag", action="append", default=[])
    options = parser.parse_intermixed_args()
    titles = ["model", "old ms", "new ms", "time", "size", "difference"]
    row(titles)
    row(["---"] * len(titles))
    ratios = []
    for name in options.names or MODELS:
        with tempfile.TemporaryDirectory() as work:
            ratios += [pair for pair in [compare(name, MODELS[name], options, Path(work))] if pair]
    means = [math.exp(sum(map(math.log, column)) / len(column)) for column in zip(*ratios)]
    row(["geometric mean", "", "", *(f"{mean:.3f}" for mean in means), ""])


if __name__ == "__main__":
    main()
