"""A random graph while it grows: its values are known, because every node is run as soon as it is made."""
import random

import ml_dtypes
import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

from .oracle import FUNCTIONS, Refused, is_float, uses

DTYPES = {name: np.dtype(t) for name, t in dict(
    float=np.float32, double=np.float64, float16=np.float16, bfloat16=ml_dtypes.bfloat16, int64=np.int64, int32=np.int32, int16=np.int16,
    int8=np.int8, uint64=np.uint64, uint32=np.uint32, uint16=np.uint16, uint8=np.uint8, bool=np.bool_, float8e4m3fn=ml_dtypes.float8_e4m3fn,
    float8e5m2=ml_dtypes.float8_e5m2).items()}
F32, I64, BOOL = DTYPES["float"], DTYPES["int64"], DTYPES["bool"]
LARGEST = 3000  # elements of one value
# What a graph is mostly made of, by weight.
MAIN_TYPES = [("float", 58), ("float16", 7), ("bfloat16", 5), ("double", 8), ("int64", 5), ("int32", 6), ("uint8", 3), ("int8", 3), ("bool", 2), ("int16", 1),
              ("uint16", 1), ("uint32", 1)]
# Sizes of dimensions; free dimensions have sizes that nothing else has, so that a size in an attribute is seen to depend on one.
SIZES, FREE_SIZES = [1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 9, 16, 17], {"N": 7, "M": 13}


class Skip(Exception):
    """An operator's generator finds nothing that fits here."""


class Leaf:
    """A value from outside: an input, an initializer, or both (a default). Values are drawn anew for other sizes."""

    def __init__(self, dtype, dims, style, seed, data=None):
        self.dtype, self.dims, self.style, self.seed, self.data = dtype, dims, style, seed, data

    def draw(self, sizes, other=False):
        """Its value at these sizes, or another one."""
        if self.data is not None:
            return self.data
        shape = tuple(sizes.get(d, FREE_SIZES.get(d)) if isinstance(d, str) else d for d in self.dims)
        return fill(np.random.default_rng([self.seed, *shape] + [1] * other), self.dtype, shape, self.style)


def fill(rng, dtype, shape, style):
    """Random numbers of a style: `exact` (small multiples of 1/8), `normal`, `positive`, `unit` (0 to 1), `special` (NaN, inf, -0.0 among them), or (low, high)."""
    if isinstance(style, tuple):
        values = rng.integers(style[0], style[1], shape) if not is_float(dtype) else rng.uniform(*style, shape)
    elif dtype == BOOL:
        values = rng.random(shape) < 0.5
    elif dtype.kind in "iu":
        values = rng.integers(0 if dtype.kind == "u" else -9, 10, shape)
        if style == "special" and values.size:
            values = np.where(rng.random(shape) < 0.1, rng.choice([np.iinfo(dtype).min, np.iinfo(dtype).max], shape).astype(np.float64), values)
    elif style == "exact":
        values = rng.integers(-24, 25, shape) / 8
    elif style == "unit":
        values = rng.uniform(0.05, 0.95, shape)
    else:
        values = rng.standard_normal(shape)
        if style == "positive":
            values = np.abs(values) + 0.1
        if style == "special":
            values = np.where(rng.random(shape) < 0.2, rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf], shape), values)
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(dtype)


class Value:
    def __init__(self, name, data, exact, leaf=None):
        self.name, self.data, self.exact, self.leaf = name, data, exact, leaf

    shape = property(lambda self: self.data.shape)
    rank = property(lambda self: self.data.ndim)
    dtype = property(lambda self: self.data.dtype)
    size = property(lambda self: self.data.size)
    is_sequence = property(lambda self: isinstance(self.data, list))


def free(size):
    """Whether a size follows from a free dimension."""
    return any(size and size % n == 0 for n in FREE_SIZES.values())


class Graph:
    """Nodes in order, leaves, and every value at the sizes of generation. All names begin with `prefix`."""

    def __init__(self, oracle, opset, prefix, seed, dims, scope=None):
        self.oracle, self.opset, self.prefix, self.dims = oracle, opset, prefix, dims
        self.random, self.rng = random.Random(seed), np.random.default_rng(seed)
        self.nodes, self.functions, self.outputs = [], [], []
        self.inputs, self.constants, self.defaults = {}, {}, {}
        self.values, self.inexact, self.counter = {}, set(), 0
        self.main = self.weighted(MAIN_TYPES)
        self.special = self.random.random() < 0.08
        self.schema, self.closed, self.depth = None, False, 0

    # MARK: choices

    def chance(self, p):
        return self.random.random() < p

    def choose(self, *options):
        return self.random.choice(options)

    def weighted(self, table):
        return self.random.choices([t for t, _ in table], [w for _, w in table])[0]

    def name(self, kind):
        self.counter += 1
        return f"{self.prefix}{kind}{self.counter}"

    def allowed(self, index, like=()):
        """The element types that the schema allows at an input, by numpy's dtype."""
        formal = self.schema.inputs[min(index, len(self.schema.inputs) - 1)]
        return {DTYPES[t[7:-1]] for t in formal.types if t.startswith("tensor(") and t[7:-1] in DTYPES}

    def dtype(self, allowed):
        main = DTYPES[self.main]
        if main in allowed and self.chance(0.85):
            return main
        options = [(DTYPES[t], w) for t, w in MAIN_TYPES if DTYPES[t] in allowed]
        if not options:
            raise Skip
        return self.weighted(options)

    def sizes(self, rank, least=0):
        """A random shape: ones often, a zero seldom, free dimensions where this graph has any. Free ones are names."""
        shape = [self.choose(*SIZES) for _ in range(rank)]
        if rank and self.chance(0.03) and least == 0:
            shape[self.random.randrange(rank)] = 0
        for name in self.dims:
            if rank and self.chance(0.6):
                shape[self.choose(*range(rank)) if self.chance(0.4) else 0] = name
        while np.prod([FREE_SIZES.get(n, n) for n in shape]) > LARGEST / 4:
            shape[max(range(rank), key=lambda i: FREE_SIZES.get(shape[i], shape[i]))] = self.choose(1, 2, 3)
        return shape

    # MARK: values from outside

    def leaf(self, dtype, dims, style=None, kind=None, data=None):
        """A graph input, initializer, default or Constant node, at random unless `kind` says so."""
        dims = list(dims)
        if style is None:
            style = "special" if self.special and self.chance(0.5) else self.choose("exact", "normal") if is_float(dtype) else "exact"
        is_free = any(isinstance(d, str) for d in dims)
        if self.closed:
            kind = "constant" if kind in (None, "input", "default") else kind
            if is_free:
                raise Skip
        kind = kind or ("input" if is_free else self.weighted([("input", 60), ("constant", 22), ("node", 8), ("default", 6)]))
        leaf = Leaf(np.dtype(dtype), dims, style, self.random.randrange(2**31), data)
        value = leaf.draw({})
        name = self.name("i" if kind == "input" else "c")
        if kind == "node":
            self.nodes.append(self.constant_node(name, value))
        else:
            {"input": self.inputs, "default": self.defaults}.get(kind, self.constants)[name] = leaf if kind != "constant" else value
        self.values[name] = Value(name, value, style == "exact" or not is_float(value.dtype) or isinstance(style, tuple) and not is_float(value.dtype), leaf)
        return self.values[name]

    def constant_node(self, name, value):
        """A Constant node in one of its forms."""
        forms = {"value": numpy_helper.from_array(value)}
        if value.dtype == F32 and value.ndim == 0:
            forms["value_float"] = float(value)
        if value.dtype == F32 and value.ndim == 1 and value.size:
            forms["value_floats"] = value.tolist()
        if value.dtype == I64 and value.ndim == 0:
            forms["value_int"] = int(value)
        if value.dtype == I64 and value.ndim == 1 and value.size:
            forms["value_ints"] = value.tolist()
        form = self.choose(*forms)
        return helper.make_node("Constant", [], [name], name=self.name("n") + "_Constant", **{form: forms[form]})

    def ints(self, values, dtype=I64, shape=None):
        """A small constant, as operators take for sizes and axes; seldom an input, which is a size then or stays data."""
        data = np.array(values, dtype)
        is_size = data.dtype == I64 and 0 < data.size <= 8 and data.min() >= 0 and data.max() < 1 << 20
        kind = "input" if is_size and not self.closed and self.chance(0.04) else self.choose("constant", "constant", "node")
        return self.leaf(dtype, (data if shape is None else data.reshape(shape)).shape, kind=kind, data=data)

    def scalar(self, value, dtype, shape=()):
        return self.leaf(dtype, shape, kind=self.choose("constant", "node"), data=np.full(shape, value, dtype))

    # MARK: operands

    def pick(self, index=0, rank=None, least=0, most=5, allowed=None, where=None, fresh=0.15, style=None, most_size=LARGEST):
        """A value for an input of the operator: a recent one mostly, else a new leaf."""
        allowed = allowed if allowed is not None else self.allowed(index)
        least, most = (rank, rank) if rank is not None else (least, most)
        if not self.chance(fresh):
            fits = [v for v in self.values.values() if not v.is_sequence and v.dtype in allowed and least <= v.rank <= most and v.size <= most_size and (where is None or where(v))]
            if rank is not None and (not fits or self.chance(0.3)):
                others = [v for v in self.values.values() if not v.is_sequence and v.dtype in allowed and 0 < v.size <= most_size and v.rank != rank]
                if others:
                    viewed = self.to_rank(self.choose(*others[-5:]), rank)
                    if where is None or where(viewed):
                        return viewed
            if fits:
                return self.choose(*fits[-3:]) if self.chance(0.75) else self.choose(*fits)
        dims = self.sizes(self.random.randint(least, min(most, 4)) if rank is None else rank)
        made = self.leaf(self.dtype(allowed), dims, style)
        if where is not None and not where(made):
            raise Skip
        return made

    def to_rank(self, value, rank):
        """Views of `value` that end in `rank` axes."""
        saved, self.schema = self.schema, None
        if value.rank < rank and self.chance(0.6):
            count = rank - value.rank
            axes = sorted(self.random.sample(range(rank), count))
            result, = self.node("Unsqueeze", [value, self.ints([a - rank if self.chance(0.3) else a for a in axes])])
        else:
            result, = self.node("Reshape", [value, self.reshape_target(value, rank)])
        self.schema = saved
        return result

    def reshape_target(self, value, rank):
        """A legal target of a Reshape, as constants; sizes that follow from free ones are never written out."""
        shape = list(value.shape)
        if rank == 0:
            if value.size != 1:
                raise Skip
            return self.ints([], shape=(0,))
        if rank < len(shape) and shape:
            at = self.random.randint(0, rank - 1)
            target = shape[:at] + [int(np.prod(shape[at : len(shape) - (rank - 1 - at)]))] + shape[len(shape) - (rank - 1 - at) :]
            written = [0 if i < at and self.chance(0.5) else n for i, n in enumerate(target)]
            if self.chance(0.6) or free(target[at]):
                written[at] = -1
        else:
            target = shape[:]
            while len(target) < rank:
                splits = [(i, d) for i, n in enumerate(target) if n and not free(n) for d in range(1, n + 1) if n % d == 0]
                at, d = self.choose(*splits) if splits and self.chance(0.7) else (self.random.randint(0, len(target)), None)
                target[at : at + (d is not None)] = [d, target[at] // d] if d else [1]
            written = target[:]
            if value.size and self.chance(0.5):
                written[self.random.randrange(rank)] = -1
        big = [i for i, n in enumerate(written) if free(n)]
        if len(big) > 1 or big and -1 in written or any(n == 0 for n in target) and -1 in written:
            raise Skip
        for i in big:
            written[i] = -1
        if any(n == 0 and (i >= len(shape) or shape[i] != target[i]) for i, n in enumerate(written)):
            raise Skip
        return self.ints(written)

    def partner(self, value, dtype=None, style=None, same=0.35):
        """Something that broadcasts with `value`, of its type or another."""
        dtype = dtype or value.dtype
        fits = [v for v in self.values.values() if not v.is_sequence and v.dtype == dtype and v is not value and broadcasts(v.shape, value.shape)]
        if fits and style is None and self.chance(0.5):
            return self.choose(*fits[-4:])
        if self.chance(0.06) and style is None and dtype == value.dtype:
            return value
        names = {n: d for d, n in FREE_SIZES.items()}
        dims = [1 if not self.chance(same + 0.3) else names.get(n, n) if names.get(n) in self.dims else 1 if free(n) else n for n in value.shape]
        dims = dims[self.random.randint(0, len(dims)) if self.chance(0.4) else 0 :]
        dims = [self.choose(2, 3) if n == 1 and d == 1 and self.chance(0.1) and value.size < 300 else d for d, n in zip(dims, value.shape[len(value.shape) - len(dims) :])]
        if self.chance(0.08) and len(dims) == value.rank < 4:
            dims = [self.choose(1, 2)] + dims
        return self.leaf(dtype, dims, style)

    def weight(self, dtype, shape, style=None):
        """A weight of a fixed shape: mostly an initializer."""
        if any(free(n) for n in shape) and self.dims:
            raise Skip
        return self.leaf(dtype, shape, style, kind=self.weighted([("constant", 70), ("input", 15), ("node", 10), ("default", 5)]))

    def axis(self, value, extra=0):
        n = value.rank + extra
        if n == 0:
            raise Skip
        a = self.random.randrange(n)
        return a - n if self.chance(0.35) else a

    def axes(self, value, least=0, most=None):
        n = value.rank
        chosen = self.random.sample(range(n), self.random.randint(min(least, n), min(n, most if most is not None else n)))
        return [a - n if self.chance(0.25) else a for a in chosen]

    # MARK: nodes

    def node(self, op, inputs, outputs=1, domain="", drop=0.0, loose=False, subgraphs=None, **attributes):
        """Makes a node, runs it, and gives its values. Some outputs may be left out. Raises Skip where no oracle computes it."""
        inputs = list(inputs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        names = [v.name if v is not None else "" for v in inputs]
        results = ["" if i and self.chance(drop) else self.name("v") for i in range(outputs)]
        while results and not results[-1]:
            results.pop()
        node = helper.make_node(op, names, results, name=f"{self.name('n')}_{op}", domain=domain, **{k: v for k, v in attributes.items() if v is not None})
        values = {n: self.values[n].data for n in uses(node) if n in self.values}
        try:
            data = self.oracle.run(node, self.opset, values, self.functions)
        except (Refused, KeyError) as problem:
            raise Skip(f"{op}: {problem}") from None
        read = [self.values[n] for n in values]
        exact = self.check(op, node, read, values, data)
        self.nodes.append(node)
        made = []
        for name, d in zip(results, data):
            if d is None:
                made.append(Value("", np.zeros(0, np.float32), True))
                continue
            value = Value(name, d, exact if isinstance(d, list) or is_float(d.dtype) else True)
            if name:
                self.values[name] = value
                if not exact and (isinstance(d, list) or is_float(d.dtype)):
                    self.inexact.add(name)
            made.append(value)
        return made

    def check(self, op, node, read, values, data):
        """Refuses results that are too large or not finite, and those that turn on a rounding. Whether the results are exact."""
        arrays = [a for d in data if d is not None for a in (d if isinstance(d, list) else [d])]
        for a in arrays:
            if a.size > LARGEST or a.ndim > 6 or a.dtype.kind in "OSU":
                raise Skip
            if is_float(a.dtype) and a.size:
                f = a.astype(np.float64)
                finite = np.isfinite(f)
                if not self.special and not finite.all():
                    raise Skip
                if finite.any() and np.abs(f[finite]).max() > (200 if a.dtype.itemsize < 4 else 1e5):
                    raise Skip
        inputs_exact = all(v.exact for v in read)
        if not inputs_exact and op in TURNING:
            for seed in (1, 2):
                moved = {n: (perturb(d, seed) if n in self.inexact or not self.values[n].exact else d) for n, d in values.items()}
                try:
                    again = self.oracle.run(node, self.opset, moved, self.functions)
                except Refused:
                    raise Skip from None
                if not all(near(a, b) for a, b in zip(data, again) if a is not None):
                    raise Skip
        return inputs_exact and op in EXACT and all(not is_float(a.dtype) or is_dyadic(a) for a in arrays)


# Operators whose results jump where a number passes a boundary.
TURNING = {"Round", "Floor", "Ceil", "Sign", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "ArgMax", "ArgMin", "TopK", "Hardmax", "Cast", "CastLike",
           "QuantizeLinear", "DynamicQuantizeLinear", "Mod", "NonZero", "Unique", "ThresholdedRelu", "Shrink", "MaxPool", "NonMaxSuppression", "GridSample", "IsInf",
           "RoiAlign", "QLinearConv", "QLinearMatMul", "If", "Loop", "Scan", "DeformConv"}
# Operators that compute without rounding where the numbers are small multiples of a power of two, in any order of additions.
EXACT = {"Add", "Sub", "Mul", "Neg", "Abs", "Relu", "Identity", "Max", "Min", "Clip", "Sum", "Floor", "Ceil", "Round", "Sign", "Where", "MatMul", "Gemm", "Conv", "ConvTranspose", "MaxPool",
         "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Split", "Expand", "Tile", "Pad", "Gather", "GatherElements", "GatherND", "ScatterElements",
         "ScatterND", "DepthToSpace", "SpaceToDepth", "Trilu", "OneHot", "Compress", "ReverseSequence", "CenterCropPad", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1",
         "ReduceSumSquare", "ArgMax", "ArgMin", "CumSum", "TopK", "Einsum", "Cast", "CastLike", "GlobalMaxPool", "MaxUnpool", "Dropout", "PRelu", "EyeLike", "Hardmax", "Unique",
         "SequenceConstruct", "SequenceAt", "SequenceInsert", "ConcatFromSequence", "SplitToSequence", "SequenceErase", "Optional", "OptionalGetElement", "Col2Im", "Shrink",
         "ThresholdedRelu", "Constant", "ConstantOfShape", "DequantizeLinear", "Range", "Size", "Shape"}


def is_dyadic(a):
    f = a.astype(np.float64)
    bits, limit = (10, 2**10) if a.dtype.itemsize >= 4 else (3, 2**6)
    return bool(np.isfinite(f).all() and (np.abs(f) < limit).all() and (f * 2**bits == np.round(f * 2**bits)).all())


ROUNDING = {"float32": 2e-6, "float64": 1e-12, "float16": 3e-3, "bfloat16": 2e-2}


def perturb(data, seed, relative=None):
    """`data` moved by a few roundings: of each number, and of the tensor's scale, as sums that cancel have them. What is no more than those becomes 0 for every other
    seed, since another order of the sum may cancel without a rest."""
    if isinstance(data, list):
        return [perturb(d, seed, relative) for d in data]
    if data.dtype.name not in ROUNDING or data.size == 0:
        return data
    e = relative or ROUNDING[data.dtype.name]
    rng, f = np.random.default_rng(seed), data.astype(np.float64)
    finite = np.isfinite(f)
    scale = np.sqrt(np.mean(f[finite] ** 2)) if finite.any() else 0
    with np.errstate(all="ignore"):
        moved = np.where(finite & (f != 0), f + e * (np.abs(f) + 0.3 * scale) * rng.choice([-1, 1], f.shape), f)
        if seed % 2:
            moved = np.where(np.abs(f) <= 0.3 * e * scale, 0, moved)
        return moved.astype(data.dtype)


def near(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(map(near, a, b))
    if a.shape != b.shape:
        return False
    if not is_float(a.dtype):
        return bool((a == b).all())
    a, b = a.astype(np.float64), b.astype(np.float64)
    return bool(np.allclose(a, b, rtol=1e-2, atol=1e-2 * (np.abs(a[np.isfinite(a)]).max() if np.isfinite(a).any() else 1), equal_nan=True))


def broadcasts(a, b):
    return all(x == y or x == 1 or y == 1 for x, y in zip(a[::-1], b[::-1])) and (not a or not b or np.prod(np.broadcast_shapes(a, b)) <= LARGEST)
