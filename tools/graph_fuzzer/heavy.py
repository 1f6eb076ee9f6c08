"""The rows of operators that compute: products, windows, norms, recurrences, quantisation, signals, losses."""
import numpy as np
from onnx import TensorProto

from .builder import DTYPES, F32, I64, Skip, free
from .operators import HEAVY, REST, maybe, row
from .oracle import is_float

I32, U8, I8 = DTYPES["int32"], DTYPES["uint8"], DTYPES["int8"]


@row(HEAVY, "MatMul")
def matmul(g, op):
    x = g.pick(least=1)
    k, n = x.shape[-1], g.choose(1, 2, 3, 5, 8, 16, 17)
    if g.chance(0.2) and x.rank >= 2:
        perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
        return g.node(op, [x, g.node("Transpose", [x], perm=perm)[0]])
    batch = [1 if g.chance(0.4) or free(s) else s for s in x.shape[:-2]] if g.chance(0.4) else []
    w = g.weight(x.dtype, [k] if g.chance(0.12) else [*batch, k, n])
    if g.chance(0.2) and w.rank >= 2 and x.rank >= 2:
        v = g.weight(x.dtype, [*batch, n, x.shape[-2]])
        return g.node(op, [v, x])
    return g.node(op, [x, w])


@row(HEAVY, "Gemm")
def gemm(g, op):
    x = g.pick(rank=2)
    flip, turn = g.choose(0, 0, 1), g.choose(0, 1)
    m, k = x.shape[::-1] if flip else x.shape
    n = g.choose(1, 3, 4, 9, 16)
    w = g.weight(x.dtype, [n, k] if turn else [k, n])
    rows = 1 if free(m) else m
    c = g.weight(x.dtype, g.choose([n], [1, n], [rows, 1], [rows, n], [1], [])) if g.chance(0.7) else None
    scale = lambda: maybe(g, 0.3, g.choose(0.5, 2.0, 1.0, 0.0)) if is_float(x.dtype) else None
    return g.node(op, [x, w, c], transA=flip or None, transB=turn or None, alpha=scale(), beta=scale())


@row(HEAVY, "Einsum")
def einsum(g, op):
    form = g.choose("ij,jk->ik", "bij,bjk->bik", "bhid,bhjd->bhij", "ij->ji", "i,j->ij", "ij->", "ii->i", "...ij,...jk->...ik", "bij,bj->bi", "ij,kj", "ijk->kij", "ij,ij->i", "bhij,bhjd->bihd")
    left = form.split("->")[0]
    sizes = {c: g.choose(1, 2, 3, 4) for c in left if c.isalpha()}
    if "N" in g.dims and "b" in sizes:
        sizes["b"] = "N"
    dtype = g.dtype(g.allowed(0))
    return g.node(op, [g.leaf(dtype, [*([2] if "..." in t else []), *(sizes[c] for c in t if c.isalpha())]) for t in left.split(",")], equation=form)


@row(HEAVY, "Det")
def det(g, op):
    n = g.choose(1, 2, 3)
    return g.node(op, [g.leaf(g.dtype(g.allowed(0)), [*g.sizes(g.choose(0, 1)), n, n])])


def window(g, x, kernel=None, transposed=False):
    """kernel_shape, strides, dilations and padding that fit the spatial sizes of x."""
    spatial = x.shape[2:]
    kernel = kernel or [g.choose(*[k for k in (1, 1, 2, 3, 3, 5) if k <= n + 2]) for n in spatial]
    a = {"kernel_shape": kernel}
    if g.chance(0.5):
        a["strides"] = [g.choose(1, 2, 2, 3) for _ in spatial]
    if g.chance(0.3):
        a["dilations"] = [g.choose(1, 2) for _ in spatial]
    mode = g.weighted([("none", 30), ("pads", 45), ("SAME_UPPER", 10), ("SAME_LOWER", 10), ("VALID", 5)])
    if mode == "pads":
        d = a.get("dilations", [1] * len(spatial))
        a["pads"] = [g.random.randint(0, min((k - 1) * e, 2)) for k, e in zip(kernel * 2, d * 2)]
    elif mode != "none":
        a["auto_pad"] = mode
    d, p = a.get("dilations", [1] * len(spatial)), a.get("pads", [0] * 2 * len(spatial))
    if not transposed and not mode.startswith("SAME") and any(n + p[i] + p[i + len(spatial)] < (kernel[i] - 1) * d[i] + 1 for i, n in enumerate(spatial)):
        raise Skip
    return a


def image(g, where=None):
    x = g.pick(rank=g.weighted([(3, 25), (4, 65), (5, 10)]), where=where)
    if x.rank < 3 or free(x.shape[1]) and g.dims or 0 in x.shape[1:]:
        raise Skip
    return x


@row(HEAVY, "Conv", "ConvTranspose")
def conv(g, op):
    x = image(g)
    c = x.shape[1]
    groups = g.choose(*[n for n in (1, 1, 1, 2, 3, c) if c % n == 0])
    per = g.choose(1, 1, 2, 4, 8, 16) if groups == 1 else g.choose(1, 1, 2)
    a = window(g, x, transposed=op == "ConvTranspose")
    shape = [groups * per, c // groups, *a["kernel_shape"]] if op == "Conv" else [c, per, *a["kernel_shape"]]
    w = g.weight(x.dtype, shape)
    if op == "ConvTranspose":
        strides = a.get("strides", [1] * (x.rank - 2))
        if g.chance(0.3):
            a["output_padding"] = [g.random.randint(0, s - 1) for s in strides]
        if "auto_pad" in a and g.chance(0.7):
            del a["auto_pad"]
    b = g.weight(x.dtype, [groups * per]) if g.chance(0.5) else None
    if g.chance(0.3):
        del a["kernel_shape"]
    return g.node(op, [x, w, b], group=groups if groups > 1 or g.chance(0.2) else None, **a)


@row(HEAVY, "AveragePool", "MaxPool", "LpPool")
def pool(g, op):
    x = image(g)
    a = window(g, x)
    if "dilations" not in g.schema.attributes:
        a.pop("dilations", None)
    if "ceil_mode" in g.schema.attributes and g.chance(0.4):
        a["ceil_mode"] = g.choose(0, 1)
    if op == "AveragePool" and g.chance(0.5):
        a["count_include_pad"] = g.choose(0, 1)
    if op == "LpPool":
        a["p"] = g.choose(1, 2, 3)
    outputs = 2 if op == "MaxPool" and g.chance(0.25) else 1
    if outputs == 2 and g.chance(0.3):
        a["storage_order"] = g.choose(0, 1)
    return g.node(op, [x], outputs=outputs, **a)


@row(HEAVY, "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(g, op):
    x = g.pick(rank=g.choose(3, 4, 4, 5))
    if 0 in x.shape:
        raise Skip
    return g.node(op, [x], **({"p": g.choose(1, 2, 3)} if op == "GlobalLpPool" else {}))


@row(HEAVY, "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN")
def channel_norm(g, op):
    x = g.pick(least=2 if op == "BatchNormalization" else 3)
    if x.rank < 2 or free(x.shape[1]) and g.dims or x.size == 0:
        raise Skip
    c = x.shape[1]
    if op == "LRN":
        return g.node(op, [x], size=g.choose(1, 3, 5), alpha=maybe(g, 0.5, 0.05), beta=maybe(g, 0.5, 0.6), bias=maybe(g, 0.5, 1.5))
    epsilon = maybe(g, 0.5, g.choose(1e-3, 1e-5, 0.1))
    groups = g.choose(*[n for n in (1, 2, 3, c) if c % n == 0])
    n = groups if op == "GroupNormalization" and g.opset < 21 else c
    scale, bias = g.weight(x.dtype, [n]), g.weight(x.dtype, [n])
    if op == "BatchNormalization":
        return g.node(op, [x, scale, bias, g.weight(x.dtype, [c]), g.weight(x.dtype, [c], "positive")], epsilon=epsilon)
    # Unless the node says otherwise, ONNX Runtime normalises doubles in groups as float32, the default of `stash_type`; glmc as doubles.
    stash = TensorProto.DOUBLE if op == "GroupNormalization" and g.opset >= 21 and x.dtype == np.float64 else None
    return g.node(op, [x, scale, bias], epsilon=epsilon, stash_type=stash, **({"num_groups": groups} if op == "GroupNormalization" else {}))


@row(HEAVY, "LayerNormalization", "RMSNormalization")
def layer_norm(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    tail = x.shape[axis % x.rank :]
    if x.size == 0:
        raise Skip
    more = {"outputs": g.choose(1, 1, 1, 3), "drop": 0.2} if op == "LayerNormalization" else {}
    return g.node(op, [x, g.weight(x.dtype, tail), *([g.weight(x.dtype, tail)] if op == "LayerNormalization" and g.chance(0.6) else [])], axis=axis, epsilon=maybe(g, 0.4, 1e-3), **more)


@row(HEAVY, "MeanVarianceNormalization")
def mvn(g, op):
    x = g.pick(rank=4)
    return g.node(op, [x], axes=maybe(g, 0.6, sorted(a % 4 for a in g.axes(x, least=1))))


@row(HEAVY, "Resize")
def resize(g, op):
    x = g.pick(rank=g.choose(3, 4, 4))
    if x.size == 0:
        raise Skip
    mode = g.choose("nearest", "linear", "linear", "cubic")
    coordinate = g.choose("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", *(["half_pixel_symmetric"] if g.opset >= 19 else []))
    a = {"mode": mode, "coordinate_transformation_mode": coordinate}
    if mode == "nearest":
        a["nearest_mode"] = g.choose("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    if mode == "cubic" and g.chance(0.4):
        a["cubic_coeff_a"], a["exclude_outside"] = g.choose(-0.5, -0.75), g.choose(0, 1)
    if g.opset >= 18 and mode != "nearest" and g.chance(0.2):
        a["antialias"] = 1
    factors = [1] * (x.rank - 2) + [g.choose(1, 2, 3, 0.5) for _ in range(2)]
    if x.rank == 3:
        factors[0] = 1
    if g.chance(0.5) and not (g.dims and any(free(n) for n in x.shape)):
        return g.node(op, [x, None, None, g.ints([max(1, int(n * f)) for n, f in zip(x.shape, factors)])], **a)
    if any(int(n * f) != n * f for n, f in zip(x.shape, factors)):
        raise Skip
    return g.node(op, [x, None, g.leaf(F32, [x.rank], kind="constant", data=np.array(factors, np.float32))], **a)


@row(HEAVY, "GridSample")
def grid_sample(g, op):
    x = g.pick(rank=4)
    if x.size == 0 or free(x.shape[0]) and g.dims:
        raise Skip
    names = ("linear", "nearest", "cubic") if g.opset >= 20 else ("bilinear", "nearest", "bicubic")
    grid = g.leaf(F32 if not is_float(x.dtype) else x.dtype, [x.shape[0], g.choose(1, 3), g.choose(1, 4), 2], (-1.2, 1.2))
    return g.node(op, [x, grid], mode=g.choose(*names), padding_mode=g.choose("zeros", "border", "reflection"), align_corners=g.choose(0, 1))


@row(HEAVY, "LSTM", "GRU", "RNN")
def recurrent(g, op):
    x = g.pick(rank=3, where=lambda v: v.size > 0)
    layout = g.choose(0, 0, 0, 1) if g.opset >= 14 else 0
    t, b, i = x.shape if not layout else (x.shape[1], x.shape[0], x.shape[2])
    if free(i) and g.dims:
        raise Skip
    direction = g.choose("forward", "reverse", "bidirectional")
    d, h, gates = 2 if direction == "bidirectional" else 1, g.choose(1, 2, 4, 9), {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    weights = lambda *s: g.weight(x.dtype, s, "normal")
    state = lambda: weights(*([b, d, h] if layout else [d, b, h]))
    bias = maybe(g, 0.6, 1) and weights(d, 2 * gates * h)
    known = not (g.dims and (free(b) or free(t)))
    lengths = g.leaf(I32, [b], (1, t + 1)) if known and g.chance(0.25) else None
    first = state() if known and g.chance(0.4) else None
    inputs = [x, weights(d, gates * h, i), weights(d, gates * h, h), bias, lengths, first]
    if op == "LSTM":
        inputs += [state() if known and g.chance(0.3) else None, weights(d, 3 * h) if g.chance(0.2) else None]
    a = {"clip": maybe(g, 0.1, 0.8)}
    if op == "GRU":
        a["linear_before_reset"] = maybe(g, 0.5, g.choose(0, 1))
    if g.chance(0.25):
        functions = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[op]
        a["activations"] = [g.choose(f, "Relu", "Sigmoid", "Tanh") for f in functions] * d
    return g.node(op, inputs, outputs=3 if op == "LSTM" else 2, drop=0.2, hidden_size=h, direction=direction if direction != "forward" or g.chance(0.3) else None, layout=layout or None, **a)


# MARK: quantisation

def zero_point(g, dtype, shape=()):
    return g.leaf(dtype, shape, (0, 1) if dtype == I32 else (-20, 20) if dtype.kind == "i" else (100, 140), kind="constant")


def step(g, dtype, shape=()):
    data = np.asarray(2.0 ** -g.rng.integers(2, 6, shape), np.float64) if g.chance(0.6) else g.rng.uniform(0.01, 0.2, shape)
    return g.leaf(dtype, shape, kind="constant", data=np.asarray(data).astype(dtype))


@row(HEAVY, "QuantizeLinear")
def quantise(g, op):
    x = g.pick(where=lambda v: is_float(v.dtype))
    axis = g.axis(x) if x.rank and g.chance(0.4) and not any(map(free, x.shape)) else None
    shape = () if axis is None else (x.shape[axis],)
    to = DTYPES[g.choose("uint8", "int8", *(["float8e4m3fn", "float8e5m2"] if g.opset >= 19 and g.chance(0.2) else []), *(["int16", "uint16"] if g.opset >= 21 and g.chance(0.3) else []))]
    scale = step(g, x.dtype if is_float(x.dtype) else F32, shape)
    zero = g.scalar(0, to, shape) if is_float(to) else zero_point(g, to, shape) if to != U8 or g.chance(0.8) else None
    y, = g.node(op, [x, scale, zero], axis=axis)
    if g.chance(0.7):
        g.schema = None
        return g.node("DequantizeLinear", [y, scale, zero], axis=axis)
    return [y]


def product_of_codes(g):
    """A product with a constant matrix of integers: a scale for all, per column, per row, or for a block of rows."""
    dtype, rows, columns, is_transposed = g.choose(U8, I8), g.choose(8, 16, 24, 40), g.choose(1, 3, 16, 17), g.chance(0.4)
    shape = [columns, rows] if is_transposed else [rows, columns]
    down, block = 1 if is_transposed else 0, g.choose(4, 8, 16, rows) if g.opset >= 21 and g.chance(0.6) else None
    axis = down if block else g.choose(None, down, 1 - down)
    scales = [n if a != down else -(-n // block) for a, n in enumerate(shape)] if block else () if axis is None else (shape[axis],)
    codes = g.leaf(dtype, shape, (0, 255) if dtype == U8 else (-128, 127), kind="constant")
    g.schema = None
    w, = g.node("DequantizeLinear", [codes, step(g, F32, scales), maybe(g, 0.7, zero_point(g, dtype, scales))], axis=axis, block_size=block)
    if is_transposed:
        w, = g.node("Transpose", [w], perm=[1, 0])
    return g.node("MatMul", [g.leaf(F32, [*g.sizes(g.choose(1, 2)), rows]), w])


@row(HEAVY, "DequantizeLinear")
def dequantise(g, op):
    if g.chance(0.4):
        return product_of_codes(g)
    x = g.pick(where=lambda v: v.dtype in (U8, I8, I32), allowed={U8, I8, I32})
    axis = g.axis(x) if x.rank and g.chance(0.4) and not any(map(free, x.shape)) else None
    shape = () if axis is None else (x.shape[axis],)
    return g.node(op, [x, step(g, F32, shape), maybe(g, 0.6, zero_point(g, x.dtype, shape))], axis=axis)


@row(HEAVY, "DynamicQuantizeLinear")
def dynamic_quantise(g, op):
    x = g.pick(where=lambda v: v.size > 0)
    y, scale, zero = g.node(op, [x], outputs=3)
    return g.node("DequantizeLinear", [y, scale, zero]) if g.chance(0.7) else [y, scale, zero]


@row(HEAVY, "QLinearMatMul", "MatMulInteger")
def quantised_matmul(g, op):
    a, b = g.choose(U8, I8), g.choose(U8, I8)
    if op == "MatMulInteger":
        x = g.pick(allowed={U8, I8}, least=2)
    else:
        x = g.leaf(a, g.sizes(g.choose(2, 3)), (0, 20))
    if free(x.shape[-1]) and g.dims or x.dtype not in (U8, I8):
        raise Skip
    n = g.choose(1, 4, 9, 17)
    w = g.weight(b, [x.shape[-1], n])
    if op == "MatMulInteger":
        return g.node(op, [x, w, maybe(g, 0.5, zero_point(g, x.dtype)), maybe(g, 0.4, zero_point(g, b))])
    to = x.dtype
    return g.node(op, [x, step(g, F32), zero_point(g, x.dtype), w, step(g, F32, g.choose((), (n,))), zero_point(g, b), step(g, F32), zero_point(g, to)])


@row(HEAVY, "QLinearConv", "ConvInteger")
def quantised_conv(g, op):
    a, b = g.choose(U8, I8) if op == "QLinearConv" else U8, g.choose(U8, I8) if op == "QLinearConv" else U8
    c = g.choose(1, 2, 4, 8)
    x = g.leaf(a, ["N" if "N" in g.dims else g.choose(1, 2), c, g.choose(1, 3, 5, 8), g.choose(1, 4, 6)], (0, 20))
    groups = g.choose(1, 1, c)
    out = groups * g.choose(1, 2, 4)
    attributes = window(g, x)
    w = g.weight(b, [out, c // groups, *attributes["kernel_shape"]])
    if op == "ConvInteger":
        return g.node(op, [x, w, maybe(g, 0.5, zero_point(g, a)), maybe(g, 0.4, zero_point(g, b))], group=groups, **attributes)
    return g.node(op, [x, step(g, F32), zero_point(g, a), w, step(g, F32, g.choose((), (out,))), g.scalar(0, b) if b == I8 else zero_point(g, b), step(g, F32), zero_point(g, a),
                       maybe(g, 0.5, 1) and g.weight(I32, [out])], group=groups, **attributes)


# MARK: signals, boxes, losses

@row(REST, "DFT")
def dft(g, op):
    n, k = g.choose(1, 4, 5, 8), g.choose(1, 2)
    x = g.leaf(g.choose(F32, F32, DTYPES["double"]), [g.choose(1, 2), n, g.choose(1, 3), k], "normal")
    inverse = maybe(g, 0.4, 1)
    one_sided = 1 if k == 1 and not inverse and g.chance(0.3) else None
    if g.opset < 20:
        return g.node(op, [x], axis=1, inverse=inverse, onesided=one_sided)
    return g.node(op, [x, None, g.scalar(g.choose(1, -3), I64)], inverse=inverse, onesided=one_sided)


@row(REST, "HannWindow", "HammingWindow", "BlackmanWindow")
def windows(g, op):
    return g.node(op, [g.scalar(g.choose(3, 8, 10), I64)], periodic=maybe(g, 0.5, g.choose(0, 1)))


@row(REST, "Col2Im")
def col2im(g, op):
    k, size = [g.choose(1, 2), g.choose(1, 2, 3)], [g.choose(3, 4), g.choose(4, 5)]
    blocks = int(np.prod([s - w + 1 for s, w in zip(size, k)]))
    return g.node(op, [g.leaf(F32, ["N" if "N" in g.dims else 2, 2 * k[0] * k[1], blocks]), g.ints(size), g.ints(k)])


@row(REST, "AffineGrid")
def affine_grid(g, op):
    d = g.choose(2, 3)
    return g.node(op, [g.leaf(F32, [2, d, d + 1]), g.ints([2, 3, *[g.choose(2, 3, 4) for _ in range(d)]])], align_corners=maybe(g, 0.6, g.choose(0, 1)))


@row(REST, "NonMaxSuppression")
def nms(g, op):
    boxes, n = g.choose(1, 4, 7), g.choose(1, 2)
    corners = np.sort(g.rng.uniform(0, 1, (n, boxes, 2, 2)), axis=2).reshape(n, boxes, 4).astype(np.float32)
    scores = g.leaf(F32, [n, g.choose(1, 3), boxes], "unit", kind="input")
    return g.node(op, [g.leaf(F32, corners.shape, kind="constant", data=corners), scores, g.ints([g.choose(1, 3)]), g.leaf(F32, [1], kind="constant", data=np.float32([g.choose(0.3, 0.5)])),
                       maybe(g, 0.5, g.leaf(F32, [1], kind="constant", data=np.float32([0.2])))], center_point_box=maybe(g, 0.3, g.choose(0, 1)))


@row(REST, "RoiAlign")
def roi_align(g, op):
    x = g.leaf(F32, [2, g.choose(1, 3), 6, 8])
    rois = np.sort(g.rng.uniform(0, 6, (3, 2, 2)), axis=1).reshape(3, 4).astype(np.float32)
    more = {"coordinate_transformation_mode": g.choose("half_pixel", "output_half_pixel")} if g.opset >= 16 else {}
    return g.node(op, [x, g.leaf(F32, rois.shape, kind="constant", data=rois), g.leaf(I64, [3], (0, 2))], mode=g.choose("avg", "max"), output_height=g.choose(1, 2), output_width=g.choose(1, 3),
                  sampling_ratio=maybe(g, 0.5, g.choose(0, 2)), spatial_scale=maybe(g, 0.4, 0.5), **more)


@row(REST, "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(g, op):
    classes, spatial = g.choose(2, 5), g.choose([], [3], [2, 3])
    n = "N" if "N" in g.dims else 3
    x = g.leaf(g.choose(F32, F32, DTYPES["double"]), [n, classes, *spatial], "normal")
    labels = g.leaf(g.choose(I64, I32), [n, *spatial], (0, classes))
    weight = g.weight(x.dtype, [classes], "positive") if g.chance(0.4) else None
    return g.node(op, [x, labels, weight], reduction=g.choose("mean", "sum", "none"), ignore_index=maybe(g, 0.3, g.choose(0, 1)))


@row(REST, "MaxUnpool")
def max_unpool(g, op):
    x = g.leaf(F32, [1, g.choose(1, 2), 4, 6])
    y, at = g.node("MaxPool", [x], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    return g.node(op, [y, at], kernel_shape=[2, 2], strides=[2, 2])
