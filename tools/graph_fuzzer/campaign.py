"""One batch: components side by side in one model, compiled once, run at several sizes; what fails is taken apart."""
import random
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx

from .component import generate, model, sizes_of
from .compare import judge
from .oracle import Oracle, Refused
from .program import blamed, named, reason, built_in
from .reduce import reduce

LEVELS = [("-O3", 40), ("-O2", 20), ("-O1", 15), ("-O0", 25)]
PROCESSORS = [("native", 60), ("x86-64-v3", 20), ("scalar", 20)]
NARROW = [(None, 76), ("--int8", 8), ("--bf16", 8), ("--fp16", 8)]


@dataclass
class Report:
    """What came of graphs; reports add up."""
    graphs: int = 0
    runs: int = 0
    refused: Counter = field(default_factory=Counter)
    sizes_refused: Counter = field(default_factory=Counter)
    suspicious: list = field(default_factory=list)
    unstable: int = 0
    findings: list = field(default_factory=list)
    seconds: Counter = field(default_factory=Counter)
    operators: Counter = field(default_factory=Counter)
    lost: int = 0  # batches that ended without a report

    def __iadd__(self, other):
        for name in ("graphs", "runs", "refused", "sizes_refused", "suspicious", "unstable", "findings", "seconds", "operators", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass
class Finding:
    """A failure, reduced: what is wrong, in which component, with which flags and feeds."""
    verdict: str
    components: list
    flags: list
    shapes: dict
    feeds: dict
    expected: dict
    seed: str


class Batch:
    """`size` components of one seed, and how they are compiled."""

    def __init__(self, program, oracle, seed, number, size, flags=()):
        self.program, self.oracle, self.report = program, oracle, Report()
        self.seed = f"{seed}-{number}"
        choices = self.choices = random.Random(f"batch {self.seed}")
        pick = lambda table: choices.choices([t for t, _ in table], [w for _, w in table])[0]
        self.opset = choices.randint(13, 22)
        narrow = next((f for f in flags if f in ("--int8", "--bf16", "--fp16")), None)
        self.narrow = narrow or pick(NARROW)
        given = lambda start: any(f.startswith(start) for f in flags)
        self.flags = [*([] if given("-O") else [pick(LEVELS)]), *([] if given("-march") else [f"-march={pick(PROCESSORS)}"]), *([self.narrow] if self.narrow and not narrow else [])]
        self.fixed = choices.random() < 0.3
        self.components = []
        for k in range(size):
            c = generate(oracle, self.opset, f"g{k}_", (seed * 1_000_003 + number) * 64 + k)
            if c is not None:
                self.components.append(c)
                self.report.operators.update(c.operators)
        self.report.graphs = len(self.components)

    def shapes(self, components):
        """What --shape fixes: every free dimension at the sizes of generation."""
        if not self.fixed:
            return {}
        return {name: leaf.draw({}).shape for c in components for name, leaf in c.inputs.items() if any(isinstance(d, str) for d in leaf.dims)}

    def work(self):
        build = self.compile(self.components)
        if build is not None:
            self.check(build, self.components)
            build.artifact.unlink()
        return self.report

    # MARK: compiling

    def compile(self, components):
        """An artifact of all components that glmc takes; the others are reported and leave `components`."""
        while components:
            build = self.program.build(components, self.flags, self.shapes(components))
            if build.artifact:
                return build
            if build.is_refusal:
                lines = blamed(build.text, components) or self.bisect(components, lambda b: b.is_refusal)
                for prefix, line in lines.items():
                    self.refuse(next(c for c in components if c.prefix == prefix), line, build.code)
            else:
                lines = self.bisect(components, lambda b: b.code == build.code)
                for prefix in lines:
                    self.crash(next(c for c in components if c.prefix == prefix), build)
            if not lines:
                self.found(f"exit {build.code} of components together: {build.text[-300:]}", components, {}, {})
                return None
            components[:] = [c for c in components if c.prefix not in lines]
        return None

    def bisect(self, components, fails):
        """The components that fail alone, with the last line of what glmc says."""
        if len(components) == 1:
            build = self.program.build(components, self.flags, self.shapes(components))
            if build.artifact:
                build.artifact.unlink()
            return {components[0].prefix: (build.text.strip().splitlines() or [""])[0]} if fails(build) else {}
        half, bad = len(components) // 2, {}
        for part in (components[:half], components[half:]):
            build = self.program.build(part, self.flags, self.shapes(part))
            if build.artifact:
                build.artifact.unlink()
            if fails(build):
                bad.update(self.bisect(part, fails))
        return bad

    def refuse(self, component, line, code):
        self.report.refused[(code, reason(line))] += 1
        if code == 1:
            try:
                onnx.checker.check_model(model([component]), full_check=True)
            except Exception:
                return
            self.report.suspicious.append((line, self.seed, component.prefix))
            if sum(reason(l) == reason(line) for l, *_ in self.report.suspicious) <= 1:
                self.found(f"exit 1: {line}", [component], {}, {}, lambda b: b.code == 1 and reason(blame(b, component)) == reason(line))

    def crash(self, component, build):
        verdict = {124: "compilation takes too long"}.get(build.code, f"exit {build.code}" if build.code >= 0 else f"glmc dies of signal {-build.code}")
        self.found(f"{verdict}: {first_line(build.text)}", [component], {}, {}, lambda b: b.code == build.code)

    # MARK: running

    def check(self, build, components):
        """Runs at the sizes of generation, where sizes are free at others, and with other values in place of defaults."""
        rounds, still = [{c.prefix: {} for c in components}], {c.prefix: {} for c in components}
        if not self.fixed and any(c.dims for c in components):
            rounds += [{c.prefix: sizes_of(c, self.choices) for c in components} for _ in range(3)]
        prepared = [self.prepare(components, sizes) for sizes in rounds]
        replaced = {n for c in components for n in c.defaults if not built_in(build.text, n)}
        if replaced:
            rounds.append(still)
            prepared.append(self.prepare([c for c in components if replaced.intersection(c.defaults)], still, replaced))
        base = prepared[0]
        feeds = [merged(c.passed((round_.get(c.prefix) or base[c.prefix])[0]) for c in components) for round_ in prepared]
        results = self.program.run(build.artifact, feeds)
        bad = set()
        for number, (round_, result) in enumerate(zip(prepared, results)):
            if isinstance(result, tuple):
                # One component that refuses its sizes refuses for all: each alone.
                for c in components:
                    if c.prefix in round_ and c.prefix not in bad:
                        others = merged(o.passed((round_ if o is c else base)[o.prefix][0]) for o in components)
                        outcome, = self.program.run(build.artifact, [others])
                        if number == 0:
                            bad.update(o.prefix for o in components)
                            self.run_failure(outcome, components, round_)
                            return
                        if isinstance(outcome, tuple):
                            if outcome[0] in (1, 3):
                                self.report.sizes_refused[reason(outcome[1])] += 1
                            else:
                                bad.add(c.prefix)
                                self.run_failure(outcome, [c], round_)
                        else:
                            self.judge(c, round_[c.prefix], outcome, bad, components, rounds[number][c.prefix])
                continue
            for c in components:
                if c.prefix in round_ and c.prefix not in bad:
                    self.judge(c, round_[c.prefix], result, bad, components, rounds[number][c.prefix])

    def prepare(self, components, sizes, replaced=()):
        """(feeds, expected) by component, with other values for the inputs `replaced`; those are left out that no oracle computes at these sizes."""
        made = {}
        for c in components:
            if sizes[c.prefix] or not any(sizes.values()):
                feeds = c.feeds(sizes[c.prefix], replaced)
                try:
                    made[c.prefix] = feeds, c.evaluate(self.oracle, feeds)
                except Refused:
                    pass
        return made

    def judge(self, c, prepared, result, bad, components, sizes):
        feeds, expected = prepared
        self.report.runs += 1
        wrong, unstable = judge(c, self.oracle, feeds, expected, named(result, [c]), self.narrow)
        self.report.unstable += unstable
        if wrong:
            bad.add(c.prefix)
            name, text = next(iter(wrong.items()))
            self.found(f"{name}: {text}" + (f" with {sizes}" if sizes else ""), [c], feeds, {}, None, sizes)

    def run_failure(self, outcome, components, round_):
        feeds = merged(round_[c.prefix][0] for c in components)
        if isinstance(outcome, tuple) and outcome[0] in (1, 3) and names_a_size_of_0(outcome[1], feeds):
            # An input that holds sizes: a 0 there means more than a size (Reshape), or meets a 1.
            self.report.sizes_refused[reason(outcome[1])] += 1
            return
        self.found(f"the run fails: {outcome[1] if isinstance(outcome, tuple) else 'only together with other feeds'}", components, feeds, {}, None)

    def found(self, verdict, components, feeds, expected, fails=None, sizes=None):
        self.report.findings.append(reduce(self, Finding(verdict, list(components), self.flags, self.shapes(components), feeds, expected, f"{self.seed}-{components[0].prefix[1:-1]}"), fails))


def names_a_size_of_0(text, feeds):
    """Whether a message is about an element of an integer input that is 0; such dimensions are called `input_element`."""
    dimensions = re.findall(r"\b(\w+)_(\d+)\b", text)
    return any(n in feeds and feeds[n].dtype == np.int64 and int(k) < feeds[n].size and feeds[n].flat[int(k)] == 0 for n, k in dimensions)


def merged(tables):
    return {name: value for table in tables for name, value in table.items()}


def first_line(text):
    lines = [l for l in text.splitlines() if "error" in l.lower() or "fatal" in l.lower()] or text.strip().splitlines() or [""]
    return lines[0][:300]


def blame(build, component):
    return blamed(build.text, [component]).get(component.prefix, first_line(build.text))
