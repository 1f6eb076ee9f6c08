"""What a node gives: one node at a time through ONNX Runtime, and through the ONNX reference evaluator where ONNX Runtime has no kernel or deviates.

A model of one node leaves no room for fusions, and its session serves every size, so sessions are kept."""
import ctypes
import os
import re
import warnings
from collections import OrderedDict

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

FUNCTIONS = "fuzz"  # the domain of model-local functions

# Operators where ONNX Runtime is known to deviate from the standard, and when; the reference evaluator decides there.
DEVIATIONS = [
    (re.compile("MeanVarianceNormalization"), lambda node, values: True, "numbers without variance become NaN"),
    (re.compile("Gemm"), lambda node, values: values[0].size == 0, "beta is forgotten where there is nothing to add"),
    (re.compile("Shrink"), lambda node, values: values[0].dtype == np.float64, "computed in float32"),
    (re.compile("MatMulInteger"), lambda node, values: values[0].dtype == np.uint8 and values[1].dtype == np.int8, "sums of two products saturate on processors without VNNI"),
    (re.compile("HardSwish"), lambda node, values: values[0].dtype == np.float64, "a sixth in float32"),
    (re.compile("MatMul"), lambda node, values: values[0].size == 0, "batches are not broadcast where there is nothing to add"),
    (re.compile("Einsum"), lambda node, values: any(v.size == 0 for v in values), "divides by a size of 0, which kills the process"),
    (re.compile("Reduce.*|ArgMax|ArgMin"), lambda node, values: values[0].ndim == 0 or values[0].size == 0, "a reduction of a scalar gets an axis, one of nothing no elements"),
]

# Operators whose reference implementation gives wrong shapes or values in rare cases: nothing but ONNX Runtime decides.
DOUBTFUL = {"GlobalMaxPool", "GlobalAveragePool", "MaxPool", "AveragePool", "LpPool", "GlobalLpPool", "ConvTranspose", "Resize", "GridSample", "RoiAlign", "Col2Im", "MaxUnpool", "LSTM", "GRU",
            "RNN", "NonMaxSuppression", "Unique", "TopK", "LRN", "DFT", "Loop", "LpNormalization", "QLinearConv", "QLinearMatMul"}

# Operators where neither oracle is to be trusted, and when: such nodes are not generated.
UNDEFINED = [
    *((op, lambda node, values: _has_nan(values[0]), "where NaN is in an order") for op in ("ArgMax", "ArgMin", "TopK", "Hardmax", "Unique", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Max", "Min",
                                                                                                  "ReduceLogSumExp", "Softmax", "LogSoftmax")),
    ("MaxPool", lambda node, values: _misses_image(node, values), "a window that lies in the padding alone"),
    ("Sign", lambda node, values: _has_nan(values[0]), "the sign of NaN, which ONNX Runtime takes for 0 in bfloat16 alone"),
    ("BlackmanWindow", lambda node, values: True, "its first value is 0 but for rounding, which decides what NonZero or a logarithm makes of it"),
    ("Mod", lambda node, values: bool(attribute(node, "fmod", 0)) and any(v.dtype.itemsize == 8 and v.dtype.kind in "iu" and bool((np.abs(v.astype(np.float64)) > 2.0**53).any()) for v in values),
     "ONNX Runtime computes it in float64"),
    ("Squeeze", lambda node, values: len(values) > 1 and values[1] is not None and values[1].size == 0, "ONNX Runtime takes an empty list of axes for all"),
    ("Gelu", lambda node, values: values[0].dtype == np.float64, "both compute in float32"),
    ("Compress", lambda node, values: values[1].size > (values[0].shape[axis] if (axis := attribute(node, "axis")) is not None else values[0].size),
     "a condition longer than the axis, which the standard does not know: ONNX Runtime cuts it, numpy refuses it"),
    ("DynamicQuantizeLinear", lambda node, values: not np.isfinite(values[0]).all() or not values[0].any(), "NaN as an integer; a range of one number"),
    *((op, lambda node, values: attribute(node, "auto_pad", b"").startswith(b"SAME") and any(d > 1 for d in attribute(node, "dilations", [])), "ONNX Runtime pads as if there were no dilations")
      for op in ("MaxPool", "AveragePool", "LpPool")),
    (".*Pool|Conv", lambda node, values: attribute(node, "auto_pad", b"").startswith(b"SAME") and any(k < s for k, s in zip(_window(node, values), attribute(node, "strides", []))),
     "ONNX Runtime cuts where it should pad by nothing"),
    ("Reshape", lambda node, values: values[0].size == 0 and bool((values[1] == 0).any()), "a size that happens to be 0 would mean a copy"),
    ("Resize", lambda node, values: not is_float(values[0].dtype) and attribute(node, "mode", b"nearest") != b"nearest", "the standard rounds integers, ONNX Runtime cuts them"),
    ("InstanceNormalization", lambda node, values: values[0].size > 0 and bool((values[0].astype(np.float64).var(axis=tuple(range(2, values[0].ndim))) < 1e-4).any()),
     "ONNX Runtime cancels where there is next to no variance"),
    ("MeanVarianceNormalization", lambda node, values: _cancels(values[0], tuple(attribute(node, "axes", [0, 2, 3]))), "the square of the mean, taken from the mean square, leaves only rounding"),
    ("ReduceLogSumExp", lambda node, values: values[0].dtype.kind in "iu", "ONNX Runtime cuts to integers on the way"),
    ("ReduceLogSum", lambda node, values: values[0].dtype.kind in "iu" and bool((values[0] <= 0).any()), "infinities and NaN as integers"),
    (".*Pool", lambda node, values: values[0].size == 0, "windows on nothing"),
    (".*Pool|Conv", lambda node, values: _is_too_small(node, values), "ONNX Runtime rounds the size towards zero where the window is larger than the image"),
    ("Reduce(Prod|SumSquare|L2)", lambda node, values: _overflows(node, values[0]), "integers that overflow"),
    ("ReduceMean", lambda node, values: values[0].size == 0 and values[0].dtype.kind in "iu", "the mean of nothing"),
    (re.compile(".*Normalization|LRN|LSTM|GRU|RNN|Resize|GridSample|RoiAlign|Det|DFT|.*Loss|Gemm|MatMul|Einsum|Conv|ConvTranspose|CumSum|Reduce(Sum|Mean|L2|SumSquare|Prod|LogSum|L1)|.*Pool"),
     lambda node, values: any(v is not None and is_float(v.dtype) and not np.isfinite(v.astype(np.float64)).all() for v in values), "sums of infinities in any order"),
    ("ConvTranspose", lambda node, values: attribute(node, "auto_pad", b"").startswith(b"SAME") and any(k < s for k, s in zip(values[1].shape[2:], attribute(node, "strides", []))),
     "ONNX Runtime makes less than input times stride where the window is smaller than that"),
    ("Reduce.*|CumSum|Einsum|Gemm|MatMul|Abs|Neg|Mul|Add|Sub|Sum|Mean|Cast|CastLike|Div|Shrink", lambda node, values: any(_is_huge(v) for v in values), "integers that overflow"),
    ("QLinearMatMul", lambda node, values: values[0].shape[-1] == 0, "ONNX Runtime forgets the zero point where there is nothing to add"),
    *((op, lambda node, values: values[1].size == 0, "the mean of nothing") for op in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")),
    ("GRU", lambda node, values: values[0].size == 0, "ONNX Runtime aborts"),
    ("LSTM", lambda node, values: values[0].size == 0, "ONNX Runtime aborts"),
    ("RNN", lambda node, values: values[0].size == 0, "ONNX Runtime aborts"),
    ("Cast", lambda node, values: _loses(values[0], attribute(node, "to")), "numbers that the target type does not hold"),
    ("CastLike", lambda node, values: _loses(values[0], helper.np_dtype_to_tensor_dtype(values[1].dtype)), "numbers that the target type does not hold"),
    ("Div", lambda node, values: values[1].dtype.kind in "iu" and bool((values[1] == 0).any()), "division by zero"),
    ("Mod", lambda node, values: values[1].dtype.kind in "iu" and bool((values[1] == 0).any()), "division by zero"),
    ("Pow", lambda node, values: values[0].dtype.kind in "iu" and _powers_overflow(*values), "integer powers that overflow, and those of negative exponents"),
    ("BitShift", lambda node, values: bool((values[1] >= values[1].dtype.itemsize * 8).any()), "shifts by the width or more"),
    ("QuantizeLinear", lambda node, values: bool((values[1] <= 0).any()) or not np.isfinite(values[0].astype(float)).all(), "NaN as an integer"),
]


TRACE = os.environ.get("FUZZ_TRACE")  # prints what is about to run, for oracles that crash


class Refused(Exception):
    """No oracle computes this node on these values."""


def attribute(node, name, default=None):
    for a in node.attribute:
        if a.name == name:
            return helper.get_attribute_value(a)
    return default


def operators(node):
    """The names of a node's operator and of those in its bodies."""
    yield node.op_type
    for a in node.attribute:
        for graph in [a.g, *a.graphs]:
            for inner in graph.node:
                yield from operators(inner)


def _loses(x, to):
    """Whether a cast of x to the ONNX type `to` is left open by the standard: numbers out of an integer's range."""
    target = np.dtype(helper.tensor_dtype_to_np_dtype(to))
    if not is_float(x.dtype) or x.size == 0:
        return False
    if target.kind in "iu" or target.name in ("int4", "uint4"):
        low, high = {"int4": (-8, 7), "uint4": (0, 15)}.get(target.name) or (np.iinfo(target).min, np.iinfo(target).max)
        values = x.astype(np.float64)
        return not (np.isfinite(values).all() and values.min() > low - 1 and values.max() < min(high, 2.0**62) + (high < 2**53))
    return False


def _is_huge(x):
    return x is not None and x.dtype.kind in "iu" and x.dtype.itemsize >= 4 and bool((np.abs(x.astype(np.float64)) > 2.0 ** (x.dtype.itemsize * 6)).any())


def _overflows(node, x):
    """Whether a product or a sum of squares over all of x might leave the range of its integer type."""
    if x.dtype.kind not in "iu" or x.size == 0:
        return False
    values = np.abs(x.astype(np.float64))
    return bool((np.prod(np.maximum(values, 1)) if node.op_type == "ReduceProd" else np.sum(values**2)) > np.iinfo(x.dtype).max)


def _powers_overflow(x, exponent):
    """Whether a power of integers is no number of their type."""
    with np.errstate(all="ignore"):
        powers = np.abs(x.astype(np.float64)) ** exponent.astype(np.float64)
    return bool((exponent < 0).any()) or not bool((powers <= np.iinfo(x.dtype).max).all())


def _cancels(x, axes):
    """Whether a variance over the axes is next to nothing beside the mean square."""
    wide = x.astype(np.float64)
    return bool((wide.var(axis=axes) < 1e-4 * (wide**2).mean(axis=axes)).any())


def _window(node, values):
    return attribute(node, "kernel_shape", []) or values[1].shape[2:]


def _is_too_small(node, values):
    """Whether a window is larger than the image with its padding."""
    window = [] if node.op_type.startswith("Global") else list(_window(node, values))
    pads, dilations = attribute(node, "pads") or [0] * 2 * len(window), attribute(node, "dilations") or [1] * len(window)
    return any(size + pads[i] + pads[i + len(window)] < (k - 1) * d + 1 for i, (size, k, d) in enumerate(zip(values[0].shape[2:], window, dilations)))


def _misses_image(node, values):
    """Whether no element of some window of a pool lies in the image."""
    window, image = attribute(node, "kernel_shape", []), values[0].shape[2:]
    strides, dilations = attribute(node, "strides", None) or [1] * len(window), attribute(node, "dilations", None) or [1] * len(window)
    pads = attribute(node, "pads", None) or [0] * 2 * len(window)
    for axis, (k, n, s, d) in enumerate(zip(window, image, strides, dilations)):
        before, after = pads[axis], pads[axis + len(window)]
        if any(not any(0 <= start + i * d < n for i in range(k)) for start in range(-before, n + after - (k - 1) * d, s)):
            return True
    return False


def _has_nan(x):
    return is_float(x.dtype) and bool(np.isnan(x.astype(np.float64)).any())


def is_float(dtype):
    return dtype.kind == "f" or "float" in dtype.name


def captures(graph):
    """Names that a subgraph takes from outside, in order of use."""
    known = {i.name for i in graph.input} | {i.name for i in graph.initializer}
    found = []
    for node in graph.node:
        for name in [*node.input, *(n for a in node.attribute if a.HasField("g") for n in captures(a.g))]:
            if name and name not in known and name not in found:
                found.append(name)
        known.update(node.output)
    found += [o.name for o in graph.output if o.name not in known and o.name not in found]
    return found


def uses(node):
    """All distinct names that a node reads, those of its bodies included."""
    names = [*node.input, *(n for a in node.attribute if a.HasField("g") for n in captures(a.g))]
    return list(dict.fromkeys(n for n in names if n))


def type_of(value):
    """The ONNX type of a value, without its shape."""
    if isinstance(value, list):
        return helper.make_sequence_type_proto(helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value[0].dtype if value else np.dtype(np.float32)), None))
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), None)


class Oracle:
    """Runs nodes. `counts` says how often which oracle answered."""

    def __init__(self):
        self.sessions, self.counts = OrderedDict(), {"onnxruntime": 0, "reference": 0}
        self.options = ort.SessionOptions()
        self.options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.options.intra_op_num_threads = 1
        self.options.log_severity_level = 4
        ort.set_default_logger_severity(4)

    def model(self, node, opset, values, functions=()):
        graph = helper.make_graph([node], "node", [helper.make_value_info(name, type_of(value)) for name, value in values.items()],
                                  [onnx.ValueInfoProto(name=name) for name in node.output if name])
        imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)] + ([helper.make_opsetid(FUNCTIONS, 1)] if functions else [])
        return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=list(functions))

    def run(self, node, opset, values, functions=()):
        """The outputs of `node` (None where it names none), for values by name."""
        if node.domain == FUNCTIONS:
            return self._call(node, values, {f.name: f for f in functions})
        operands = [values.get(name) if name else None for name in node.input]
        if not any(isinstance(v, list) for v in operands):
            for op, undefined, reason in UNDEFINED:
                if re.fullmatch(op, node.op_type) and undefined(node, operands):
                    raise Refused(reason)
        used = {name: values[name] for name in uses(node)}
        if node.op_type in ("If", "Loop", "Scan") and any(not isinstance(v, list) and v.size == 0 for v in used.values()):
            raise Refused("bodies are not taken apart, and nothing is where ONNX Runtime deviates")
        if node.op_type in ("If", "Loop", "Scan") and "ReduceLogSum" in operators(node) and any(getattr(v, "dtype", np.dtype(np.float32)).itemsize == 2 for v in used.values()):
            raise Refused("bodies are not taken apart, and a logarithm of a sum near 1 is nothing but rounding in 16 bits")
        results = None
        if not any(op.fullmatch(node.op_type) and when(node, operands) for op, when, _ in DEVIATIONS):
            results = self._onnxruntime(node, opset, used, functions)
            if results is None:
                results = self._widened(node, opset, used)
        if results is None:
            if not DOUBTFUL.isdisjoint(operators(node)):
                raise Refused("no kernel, and the reference evaluator is wrong here now and then")
            results = self._reference(node, opset, used, functions)
        if node.op_type in ("If", "Loop", "Scan") and any(not isinstance(r, list) and r.size == 0 for r in results):
            raise Refused("bodies are not taken apart, and nothing is where ONNX Runtime deviates")
        if node.op_type in ("If", "Loop", "Scan") and any(not isinstance(r, list) and _is_huge(r) for r in results):
            raise Refused("bodies are not taken apart, and integers may have overflowed in one")
        named = iter(results)
        return [next(named) if name else None for name in node.output]

    def _call(self, node, values, functions):
        """A model-local function, node by node."""
        function = functions[node.op_type]
        known = {formal: values[actual] for formal, actual in zip(function.input, node.input)}
        for inner in function.node:
            known.update({n: v for n, v in zip(inner.output, self.run(inner, function.opset_import[0].version, known, list(functions.values()))) if n})
        return [known[name] for name in function.output]

    def _session(self, node, opset, used, functions):
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        plain.name = ""
        key = (plain.SerializeToString(), opset, tuple((n, str(type_of(v))) for n, v in used.items()))
        if key not in self.sessions:
            try:
                bytes = self.model(node, opset, used, functions).SerializeToString()
                self.sessions[key] = ort.InferenceSession(bytes, self.options, providers=["CPUExecutionProvider"])
            except Exception as problem:
                self.sessions[key] = str(problem)
            if len(self.sessions) > 500:
                self.sessions.popitem(last=False)
        return self.sessions[key]

    def _onnxruntime(self, node, opset, used, functions):
        """Results, or None where it has no kernel."""
        session = self._session(node, opset, used, functions)
        if isinstance(session, str):
            if "NOT_IMPLEMENTED" in session or "Could not find an implementation" in session or "is not currently supported" in session:
                return None
            raise Refused(session)
        try:
            tensors = [v for v in used.values() if not isinstance(v, list)]
            wide = any(o.type in WIDE_OUTPUTS for o in session.get_outputs()) or any(v.dtype.name in WIDE for v in tensors)
            if any(o.type in PACKED for o in session.get_outputs()) or any(v.dtype.name in ("int4", "uint4") for v in tensors):
                return None
            if TRACE:
                print(node.op_type, [a.name + "=" + str(helper.get_attribute_value(a))[:30] for a in node.attribute], opset, {n: getattr(v, "shape", "") for n, v in used.items()}, flush=True)
            if wide and len(tensors) == len(used):
                outputs = session.run_with_ort_values([o.name for o in session.get_outputs()], {name: _feed(value) for name, value in used.items()})
            else:
                outputs = session.run(None, used)
        except Exception as problem:
            if "NOT_IMPLEMENTED" in str(problem) or "NotImplemented" in type(problem).__name__:
                return None
            raise Refused(str(problem)) from None
        self.counts["onnxruntime"] += 1
        return [_take(o) for o in outputs]

    def _widened(self, node, opset, used):
        """Results computed in float32 and rounded once, for 16-bit floats that ONNX Runtime has no kernel for; None for what is not of that kind. QuantizeLinear is:
        ONNX Runtime divides float16 in float32, where the reference evaluator rounds the quotient to the type first."""
        narrow = [v.dtype for v in used.values() if not isinstance(v, list) and v.dtype.name in ("bfloat16", "float16")]
        if not narrow or node.domain or node.op_type.startswith(("Cast", "Dequantize", "Constant", "Sequence")) or any(a.HasField("g") for a in node.attribute):
            return None
        wide = {n: v.astype(np.float32) if not isinstance(v, list) and v.dtype.name in ("bfloat16", "float16") else v for n, v in used.items()}
        results = self._onnxruntime(node, opset, wide, ())
        return results and [r.astype(narrow[0]) if not isinstance(r, list) and r.dtype == np.float32 else r for r in results]

    def _reference(self, node, opset, used, functions):
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                results = ReferenceEvaluator(self.model(node, opset, used, functions)).run(None, used)
        except Exception as problem:
            raise Refused(f"{type(problem).__name__}: {problem}") from None
        if any(r is None for r in results):
            raise Refused("the reference evaluator gives nothing")
        if node.op_type.startswith("Reduce") and results[0].dtype.kind in "iu" and results[0].dtype != next(iter(used.values())).dtype:
            results = [results[0].astype(next(iter(used.values())).dtype)]  # numpy's sums widen integers
        self.counts["reference"] += 1
        return [r if isinstance(r, list) else np.asarray(r) for r in results]


# Types that ONNX Runtime's Python interface does not know by numpy's dtype.
WIDE = {
    "bfloat16": TensorProto.BFLOAT16, "float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e5m2": TensorProto.FLOAT8E5M2, "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
        "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ}


PACKED = ("tensor(int4)", "tensor(uint4)")  # two elements per byte: left to the reference evaluator
WIDE_OUTPUTS = {f"tensor({name.replace('_', '')})" for name in WIDE}


def _feed(value):
    value = np.ascontiguousarray(value).reshape(value.shape)
    if value.dtype.name in WIDE:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(value.view(f"u{value.dtype.itemsize}"), WIDE[value.dtype.name])
    return ort.OrtValue.ortvalue_from_numpy(value)


def _take(value):
    if isinstance(value, ort.OrtValue):
        if value.element_type() not in WIDE.values():
            return value.numpy()
        result = np.empty(value.shape(), helper.tensor_dtype_to_np_dtype(value.element_type()))
        if result.nbytes:
            ctypes.memmove(result.ctypes.data, value.data_ptr(), result.nbytes)
        return result
    return [np.asarray(v) for v in value] if isinstance(value, list) else np.asarray(value)
