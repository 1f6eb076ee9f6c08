"""One row per operator: how to choose its operands and attributes. A generator takes the graph and gives the new values, or raises Skip."""
import numpy as np

from .builder import BOOL, DTYPES, F32, I64, Skip, free
from .oracle import is_float

VIEWS, POINTWISE, REDUCTIONS, MOVES, HEAVY, REST = {}, {}, {}, {}, {}, {}


def row(table, *names, **fixed):
    """Enters a generator for operators; it is called with the graph and the operator's name."""
    def enter(generator):
        for name in names:
            table[name] = (lambda g, generator=generator, name=name: generator(g, name, **fixed))
        return generator
    return enter


def maybe(g, p, value):
    return value if g.chance(p) else None


# MARK: pointwise

@row(POINTWISE, "Abs", "Ceil", "Floor", "Round", "Neg", "Sign", "Identity", "Not", "IsNaN", "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Softplus", "Softsign", "Sin", "Cos", "Atan", "Sinh",
     "Cosh", "Asinh", "HardSwish", "Mish", "BitwiseNot", "Dropout")
def unary(g, op):
    return g.node(op, [g.pick()])


@row(POINTWISE, "Log", "Sqrt", "Reciprocal", "Acosh", "Asin", "Acos", "Atanh", "Tan")
def partial(g, op):
    if op in ("Acosh", "Atanh", "Acos"):
        return g.node(op, [g.leaf(g.dtype(g.allowed(0)), g.sizes(g.choose(1, 2, 3)), (1.0, 4.0) if op == "Acosh" else (-0.9, 0.9))])
    inside = lambda v: bool((np.abs(v.data.astype(float)) > 0.05).all() if op == "Reciprocal" else (v.data.astype(float) >= 0).all())
    return g.node(op, [g.pick(style="positive" if op in ("Log", "Sqrt", "Reciprocal") else "unit", where=None if g.special else inside)])


@row(POINTWISE, "Elu", "LeakyRelu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "Shrink", "Gelu")
def activation(g, op):
    names = [a for a in g.schema.attributes if a in ("alpha", "beta", "gamma", "lambd", "bias")]
    chosen = {a: round(g.random.uniform(0.1, 1.8), 2) for a in names if g.chance(0.5)}
    if op == "Gelu" and g.chance(0.5):
        chosen["approximate"] = g.choose("tanh", "none")
    return g.node(op, [g.pick()], **chosen)


@row(POINTWISE, "IsInf")
def is_inf(g, op):
    return g.node(op, [g.pick()], detect_negative=maybe(g, 0.3, g.choose(0, 1)), detect_positive=maybe(g, 0.3, g.choose(0, 1)))


@row(POINTWISE, "Add", "Sub", "Mul", "And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def binary(g, op):
    x = g.pick()
    y = g.partner(x)
    return g.node(op, [x, y] if g.chance(0.7) else [y, x])


@row(POINTWISE, "Div", "Mod", "Pow", "BitShift", "PRelu")
def careful_binary(g, op):
    x = g.pick(allowed=None)
    if op == "BitShift":
        return g.node(op, [x, g.partner(x, style=(0, 7))], direction=g.choose("LEFT", "RIGHT"))
    if op == "Pow":
        if is_float(x.dtype):
            whole = g.chance(0.6)
            y = g.scalar(g.choose(2, 3, 0, 1, -1, 0.5), g.choose(x.dtype, x.dtype, F32)) if g.chance(0.6) else g.partner(x, style=(1, 3) if whole else "unit")
        else:
            y = g.partner(x, dtype=g.choose(x.dtype, I64, DTYPES["int32"]), style=(0, 4))
        return g.node(op, [x, y])
    if op == "PRelu":
        dims = [1 if g.chance(0.4) or free(n) else n for n in x.shape]
        return g.node(op, [x, g.weight(x.dtype, dims[g.random.randint(0, len(dims)) if dims and g.chance(0.5) else 0 :])])
    style = (1, 9) if not is_float(x.dtype) else "positive"
    if op == "Mod":
        fmod = 1 if is_float(x.dtype) else maybe(g, 0.4, g.choose(0, 1))
        return g.node(op, [x, g.partner(x, style=g.choose(style, (-9, 0)) if x.dtype.kind == "i" else style)], fmod=fmod)
    return g.node(op, [x, g.partner(x, style=style)])


@row(POINTWISE, "Max", "Min", "Sum", "Mean")
def variadic(g, op):
    x = g.pick()
    more = [g.partner(x) for _ in range(g.choose(0, 1, 1, 2))]
    return g.node(op, [x, *more])


@row(POINTWISE, "Where")
def where(g, op):
    x = g.pick(1)
    y = g.partner(x)
    return g.node(op, [g.partner(x, dtype=BOOL), *([x, y] if g.chance(0.5) else [y, x])])


@row(POINTWISE, "Clip")
def clip(g, op):
    x = g.pick()
    low = g.scalar(g.choose(0, 1, 2) if x.dtype.kind == "u" else g.choose(-2, 0, -1, -0.5 if is_float(x.dtype) else -3), x.dtype)
    return g.node(op, [x, maybe(g, 0.8, low), maybe(g, 0.8, g.scalar(g.choose(3, 6, 2), x.dtype))])


@row(POINTWISE, "Cast")
def cast(g, op):
    x = g.pick()
    to = g.weighted([("float", 8), ("int64", 3), ("int32", 3), ("float16", 3), ("bfloat16", 2), ("double", 3), ("uint8", 2), ("int8", 2), ("bool", 2), ("int16", 1), ("uint16", 1), ("uint32", 1)])
    saturate = maybe(g, 0.2, 1) if "saturate" in g.schema.attributes else None
    return g.node(op, [x], to=onnx_type(DTYPES[to]), saturate=saturate)


@row(POINTWISE, "CastLike")
def cast_like(g, op):
    return g.node(op, [g.pick(), g.pick(1)])


def onnx_type(dtype):
    from onnx import helper
    return helper.np_dtype_to_tensor_dtype(dtype)


# MARK: views

@row(VIEWS, "Reshape")
def reshape(g, op):
    x = g.pick()
    target = computed_shape(g, x) if g.chance(0.25) else None
    if target is None:
        target = g.reshape_target(x, g.random.randint(0 if x.size == 1 else 1, 5))
    return g.node(op, [x, target], allowzero=maybe(g, 0.05, 1) if "allowzero" in g.schema.attributes else None)


def computed_shape(g, x):
    """A shape computed from Shape, Gather, Concat and arithmetic."""
    if x.rank < 1:
        return None
    shape, = g.node("Shape", [x])
    at = g.random.randrange(x.rank)
    take = g.scalar(at, I64) if g.chance(0.5) else g.ints([at])
    size, = g.node("Gather", [shape, take], axis=0)
    if size.rank == 0:
        size, = g.node("Unsqueeze", [size, g.ints([0])])
    if g.chance(0.3):
        size, = g.node("Mul", [size, g.ints([1])])
    minus = g.ints([-1])
    parts = [size, minus] if g.chance(0.5) else [minus, size]
    if g.chance(0.4):
        parts.insert(g.choose(0, 1, 2), g.ints([1]))
    return g.node("Concat", parts, axis=0)[0]


@row(VIEWS, "Flatten")
def flatten(g, op):
    x = g.pick()
    return g.node(op, [x], axis=maybe(g, 0.8, g.random.randint(-x.rank, x.rank)))


@row(VIEWS, "Transpose")
def transpose(g, op):
    x = g.pick(least=1)
    perm = list(range(x.rank))
    g.random.shuffle(perm)
    return g.node(op, [x], perm=maybe(g, 0.9, perm))


@row(VIEWS, "Squeeze")
def squeeze(g, op):
    x = g.pick()
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    axes = g.random.sample(ones, g.random.randint(0, len(ones)))
    return g.node(op, [x, g.ints([a - x.rank if g.chance(0.3) else a for a in axes]) if axes or g.chance(0.2) else None if not (g.dims or g.closed) else g.ints([], shape=(0,))])


@row(VIEWS, "Unsqueeze")
def unsqueeze(g, op):
    x = g.pick(most=4)
    count = g.choose(1, 1, 2) if x.rank < 4 else 1
    axes = g.random.sample(range(x.rank + count), count)
    return g.node(op, [x, g.ints([a - x.rank - count if g.chance(0.3) else a for a in axes])])


@row(VIEWS, "Slice")
def slice_(g, op):
    x = g.pick(least=1)
    axes = g.axes(x, least=1, most=3)
    starts, ends, steps = [], [], []
    for a in axes:
        n, step = x.shape[a], g.choose(1, 1, 1, 2, 3, -1, -2)
        low, high = sorted((g.random.randint(0, n), g.random.randint(0, n)))
        if g.chance(0.6) and n:
            low, high = 0 if g.chance(0.5) else min(low, n - 1), n if g.chance(0.6) else max(high, low + 1)
        start, end = (low, high) if step > 0 else (high - 1, low - 1)
        if step > 0:
            end = g.choose(end, end if end == 0 or n == end else end - n, 2**63 - 1 if end == n else end, 1000 if end == n else end)
            start = g.choose(start, start - n if n else start)
        else:
            end = -(2**63) + 1 if end < 0 else end
            start = g.choose(start, n + 5 if start == n - 1 else start)
            if start < 0:
                raise Skip
        starts.append(start), ends.append(end), steps.append(step)
    if set(steps) == {1} and g.chance(0.5):
        steps = None
    default_axes = [a % x.rank for a in axes] == list(range(len(axes))) and g.chance(0.5)
    dtype = g.choose(I64, I64, DTYPES["int32"])
    if dtype != I64 and any(abs(n) >= 2**31 for n in ends):
        dtype = I64
    return g.node(op, [x, g.ints(starts, dtype), g.ints(ends, dtype), None if default_axes else g.ints(axes, dtype), g.ints(steps, dtype) if steps else None])


@row(VIEWS, "Expand")
def expand(g, op):
    x = g.pick(most_size=300)
    shape = [g.choose(1, 2, 3) if n == 1 else 1 if g.chance(0.4) or free(n) else n for n in x.shape]
    if g.chance(0.3):
        shape = [g.choose(1, 2, 3)] + shape
    elif shape and g.chance(0.3):
        shape = shape[1:]
    if g.chance(0.2):
        other = g.partner(x)
        return g.node(op, [x, g.node("Shape", [other])[0]])
    return g.node(op, [x, g.ints(shape, shape=(len(shape),))])


@row(VIEWS, "Concat")
def concat(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    fits = [v for v in g.values.values() if not v.is_sequence and v.dtype == x.dtype and v.rank == x.rank and all(a == b or i == axis % x.rank for i, (a, b) in enumerate(zip(x.shape, v.shape)))]
    parts = [g.choose(*fits) for _ in range(g.choose(1, 1, 2, 3))] if g.chance(0.7) else []
    if g.chance(0.4):
        names = {7: "N", 13: "M"}
        if any(free(n) and names.get(n) not in g.dims for n in x.shape):
            raise Skip
        parts.append(g.leaf(x.dtype, [g.choose(0, 1, 2, 3) if i == axis % x.rank else names[n] if n in names and names[n] in g.dims else n for i, n in enumerate(x.shape)]))
    parts.insert(g.random.randint(0, len(parts)), x)
    return g.node(op, parts, axis=axis)


@row(VIEWS, "Split")
def split(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    n = x.shape[axis]
    count = g.choose(1, 2, 2, 3)
    if g.chance(0.5) and n % count == 0 and not free(n):
        return g.node(op, [x], outputs=count, axis=axis, **({"num_outputs": count} if "num_outputs" in g.schema.attributes else {}))
    if free(n):
        raise Skip
    cuts = sorted(g.random.randint(0, n) for _ in range(count - 1))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, n])]
    return g.node(op, [x, g.ints(sizes)], outputs=count, axis=axis)


@row(VIEWS, "Pad")
def pad(g, op):
    x = g.pick(least=1)
    mode = g.choose("constant", "constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else []))
    low = [g.choose(0, 0, 1, 2, -1 if mode == "constant" else 0) for _ in x.shape]
    high = [g.choose(0, 0, 1, 3, -1 if mode == "constant" else 0) for _ in x.shape]
    if mode in ("reflect", "wrap") and any(max(l, h) >= n for l, h, n in zip(low, high, x.shape)) or any(l + h + n < 0 for l, h, n in zip(low, high, x.shape)):
        raise Skip
    if mode == "edge" and 0 in x.shape:
        raise Skip
    value = maybe(g, 0.5, g.scalar(g.choose(0, 1, 2), x.dtype)) if mode == "constant" else None
    axes = None
    if g.opset >= 18 and g.chance(0.3):
        chosen = g.axes(x, least=1)
        low, high, axes = [low[a] for a in chosen], [high[a] for a in chosen], g.ints(chosen)
    return g.node(op, [x, g.ints(low + high), value, axes], mode=mode if mode != "constant" or g.chance(0.5) else None)


@row(VIEWS, "Tile")
def tile(g, op):
    x = g.pick(most_size=400)
    return g.node(op, [x, g.ints([g.choose(1, 1, 2, 3, 0 if g.chance(0.05) else 1) for _ in x.shape], shape=(x.rank,))])


@row(VIEWS, "DepthToSpace", "SpaceToDepth")
def depth_space(g, op):
    x = g.pick(rank=4)
    b = g.choose(1, 2, 2, 3)
    fits = x.shape[1] % (b * b) == 0 if op == "DepthToSpace" else x.shape[2] % b == 0 and x.shape[3] % b == 0
    if not fits:
        dims = ["N" if "N" in g.dims else g.choose(1, 2), b * b * g.choose(1, 2), b * g.choose(1, 2, 3), b * g.choose(1, 2)]
        x = g.leaf(x.dtype, dims)
    return g.node(op, [x], blocksize=b, **({"mode": g.choose("DCR", "CRD")} if op == "DepthToSpace" else {}))


@row(VIEWS, "Trilu")
def trilu(g, op):
    x = g.pick(least=2)
    return g.node(op, [x, maybe(g, 0.6, g.scalar(g.choose(-2, -1, 0, 1, 2, 5), I64))], upper=maybe(g, 0.6, g.choose(0, 1)))


@row(VIEWS, "CenterCropPad")
def center_crop_pad(g, op):
    x = g.pick(least=1)
    axes = [a % x.rank for a in g.axes(x, least=1)]
    return g.node(op, [x, g.ints([g.choose(1, 2, 3, 5) for _ in axes])], axes=axes)


# MARK: reductions

@row(REDUCTIONS, "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")
def reduce(g, op):
    positive = op == "ReduceLogSum"
    x = g.pick(style="positive" if positive else None, least=1 if g.depth or g.chance(0.9) else 0, where=(lambda v: (v.data.astype(float) > 0).all()) if positive else None)
    axes = g.axes(x, least=1) if x.rank else []
    keep = maybe(g, 0.7, g.choose(0, 1))
    if "axes" in g.schema.attributes:
        return g.node(op, [x], axes=maybe(g, 0.8, axes) if axes else None, keepdims=keep)
    given = g.ints(axes) if axes and g.chance(0.85) else maybe(g, 0.3, g.ints([], shape=(0,)))
    return g.node(op, [x, given], keepdims=keep, noop_with_empty_axes=maybe(g, 0.3, g.choose(0, 1)))


@row(REDUCTIONS, "ArgMax", "ArgMin")
def arg(g, op):
    x = g.pick(least=1)
    return g.node(op, [x], axis=maybe(g, 0.8, g.axis(x)), keepdims=maybe(g, 0.6, g.choose(0, 1)), select_last_index=maybe(g, 0.4, g.choose(0, 1)))


@row(REDUCTIONS, "Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
def normalise(g, op):
    x = g.pick(least=1)
    return g.node(op, [x], axis=maybe(g, 0.85, g.axis(x)), **({"p": g.choose(1, 2)} if op == "LpNormalization" else {}))


@row(REDUCTIONS, "CumSum")
def cumsum(g, op):
    x = g.pick(least=1)
    return g.node(op, [x, g.scalar(g.axis(x), g.choose(I64, DTYPES["int32"]))], exclusive=maybe(g, 0.5, g.choose(0, 1)), reverse=maybe(g, 0.5, g.choose(0, 1)))


@row(REDUCTIONS, "TopK")
def topk(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    n = x.shape[axis]
    return g.node(op, [x, g.ints([g.random.randint(0, n) if not free(n) or not g.dims else 1])], outputs=2, drop=0.2, axis=axis, largest=maybe(g, 0.5, g.choose(0, 1)))


# MARK: gathers and scatters

def indices(g, n, dims, dtype=None):
    if n == 0 or free(n) and g.chance(0.5) and not g.dims:
        raise Skip
    dtype = dtype or g.choose(I64, I64, DTYPES["int32"])
    return g.leaf(dtype, dims, (-n if g.chance(0.4) else 0, n)) if not (free(n) and g.dims) else g.leaf(dtype, dims, (0, 1))


@row(MOVES, "Gather")
def gather(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    return g.node(op, [x, indices(g, x.shape[axis], g.sizes(g.choose(0, 1, 1, 2)))], axis=maybe(g, 0.9, axis) if axis else axis)


@row(MOVES, "GatherElements")
def gather_elements(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    dims = [g.choose(1, 2, 4) if i == axis % x.rank else g.random.randint(min(n, 1), n) if not free(n) else 1 for i, n in enumerate(x.shape)]
    return g.node(op, [x, indices(g, x.shape[axis], dims)], axis=axis)


@row(MOVES, "GatherND")
def gather_nd(g, op):
    x = g.pick(least=1)
    batch = g.choose(0, 0, 0, 1) if x.rank > 1 else 0
    depth = g.random.randint(1, x.rank - batch)
    n = min(x.shape[batch : batch + depth])
    if any(free(s) for s in x.shape[: batch + depth]) and g.dims:
        raise Skip
    return g.node(op, [x, indices(g, n, [*x.shape[:batch], *g.sizes(g.choose(0, 1, 2)), depth], I64)], batch_dims=batch or None)


@row(MOVES, "ScatterElements")
def scatter_elements(g, op):
    x = g.pick(least=1, where=lambda v: v.size > 0)
    axis = g.axis(x)
    if any(free(n) for n in x.shape) and g.dims:
        raise Skip
    dims = [min(n, 2) if i == axis % x.rank else g.random.randint(1, n) for i, n in enumerate(x.shape)]
    reduction = g.choose(None, None, "add", "mul", *(["max", "min"] if g.opset >= 18 else [])) if g.opset >= 16 else None
    data = indices(g, x.shape[axis], dims) if reduction else distinct(g, x.shape[axis], dims, axis % x.rank)
    return g.node(op, [x, data, g.leaf(x.dtype, dims)], axis=axis, reduction=reduction)


def distinct(g, n, dims, axis):
    """Indices without duplicates along an axis."""
    moved = [d for i, d in enumerate(dims) if i != axis]
    rows = [g.random.sample(range(n), dims[axis]) for _ in range(int(np.prod(moved)))]
    return g.leaf(I64, dims, kind="constant", data=np.moveaxis(np.array(rows, np.int64).reshape([*moved, dims[axis]]), -1, axis))


@row(MOVES, "ScatterND")
def scatter_nd(g, op):
    x = g.pick(least=1, where=lambda v: v.size > 0)
    if any(free(n) for n in x.shape) and g.dims:
        raise Skip
    depth = g.random.randint(1, x.rank)
    rows = g.random.sample(range(int(np.prod(x.shape[:depth]))), 1 if np.prod(x.shape[:depth]) < 2 else 2)
    at = np.array(np.unravel_index(rows, x.shape[:depth]), np.int64).T
    reduction = g.choose(None, None, "add", "mul", *(["max", "min"] if g.opset >= 18 else [])) if g.opset >= 16 else None
    return g.node(op, [x, g.leaf(I64, at.shape, kind=g.choose("constant", "node"), data=at), g.leaf(x.dtype, [len(rows), *x.shape[depth:]])], reduction=reduction)


@row(MOVES, "OneHot")
def one_hot(g, op):
    depth, dtype = g.choose(1, 3, 5), g.choose(F32, I64, DTYPES["int32"])
    at = g.leaf(g.choose(I64, DTYPES["int32"]), g.sizes(g.choose(0, 1, 2)), (-depth - 1, depth + 1))
    return g.node(op, [at, g.scalar(depth, I64, g.choose((), (1,))), g.ints([0, 3], dtype)], axis=maybe(g, 0.6, g.random.randint(-at.rank - 1, at.rank)))


@row(MOVES, "Compress")
def compress(g, op):
    x = g.pick(least=1)
    axis = g.axis(x) if g.chance(0.7) else None
    n = x.size if axis is None else x.shape[axis]
    if free(n) and g.dims or n == 0:
        raise Skip
    return g.node(op, [x, g.weight(BOOL, [g.random.randint(1, n)])], axis=axis)


@row(MOVES, "ReverseSequence")
def reverse_sequence(g, op):
    x = g.pick(least=2)
    time, batch = (0, 1) if g.chance(0.5) else (1, 0)
    if any(free(n) for n in x.shape[:2]) and g.dims:
        raise Skip
    return g.node(op, [x, g.leaf(I64, [x.shape[batch]], (1 if x.shape[time] else 0, x.shape[time] + 1))], time_axis=time, batch_axis=batch)


@row(MOVES, "NonZero")
def non_zero(g, op):
    return g.node(op, [g.pick(least=1)])


@row(MOVES, "Unique")
def unique(g, op):
    x = g.pick(least=1, where=lambda v: v.size > 0)
    return g.node(op, [x], outputs=4, drop=0.4, axis=maybe(g, 0.5, g.axis(x)), sorted=maybe(g, 0.6, g.choose(0, 1)))


# MARK: sizes and fillers

@row(REST, "Shape")
def shape(g, op):
    x = g.pick()
    bounds = {"start": maybe(g, 0.3, g.random.randint(-x.rank - 1, x.rank)), "end": maybe(g, 0.3, g.random.randint(-x.rank, x.rank + 1))} if g.opset >= 15 else {}
    return g.node(op, [x], **bounds)


@row(REST, "Size")
def size(g, op):
    return g.node(op, [g.pick()])


@row(REST, "ConstantOfShape")
def constant_of_shape(g, op):
    from onnx import numpy_helper
    dtype = DTYPES[g.choose("float", "int64", "int32", "bool", "float16", "uint8")]
    x = g.pick(allowed=set(DTYPES.values()), most=4)
    shape = g.node("Shape", [x])[0] if g.chance(0.6) else g.ints([g.choose(0, 1, 2, 3) for _ in range(3)])
    return g.node(op, [shape], value=maybe(g, 0.7, numpy_helper.from_array(np.array([g.choose(0, 1, 2)], dtype))))


@row(REST, "Range")
def range_(g, op):
    dtype = DTYPES[g.choose("int64", "int64", "int32", "float")]
    if g.chance(0.5) and dtype == I64:
        x = g.pick(allowed=set(DTYPES.values()), least=1)
        size, = g.node("Gather", [g.node("Shape", [x])[0], g.scalar(g.axis(x), I64)])
        return g.node(op, [g.scalar(0, dtype), size, g.scalar(1, dtype)])
    start, step = g.choose(0, 1, -3), g.choose(1, 2, -1)
    return g.node(op, [g.scalar(start, dtype), g.scalar(start + step * g.choose(0, 1, 4, 6), dtype), g.scalar(step, dtype)])


@row(REST, "EyeLike")
def eye_like(g, op):
    return g.node(op, [g.pick(rank=2)], k=maybe(g, 0.5, g.choose(-2, -1, 1, 2)), dtype=maybe(g, 0.3, onnx_type(DTYPES[g.choose("float", "int64", "int32")])))
