"""Rows that hold graphs or sequences: If, Loop, Scan, functions, sequences, optionals."""
import copy

import numpy as np
import onnx
from onnx import helper

from .builder import BOOL, DTYPES, F32, I64, Skip, Value
from .operators import MOVES, POINTWISE, REDUCTIONS, VIEWS, maybe, row
from .oracle import FUNCTIONS

CONTROL = {}


def info(value, name=None):
    """A body's input or output: its type and rank."""
    return helper.make_tensor_value_info(name or value.name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.rank)


def inner(g, arguments=()):
    """A graph inside g: it sees g's values, and its inputs are g's."""
    body = copy.copy(g)
    body.nodes, body.constants, body.values = [], {}, dict(g.values)
    body.depth = g.depth + 1
    for value in arguments:
        body.values[value.name] = value
    return body


def grow(body, count):
    """A few nodes at random in a body. What they give."""
    made = []
    for _ in range(count * 4):
        if len(made) >= count:
            break
        table = body.weighted([(POINTWISE, 6), (VIEWS, 3), (REDUCTIONS, 2), (MOVES, 1)])
        name = body.choose(*table)
        made += attempt(body, name, table[name])
    return made


def attempt(g, name, generate):
    """One operator's generator; nothing is left behind where it finds nothing."""
    try:
        schema = onnx.defs.get_schema(name if name != "Function" else "Identity", g.opset)
    except onnx.defs.SchemaError:
        return []
    if schema.deprecated:
        return []
    saved = g.nodes[:], dict(g.values), dict(g.inputs), dict(g.constants), dict(g.defaults), g.functions[:], g.counter, set(g.inexact)
    try:
        g.schema = schema
        return [v for v in generate(g) if v.name]
    except (Skip, ValueError, IndexError) as problem:
        if not isinstance(problem, Skip) and "empty range" not in str(problem) and "index" not in str(problem):
            raise
        g.nodes[:], g.functions[:] = saved[0], saved[5]
        for table, old in ((g.values, saved[1]), (g.inputs, saved[2]), (g.constants, saved[3]), (g.defaults, saved[4])):
            table.clear()
            table.update(old)
        g.inexact.clear()
        g.inexact.update(saved[7])
        return []


def finish(g, body, inputs, outputs):
    """The body's graph; outputs that it does not make itself go through an Identity."""
    made = {n for node in body.nodes for n in node.output}
    g.values.update({n: body.values[n] for n in (*g.inputs, *g.defaults) if n not in g.values})
    results = []
    for value in outputs:
        if value.name not in made or any(value is r for r in results):
            saved, body.schema = body.schema, None
            value, = body.node("Identity", [value])
            body.schema = saved
        results.append(value)
    g.counter = body.counter
    constants = [onnx.numpy_helper.from_array(v, n) for n, v in body.constants.items()]
    return helper.make_graph(body.nodes, g.name("b"), [info(v) for v in inputs], [info(v) for v in results], constants), results


@row(CONTROL, "If")
def branch(g, op):
    x = g.pick(allowed={g.dtype(set(DTYPES.values()))})
    if g.chance(0.5):
        condition = g.leaf(BOOL, [], kind=g.choose("input", "constant", "input"))
    else:
        size, = g.node("Size", [x])
        condition, = g.node(g.choose("Greater", "Equal", "Less"), [size, g.scalar(g.choose(1, 7, 12), I64)])
    branches = []
    for _ in range(2):
        body = inner(g)
        made = [v for v in grow(body, g.choose(1, 2, 3)) if v.dtype == x.dtype and v.shape == x.shape]
        branches.append(finish(g, body, [], [made[-1] if made else x])[0])
    return g.node(op, [condition], then_branch=branches[0], else_branch=branches[1])


@row(CONTROL, "Loop")
def loop(g, op):
    count = g.choose(0, 1, 1, 1, 2)
    carried = [g.pick(allowed={g.dtype(set(DTYPES.values()))}) for _ in range(count)]
    iteration = Value(g.name("v"), np.array(0, np.int64), True)
    go = Value(g.name("v"), np.array(True), True)
    states = [Value(g.name("v"), v.data, v.exact) for v in carried]
    body = inner(g, [iteration, go, *states])
    made = grow(body, g.choose(1, 2, 4))
    results = []
    for state in states:
        fits = [v for v in made if v.dtype == state.dtype and v.shape == state.shape]
        if fits and g.chance(0.8):
            saved, body.schema = body.schema, None
            result, = body.node("Clip", [fits[-1], body.scalar(0, state.dtype), body.scalar(3, state.dtype)]) if state.dtype.name not in ("bool", "bfloat16") and g.chance(0.5) else [fits[-1]]
            body.schema = saved
            results.append(result)
        else:
            results.append(state)
    scans = [v for v in made if v.size < 100][: g.choose(0, 1, 1) if count else 1]
    if not count and not scans:
        raise Skip
    again = go
    if g.chance(0.3):
        again, = body.node("Less", [iteration, body.scalar(g.choose(0, 2, 30), I64)])
    graph, _ = finish(g, body, [iteration, go, *states], [again, *results, *scans])
    # What no iteration stacks has no shape that oracles agree on.
    limit = g.scalar(g.choose(1, 3, 5, 20) if scans else g.choose(0, 1, 4, 20), I64)
    condition = g.scalar(True, BOOL) if g.chance(0.7) else None
    return g.node(op, [limit, condition, *carried], outputs=len(carried) + len(scans), body=graph)


@row(CONTROL, "Scan")
def scan(g, op):
    x = g.pick(least=1, allowed={g.dtype(set(DTYPES.values()))})
    if x.shape[0] == 0:
        raise Skip
    state = g.leaf(x.dtype, list(x.shape[1:])) if not g.dims else None
    if state is None:
        raise Skip
    s, item = Value(g.name("v"), state.data, state.exact), Value(g.name("v"), np.asarray(x.data[0]), x.exact)
    body = inner(g, [s, item])
    made = grow(body, g.choose(1, 2, 3))
    fits = [v for v in made if v.dtype == s.dtype and v.shape == s.shape]
    out = made[-1] if made else item
    graph, _ = finish(g, body, [s, item], [fits[-1] if fits else s, out])
    a = {"scan_input_directions": [1]} if g.chance(0.3) else {}
    if g.chance(0.2):
        a["scan_output_directions"] = [1]
    return g.node(op, [state, x], outputs=2, body=graph, num_scan_inputs=1, **a)


@row(CONTROL, "Function")
def function(g, op):
    """A call of a model-local function, called twice now and then."""
    x = g.pick(allowed={g.dtype(set(DTYPES.values()))})
    argument = Value(g.name("v"), x.data, x.exact)
    body = inner(g)
    body.values, body.inputs, body.defaults = {argument.name: argument}, {}, {}
    body.dims, body.closed = (), True
    made = grow(body, g.choose(1, 2, 4))
    g.counter = body.counter
    if not made:
        raise Skip
    name = g.name("f")
    nodes = [helper.make_node("Constant", [], [n], name=f"{g.prefix}k{n}", value=onnx.numpy_helper.from_array(v)) for n, v in body.constants.items()]
    nodes += body.nodes
    g.functions.append(helper.make_function(FUNCTIONS, name, [argument.name], [made[-1].name], nodes, [helper.make_opsetid("", g.opset)]))
    results = g.node(name, [x], domain=FUNCTIONS)
    if results[0].dtype == x.dtype and results[0].shape == x.shape and g.chance(0.4):
        results = g.node(name, results, domain=FUNCTIONS)
    return results


@row(CONTROL, "SequenceConstruct")
def sequence(g, op):
    """Builds a sequence, changes it, and takes tensors from it again."""
    x = g.pick(least=1)
    others = [v for v in g.values.values() if not v.is_sequence and v.dtype == x.dtype]
    parts = [x] + [g.choose(*others) for _ in range(g.choose(1, 2))]
    same = all(p.shape == x.shape for p in parts)
    s, = g.node(op, parts)
    if g.chance(0.4):
        s, = g.node("SequenceInsert", [s, g.choose(*parts), maybe(g, 0.6, g.scalar(g.choose(0, 1, -1), I64))])
    if g.chance(0.3):
        s, = g.node("SequenceErase", [s, maybe(g, 0.6, g.scalar(g.choose(0, -1), I64))])
    if same and g.chance(0.6):
        return g.node("ConcatFromSequence", [s], axis=g.axis(x), new_axis=maybe(g, 0.4, g.choose(0, 1)))
    return g.node("SequenceAt", [s, g.scalar(g.choose(0, -1), I64)]) if g.chance(0.8) else g.node("SequenceLength", [s])


@row(CONTROL, "SplitToSequence")
def split_to_sequence(g, op):
    x = g.pick(least=1)
    axis = g.axis(x)
    if x.shape[axis] == 0 or g.dims:
        raise Skip
    # The standard ignores keepdims where there is a split, ONNX Runtime does not.
    s, = g.node(op, [x, g.scalar(g.choose(1, 2), I64)], axis=axis) if g.chance(0.5) else g.node(op, [x], axis=axis, keepdims=maybe(g, 0.4, g.choose(0, 1)))
    return g.node("SequenceAt", [s, g.scalar(0, I64)])


@row(CONTROL, "SequenceEmpty")
def sequence_empty(g, op):
    x = g.pick(allowed={DTYPES["float"]}, least=1)
    s, = g.node(op, [], dtype=1)
    for _ in range(g.choose(1, 2)):
        s, = g.node("SequenceInsert", [s, x])
    return g.node("ConcatFromSequence", [s], axis=0)
