#!/usr/bin/env python3
"""Writes Tests/IRTests/references/*.glm: one op each, with inputs and the results of the ONNX reference evaluator.

Where docs/numerics.md says that glmc follows ONNX Runtime, its results instead. Needs onnx, onnxruntime and numpy. Run it again after adding a case; the files are committed, so that the tests need no Python.
"""
import pathlib
import re
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/IRTests/references"
TYPES = {
    "float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8",
    "uint64": "u64", "uint32": "u32", "uint16": "u16", "uint8": "u8", "bool": "bool",
}
random = np.random.default_rng(7)


def f32(*shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float32).round(3)


def ints(low, high, *shape, dtype=np.int64):
    return random.integers(low, high, shape).astype(dtype)


def spell(array):
    array = np.asarray(array)
    text = f"{TYPES[array.dtype.name]}[{', '.join(map(str, array.shape))}]("

    def number(x):
        if array.dtype == bool:
            return "true" if x else "false"
        if array.dtype.kind in "iu":
            return str(int(x))
        if np.isinf(x):
            return "inf" if x > 0 else "-inf"
        return repr(float(np.float32(x)) if array.dtype.itemsize <= 4 else float(x)) if array.dtype.itemsize > 4 else str(np.float32(x))

    return text + ", ".join(number(x) for x in array.reshape(-1)) + ")"


def case(name, op, inputs, expected, results=1):
    """Writes one file. `op` is the node's text, with %0, %1, … for the operands (named %x0, %x1, … in the file)."""
    op = re.sub(r"%(\d)", r"%x\1", op)
    arguments = ", ".join(f"%x{i}: {TYPES[a.dtype.name]}[{', '.join(map(str, a.shape))}]" for i, a in enumerate(inputs))
    names = ", ".join(f"%r{i}" for i in range(results))
    text = "".join(f"// input: {spell(a)}\n" for a in inputs) + "".join(f"// expect: {spell(a)}\n" for a in expected)
    text += f"func @{name}({arguments}) {{\n  {names} = {op}\n  return {', '.join(f'%r{i}' for i in range(len(expected)))}\n}}\n"
    (FOLDER / f"{name}.glm").write_text(text)


def one_node(kind, inputs, outputs, opset, attributes):
    """A model of one ONNX node, and what it is fed; None inputs are absent."""
    names = ["" if a is None else f"i{i}" for i, a in enumerate(inputs)]
    node = helper.make_node(kind, names, [f"o{i}" for i in range(outputs)], **attributes)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip(names, inputs) if a is not None
    ]
    results = [helper.make_tensor_value_info(f"o{i}", TensorProto.UNDEFINED, None) for i in range(outputs)]
    model = helper.make_model(helper.make_graph([node], "g", infos, results), opset_imports=[helper.make_opsetid("", opset)])
    return model, {n: a for n, a in zip(names, inputs) if a is not None}


def reference(kind, inputs, outputs=1, opset=22, **attributes):
    """The outputs of one ONNX node."""
    model, feeds = one_node(kind, inputs, outputs, opset, attributes)
    return ReferenceEvaluator(model).run(None, feeds)


def runtime(kind, inputs, outputs=1, opset=22, **attributes):
    """The outputs of one ONNX node in ONNX Runtime, where PyTorch agrees with that and the reference evaluator does not."""
    model, feeds = one_node(kind, inputs, outputs, opset, attributes)
    model.ir_version = 10
    for output in model.graph.output:
        output.ClearField("type")
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)


def activations():
    x = np.concatenate([f32(9, scale=2), np.float32([0, -0.5, 30, -30])])
    for kind, onnx_kind, text, attributes in [
        ("relu", "Relu", "", {}),
        ("leakyRelu", "LeakyRelu", ", alpha: 0.1", {"alpha": 0.1}),
        ("elu", "Elu", ", alpha: 0.7", {"alpha": 0.7}),
        ("selu", "Selu", ", alpha: 1.6732632, beta: 1.050701", {}),
        ("celu", "Celu", ", alpha: 2.0", {"alpha": 2.0}),
        ("gelu", "Gelu", "", {}),
        ("geluTanh", "Gelu", "", {"approximate": "tanh"}),
        ("sigmoid", "Sigmoid", "", {}),
        ("hardSigmoid", "HardSigmoid", ", alpha: 0.3, beta: 0.4", {"alpha": 0.3, "beta": 0.4}),
        ("hardSwish", "HardSwish", "", {}),
        ("mish", "Mish", "", {}),
        ("softplus", "Softplus", "", {}),
        ("softsign", "Softsign", "", {}),
        ("thresholdedRelu", "ThresholdedRelu", ", alpha: 0.8", {"alpha": 0.8}),
        ("shrink", "Shrink", ", alpha: 0.6, beta: 0.2", {"lambd": 0.6, "bias": 0.2}),
        ("tanh", "Tanh", "", {}),
    ]:
        case(f"activation_{kind}", f"activation.{kind}(%0{text})", [x], reference(onnx_kind, [x], **attributes))
    case("activation_silu", "activation.silu(%0, alpha: 1.3)", [x], [x / (1 + np.exp(-1.3 * x))])


def convolutions():
    for name, x, w, strides, dilations, groups in [
        ("plain", (2, 3, 6, 5), (4, 3, 3, 3), [1, 1], [1, 1], 1),
        ("strided", (1, 4, 9, 8), (6, 2, 3, 2), [2, 3], [1, 1], 2),
        ("dilated", (1, 2, 9, 9), (3, 2, 3, 3), [1, 2], [3, 2], 1),
        ("depthwise", (1, 5, 6, 6), (5, 1, 3, 3), [1, 1], [1, 1], 5),
        ("pointwise", (2, 3, 2, 2), (4, 3, 1, 1), [1, 1], [1, 1], 1),
        ("line", (2, 3, 9), (4, 3, 4), [2], [1], 1),
        ("volume", (1, 2, 4, 4, 3), (3, 2, 2, 3, 2), [1, 1, 1], [1, 1, 1], 1),
    ]:
        x, w = f32(*x), f32(*w)
        expected = reference("Conv", [x, w], strides=strides, dilations=dilations, group=groups)
        case(f"conv_{name}", f"conv(%0, %1, strides: {strides}, dilations: {dilations}, groups: {groups})", [x, w], expected)
    x, w = ints(0, 256, 1, 3, 5, 5, dtype=np.uint8), ints(-128, 128, 4, 3, 3, 3, dtype=np.int8)
    case("conv_u8", "conv(%0, %1, strides: [1, 1], dilations: [1, 1])", [x, w], reference("ConvInteger", [x, w]))
    for name, x, w, strides, dilations, groups, before, after, extra in [
        ("plain", (1, 3, 4, 5), (3, 2, 3, 3), [1, 1], [1, 1], 1, [0, 0], [0, 0], [0, 0]),
        ("strided", (2, 4, 3, 4), (4, 3, 3, 2), [2, 3], [1, 1], 2, [1, 0], [0, 1], [1, 0]),
        ("dilated", (1, 2, 4, 4), (2, 3, 3, 3), [2, 2], [2, 1], 1, [1, 1], [1, 1], [1, 1]),
        ("line", (2, 3, 5), (3, 4, 4), [2], [1], 1, [1], [1], [0]),
    ]:
        x, w = f32(*x), f32(*w)
        parts = [
            reference("ConvTranspose", [x[:, g * (x.shape[1] // groups):(g + 1) * (x.shape[1] // groups)], w[g * (w.shape[0] // groups):(g + 1) * (w.shape[0] // groups)]],
                      strides=strides, dilations=dilations, pads=before + after, output_padding=extra)[0]
            for g in range(groups)
        ]
        case(f"conv_transpose_{name}",
             f"conv_transpose(%0, %1, strides: {strides}, dilations: {dilations}, groups: {groups}, crop_before: {before}, crop_after: {after}, output_padding: {extra})",
             [x, w], [np.concatenate(parts, axis=1)])


def matmuls():
    for name, a, b in [("plain", (3, 4), (4, 5)), ("batched", (2, 1, 3, 4), (3, 4, 2)), ("vector", (1, 7), (7, 1))]:
        a, b = f32(*a), f32(*b)
        case(f"matmul_{name}", "matmul(%0, %1)", [a, b], [a @ b])
    a, b = ints(0, 256, 3, 6, dtype=np.uint8), ints(-128, 128, 6, 4, dtype=np.int8)
    case("matmul_u8", "matmul(%0, %1)", [a, b], [a.astype(np.int32) @ b.astype(np.int32)])
    a, b = ints(-2**40, 2**40, 2, 3), ints(-2**40, 2**40, 3, 2)
    with np.errstate(over="ignore"):
        case("matmul_i64", "matmul(%0, %1)", [a, b], [a @ b])


def pools():
    text = "pool.{}(%0, window: {}, strides: {}, dilations: {}, before: {}, after: {}{})"
    for name, kind, fn, shape, window, strides, dilations, before, after, extra, attributes in [
        ("max", "MaxPool", "max", (2, 2, 6, 7), [2, 3], [2, 2], [1, 1], [1, 0], [0, 1], "", {}),
        ("max_ceil", "MaxPool", "max", (1, 2, 6, 7), [3, 3], [2, 2], [1, 1], [0, 0], [0, 0], ", ceil: true", {"ceil_mode": 1}),
        ("max_dilated", "MaxPool", "max", (1, 2, 8, 8), [2, 3], [1, 2], [2, 3], [1, 2], [1, 2], "", {}),
        ("average", "AveragePool", "average", (1, 2, 6, 5), [3, 2], [1, 2], [1, 1], [1, 0], [1, 1], "", {}),
        ("average_pad", "AveragePool", "average", (1, 2, 6, 5), [3, 2], [1, 2], [1, 1], [1, 0], [1, 1], ", include_pad: true", {"count_include_pad": 1}),
        ("average_ceil", "AveragePool", "average", (1, 1, 4, 4), [3, 3], [2, 2], [1, 1], [0, 0], [0, 0], ", ceil: true", {"ceil_mode": 1}),
        ("average_dilated", "AveragePool", "average", (1, 1, 8, 7), [3, 2], [1, 1], [2, 3], [1, 1], [1, 1], "", {}),
        ("lp", "LpPool", "lp", (1, 2, 5, 5), [2, 2], [1, 1], [1, 1], [0, 0], [0, 0], ", p: 3", {"p": 3}),
        ("line", "MaxPool", "max", (1, 2, 9), [3], [2], [1], [0], [0], "", {}),
        ("volume", "AveragePool", "average", (1, 1, 4, 4, 4), [2, 2, 2], [2, 2, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0], "", {}),
    ]:
        x = f32(*shape)
        expected = reference(kind, [x], kernel_shape=window, strides=strides, dilations=dilations, pads=before + after, **attributes)
        case(f"pool_{name}", text.format(fn, window, strides, dilations, before, after, extra), [x], expected)
    x = f32(1, 2, 5, 5)
    outputs = reference("MaxPool", [x], 2, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("pool_indices", text.format("max", [3, 3], [2, 2], [1, 1], [1, 1], [1, 1], ", indices: true"), [x], outputs, results=2)
    pooled, indices = reference("MaxPool", [x], 2, kernel_shape=[2, 2], strides=[2, 2])
    expected = np.zeros(50, np.float32)
    expected[indices.reshape(-1)] = pooled.reshape(-1)
    case("max_unpool", "max_unpool(%0, %1, shape: [1, 2, 5, 5])", [pooled, indices], [expected.reshape(1, 2, 5, 5)])


def norms():
    x = f32(2, 3, 4, 5)
    for axis in [0, 1, -1]:
        case(f"softmax_{axis % 4}", f"softmax(%0, axis: {axis})", [x], reference("Softmax", [x], axis=axis))
        case(f"log_softmax_{axis % 4}", f"softmax(%0, axis: {axis}, log: true)", [x], reference("LogSoftmax", [x], axis=axis))
    for axis in [-1, 2, 0]:
        s, b = f32(*x.shape[axis:]), f32(*x.shape[axis:])
        case(f"layer_norm_{axis % 4}", f"layer_norm(%0, %1, %2, axis: {axis}, epsilon: 1e-3)", [x, s, b],
             reference("LayerNormalization", [x, s, b], axis=axis, epsilon=1e-3))
    s = f32(5)
    expected = (x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-3) * s).astype(np.float32)
    case("rms_norm", "rms_norm(%0, %1, axis: -1, epsilon: 1e-3)", [x, s], [expected])


def attention():
    q, k, v = f32(2, 4, 3, 5), f32(2, 2, 6, 5), f32(2, 2, 6, 3)
    mask = f32(2, 1, 3, 6)
    flags = random.random((3, 6)) < 0.6
    flags[1] = False
    for name, text, inputs, attributes in [
        ("plain", ", scale: 0.3", [q, k, v], {}),
        ("causal", ", scale: 0.3, causal: true", [q, k, v], {"is_causal": 1}),
        ("mask", ", scale: 0.3, softcap: 1.5", [q, k, v, mask], {"softcap": 1.5}),
        ("flags", ", scale: 0.3", [q, k, v, flags], {}),
    ]:
        names = ", ".join(f"%{i}" for i in range(len(inputs)))
        case(f"attention_{name}", f"attention({names}{text})", inputs, reference("Attention", inputs, opset=24, scale=0.3, **attributes))


def recurrent():
    t, b, i, h = 4, 2, 3, 5
    for op, kind, gates, states, extras in [
        ("lstm", "LSTM", 4, 2, {}), ("gru", "GRU", 3, 1, {}), ("rnn", "RNN", 1, 1, {}), ("gru", "GRU", 3, 1, {"linear_before_reset": 1}),
    ]:
        for direction in ["forward", "reverse", "bidirectional"]:
            if op == "rnn" and direction == "bidirectional":
                continue
            d = 2 if direction == "bidirectional" else 1
            x, w, r, bias = f32(t, b, i), f32(d, gates * h, i, scale=0.5), f32(d, gates * h, h, scale=0.5), f32(d, 2 * gates * h, scale=0.3)
            initial = [f32(d, b, h, scale=0.5) for _ in range(states)]
            expected = reference(kind, [x, w, r, bias, None, *initial], 1 + states, hidden_size=h, direction=direction, **extras)
            inputs = [x, w, r, bias, *initial]
            names = ", ".join(f"%{n}" for n in range(len(inputs)))
            text = f"{op}({names}, hidden: {h}, direction: {direction}{', linear_before_reset: true' if extras else ''})"
            case(f"{op}{'_linear' if extras else ''}_{direction}", text, inputs, expected, results=1 + states)
    x, w, r, bias = f32(t, b, i), f32(1, 4 * h, i, scale=0.5), f32(1, 4 * h, h, scale=0.5), f32(1, 8 * h, scale=0.3)
    h0, c0, p = f32(1, b, h), f32(1, b, h), f32(1, 3 * h)
    expected = reference("LSTM", [x, w, r, bias, None, h0, c0, p], 3, hidden_size=h)
    case("lstm_peepholes", f"lstm(%0, %1, %2, %3, %4, %5, %6, hidden: {h}, peepholes: true)", [x, w, r, bias, h0, c0, p], expected, results=3)
    # Sequence lengths: as separate runs on the shorter sequences.
    lengths = np.int32([2, 4])
    parts = [reference("LSTM", [x[:n, k:k + 1], w, r, bias, None, h0[:, k:k + 1], c0[:, k:k + 1]], 3, hidden_size=h) for k, n in enumerate(lengths)]
    y = np.zeros((t, 1, b, h), np.float32)
    for k, n in enumerate(lengths):
        y[:n, :, k:k + 1] = parts[k][0]
    expected = [y] + [np.concatenate([part[s] for part in parts], axis=1) for s in (1, 2)]
    case("lstm_lengths", f"lstm(%0, %1, %2, %3, %4, %5, %6, hidden: {h}, lengths: true)", [x, w, r, bias, h0, c0, lengths], expected, results=3)


def runtime_resizes():
    x = (np.arange(14) / 2).astype(np.float32).reshape(1, 1, 2, 7)
    for mode in ["nearest", "linear", "cubic"]:
        for transform in ["align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric"]:
            for way, scale in [("up", 1.3), ("down", 0.45)]:
                runtime_resize(f"{mode}_{transform}_{way}", x, [1, 1, 1, scale], mode, transform)
    x = (np.arange(6) - 2).astype(np.float32).reshape(1, 1, 2, 3)
    for transform in ["pytorch_half_pixel", "align_corners", "half_pixel"]:
        runtime_resize(f"to_one_{transform}", x, [1, 1, 0.5, 0.5], "linear", transform)


def runtime_resize(name, x, scales, mode, transform):
    expected = runtime("Resize", [x, None, np.float32(scales)], mode=mode, coordinate_transformation_mode=transform)
    scales = [float(s) for s in np.float32(scales)]
    case(f"resize_runtime_{name}", f"resize(%0, sizes: {list(expected[0].shape)}, scales: {scales}, mode: {mode}, transform: {transform})", [x], expected)


def sequences_of_length_zero():
    generator = np.random.default_rng(5)
    for kind, gates, states in [("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)]:
        width, h, b, t, d = 2, 3, 3, 2, 2
        shapes = [(t, b, width), (d, gates * h, width), (d, gates * h, h), (d, 2 * gates * h)] + [(d, b, h)] * states
        x, w, r, bias, *initial = [generator.standard_normal(shape).astype(np.float32).round(3) for shape in shapes]
        lengths = np.int32([0, 2, 1])
        expected = runtime(kind, [x, w, r, bias, lengths, *initial], 1 + states, 17, hidden_size=h, direction="bidirectional")
        operands = [x, w, r, bias, *initial, lengths]
        text = f"{kind.lower()}({', '.join(f'%{i}' for i in range(len(operands)))}, hidden: {h}, direction: bidirectional, lengths: true)"
        case(f"{kind.lower()}_length_zero", text, operands, expected, results=1 + states)


def resizes():
    x = f32(1, 2, 4, 5)
    none = np.float32([])
    for name, sizes, mode, transform, text, attributes in [
        ("nearest", (1, 2, 7, 9), "nearest", "half_pixel", "", {}),
        ("nearest_twice", (1, 2, 8, 10), "nearest", "asymmetric", ", nearest: floor", {"nearest_mode": "floor"}),
        ("nearest_half", (1, 2, 2, 3), "nearest", "half_pixel", ", nearest: ceil", {"nearest_mode": "ceil"}),
        ("nearest_corners", (1, 2, 7, 3), "nearest", "align_corners", ", nearest: round_prefer_ceil", {"nearest_mode": "round_prefer_ceil"}),
        ("linear", (1, 2, 7, 3), "linear", "half_pixel", "", {}),
        ("linear_pytorch", (1, 2, 1, 9), "linear", "pytorch_half_pixel", "", {}),
        ("linear_corners", (1, 2, 9, 9), "linear", "align_corners", "", {}),
        ("linear_antialias", (1, 2, 2, 3), "linear", "half_pixel", ", antialias: true", {"antialias": 1}),
        ("cubic", (1, 2, 6, 4), "cubic", "half_pixel", "", {}),
        ("cubic_outside", (1, 2, 6, 8), "cubic", "half_pixel", ", cubic_coefficient: -0.5, exclude_outside: true", {"cubic_coeff_a": -0.5, "exclude_outside": 1}),
        ("cubic_antialias", (1, 2, 3, 2), "cubic", "asymmetric", ", antialias: true", {"antialias": 1}),
        ("channels", (1, 3, 4, 5), "linear", "half_pixel", "", {}),
    ]:
        expected = reference("Resize", [x, None, None, np.int64(sizes)], mode=mode, coordinate_transformation_mode=transform, **attributes)
        case(f"resize_{name}", f"resize(%0, sizes: {list(sizes)}, mode: {mode}, transform: {transform}{text})", [x], expected)
    for transform in ["half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric"]:
        scales = [1.0, 1.0, 0.6, 1.7]
        expected = (runtime if transform == "align_corners" else reference)("Resize", [x, None, np.float32(scales)], mode="linear", coordinate_transformation_mode=transform)
        sizes = list(expected[0].shape)
        scales = [float(s) for s in np.float32(scales)]
        case(f"resize_scales_{transform}", f"resize(%0, sizes: {sizes}, scales: {scales}, mode: linear, transform: {transform})", [x], expected)
    roi = np.float32([0, 0, 0.4, 0.6, 1, 1, 0.9, 1.3])
    expected = reference("Resize", [x, roi, None, np.int64([1, 2, 3, 4])], mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0)
    text = f"resize(%0, sizes: [1, 2, 3, 4], mode: linear, transform: tf_crop_and_resize, extrapolation: 9.0, roi: {[float(r) for r in roi]})"
    case("resize_crop", text, [x], expected)
    bytes_ = ints(0, 256, 1, 1, 4, 4, dtype=np.uint8)
    expected = reference("Resize", [bytes_, None, None, np.int64([1, 1, 7, 7])], mode="cubic")
    case("resize_bytes", "resize(%0, sizes: [1, 1, 7, 7], mode: cubic)", [bytes_], expected)


def sampling():
    x = f32(2, 2, 4, 5)
    grid = (random.random((2, 3, 4, 2)) * 3 - 1.5).astype(np.float32)
    for mode in ["nearest", "linear", "cubic"]:
        for padding in ["zeros", "border", "reflection"]:
            corners = int(random.integers(0, 2))
            oracle = runtime if (mode, padding) == ("cubic", "border") else reference
            expected = oracle("GridSample", [x, grid], mode=mode, padding_mode=padding, align_corners=corners)
            case(f"grid_sample_{mode}_{padding}", f"grid_sample.{mode}(%0, %1, padding: {padding}, align_corners: {str(bool(corners)).lower()})", [x, grid], expected)
    volume, grid = f32(1, 2, 3, 4, 3), (random.random((1, 2, 2, 3, 3)) * 2.4 - 1.2).astype(np.float32)
    case("grid_sample_volume", "grid_sample.linear(%0, %1)", [volume, grid], reference("GridSample", [volume, grid], mode="linear"))
    x, rois, images = f32(2, 2, 8, 9), np.float32([[1, 1, 6, 5], [0, 2, 12, 14], [-3, -2, 3, 4]]), np.int64([0, 1, 1])
    for name, text, attributes in [
        ("average", "", {"coordinate_transformation_mode": "half_pixel"}),
        ("ratio", ", sampling_ratio: 2, spatial_scale: 0.5, half_pixel: false",
         {"sampling_ratio": 2, "spatial_scale": 0.5, "coordinate_transformation_mode": "output_half_pixel"}),
        ("max", ", max: true, sampling_ratio: 2", {"mode": "max", "sampling_ratio": 2}),
    ]:
        expected = reference("RoiAlign", [x, rois, images], output_height=2, output_width=3, **attributes)
        case(f"roi_align_{name}", f"roi_align(%0, %1, %2, height: 2, width: 3{text})", [x, rois, images], expected)


def quantisation():
    x = np.concatenate([f32(2, 3, 4, scale=40).reshape(-1)[:20], np.float32([0.5, 1.5, 2.5, -0.5])]).reshape(2, 3, 4)
    for name, element, dtype in [("u8", "u8", np.uint8), ("i8", "i8", np.int8), ("u16", "u16", np.uint16), ("i16", "i16", np.int16)]:
        scale, zero = np.float32(0.25), ints(0, 100, dtype=dtype)
        case(f"quantize_{name}", f"quantize(%0, %1, %2, to: {element})", [x, scale, zero], reference("QuantizeLinear", [x, scale, zero]))
    scale, zero = np.float32([0.1, 1, 3]), np.uint8([3, 128, 200])
    case("quantize_axis", "quantize(%0, %1, %2, axis: 1, to: u8)", [x, scale, zero], reference("QuantizeLinear", [x, scale, zero], axis=1))
    scale, zero = np.abs(f32(2, 3, 2)) + np.float32(0.5), ints(-5, 5, 2, 3, 2, dtype=np.int8)
    scale = scale.astype(np.float32)
    case("quantize_blocks", "quantize(%0, %1, %2, axis: 2, to: i8, block: 2)", [x, scale, zero], reference("QuantizeLinear", [x, scale, zero], axis=2, block_size=2))
    q = ints(-128, 128, 2, 3, 4, dtype=np.int8)
    case("dequantize_blocks", "dequantize(%0, %1, %2, axis: 2, block: 2)", [q, scale, zero], reference("DequantizeLinear", [q, scale, zero], axis=2, block_size=2))
    scale, zero = np.float32([0.1, 1, 3]), np.int8([3, -12, 20])
    case("dequantize_axis", "dequantize(%0, %1, %2, axis: 1)", [q, scale, zero], reference("DequantizeLinear", [q, scale, zero], axis=1))
    case("dynamic_quantize", "dynamic_quantize(%0)", [x], reference("DynamicQuantizeLinear", [x], 3), results=3)
    rows = [reference("DynamicQuantizeLinear", [row], 3) for row in x.reshape(-1, x.shape[-1])]
    y, scale, zero = (np.stack(part) for part in zip(*rows))
    outer = (*x.shape[:-1], 1)
    case("dynamic_quantize_rows", "dynamic_quantize(%0, per_row: true)", [x], [y.reshape(x.shape), scale.reshape(outer), zero.reshape(outer)], results=3)
    x = np.abs(x) + 1
    case("dynamic_quantize_positive", "dynamic_quantize(%0)", [x], reference("DynamicQuantizeLinear", [x], 3), results=3)


def pads():
    for name, shape, before, after in [("rows", (2, 3), [1, 0], [0, 2]), ("of_nothing", (2, 0), [0, 1], [0, 0]), ("after_nothing", (0, 3), [0, 1], [1, 0])]:
        x = f32(*shape)
        expected = reference("Pad", [x, np.int64(before + after), np.float32(1.5)])
        case(f"pad_{name}", f"pad(%0, before: {before}, after: {after}, value: 1.5)", [x], expected)


def corners():
    """Values and sizes at the edge of what the ops are defined for, spelled out by hand."""
    case("cast_negative_to_u64", "cast.u64(%0)", [np.float32([-3, -1e30, -0.5, 2.9, 1e30, -0.0])], [np.uint64([0, 0, 0, 2, 2**64 - 1, 0])])
    case("pad_around_nothing", "pad(%0, before: [1, 1, 0], after: [0, 0, 5], value: 1.5)", [np.zeros((1, 0, 1), np.float32)], [np.full((2, 1, 6), 1.5, np.float32)])


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.glm"):
        old.unlink()
    for part in [activations, convolutions, matmuls, pools, norms, attention, recurrent, resizes, sampling, quantisation, runtime_resizes, sequences_of_length_zero, pads, corners]:
        part()
    print(f"{len(list(FOLDER.glob('*.glm')))} files in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    main()
