#!/usr/bin/env python3
"""What must hold for artifacts of real models, whoever runs them: sanitizers find nothing, concurrent callers get right answers, the bytes are
the same however they were built, only libc, libm and libpthread are needed, and the code for ARM computes the same under qemu.

    python3 tools/check_artifacts.py GLMC MODELS [--checks threads,address,race,bytes,libraries,arm] [CASE ...]

MODELS is the folder that fetch_models.py and make_models.py fill; the cases that are called text-… are small language models that are made here. Prints a line per check; exit status 1 if any failed."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import small_decoders

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    file: str
    inputs: dict  # name: (shape, kind); the kinds are in `feed`
    free: bool = False  # sizes that the model leaves open stay open
    int8: bool = False
    tolerance: float = 1e-4
    flags: tuple = ()

    def feed(self, seed=0):
        random = np.random.default_rng(seed)
        make = {
            "f32": lambda shape: random.random(shape, dtype=np.float32), "ids": lambda shape: random.integers(0, 30000, shape),
            "bytes": lambda shape: random.integers(0, 256, shape).astype(np.int32), "zeros": lambda shape: np.zeros(shape, np.int64),
            "ones": lambda shape: np.ones(shape, np.int64), "state": lambda shape: np.zeros(shape, np.float32), "rate": lambda shape: np.full(shape, 16000, np.int64),
        }
        return {name: make[kind](shape) for name, (shape, kind) in self.inputs.items()}


IMAGE = {"input": ((1, 3, 224, 224), "f32")}
TOKENS = {"input_ids": ((1, 128), "ids"), "token_type_ids": ((1, 128), "zeros"), "attention_mask": ((1, 128), "ones")}
CASES = {
    "mobilenetv2": Case("mobilenetv2.onnx", IMAGE),
    "mobilenetv2-int8": Case("mobilenetv2.onnx", IMAGE, int8=True, tolerance=2e-2),
    "yolov8n": Case("yolov8n_320.onnx", {"images": ((1, 3, 320, 320), "f32")}),
    "minilm": Case("minilm_l6_s128.onnx", TOKENS),
    "silero": Case("silero_vad.onnx", {"input": ((1, 576), "f32"), "state": ((2, 1, 128), "state"), "sr": ((), "rate")}),
    "magika-free": Case("magika.onnx", {"bytes": ((2, 2048), "bytes")}, free=True),
    "ppocr_rec-free": Case("ppocr_rec.onnx", {"x": ((1, 3, 48, 160), "f32")}, free=True),
}
TEXTS = {"text-llama": "llama", "text-gemma3": "gemma3"}  # by their family


class Failure(Exception):
    pass


def call(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **options)
    if done.returncode:
        raise Failure(f"{Path(str(words[0])).name} ended with {done.returncode}: {(done.stderr + done.stdout).strip()[-1500:]}")
    return done.stdout.strip()


class Bench:
    """One case's model, inputs and expected outputs in a folder of their own, and ways to build and run it."""

    harness = "check_artifact.c"

    def __init__(self, glmc, models, case, folder):
        self.glmc, self.case, self.folder = Path(glmc).resolve(), case, folder
        self.environment = {**os.environ, "GLMC_CACHE": str(folder / "cache")}
        self.model, feeds = Path(models).resolve() / case.file, case.feed()
        self.flags = [] if case.free else [f"--shape={n}:{'x'.join(map(str, v.shape))}" for n, v in feeds.items()]
        if case.int8:
            # Calibrated once: every build then starts from the same quantised function.
            (folder / "calibration").mkdir()
            for seed in range(4):
                np.savez(folder / "calibration" / f"{seed}.npz", **case.feed(seed))
            self.compile(folder / "model.glm", "--int8", "--calib", folder / "calibration")
            self.model, self.flags = folder / "model.glm", []
            # The reference is the same function in plain C, by loops that are not tuned.
            self.compile(folder / "plain.so", "-O0", "-march=scalar")
            np.savez(folder / "in.npz", **feeds)
            call(self.glmc, "run", folder / "plain.so", "--inputs", folder / "in.npz", "--output", folder / "out.npz")
            expected = list(np.load(folder / "out.npz").values())
        else:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            expected = onnxruntime.InferenceSession(str(self.model), options, providers=["CPUExecutionProvider"]).run(None, feeds)
        (folder / "shapes.txt").write_text("\n".join(" ".join(map(str, [v.ndim, *v.shape])) for v in feeds.values()))
        for kind, arrays in (("in", feeds.values()), ("out", expected)):
            for i, array in enumerate(arrays):
                (folder / f"{kind}{i}.bin").write_bytes(np.ascontiguousarray(array).tobytes())

    def compile(self, output, *flags, environment=None, cwd=None):
        level = [] if any(str(f).startswith("-O") for f in flags) else ["-O3"]
        call(self.glmc, "compile", self.model, "-o", output, *level, *self.flags, *self.case.flags, *flags, env=environment or self.environment, cwd=cwd)
        return output

    def program(self, name, *flags, cc="gcc", cflags=()):
        """A program of its own around a build of the model."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        library = self.compile(folder / "m.a", *flags, *(f"--cflag={f}" for f in cflags))
        symbol = next(line.split("(")[0].split("*")[1] for line in (folder / "m.h").read_text().splitlines() if line.startswith("const glmc_model"))
        call(cc, "-O1", "-g", *cflags, f"-DMODEL={symbol}", f"-I{folder}", ROOT / "tools" / self.harness, library, "-pthread", "-lm", "-o", folder / "check")
        return folder / "check"

    def run(self, program, callers, threads, runs=1, before=(), environment=None):
        """The largest error of an output; fails where it is above the tolerance."""
        return call(*before, program, self.folder, callers, threads, runs, self.case.tolerance, env={**os.environ, **(environment or {})})


class TextBench(Bench):
    """A small language model, and what it says in plain C, by loops that are not tuned, through one session."""

    harness = "check_language.c"

    def __init__(self, glmc, family, folder):
        self.glmc, self.case, self.folder, self.model, self.flags = Path(glmc).resolve(), Case(family, {}), folder, folder / family, ["--context=64"]
        self.environment = {**os.environ, "GLMC_CACHE": str(folder / "cache")}
        tokenizer = json.loads((ROOT / "Tests/FrontendTests/tokenizers/smollm.json").read_text())["tokenizer"]
        vocabulary = 1 + max(tokenizer["model"]["vocab"].values())
        small_decoders.write(self.model, {**small_decoders.files(family, seed=1, vocabulary=vocabulary, width=32), "tokenizer.json": json.dumps(tokenizer).encode()})
        plain, random, texts = self.compile(folder / "plain.so", "-O0", "-march=scalar"), np.random.default_rng(1), []
        for count in (1, 2, 7, 8, 20, 33):
            prompt = random.integers(0, vocabulary, count).tolist()
            words = ["--tokens", ",".join(map(str, prompt)), "--max-new", "24", "--json", "--logits", folder / "scores.npy", "--threads=1"]
            tokens = json.loads(call(self.glmc, "generate", plain, *words))["tokens"]
            scores = np.load(folder / "scores.npy")[len(tokens)]
            texts.append(" ".join(map(repr, [len(prompt), *prompt, len(tokens), *tokens, *scores.tolist()])))
        (folder / "texts.txt").write_text("\n".join(texts) + "\n")


def threads(bench):
    program = bench.program("threads")
    alone = bench.run(program, 1, 1, 2)
    return f"alone {alone}, 8 callers {bench.run(program, 8, 1, 3)}, 8 callers with 2 threads each {bench.run(program, 8, 2, 2)}"


def address(bench):
    errors = []
    for target in ("native", "avx2", "scalar"):
        flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1"]
        program = bench.program(f"address-{target}", f"-march={target}", "--no-cache", cflags=flags)
        errors.append(f"{target} " + bench.run(program, 2, 2, 2, environment={"ASAN_OPTIONS": "detect_leaks=1"}))
    return ", ".join(errors)


def race(bench):
    program = bench.program("race", "--no-cache", cflags=["-fsanitize=thread", "-O1", "-g"])
    return bench.run(program, 2, 2, 2, environment={"TSAN_OPTIONS": "halt_on_error=1"})


def bytes_(bench):
    folders = [bench.folder / "here", bench.folder / "elsewhere" / "deeper"]
    variants = [("cold cache, -j1", folders[0], ["-j1"]), ("warm cache, -j2", folders[1], ["-j2"]), ("no cache", folders[1], ["--no-cache", "-j2"])]
    seen = {}
    for name, folder, flags in variants:
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**bench.environment, "GLMC_CACHE": str(bench.folder / "bytes-cache"), "TMPDIR": str(folder)}
        bench.compile(folder / "m.so", *flags, environment=environment, cwd=folder)
        seen[name] = (folder / "m.so").read_bytes()
    first = next(iter(seen.values()))
    for name, content in seen.items():
        if content != first:
            raise Failure(f"the bytes differ: {name}")
    return f"{len(first)} bytes, the same {len(seen)} times"


def libraries(bench):
    names = sorted(line.split()[0] for line in call("ldd", bench.compile(bench.folder / "lib.so")).splitlines())
    allowed = ("linux-vdso", "libc.so", "libm.so", "libpthread.so", "/lib64/ld-", "/lib/ld-")
    if extra := [n for n in names if not n.startswith(allowed)]:
        raise Failure(f"needs {', '.join(extra)}")
    return " ".join(names)


def arm(bench):
    for tool in ("qemu-aarch64", "aarch64-linux-gnu-gcc", "clang"):
        if not shutil.which(tool):
            raise Failure(f"{tool} is missing: install qemu-user and gcc-aarch64-linux-gnu")
    errors = []
    for target, cpu, compiler in (("armv8.2-a+dotprod", "max", "clang"), ("armv8-a", "cortex-a53", "clang"), ("armv8.2-a+dotprod", "max", "aarch64-linux-gnu-gcc")):
        program = bench.program(f"arm-{target}-{compiler}", f"-march={target}", "--cc", compiler, cc="aarch64-linux-gnu-gcc")
        error = bench.run(program, 1, 2, before=("qemu-aarch64", "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"))
        errors.append(f"{target} by {compiler} {error}")
    return ", ".join(errors)


CHECKS = {"threads": threads, "address": address, "race": race, "bytes": bytes_, "libraries": libraries, "arm": arm}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("models")
    parser.add_argument("--checks", default=",".join(CHECKS))
    parser.add_argument("--keep", help="leave everything in this folder")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_intermixed_args()
    failed = 0
    for name in options.cases or [*CASES, *TEXTS]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(options.keep or temporary) / name
            folder.mkdir(parents=True)
            try:
                bench = TextBench(options.glmc, TEXTS[name], folder) if name in TEXTS else Bench(options.glmc, options.models, CASES[name], folder)
            except Failure as error:
                print(f"{name}: FAILED: {error}", flush=True)
                failed += 1
                continue
            for check in options.checks.split(","):
                start = time.monotonic()
                try:
                    result = CHECKS[check](bench)
                except Failure as error:
                    result, failed = f"FAILED: {error}", failed + 1
                print(f"{name} {check}: {result} ({time.monotonic() - start:.0f} s)", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
