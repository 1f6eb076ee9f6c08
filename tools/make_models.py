#!/usr/bin/env python3
"""Write classic architectures as ONNX files with random weights, scaled so that activations stay in range.

    python3 tools/make_models.py FOLDER [NAME ...]      resnet50, mobilenetv2, bert_base_s128, minilm_l6_s128

The weights say nothing, so the outputs mean nothing; sizes, shapes and speed are those of the real models."""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Collects nodes and weights; every method returns the name of its result."""

    def __init__(self, seed):
        self.random, self.nodes, self.weights = np.random.default_rng(seed), [], []

    def op(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def normal(self, *shape, scale):
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def filled(self, value, *shape):
        return self.constant(np.full(shape, value, np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def save(self, path, inputs, output, shape):
        self.nodes[-1].output[0] = output
        infos = [helper.make_tensor_value_info(name, kind, size) for name, kind, size in inputs]
        graph = helper.make_graph(self.nodes, path.stem, infos, [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        print(f"{path}: {path.stat().st_size} bytes")

    # Convolutional parts

    def conv_norm(self, x, channels, filters, size, stride=1, groups=1):
        fan_in = channels // groups * size * size
        weight = self.normal(filters, channels // groups, size, size, scale=(2 / fan_in) ** 0.5)
        y = self.op("Conv", x, weight, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4, group=groups)
        around_one = lambda: self.constant((self.random.random(filters) / 2 + 0.75).astype(np.float32))
        return self.op("BatchNormalization", y, around_one(), self.normal(filters, scale=0.1), self.normal(filters, scale=0.1), around_one(), epsilon=1e-5)

    def classify(self, x, channels, classes):
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", flat, self.normal(classes, channels, scale=0.02), self.filled(0, classes), transB=1)

    # Transformer parts

    def linear(self, x, inputs, outputs):
        return self.op("Add", self.op("MatMul", x, self.normal(inputs, outputs, scale=0.03)), self.normal(outputs, scale=0.02))

    def layer_norm(self, x, width):
        return self.op("LayerNormalization", x, self.filled(1, width), self.normal(width, scale=0.02), axis=-1, epsilon=1e-12)

    def heads(self, x, count, width, order):
        return self.op("Transpose", self.op("Reshape", x, self.ints(0, 0, count, width // count)), perm=order)

    def attention(self, x, mask, width, count):
        query = self.heads(self.linear(x, width, width), count, width, [0, 2, 1, 3])
        key = self.heads(self.linear(x, width, width), count, width, [0, 2, 3, 1])
        value = self.heads(self.linear(x, width, width), count, width, [0, 2, 1, 3])
        scores = self.op("Div", self.op("MatMul", query, key), self.filled((width // count) ** 0.5))
        context = self.op("MatMul", self.op("Softmax", self.op("Add", scores, mask), axis=-1), value)
        merged = self.op("Reshape", self.op("Transpose", context, perm=[0, 2, 1, 3]), self.ints(0, 0, width))
        return self.linear(merged, width, width)

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.filled(2 ** 0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.filled(1))), self.filled(0.5))


def resnet50(path):
    g = Graph(50)
    x = g.op("MaxPool", g.op("Relu", g.conv_norm("input", 3, 64, 7, 2)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (middle, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            y = g.op("Relu", g.conv_norm(x, channels, middle, 1))
            y = g.op("Relu", g.conv_norm(y, middle, middle, 3, stride))
            y = g.conv_norm(y, middle, 4 * middle, 1)
            shortcut = g.conv_norm(x, channels, 4 * middle, 1, stride) if block == 0 else x
            x, channels = g.op("Relu", g.op("Add", y, shortcut)), 4 * middle
    g.classify(x, channels, 1000)
    g.save(path, [("input", TensorProto.FLOAT, [1, 3, 224, 224])], "logits", [1, 1000])


def mobilenetv2(path):
    g = Graph(2)
    relu6 = lambda x: g.op("Clip", x, g.filled(0), g.filled(6))
    x, channels = relu6(g.conv_norm("input", 3, 32, 3, 2)), 32
    for expansion, filters, blocks, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for block in range(blocks):
            stride, wide = first if block == 0 else 1, channels * expansion
            y = relu6(g.conv_norm(x, channels, wide, 1)) if expansion > 1 else x
            y = relu6(g.conv_norm(y, wide, wide, 3, stride, groups=wide))
            y = g.conv_norm(y, wide, filters, 1)
            x, channels = g.op("Add", x, y) if stride == 1 and channels == filters else y, filters
    g.classify(relu6(g.conv_norm(x, channels, 1280, 1)), 1280, 1000)
    g.save(path, [("input", TensorProto.FLOAT, [1, 3, 224, 224])], "logits", [1, 1000])


def bert(path, layers, width, count, length=128, words=30522):
    g = Graph(layers)
    mask = g.op("Cast", g.op("Unsqueeze", "attention_mask", g.ints(1, 2)), to=TensorProto.FLOAT)
    mask = g.op("Mul", g.op("Sub", g.filled(1), mask), g.filled(-10000))
    x = g.op("Add", g.op("Gather", g.normal(words, width, scale=0.03), "input_ids"), g.op("Gather", g.normal(2, width, scale=0.03), "token_type_ids"))
    x = g.layer_norm(g.op("Add", x, g.normal(1, length, width, scale=0.03)), width)
    for _ in range(layers):
        x = g.layer_norm(g.op("Add", g.attention(x, mask, width, count), x), width)
        x = g.layer_norm(g.op("Add", g.linear(g.gelu(g.linear(x, width, 4 * width)), 4 * width, width), x), width)
    inputs = [(name, TensorProto.INT64, [1, length]) for name in ("input_ids", "token_type_ids", "attention_mask")]
    g.save(path, inputs, "last_hidden_state", [1, length, width])


MODELS = {
    "resnet50": resnet50,
    "mobilenetv2": mobilenetv2,
    "bert_base_s128": lambda path: bert(path, 12, 768, 12),
    "minilm_l6_s128": lambda path: bert(path, 6, 384, 12),
}


def main():
    if len(sys.argv) < 2 or any(name not in MODELS for name in sys.argv[2:]):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or MODELS:
        MODELS[name](folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
