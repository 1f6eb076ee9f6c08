#!/usr/bin/env python3
"""Every number of the ONNX node tests replaced by extremes, one at a time, through the program: exit code 0, 1 or 4, within 20 s of processor time and 2 GB.

    python3 tools/number_sweep.py GLMC NODETESTS [--per K] [--only TEXT] [--keep FOLDER] [--jobs N]

Numbers are integer and float attributes, and the elements of small tensors: initialisers, constants, and inputs, which become initialisers. Each number of an
operator (an attribute, an input) is tried with all values in K (2) models of each operator set. `NumberSweepTests` does the same inside one process."""
import argparse
import collections
import concurrent.futures
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper

INTEGERS = [0, 1, -1, 2, 3, -2, 2**31 - 1, 2**31, -2**31, 2**62, -2**62, 2**63 - 1, -2**63]
FLOATS = [0.0, -0.0, 1e38, -1e38, 1e-45, float("nan"), float("inf"), float("-inf"), 0.5, -1.0, 2.0**31, 2.0**63, 1e15]
SECONDS, BYTES = 20, 2 << 30


def is_small(tensor):
    return 0 < np.prod(tensor.dims, dtype=float) <= 16


def load(folder):
    """The model of a case with its small inputs as initialisers."""
    model = onnx.load(folder / "model.onnx")
    inputs = []
    for i, info in enumerate(model.graph.input):
        file = folder / "test_data_set_0" / f"input_{i}.pb"
        if info.type.WhichOneof("value") == "tensor_type" and file.exists():
            tensor = onnx.TensorProto.FromString(file.read_bytes())
            if is_small(tensor) and (tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) <= 4):
                tensor.name = info.name
                model.graph.initializer.append(tensor)
                continue
        inputs.append(info)
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def tensor_sites(tensor, label):
    array = numpy_helper.to_array(tensor) if is_small(tensor) else None
    if array is None or array.dtype.kind not in "iuf":
        return
    if array.dtype.kind == "f":
        values = FLOATS
    else:
        limits = np.iinfo(array.dtype)
        values = sorted({min(max(value, limits.min), limits.max) for value in INTEGERS})
    for place in sorted({0, array.size - 1}):
        for value in values:
            def change(place=place, value=value):
                new = array.copy().reshape(-1)
                with np.errstate(all="ignore"):
                    new[place] = value
                return tensor, numpy_helper.from_array(new.reshape(array.shape), tensor.name)
            yield label, place, value, change


def attribute_sites(attribute, label):
    kinds = {AttributeProto.INT: INTEGERS, AttributeProto.FLOAT: FLOATS, AttributeProto.INTS: INTEGERS, AttributeProto.FLOATS: FLOATS}
    values = kinds.get(attribute.type, [])
    old = list(attribute.ints) or list(attribute.floats)
    is_list = attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS)
    for place in sorted({0, len(old) - 1}) if is_list and old else [0] if not is_list else []:
        for value in values:
            def change(place=place, value=value):
                new = [value if i == place else x for i, x in enumerate(old)] if is_list else value
                return attribute, helper.make_attribute(attribute.name, new)
            yield label, place, value, change


def graph_sites(graph):
    users = {name: f"{node.op_type}.input{i}" for node in graph.node for i, name in enumerate(node.input)}
    for tensor in graph.initializer:
        yield from tensor_sites(tensor, users.get(tensor.name, "unused"))
    for node in graph.node:
        for attribute in node.attribute:
            label = f"{node.op_type}.{attribute.name}"
            yield from attribute_sites(attribute, label)
            if attribute.type == AttributeProto.TENSOR:
                yield from tensor_sites(attribute.t, label)
            elif attribute.type == AttributeProto.GRAPH:
                yield from graph_sites(attribute.g)


def cases(root, per, only):
    """Descriptions and bytes of the changed models."""
    tried = collections.Counter()
    for folder in sorted(Path(root).iterdir()):
        if only not in folder.name or not (folder / "model.onnx").exists():
            continue
        model = load(folder)
        opset = model.opset_import[0].version
        new = {}
        for label, place, value, change in graph_sites(model.graph):
            key = (label, opset, place == 0)
            if key not in new:
                tried[key] += 1
                new[key] = tried[key] <= per
            if not new[key]:
                continue
            target, changed = change()
            old = type(target).FromString(target.SerializeToString())
            target.CopyFrom(changed)
            data = model.SerializeToString()
            target.CopyFrom(old)
            yield f"{folder.name} {label}[{place}] = {value}", data


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    os.nice(10)


def complaint(glmc, name, data, kept):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(data)
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen([glmc, "compile", file, "--dry-run", "--progress=none"], cwd=folder, stdout=output, stderr=output, preexec_fn=limit)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode(errors="replace")
        if child.returncode in (0, 1, 4) and usage.ru_maxrss * 1024 <= BYTES:
            return None
        if kept:
            (Path(kept) / f"{abs(hash(name))}.onnx").write_bytes(data)
        return f"{name}: exit code {child.returncode}, {usage.ru_utime:.1f} s, {usage.ru_maxrss >> 10} MB: {text.splitlines()[0][:160] if text else ''}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("nodetests")
    parser.add_argument("--per", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    total, complaints, pending = 0, 0, collections.deque()

    def take():
        nonlocal total, complaints
        text = pending.popleft().result()
        total += 1
        if text:
            complaints += 1
            print(text, flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, data in cases(options.nodetests, options.per, options.only):
            pending.append(pool.submit(complaint, os.path.abspath(options.glmc), name, data, options.keep))
            if len(pending) > 64:
                take()
        while pending:
            take()
    print(f"{total - complaints} of {total} files end as documented")
    sys.exit(complaints > 0)


if __name__ == "__main__":
    main()
