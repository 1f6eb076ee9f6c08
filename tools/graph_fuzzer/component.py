"""A finished random graph: one of the independent components of a model, or, reduced, a finding."""
import re
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .builder import FREE_SIZES, Graph, Leaf, perturb
from .control import CONTROL, attempt
from .heavy import HEAVY
from .operators import MOVES, POINTWISE, REDUCTIONS, REST, VIEWS
from .oracle import FUNCTIONS, uses

# Operators that add up, in an order that is theirs to choose: what the roundings of the sums may change is what those of the terms would.
SUMS = re.compile(".*(Reduce|Gemm|MatMul|Conv|Einsum|Pool|Normalization|CumSum|LSTM|GRU|RNN|Loss|Mean|Sum|DFT|Det|Resize|Attention).*")

TABLES = [(POINTWISE, 30), (VIEWS, 27), (HEAVY, 22), (REDUCTIONS, 10), (MOVES, 6), (REST, 3), (CONTROL, 5)]
OPERATORS = {name: generate for table, _ in TABLES for name, generate in table.items()}


@dataclass
class Component:
    """Nodes in order; inputs and defaults as leaves, constants as arrays; values at the sizes of generation."""
    prefix: str
    opset: int
    nodes: list
    functions: list
    inputs: dict
    defaults: dict
    constants: dict
    outputs: list
    values: dict
    inexact: set

    @property
    def dims(self):
        return sorted({d for leaf in self.inputs.values() for d in leaf.dims if isinstance(d, str)})

    @property
    def operators(self):
        return sorted({node.op_type if node.domain != FUNCTIONS else "Function" for node in self.nodes} - {"Constant"})

    def feeds(self, sizes, replaced=()):
        """Arrays for the inputs; inputs that have a default get that, but for those `replaced`."""
        return {name: leaf.draw(sizes, name in replaced) for name, leaf in {**self.inputs, **self.defaults}.items()}

    def passed(self, feeds):
        """What a caller passes of `feeds`: what is an input's default is left out."""
        return {n: v for n, v in feeds.items() if n not in self.defaults or v.tobytes() != self.defaults[n].draw({}).tobytes()}

    def evaluate(self, oracle, feeds, noise=None, relative=None, everything=False):
        """The outputs by name. With `noise` (a seed), what computes with rounding is moved by some roundings, as are the terms of sums; with `everything`, all
        floats are."""
        values = {**self.constants, **feeds}
        moved = lambda name, data: perturb(data, noise, relative) if noise is not None and (everything or name in self.inexact) else data
        if everything:
            values = {name: moved(name, data) for name, data in values.items()}
        for node in self.nodes:
            terms = values
            if noise is not None and SUMS.match(node.op_type):
                terms = {**values, **{name: perturb(values[name], noise, relative) for name in uses(node) if name in values}}
            results = oracle.run(node, self.opset, terms, self.functions)
            values.update({name: moved(name, data) for name, data in zip(node.output, results) if name})
        return {name: values[name] for name in self.outputs}

    def evaluate_all(self, oracle, feeds):
        """All values by name."""
        values = {**self.constants, **feeds}
        for node in self.nodes:
            values.update({name: data for name, data in zip(node.output, oracle.run(node, self.opset, values, self.functions)) if name})
        return values

    def pruned(self, outputs=None, nodes=None, inputs=None):
        """What `outputs` need of it, in fewer `nodes`, with further `inputs` in place of what no node makes."""
        outputs, kept, nodes = list(outputs or self.outputs), [], self.nodes if nodes is None else nodes
        needed = set(outputs)
        for node in reversed(nodes):
            if needed.intersection(node.output):
                kept.insert(0, node)
                needed.update(uses(node))
        used = {node.op_type for node in kept if node.domain == FUNCTIONS}
        only = lambda table: {n: v for n, v in table.items() if n in needed}
        return replace(self, nodes=kept, functions=[f for f in self.functions if f.name in used], inputs=only({**self.inputs, **(inputs or {})}), defaults=only(self.defaults),
                       constants=only(self.constants), outputs=outputs)


def generate(oracle, opset, prefix, seed, least=3, most=20):
    """A random component: 3 to 20 nodes."""
    import random
    choices = random.Random(f"shape {seed}")
    dims = choices.choices([(), ("N",), ("N", "M")], [60, 30, 10])[0]
    g = Graph(oracle, opset, prefix, seed, dims)
    count = min(most, least + int(choices.expovariate(1 / 5)))
    for _ in range(count * 6):
        if len(g.nodes) >= count:
            break
        table = g.weighted(TABLES)
        name = g.choose(*table)
        attempt(g, name, table[name])
    read = {n for node in g.nodes for n in uses(node)}
    made = [n for node in g.nodes for n in node.output if n and node.op_type != "Constant" and not g.values[n].is_sequence and g.values[n].rank <= 6]
    outputs = [n for n in made if n not in read or g.chance(0.15)]
    if not outputs:
        return None
    component = Component(prefix, opset, g.nodes, g.functions, g.inputs, g.defaults, g.constants, outputs, {n: v.data for n, v in g.values.items()}, set(g.inexact))
    return component.pruned()


def model(components):
    """One model of all components, side by side. Free dimensions keep their names, behind their component's prefix."""
    graph = onnx.GraphProto(name="fuzz")
    functions = []
    for c in components:
        graph.node.extend(c.nodes)
        for name, leaf in {**c.inputs, **c.defaults}.items():
            shape = [c.prefix + d if isinstance(d, str) else int(d) for d in leaf.dims]
            graph.input.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(leaf.dtype), shape))
        graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in {**c.constants, **{n: leaf.draw({}) for n, leaf in c.defaults.items()}}.items())
        for name in c.outputs:
            value = c.values[name]
            graph.output.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim))
        functions.extend(c.functions)
    imports = [helper.make_opsetid("", components[0].opset)] + ([helper.make_opsetid(FUNCTIONS, 1)] if functions else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions, producer_name="fuzz")


def sizes_of(component, choices):
    """Sizes for the free dimensions, for a run after the one at the sizes of generation."""
    return {d: choices.choice([1, 1, 0, 2, 3, 5, FREE_SIZES[d] + 2]) for d in component.dims}
