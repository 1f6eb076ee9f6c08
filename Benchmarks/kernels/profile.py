#!/usr/bin/env python3
"""Where an artifact's time goes: python3 profile.py MODEL.so [runs] [dim=value ...]

Builds profile.c beside it, times every kernel on one thread and prints the slowest launches, the total per kernel family, and
the rate of arithmetic.
"""
import collections, json, os, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
headers = os.path.join(here, "../../Sources/Codegen/Prelude")
with tempfile.TemporaryDirectory() as folder:
    tool = os.path.join(folder, "profile")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-I", headers, os.path.join(here, "profile.c"), "-o", tool, "-ldl"], check=True)
    result = subprocess.run([tool, os.path.abspath(sys.argv[1]), *(sys.argv[2:3] or ["10"]), *sys.argv[3:]], capture_output=True, text=True)
if result.returncode:
    sys.exit(result.stderr)
times = dict((int(a), float(b)) for a, b in (line.split() for line in result.stdout.splitlines()))
kernels = json.loads(result.stderr)["entries"][0]["kernels"]
total = sum(times.values())
families = collections.defaultdict(lambda: [0, 0.0, 0.0])
rows = []
for i, kernel in enumerate(kernels):
    work = kernel.get("flops", 0)
    work = work if isinstance(work, (int, float)) else 0
    family = families[kernel["name"]]
    family[0] += 1
    family[1] += times.get(i, 0)
    family[2] += work
    rows.append((times.get(i, 0), i, kernel["name"], work, kernel["nodes"]))
print(f"total {total:.3f} ms")
for name, (count, time, work) in sorted(families.items(), key=lambda item: -item[1][1]):
    print(f"{time:9.3f} ms {100 * time / total:5.1f} %  {count:4d} x {name:24s} {work / max(time, 1e-9) * 1e-6:7.1f} G/s")
print()
for time, i, name, work, nodes in sorted(rows, reverse=True)[:30]:
    print(f"{time:9.3f} ms  {i:4d} {name:24s} {work / max(time, 1e-9) * 1e-6:7.1f} G/s  {', '.join(nodes)[:90]}")
