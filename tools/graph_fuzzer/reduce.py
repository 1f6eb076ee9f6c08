"""Making a failing graph small: fewer outputs, fewer nodes, inputs in place of what is computed."""
import time

import numpy as np

from .builder import Leaf
from .compare import judge
from .oracle import Refused, uses
from .program import named

SECONDS = 90  # that one reduction may take


def reduce(batch, finding, fails=None):
    """The finding with the smallest component that still fails in the same way; as it is where it fails only beside others."""
    if len(finding.components) != 1:
        return finding
    trial = Trial(batch, finding, fails)
    start, component = time.time(), finding.components[0]
    if not trial.fails(component):
        finding.verdict += " (not alone)"
        return finding
    # Nodes from the end: each one's results as the only outputs; then from the start: each one's results as inputs.
    changed = True
    while changed and time.time() - start < SECONDS:
        changed = False
        for smaller in candidates(component, trial.values):
            if time.time() - start > SECONDS:
                break
            if trial.fails(smaller):
                component, changed = smaller, True
                break
    finding.components, finding.feeds = [component], {n: trial.values[n] for n in (*component.inputs, *component.defaults)}
    trial.fails(component)
    finding.verdict, finding.expected = trial.verdict or finding.verdict, trial.expected
    finding.shapes = trial.shapes(component)
    return finding


def candidates(component, values):
    """Smaller components, the smallest first."""
    if len(component.outputs) > 1:
        for name in component.outputs:
            yield component.pruned(outputs=[name])
    order = [n for node in component.nodes[:-1] for n in node.output if n and n in values and not isinstance(values[n], list)]
    for name in order:
        if name not in component.outputs and values[name].ndim <= 6:
            yield component.pruned(outputs=[name])
    for name in reversed(order):
        smaller = cut(component, name, values)
        if len(smaller.nodes) < len(component.nodes):
            yield smaller
    for node in component.nodes[:-1]:
        # An operator that keeps shape and type is skipped.
        for source in node.input[:1]:
            if source in values and node.output[0] in values and not isinstance(values[source], list) and not isinstance(values[node.output[0]], list):
                if values[source].shape == values[node.output[0]].shape and values[source].dtype == values[node.output[0]].dtype and node.output[0] not in component.outputs:
                    yield bypass(component, node, source)


def cut(component, name, values):
    """The component with the value `name` as an input."""
    data = values[name]
    nodes = [node for node in component.nodes if name not in node.output]
    made = {n for node in component.nodes if name in node.output for n in node.output if n}
    extra = {n: Leaf(values[n].dtype, values[n].shape, "exact", 0, values[n]) for n in made if not isinstance(values.get(n, []), list)}
    return component.pruned(nodes=nodes, inputs=extra)


def bypass(component, node, source):
    nodes = []
    for other in component.nodes:
        if other is node:
            continue
        changed = type(other)()
        changed.CopyFrom(other)
        for i, n in enumerate(changed.input):
            if n == node.output[0]:
                changed.input[i] = source
        nodes.append(changed)
    return component.pruned(nodes=nodes)


class Trial:
    """Whether a component fails as the finding does."""

    def __init__(self, batch, finding, fails):
        self.batch, self.finding, self.test = batch, finding, fails
        self.verdict, self.expected, self.tried = None, {}, {}
        c = finding.components[0]
        feeds = finding.feeds or c.feeds({})
        try:
            everything = c.evaluate_all(batch.oracle, feeds)
        except Refused:
            everything = {**c.constants, **feeds}
        self.values = everything
        self.kind = kind(finding.verdict)

    def shapes(self, component):
        if not self.batch.fixed:
            return {}
        return {n: self.values[n].shape for n, leaf in component.inputs.items() if any(isinstance(d, str) for d in leaf.dims)}

    def fails(self, component):
        batch = self.batch
        missing = {n for node in component.nodes for n in uses(node)} - {n for node in component.nodes for n in node.output} - {*component.inputs, *component.defaults, *component.constants}
        if missing or not component.nodes:
            return False
        build = batch.program.build([component], batch.flags, self.shapes(component))
        if self.test:
            if build.artifact:
                build.artifact.unlink()
            self.verdict = None
            return self.test(build)
        if not build.artifact:
            return False
        feeds = {n: self.values[n] for n in (*component.inputs, *component.defaults)}
        result, = batch.program.run(build.artifact, [component.passed(feeds)])
        build.artifact.unlink()
        if isinstance(result, tuple):
            self.verdict = f"the run fails: {result[1]}"
            return self.kind == "run"
        if self.kind == "run":
            return False
        try:
            expected = component.evaluate(batch.oracle, feeds)
        except Refused:
            return False
        wrong, _ = judge(component, batch.oracle, feeds, expected, named(result, [component]), batch.narrow)
        if wrong:
            self.expected = expected
            self.verdict = "; ".join(f"{n}: {t}" for n, t in wrong.items())
        return bool(wrong)


def kind(verdict):
    return "run" if verdict.startswith("the run fails") else "wrong"
