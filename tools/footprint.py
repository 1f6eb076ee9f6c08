#!/usr/bin/env python3
"""What a compiled model costs: compile time and memory, size of the code, libraries, and load plus first run beside ONNX Runtime's.

    python3 tools/footprint.py GLMC FOLDER [--rounds 3] [NAME ...]

FOLDER holds what fetch_models.py and make_models.py write. Cold: without the cache of compiled kernels; warm: with it full. Memory is the
largest process's. Code: the artifact's size without its weights. Load plus first run: of a new process on two threads, from the file to
the first outputs, imports not counted; the best of the rounds, engines in turn."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models import MODELS

ROOT = Path(__file__).resolve().parent.parent
FIRST_RUN = {
    "glmc": "import glmc\nstart = time.perf_counter()\nglmc.load(path).session(threads=2).run(feed)\n",
    "ONNX Runtime": "import onnxruntime\noptions = onnxruntime.SessionOptions()\noptions.intra_op_num_threads, options.log_severity_level = 2, 3\n"
                    "start = time.perf_counter()\n"
                    "onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider']).run(None, feed)\n",
}
PROLOGUE = "import sys, time\nsys.path[:0] = {paths!r}\nfrom models import MODELS\nname, path = sys.argv[1:]\nfeed = MODELS[name].feed()\n"
EPILOGUE = "print((time.perf_counter() - start) * 1e3)\n"


def compile_model(program, name, output, *flags):
    """Seconds and bytes of the largest process."""
    shapes = [f"--shape={key}:{'x'.join(map(str, value.shape))}" for key, value in MODELS[name].feed().items() if value.shape]
    start = time.perf_counter()
    process = subprocess.Popen([program, "compile", str(output.model), "-O3", "-o", str(output.artifact), *shapes, *flags], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} does not compile")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def first_run(engine, name, path):
    text = PROLOGUE.format(paths=[str(ROOT / "tools"), str(ROOT / "python")]) + FIRST_RUN[engine] + EPILOGUE
    return float(subprocess.run([sys.executable, "-c", text, name, str(path)], check=True, capture_output=True, text=True).stdout)


def libraries(artifact):
    lines = subprocess.run(["ldd", str(artifact)], check=True, capture_output=True, text=True).stdout.split("\n")
    return " ".join(sorted({line.split()[0].split("/")[-1].split(".so")[0] for line in lines if line.strip()} - {"linux-vdso", "ld-linux-x86-64"}))


class Output:
    def __init__(self, model, folder):
        self.model, self.artifact = model, Path(folder) / "model.so"


def measure(program, name, folder, rounds):
    with tempfile.TemporaryDirectory() as work:
        output = Output(MODELS[name].path(folder), work)
        cold, memory = compile_model(program, name, output, "--no-cache")
        compile_model(program, name, output)
        warm, _ = compile_model(program, name, output)
        manifest = json.loads(subprocess.run([program, "inspect", str(output.artifact), "--json"], check=True, capture_output=True, text=True).stdout)
        code = output.artifact.stat().st_size - manifest["weights"]["bytes"]
        best = {engine: min(first_run(engine, name, path) for _ in range(rounds)) for engine, path in (("glmc", output.artifact), ("ONNX Runtime", output.model))}
        return [name, f"{cold:.1f} s", f"{warm:.1f} s", f"{memory / 1e6:.0f} MB ({memory / output.model.stat().st_size:.1f}x)", f"{code / 1e3:.0f} kB",
                libraries(output.artifact), f"{best['glmc']:.1f} ms", f"{best['ONNX Runtime']:.1f} ms", f"{best['ONNX Runtime'] / best['glmc']:.1f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_intermixed_args()
    titles = ["model", "cold", "warm", "memory (x model)", "code", "libraries", "first run", "ONNX Runtime's", "ratio"]
    for cells in (titles, ["---"] * len(titles)):
        print("| " + " | ".join(cells) + " |", flush=True)
    for name in options.names or [name for name in MODELS if MODELS[name].is_onnx]:
        print("| " + " | ".join(measure(options.glmc, name, options.folder, options.rounds)) + " |", flush=True)


if __name__ == "__main__":
    main()
