"""What the tools that measure have in common: artifacts of models, times of runs in turn, rows of a table."""
import math
import subprocess
import time

import numpy as np

import glmc


def artifact_runner(artifact, feed):
    def make(threads):
        session = glmc.load(artifact).session(threads=threads)
        return lambda: session.run(feed)
    return make


def compile_model(program, path, feed, artifact, flags):
    """Compiles at -O3 for the sizes of `feed`; how many seconds it took."""
    shapes = [f"--shape={name}:{'x'.join(map(str, value.shape))}" for name, value in feed.items() if value.shape]
    start = time.perf_counter()
    subprocess.run([program, "compile", str(path), "-O3", "-o", str(artifact), *shapes, *flags], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def median_ms(run, seconds):
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def best_ms(engines, rounds, seconds):
    """The best median of each engine, which take turns."""
    best = dict.fromkeys(engines, math.inf)
    for run in engines.values():
        run()
    for _ in range(rounds):
        for name, run in engines.items():
            best[name] = min(best[name], median_ms(run, seconds))
    return best


def row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def error(mine, expected):
    """The relative L2 distance, as text."""
    return f"{np.linalg.norm(mine.astype(np.float64) - expected) / np.linalg.norm(expected):.1e}"
