"""Compiling models with glmc and running the artifacts, each in a process that may die."""
import os
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from .component import model

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "python"))
import glmc

SLOW = 60  # seconds that one component may take


@dataclass
class Build:
    """What a compilation came to: an artifact, or how it ended."""
    artifact: Path | None
    code: int
    text: str
    flags: list = field(default_factory=list)

    @property
    def is_refusal(self):
        return self.code in (1, 4)


class Program:
    """glmc, with flags that every compilation gets, in a folder for what passes through."""

    def __init__(self, path, folder, flags=()):
        self.path, self.folder, self.flags, self.count = str(path), Path(folder), list(flags), 0
        self.environment = {**os.environ, "GLMC_CACHE": str(self.folder.parent / "cache"), "NO_COLOR": "1"}

    def build(self, components, flags, shapes=None):
        """Compiles the components as one model."""
        self.count += 1
        source, artifact = self.folder / f"{self.count % 4}.onnx", self.folder / f"{self.count}.so"
        source.write_bytes(model(components).SerializeToString())
        fixed = [f"--shape={name}:{'x'.join(map(str, shape))}" for name, shape in (shapes or {}).items()]
        command = [self.path, "compile", str(source), "-o", str(artifact), "--progress=none", "-j1", *flags, *self.flags, *fixed]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=self.environment, cwd=self.folder, start_new_session=True)
        try:
            text, _ = process.communicate(timeout=SLOW * (2 + len(components)))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Build(None, 124, "takes too long", flags)
        return Build(artifact if process.returncode == 0 else None, process.returncode, text, flags)

    def run(self, artifact, feed_list, timeout=SLOW):
        """Outputs by name for each of `feed_list`, in a child process: a dict, or (status, message), or ("signal", number) for all that are left."""
        path = self.folder / "results.pickle"
        path.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            os._exit(self._child(artifact, feed_list, path, timeout))
        _, status = os.waitpid(child, 0)
        results = []
        if path.exists():
            with open(path, "rb") as file:
                while True:
                    try:
                        results.append(pickle.load(file))
                    except EOFError:
                        break
        if os.WIFSIGNALED(status) and len(results) < len(feed_list):
            number = os.WTERMSIG(status)
            results.append(("signal", "takes too long" if number == signal.SIGALRM else f"dies of signal {number}"))
        while len(results) < len(feed_list):
            results.append(("signal", "not run"))
        return results

    @staticmethod
    def _child(artifact, feed_list, path, timeout):
        try:
            signal.alarm(timeout)
            loaded = glmc.load(str(artifact))
            session = loaded.session(threads=2)
            with open(path, "wb") as file:
                for feeds in feed_list:
                    given = {i.name: (feeds[i.name], i.dtype) for i in loaded.inputs if i.name in feeds}
                    taken = {name: array.view(dtype) if array.dtype != dtype else array for name, (array, dtype) in given.items()}
                    try:
                        outcome = dict(zip([o.name for o in loaded.outputs], session.run(taken)))
                    except glmc.GlmcError as problem:
                        outcome = (problem.status, str(problem))
                    pickle.dump(outcome, file)
                    file.flush()
            return 0
        except BaseException as problem:
            with open(path, "ab") as file:
                pickle.dump(("load", f"{type(problem).__name__}: {problem}"), file)
            return 1


def built_in(text, name):
    """Whether a compilation says that an input's default is a constant of the artifact."""
    return f"input '{name}': its default is built in" in text


def is_native(dtype):
    """Whether numpy itself has the type: not those of ml_dtypes, which files and glmc.py know as unsigned integers."""
    return dtype.type.__module__ == "numpy"


def named(results, components):
    """Outputs with the types that the graph gives them: glmc.py knows 16-bit brain floats as uint16."""
    typed = {}
    for c in components:
        for name in c.outputs:
            if name in results:
                expected = c.values[name].dtype
                got = results[name]
                typed[name] = got.view(expected) if got.dtype != expected and got.dtype.itemsize == expected.itemsize and got.dtype.kind == "u" and not is_native(expected) else got
    return typed


def blamed(text, components):
    """The components that a message names, with the line that does."""
    found = {}
    for line in text.splitlines():
        for c in components:
            if c.prefix in found:
                continue
            if re.search(rf"\b{re.escape(c.prefix)}[a-z]", line):
                found[c.prefix] = line.strip()
    return found


def reason(line):
    """A refusal without what is particular to one model."""
    line = re.sub(r"^.*?(error|glmc): ", "", line)
    line = re.sub(r"'[^']*'", "'…'", line)
    return re.sub(r"-?\d+", "n", line)[:160]
