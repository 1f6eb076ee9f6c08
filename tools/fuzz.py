#!/usr/bin/env python3
"""Random legal ONNX graphs through glmc, compared with ONNX Runtime node by node.

    python3 tools/fuzz.py GLMC [--count N] [--seed S] [--jobs N] [--batch N] [--flags=--int8 …] [-o FOLDER]

Independent small graphs go side by side into one model, which is compiled once; level, processor, precision and whether sizes are fixed
are drawn per model, unless --flags says so. What fails is taken apart and reduced. FOLDER gets NAME.onnx, NAME.npz (inputs and expected
outputs) and NAME.txt (verdict and command) per finding. Refusals are counted by reason and are no failures. The exit status is 3 when
there are findings, and 1 when more than one batch in a hundred ended without a report (oracles crash, too)."""
import argparse
import os
import pickle
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from graph_fuzzer.campaign import Batch, Report
from graph_fuzzer.component import model
from graph_fuzzer.oracle import Oracle
from graph_fuzzer.program import Program, is_native


def work(options, number, folder):
    """The report of one batch."""
    begin = time.time()
    size = min(options.batch, options.count - number * options.batch)
    batch = Batch(Program(options.glmc, folder, options.flags), Oracle(), options.seed, number, size, options.flags)
    report = batch.report
    report.seconds["generating"] += time.time() - begin
    batch.work()
    report.seconds["in all"] += time.time() - begin
    report.findings = [write(options.output, f) for f in report.findings]
    return report


def in_child(options, number, root):
    """Starts a process for one batch: what kills the oracle kills no more than that. Its report comes as a file."""
    child = os.fork()
    if child:
        return child
    try:
        folder = root / str(number)
        folder.mkdir()
        report = work(options, number, folder)
        (root / f"{number}.report").write_bytes(pickle.dumps(report))
        shutil.rmtree(folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def all_batches(options, root):
    """The reports of all batches as they come, `jobs` at a time."""
    waiting, running = list(reversed(range((options.count + options.batch - 1) // options.batch))), {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            number = waiting.pop()
            running[in_child(options, number, root)] = number
        child, status = os.wait()
        number = running.pop(child)
        path = root / f"{number}.report"
        if path.exists():
            yield pickle.loads(path.read_bytes())
            path.unlink()
        else:
            yield Report(lost=1, suspicious=[(f"the oracle or the fuzzer ends with {os.waitstatus_to_exitcode(status)}", f"{options.seed}-{number}", "")])


def write(folder, finding):
    """NAME.onnx, NAME.npz, NAME.txt. Returns (name, verdict, operators)."""
    folder.mkdir(parents=True, exist_ok=True)
    name, made = finding.seed, model(finding.components)
    (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
    # numpy saves the 16 bits of a bfloat16 as "V2", as glmc does.
    plain = lambda v: v if is_native(v.dtype) or v.dtype.name == "bfloat16" else v.view(f"u{v.dtype.itemsize}")
    np.savez(folder / f"{name}.npz", **{n: plain(v) for n, v in {**finding.feeds, **finding.expected}.items()})
    flags = [*finding.flags, *(f"--shape={n}:{'x'.join(map(str, s))}" for n, s in finding.shapes.items())]
    operators = sorted({o for c in finding.components for o in c.operators})
    lines = [finding.verdict, "operators: " + " ".join(operators),
             f"glmc verify {folder}/{name}.onnx --against {folder}/{name}.npz {' '.join(flags)}" if finding.expected else f"glmc compile {folder}/{name}.onnx {' '.join(flags)}"]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {finding.verdict} [{' '.join(operators)}] {' '.join(flags)}", flush=True)
    return name, finding.verdict, operators


def table(title, counts):
    if counts:
        print(f"\n{title}")
        for key, n in counts.most_common(60):
            print(f"{n:6}  {key if isinstance(key, str) else ' '.join(map(str, key))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc", type=os.path.abspath)
    parser.add_argument("--count", type=int, default=400, help="graphs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=20, help="graphs per model")
    parser.add_argument("--flags", action="append", default=[], help="a flag for every compilation")
    parser.add_argument("-o", "--output", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="glmc-fuzz-"))
    begin, total = time.time(), Report()
    try:
        for done, report in enumerate(all_batches(options, root)):
            total += report
            if done % 20 == 19:
                print(f"{total.graphs} graphs, {len(total.findings)} findings, {time.time() - begin:.0f} s", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    table("refused (exit status, reason)", total.refused)
    table("sizes that artifacts refuse", total.sizes_refused)
    if total.suspicious:
        print("\nsuspicious: the checker and ONNX Runtime accept these")
        for line, seed, prefix in total.suspicious[:40]:
            print(f"  {seed} {prefix} {line}")
    spent = time.time() - begin
    print(f"\n{total.graphs} graphs, {total.runs} comparisons, {sum(total.operators.values())} operators of {len(total.operators)} kinds, {sum(total.refused.values())} refused, "
          f"{total.unstable} outputs that roundings decide, {len(total.findings)} findings; {spent:.0f} s, {spent / max(total.graphs, 1):.2f} s per graph "
          f"({', '.join(f'{k} {v:.0f} s' for k, v in total.seconds.items())})")
    return 3 if total.findings else 1 if total.lost > options.count // 2000 else 0


if __name__ == "__main__":
    sys.exit(main())
