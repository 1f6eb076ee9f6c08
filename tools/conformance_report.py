#!/usr/bin/env python3
"""Write docs/conformance.md from what `glmc conformance --json` found.

    glmc conformance FOLDER --json result.json
    python3 tools/conformance_report.py result.json docs/conformance.md

Every case that does not pass is listed with the reason that glmc gives; CLASSES says why a class of reasons stands."""
import collections
import json
import re
import sys
from pathlib import Path

# (pattern of the case's name, pattern of the reason, heading, why): the first that fits both.
CLASSES = [
    (r"_bf16", r"elements differ", "bfloat16 rounded once",
     "The expected values were computed with every step rounded to bfloat16. glmc keeps float32 inside a kernel and rounds the result once; "
     "it is nearer to the exact result than what is expected (`test_attention_4d_causal_bf16`: expected values are up to 4.4e-3 from the "
     "result in float64, which itself rounds to bfloat16 within 2.0e-3)."),
    (r"resize_downsample_scales_(linear|cubic)_align_corners", r"elements differ", "Resize by scales whose product is no integer",
     "The expected values relate the corners to the product `scale · size`; ONNX Runtime, PyTorch, OpenVINO and glmc to the extent of the result (docs/numerics.md). "
     "ONNX Runtime leaves these cases out."),
    (r"dft", r"elements differ", "Rounding noise around zero",
     "Twenty of the exact results are 0. The expected values were computed in float32 and carry noise of up to 1.5e-6 in ten of those places, where the "
     "tolerance is 1e-7: the exact transform in float64 fails the same test in the same number of places."),
    (r"", r"string", "Strings", "An artifact's interface passes numbers. Strings are followed at compile time only."),
    (r"", r"sequence|optional", "Sequences and optionals", "Sequences and optionals are followed at compile time; at the interface of an artifact they are their tensors."),
    (r"", r"Bernoulli|Random|training mode", "Random results", "The standard fixes no generator, so the expected values cannot be met by another one; not implemented."),
    (r"", r"ImageDecoder", "Image files", "Decoding JPEG, PNG, TIFF and WebP needs libraries that an artifact does not bring along."),
    (r"", r"", "Others", "Not of one kind."),
]


def shorten(reason):
    reason = re.sub(r"^test_data_set_\d+, ", "", reason)
    return reason.replace("|", "\\|").replace("\n", " ")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    result = json.loads(Path(sys.argv[1]).read_text())
    cases = result["cases"]
    passed = [case for case in cases if case["status"] == "passed"]
    built_in = [case for case in passed if case["bound_inputs"]]
    groups = collections.defaultdict(list)
    for case in cases:
        if case["status"] != "passed":
            kind = next(i for i, (name, reason, _, _) in enumerate(CLASSES) if re.search(name, case["name"]) and re.search(reason, case["reason"]))
            groups[kind].append(case)
    lines = [
        "# Conformance",
        "",
        f"**{len(passed)} of {len(cases)}** ONNX node tests pass through emitted code: compiled, linked, loaded and run natively, one process each. "
        f"{result['failed']} give other values, {result['skipped']} are refused with a reason; none crashes or hangs.",
        "",
        "`make conformance` repeats this and writes this page (`tools/node_tests.py` makes the cases from the installed `onnx` package, "
        "`glmc conformance` runs them, `tools/conformance_report.py` writes the table). Tolerances are those of each case.",
        "",
        f"In {len(built_in)} of the cases that pass, an operator needs an input's value at compile time (a shape to reshape to, axes, the number of "
        "rounds of a loop that stacks what it computes); it is built in from the data set. `glmc compile` refuses such a model, with the reason, unless that value is a constant or follows from shapes.",
        "",
        "## What does not pass",
    ]
    for kind in sorted(groups):
        _, _, heading, why = CLASSES[kind]
        lines += ["", f"### {heading}: {len(groups[kind])}", "", why, "", "| case | reason |", "|---|---|"]
        lines += [f"| {case['name']} | {shorten(case['reason'])} |" for case in groups[kind]]
    Path(sys.argv[2]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
