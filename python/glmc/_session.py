"""Runs of an artifact's entry points."""
import ctypes as c
import threading

import numpy as np

from ._abi import MAX_RANK, NUMPY, TYPES, GlmcError, Tensor, printable, decoded


class Info:
    """An input or output: `name`, `type` ("f32"), `dtype` (of numpy), `shape` (None = free), `dims` (each size as text), `state`,
    `optional` (an input with a default, which may be left out), `holds_sizes` (an input whose elements
    are sizes of others), `squeezed` (axes that a result lacks where they have one element)."""

    def __init__(self, info):
        self.name, self.code = decoded(info.name), info.dtype
        self.type, self.dtype = TYPES.get(info.dtype, "?"), np.dtype(NUMPY.get(info.dtype, np.uint8))
        self.shape = tuple(None if info.shape[i] < 0 else info.shape[i] for i in range(info.rank))
        self.dims = tuple(decoded(info.dims[i]) for i in range(info.rank))
        self.state = None if info.state < 0 else info.state
        self.data_dependent, self.optional, self.holds_sizes = bool(info.flags & 1), bool(info.flags & 2), bool(info.flags & 4)
        self.squeezed = tuple(axis for axis in range(info.rank) if info.squeezed >> axis & 1)

    def __repr__(self):
        return printable(f"{self.name}: {self.type}[{', '.join(self.dims)}]")


class Session:
    """Owns threads and scratch memory. `threads` = 0: as many as there are processors. It cannot be copied: make another one."""

    def __init__(self, model, threads=0):
        self.model, self._handle, self._lock = model, c.c_void_p(), threading.Lock()
        if not 0 <= threads <= 1024:
            raise GlmcError(1, f"a session cannot have {threads} threads")
        error = c.create_string_buffer(1024)
        status = model._raw.session_open(model._pointer, threads, model._weights_path, c.byref(self._handle), error, 1024)
        if status:
            raise GlmcError(status, decoded(error.value))

    def run(self, inputs, entry=0):
        """`inputs`: {name: array}, or arrays in order; optional inputs may be left out or None. Returns a list of arrays; a state's
        is the caller's own array, which holds the new value."""
        if not 0 <= entry < len(self.model.entries):
            raise GlmcError(1, f"there is no entry point number {entry}; the model has {len(self.model.entries)}")
        takes, gives = self.model.entries[entry].inputs, self.model.entries[entry].outputs
        if not isinstance(inputs, dict):
            if not max((i + 1 for i, info in enumerate(takes) if not info.optional), default=0) <= len(inputs) <= len(takes):
                raise GlmcError(1, f"the model takes {len(takes)} inputs, {len(inputs)} were given")
            inputs = {info.name: value for info, value in zip(takes, inputs)}
        names = [info.name for info in takes]
        for name in inputs:
            if name not in names:
                raise GlmcError(1, f"the model has no input '{name}'; it takes {names}")
        tensors, given = (Tensor * max(len(takes), 1))(), [None] * len(takes)
        for i, (tensor, info) in enumerate(zip(tensors, takes)):
            if info.optional and inputs.get(info.name) is None:
                continue
            if info.name not in inputs:
                raise GlmcError(1, f"input '{info.name}' is missing; the model takes {names}")
            array = given[i] = self._array(info, inputs[info.name])
            tensor.data, tensor.bytes, tensor.dtype, tensor.rank = array.ctypes.data, array.nbytes, info.code, array.ndim
            tensor.shape[: array.ndim] = array.shape
        results, error = (Tensor * max(len(gives), 1))(), c.create_string_buffer(1024)
        # The results lie in memory of the session until they are copied.
        if not self._lock.acquire(blocking=False):
            raise GlmcError(7, "this session is in use by another thread: one session per concurrent run")
        try:
            if not self._handle:
                raise GlmcError(1, "the session is closed")
            status = self.model._raw.session_run(self._handle, entry, tensors, len(takes), results, len(gives), error, 1024)
            if status:
                raise GlmcError(status, decoded(error.value))
            return [self._copy(info, tensor) if info.state is None else given[info.state] for info, tensor in zip(gives, results)]
        finally:
            self._lock.release()

    @staticmethod
    def _array(info, value):
        array = np.asarray(value)
        if array.dtype != info.dtype:
            raise GlmcError(2, f"input '{info.name}' holds {array.dtype}, the model takes {info.type}")
        if info.state is not None and not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
            raise GlmcError(1, f"input '{info.name}' is state that is updated in place: it must be a writable, contiguous, aligned array")
        if array.ndim > MAX_RANK:
            raise GlmcError(3, f"input '{info.name}' has {array.ndim} dimensions; an artifact takes at most {MAX_RANK}")
        return np.require(array, requirements=["C", "A"]).reshape(array.shape)  # keeps rank 0, which require does not

    @staticmethod
    def _copy(info, tensor):
        array = np.empty(tuple(tensor.shape[: tensor.rank]), info.dtype)
        if array.nbytes:
            c.memmove(array.ctypes.data, tensor.data, array.nbytes)
        return array

    def close(self):
        """Gives threads and memory back; waits for a run in another thread."""
        with self._lock:
            handle, self._handle = self._handle, c.c_void_p()
        if handle:
            self.model._raw.session_close(handle)

    def __reduce__(self):
        raise TypeError("a Session owns threads and memory and cannot be copied; make one with model.session()")

    __enter__ = lambda self: self
    __exit__ = lambda self, *_: self.close()
    __del__ = lambda self: self.close() if getattr(self, "_handle", None) else None


class EntryPoint:
    def __init__(self, entry):
        self.name = decoded(entry.name)
        self.inputs = [Info(entry.inputs[i]) for i in range(entry.input_count)]
        self.outputs = [Info(entry.outputs[i]) for i in range(entry.output_count)]
