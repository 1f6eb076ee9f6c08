"""Run models that glmc compiled, from Python. One file, needs only numpy.

    import glmc, numpy as np
    model = glmc.load("resnet50.so")
    print(model.inputs, model.outputs)
    logits, = model(np.zeros((1, 3, 224, 224), np.float32))      # by position, or model(input=...)

A Model may be shared between threads; each Session (and each call of the model, which uses a session of its own) is for one at a time.
Types that numpy lacks come and go as one that it has: bf16 as uint16 bits, float8 as uint8 codes, 4- and 2-bit integers as (u)int8 numbers."""
import ctypes as c
import json
import os

import numpy as np

__all__ = ["load", "Model", "Session", "Info", "GlmcError"]

ABI_VERSION, MAX_RANK = 1, 8
TYPES = {1: "f32", 2: "u8", 3: "i8", 4: "u16", 5: "i16", 6: "i32", 7: "i64", 8: "string", 9: "bool", 10: "f16", 11: "f64", 12: "u32", 13: "u64",
         14: "c64", 15: "c128", 16: "bf16", 17: "f8e4m3fn", 18: "f8e4m3fnuz", 19: "f8e5m2", 20: "f8e5m2fnuz", 21: "u4", 22: "i4", 23: "f4e2m1",
         24: "f8e8m0", 25: "u2", 26: "i2"}
NUMPY = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64,
         12: np.uint32, 13: np.uint64, 14: np.complex64, 15: np.complex128, 16: np.uint16, 22: np.int8, 26: np.int8}  # else uint8
STATUS = {1: "bad argument", 2: "bad type", 3: "bad shape", 4: "buffer too small", 5: "unsupported processor", 6: "out of memory", 7: "busy",
          8: "bad data", 9: "bad weights file", 10: "no device"}


class GlmcError(Exception):
    """What went wrong; `status` is the number from glmc.h."""

    def __init__(self, status, text):
        super().__init__(text or STATUS.get(status, f"status {status}"))
        self.status = status


class _Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("bytes", c.c_uint64), ("dtype", c.c_int32), ("rank", c.c_int32), ("device", c.c_int32),
                ("device_index", c.c_int32), ("shape", c.c_int64 * MAX_RANK)]


class _Info(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_int32), ("rank", c.c_int32), ("shape", c.POINTER(c.c_int64)), ("dims", c.POINTER(c.c_char_p)),
                ("flags", c.c_uint32), ("state", c.c_int32), ("device", c.c_int32), ("reserved", c.c_uint32 * 3)]


class _Dim(c.Structure):
    _fields_ = [("name", c.c_char_p), ("min", c.c_int64), ("max", c.c_int64), ("flags", c.c_uint32), ("reserved", c.c_uint32)]


class _Entry(c.Structure):
    _fields_ = [("size", c.c_uint32), ("input_count", c.c_uint32), ("output_count", c.c_uint32), ("dim_count", c.c_uint32), ("kernel_count", c.c_uint32),
                ("reserved", c.c_uint32), ("name", c.c_char_p), ("inputs", c.POINTER(_Info)), ("outputs", c.POINTER(_Info)), ("dims", c.POINTER(_Dim)),
                ("output_shapes", c.c_void_p), ("workspace_size", c.c_void_p), ("run", c.c_void_p)]


class _Model(c.Structure):
    pass


_Open = c.CFUNCTYPE(c.c_int, c.POINTER(_Model), c.c_int, c.c_char_p, c.POINTER(c.c_void_p), c.c_char_p, c.c_uint64)
_Run = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, c.POINTER(_Tensor), c.c_uint32, c.POINTER(_Tensor), c.c_uint32, c.c_char_p, c.c_uint64)
_Model._fields_ = [("abi_version", c.c_uint32), ("size", c.c_uint32), ("name", c.c_char_p), ("manifest", c.c_char_p), ("manifest_bytes", c.c_uint64),
                   ("cpu_features", c.c_char_p), ("device", c.c_int32), ("entry_count", c.c_uint32), ("entries", c.POINTER(c.POINTER(_Entry))),
                   ("weights", c.c_void_p), ("weights_bytes", c.c_uint64), ("weights_file", c.c_char_p), ("weights_id", c.c_char_p),
                   ("check_cpu", c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_uint64)), ("threads_create", c.c_void_p), ("session_open", _Open),
                   ("session_run", _Run), ("session_close", c.CFUNCTYPE(None, c.c_void_p))]


class Info:
    """An input or output: `name`, `type` ("f32"), `dtype` (of numpy), `shape` (None = free), `dims` (each size as text), `state`."""

    def __init__(self, info):
        self.name, self.code = info.name.decode(), info.dtype
        self.type, self.dtype = TYPES.get(info.dtype, "?"), np.dtype(NUMPY.get(info.dtype, np.uint8))
        self.shape = tuple(None if info.shape[i] < 0 else info.shape[i] for i in range(info.rank))
        self.dims = tuple(info.dims[i].decode() for i in range(info.rank))
        self.state = None if info.state < 0 else info.state
        self.data_dependent = bool(info.flags & 1)

    def __repr__(self):
        return f"{self.name}: {self.type}[{', '.join(self.dims)}]"


class Session:
    """Owns threads and scratch memory. `threads` = 0: as many as there are processors."""

    def __init__(self, model, threads=0):
        self.model, self._handle = model, c.c_void_p()
        error = c.create_string_buffer(1024)
        status = model._raw.session_open(model._pointer, threads, model._weights_path, c.byref(self._handle), error, 1024)
        if status:
            raise GlmcError(status, error.value.decode())

    def run(self, inputs, entry=0):
        """`inputs`: {name: array}, or arrays in order. Returns a list of arrays."""
        if not self._handle:
            raise GlmcError(1, "the session is closed")
        takes, gives = self.model.entries[entry].inputs, self.model.entries[entry].outputs
        if not isinstance(inputs, dict):
            if len(inputs) != len(takes):
                raise GlmcError(1, f"the model takes {len(takes)} inputs, {len(inputs)} were given")
            inputs = {info.name: value for info, value in zip(takes, inputs)}
        names = [info.name for info in takes]
        for name in inputs:
            if name not in names:
                raise GlmcError(1, f"the model has no input '{name}'; it takes {names}")
        tensors, kept = (_Tensor * max(len(takes), 1))(), []
        for tensor, info in zip(tensors, takes):
            if info.name not in inputs:
                raise GlmcError(1, f"input '{info.name}' is missing; the model takes {names}")
            array = np.asarray(inputs[info.name])
            if array.dtype != info.dtype:
                raise GlmcError(2, f"input '{info.name}' holds {array.dtype}, the model takes {info.type}")
            if info.state is not None and not (array.flags.c_contiguous and array.flags.writeable):
                raise GlmcError(1, f"input '{info.name}' is state that is updated in place: it must be a writable, contiguous array")
            array = np.ascontiguousarray(array).reshape(array.shape)  # keeps rank 0, which ascontiguousarray does not
            if array.ndim > MAX_RANK:
                raise GlmcError(3, f"input '{info.name}' has {array.ndim} dimensions; an artifact takes at most {MAX_RANK}")
            kept.append(array)
            tensor.data, tensor.bytes, tensor.dtype, tensor.rank = array.ctypes.data, array.nbytes, info.code, array.ndim
            tensor.shape[: array.ndim] = array.shape
        results, error = (_Tensor * max(len(gives), 1))(), c.create_string_buffer(1024)
        status = self.model._raw.session_run(self._handle, entry, tensors, len(takes), results, len(gives), error, 1024)
        if status:
            raise GlmcError(status, error.value.decode())
        return [self._copy(info, tensor) for info, tensor in zip(gives, results)]

    @staticmethod
    def _copy(info, tensor):
        array = np.empty(tuple(tensor.shape[: tensor.rank]), info.dtype)
        if array.nbytes:
            c.memmove(array.ctypes.data, tensor.data, array.nbytes)
        return array

    def close(self):
        if self._handle:
            self.model._raw.session_close(self._handle)
            self._handle = c.c_void_p()

    __enter__ = lambda self: self
    __exit__ = lambda self, *_: self.close()
    __del__ = lambda self: self.close() if getattr(self, "_handle", None) else None


class _EntryPoint:
    def __init__(self, entry):
        self.name = entry.name.decode()
        self.inputs = [Info(entry.inputs[i]) for i in range(entry.input_count)]
        self.outputs = [Info(entry.outputs[i]) for i in range(entry.output_count)]


class Model:
    """A compiled model: `name`, `inputs`, `outputs`, `entries`, `manifest` (a dict), `cpu_features`."""

    def __init__(self, path, threads=0):
        path = os.path.abspath(path)
        if not os.path.isfile(path):
            raise GlmcError(1, f"there is no file '{path}'")
        try:
            self._library = c.CDLL(path)
            get = self._library.glmc_model_get
        except (OSError, AttributeError) as problem:
            raise GlmcError(1, f"'{path}' is not an artifact of glmc: {problem}") from None
        get.restype = c.POINTER(_Model)
        self._pointer = get()
        self._raw = self._pointer.contents
        if self._raw.abi_version != ABI_VERSION or self._raw.size < c.sizeof(_Model):
            raise GlmcError(1, f"'{path}' speaks version {self._raw.abi_version} of the interface, this file version {ABI_VERSION}: compile it again")
        self.name = self._raw.name.decode()
        self.manifest = json.loads(self._raw.manifest.decode() or "{}")
        self.cpu_features = self._raw.cpu_features.decode().split()
        self.entries = [_EntryPoint(self._raw.entries[i].contents) for i in range(self._raw.entry_count)]
        self.inputs, self.outputs = self.entries[0].inputs, self.entries[0].outputs
        beside = self._raw.weights_file
        self._weights_path = None if self._raw.weights or not beside else os.fsencode(os.path.join(os.path.dirname(os.path.realpath(path)), beside.decode()))
        self._threads, self._session = threads, None

    def session(self, threads=0):
        return Session(self, threads)

    def __call__(self, *arrays, **named):
        """Runs the first entry point with a session that the model keeps; not from several threads at once."""
        if self._session is None:
            self._session = Session(self, self._threads)
        return self._session.run(named if named else arrays)


def load(path, threads=0):
    """Opens a shared library that `glmc compile` wrote."""
    return Model(path, threads)
