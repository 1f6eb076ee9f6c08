#!/usr/bin/env python3
"""Write the test cases that the installed `onnx` package carries as code, in the form that `glmc conformance` reads.

    python3 tools/node_tests.py FOLDER

One folder per case: model.onnx, tolerance.txt (`rtol atol`), test_data_set_N/{input,output}_M.pb."""
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def to_proto(value, info):
    """The protobuf message of a value, by what the graph says about it."""
    if hasattr(value, "SerializeToString"):
        return value
    name = info.name if info is not None else ""
    kind = info.type.WhichOneof("value") if info is not None else "tensor_type"
    if kind == "optional_type":
        return numpy_helper.from_optional(value, name)
    if kind == "sequence_type" or isinstance(value, list):
        return numpy_helper.from_list(value, name)
    return numpy_helper.from_array(np.asarray(value), name)


def write_values(folder, prefix, values, infos):
    for index, value in enumerate(values):
        info = infos[index] if index < len(infos) else None
        (folder / f"{prefix}_{index}.pb").write_bytes(to_proto(value, info).SerializeToString())


def write_case(folder, case):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    (folder / "tolerance.txt").write_text(f"{case.rtol} {case.atol}\n")
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir(exist_ok=True)
        write_values(data, "input", inputs, case.model.graph.input)
        write_values(data, "output", outputs, case.model.graph.output)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    cases = collect_testcases(None)
    for case in cases:
        write_case(Path(sys.argv[1]) / case.name, case)
    print(f"{len(cases)} cases of onnx {onnx.__version__}")


if __name__ == "__main__":
    main()
