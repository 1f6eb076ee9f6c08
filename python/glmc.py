"""Run models that glmc compiled, from Python. One file, needs only numpy.

    import glmc, numpy as np
    model = glmc.load("resnet50.so")
    print(model.inputs, model.outputs)
    logits, = model(np.zeros((1, 3, 224, 224), np.float32))      # by position, model(input=...), or both
    for text in glmc.load("smollm2.so").generate("Once upon a time", max_new=50): print(text, end="")

A Model may be shared between threads; each Session (a call of the model uses one that the model keeps) is for one at a time.
An artifact is code: loading one runs its author's program. Its bytes are checked first, so that a damaged file does not run.
Types that numpy lacks come and go as one that it has: bf16 as uint16 bits, float8 as uint8 codes, 4- and 2-bit integers as (u)int8 numbers."""
import ctypes as c
import json
import mmap
import os
import stat
import struct
import threading
import zlib

import numpy as np

__all__ = ["load", "Model", "Session", "Generator", "Info", "GlmcError"]

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
        super().__init__(_printable(text or STATUS.get(status, f"status {status}")))
        self.status = status


def _printable(text):
    """Names are other people's text: what is no visible character in them is spelt out."""
    return "".join(ch if ch.isprintable() or ch == "\n" else f"\\u{{{ord(ch):x}}}" for ch in text)


def _text(value):
    return value.decode(errors="replace")


def _check_file(path, is_sound):
    """Only regular files are loaded (others wait, never end, or do something when opened), and only if `is_sound` finds their bytes unchanged."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise GlmcError(1, f"'{path}' is not a regular file")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            with memoryview(whole) as bytes:
                sound = is_sound(bytes)
    except ValueError:  # an empty file cannot be mapped
        sound = False
    except OSError as problem:
        raise GlmcError(1, f"'{path}' cannot be read: {problem.strerror}") from None
    if not sound:
        raise GlmcError(1, f"'{path}' is damaged or incomplete: its bytes are not those that were compiled; compile the model again")


def _seal_is_there(bytes):
    return len(bytes) >= 24 and bytes[-24:-16] == b"GLMCSEAL" and bytes[-8:] == b"GLMCSEAL"


def _seal_holds(bytes):
    """As in glmc_seal.h: "GLMCSEAL", the CRC-32 of everything before it, the low 32 bits of their number, "GLMCSEAL"."""
    if not _seal_is_there(bytes):
        return False
    content = bytes[:-24]
    return struct.unpack("<II", bytes[-16:-8]) == (zlib.crc32(content), len(content) & 0xFFFFFFFF)


def _library_is_sound(bytes):
    """Its seal holds; or it has none (another tool made or rewrote it) and ends exactly where its headers say."""
    if _seal_is_there(bytes):
        return _seal_holds(bytes)
    if bytes[:6] != b"\x7fELF\x02\x01":
        return True  # left to the loader
    if len(bytes) < 64:
        return False
    (programs, sections), end = struct.unpack_from("<QQ", bytes, 32), 64
    program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", bytes, 54)
    for table, size, count, least, kind in ((programs, program_size, program_count, 56, 0), (sections, section_size, section_count, 64, 1)):
        if count and (size < least or table + size * count > len(bytes)):
            return False
        end = max(end, table + size * count if count else 0)
        for at in range(table, table + size * count, size or 1):
            if kind and struct.unpack_from("<I", bytes, at + 4)[0] == 8:
                continue  # takes no room
            offset, = struct.unpack_from("<Q", bytes, at + (24 if kind else 8))
            length, = struct.unpack_from("<Q", bytes, at + 32)
            if offset + length > len(bytes):
                return False
            end = max(end, offset + length if length else 0)
    return end == len(bytes)


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
_ERROR = [c.c_char_p, c.c_uint64]
_Encode = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_char_p, c.c_uint64, c.c_uint32, c.POINTER(c.c_int32), c.c_int64, *_ERROR)
_Decode = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.POINTER(c.c_int32), c.c_int64, c.c_uint32, c.c_char_p, c.c_int64, *_ERROR)
_Chat = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_char_p, c.POINTER(c.c_char_p), c.c_uint32, c.c_char_p, c.c_int64, *_ERROR)


class _Sampling(c.Structure):
    _fields_ = [("size", c.c_uint32), ("top_k", c.c_int32), ("temperature", c.c_float), ("top_p", c.c_float), ("min_p", c.c_float),
                ("repeat_penalty", c.c_float), ("seed", c.c_uint64), ("most_tokens", c.c_uint64), ("stops", c.POINTER(c.c_char_p)),
                ("stop_count", c.c_uint32), ("ignores_stop_tokens", c.c_uint32), ("interrupted", c.c_void_p), ("draft_tokens", c.c_uint32),
                ("reserved", c.c_uint32), ("draft", c.c_void_p), ("draft_context", c.c_void_p)]


class _Generated(c.Structure):
    _fields_ = [("size", c.c_uint32), ("token", c.c_int32), ("end", c.c_int32), ("reserved", c.c_uint32), ("text", c.c_void_p), ("text_bytes", c.c_uint64),
                ("prompt_tokens", c.c_uint64), ("kept_tokens", c.c_uint64), ("new_tokens", c.c_uint64), ("prompt_ns", c.c_int64), ("decode_ns", c.c_int64), ("steps", c.c_uint64)]


class _Language(c.Structure):
    _fields_ = [("size", c.c_uint32), ("prefill_entry", c.c_uint32), ("decode_entry", c.c_uint32), ("score_entry", c.c_uint32), ("vocabulary", c.c_int64),
                ("context", c.c_int64), ("tokenizer", c.c_void_p), ("tokenizer_bytes", c.c_uint64), ("stop_tokens", c.POINTER(c.c_int32)),
                ("stop_token_count", c.c_uint64), ("framing", c.c_void_p), ("encode", _Encode), ("decode", _Decode), ("chat", _Chat),
                ("open", c.CFUNCTYPE(c.c_int, c.POINTER(_Model), c.c_int, c.c_char_p, c.POINTER(c.c_void_p), *_ERROR)),
                ("start", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_int32), c.c_uint64, c.POINTER(_Sampling), *_ERROR)),
                ("next", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(_Generated), *_ERROR)),
                ("logits", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.POINTER(c.c_float)), *_ERROR)), ("close", c.CFUNCTYPE(None, c.c_void_p))]


_Model._fields_ = [("abi_version", c.c_uint32), ("size", c.c_uint32), ("name", c.c_char_p), ("manifest", c.c_char_p), ("manifest_bytes", c.c_uint64),
                   ("cpu_features", c.c_char_p), ("device", c.c_int32), ("entry_count", c.c_uint32), ("entries", c.POINTER(c.POINTER(_Entry))),
                   ("weights", c.c_void_p), ("weights_bytes", c.c_uint64), ("weights_file", c.c_char_p), ("weights_id", c.c_char_p),
                   ("check_cpu", c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_uint64)), ("threads_create", c.c_void_p), ("session_open", _Open),
                   ("session_run", _Run), ("session_close", c.CFUNCTYPE(None, c.c_void_p)), ("language", c.POINTER(_Language))]


class Info:
    """An input or output: `name`, `type` ("f32"), `dtype` (of numpy), `shape` (None = free), `dims` (each size as text), `state`,
    `optional` (an input with a default, which may be left out)."""

    def __init__(self, info):
        self.name, self.code = _text(info.name), info.dtype
        self.type, self.dtype = TYPES.get(info.dtype, "?"), np.dtype(NUMPY.get(info.dtype, np.uint8))
        self.shape = tuple(None if info.shape[i] < 0 else info.shape[i] for i in range(info.rank))
        self.dims = tuple(_text(info.dims[i]) for i in range(info.rank))
        self.state = None if info.state < 0 else info.state
        self.data_dependent, self.optional = bool(info.flags & 1), bool(info.flags & 2)

    def __repr__(self):
        return _printable(f"{self.name}: {self.type}[{', '.join(self.dims)}]")


class Session:
    """Owns threads and scratch memory. `threads` = 0: as many as there are processors. It cannot be copied: make another one."""

    def __init__(self, model, threads=0):
        self.model, self._handle, self._lock = model, c.c_void_p(), threading.Lock()
        if not 0 <= threads <= 1024:
            raise GlmcError(1, f"a session cannot have {threads} threads")
        error = c.create_string_buffer(1024)
        status = model._raw.session_open(model._pointer, threads, model._weights_path, c.byref(self._handle), error, 1024)
        if status:
            raise GlmcError(status, _text(error.value))

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
        tensors, given = (_Tensor * max(len(takes), 1))(), [None] * len(takes)
        for i, (tensor, info) in enumerate(zip(tensors, takes)):
            if info.optional and inputs.get(info.name) is None:
                continue
            if info.name not in inputs:
                raise GlmcError(1, f"input '{info.name}' is missing; the model takes {names}")
            array = given[i] = self._array(info, inputs[info.name])
            tensor.data, tensor.bytes, tensor.dtype, tensor.rank = array.ctypes.data, array.nbytes, info.code, array.ndim
            tensor.shape[: array.ndim] = array.shape
        results, error = (_Tensor * max(len(gives), 1))(), c.create_string_buffer(1024)
        # The results lie in memory of the session until they are copied.
        if not self._lock.acquire(blocking=False):
            raise GlmcError(7, "this session is in use by another thread: one session per concurrent run")
        try:
            if not self._handle:
                raise GlmcError(1, "the session is closed")
            status = self.model._raw.session_run(self._handle, entry, tensors, len(takes), results, len(gives), error, 1024)
            if status:
                raise GlmcError(status, _text(error.value))
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


ENDS = {1: "token", 2: "text", 3: "count", 4: "context", 5: "interrupted"}


def _counted(call):
    """`call(error, bytes)`, which returns a count, or a status as a negative number."""
    error = c.create_string_buffer(1024)
    count = call(error, 1024)
    if count < 0:
        raise GlmcError(-count, _text(error.value))
    return count


def _checked(call):
    error = c.create_string_buffer(1024)
    status = call(error, 1024)
    if status:
        raise GlmcError(status, _text(error.value))


def _string(text):
    if "\0" in text:
        raise GlmcError(8, "the text holds a zero byte")
    return text.encode()


class Generator:
    """Continues texts with a language model. Its cache keeps the last one: what a prompt has in common with that is not computed again. `threads` as of
    a Session; for one text at a time. `figures` tells of the last text: `prompt_tokens`, `kept_tokens` (in the cache already), `new_tokens`, `prompt_s`,
    `decode_s`, `steps` (runs of the model for them), `end` ("token", "text", "count", "context", None while it goes on)."""

    def __init__(self, model, threads=0):
        self.model, self.figures, self._handle, self._serial = model, {}, c.c_void_p(), 0
        self._language = model._need_language()
        if not 0 <= threads <= 1024:
            raise GlmcError(1, f"a generator cannot have {threads} threads")
        _checked(lambda *error: self._language.open(model._pointer, threads, model._weights_path, c.byref(self._handle), *error))

    def generate(self, prompt, max_new=None, temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0, seed=0, stop=(), ignore_stop_tokens=False,
                 lookup=0):
        """An iterator over what follows `prompt`, a text or its tokens: pieces of text, or tokens where the model has no tokenizer. Without a temperature
        the most probable token follows; `stop`: texts that end it; `lookup`: guess up to so
        many tokens from what occurred before, and check them in one step. docs/language-models.md says what the numbers mean."""
        tokens = self.model.encode(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
        if any(not -(2**31) <= token < 2**31 for token in tokens):
            raise GlmcError(8, "a token of the prompt is no number of a token")
        if max_new is not None and max_new < 1 or not 0 <= seed < 2**64 or not 0 <= top_k < 2**31 or not 0 <= lookup < 2**32:
            raise GlmcError(1, "max_new must be at least 1, seed, top_k and lookup must not be negative")
        stops = [_string(text) for text in ([stop] if isinstance(stop, str) else stop)]
        how = _Sampling(c.sizeof(_Sampling), top_k, temperature, top_p, min_p, repeat_penalty, seed, max_new or 0, (c.c_char_p * len(stops))(*stops),
                        len(stops), int(ignore_stop_tokens), None, lookup)
        self._need_handle()
        _checked(lambda *error: self._language.start(self._handle, (c.c_int32 * len(tokens))(*tokens), len(tokens), c.byref(how), *error))
        self._serial += 1
        return self._pieces(self._serial)

    def _pieces(self, serial):
        generated = _Generated(size=c.sizeof(_Generated))
        while not generated.end:
            self._need_handle()
            if serial != self._serial:
                raise GlmcError(1, "another text was started with this generator")
            _checked(lambda *error: self._language.next(self._handle, c.byref(generated), *error))
            self.figures = {"prompt_tokens": generated.prompt_tokens, "kept_tokens": generated.kept_tokens, "new_tokens": generated.new_tokens,
                            "prompt_s": generated.prompt_ns * 1e-9, "decode_s": generated.decode_ns * 1e-9, "steps": generated.steps, "end": ENDS.get(generated.end)}
            if not self._language.tokenizer:
                yield generated.token
            elif generated.text_bytes:
                yield c.string_at(generated.text, generated.text_bytes).decode(errors="replace")

    def answer(self, contents, system=None, **settings):
        """An iterator over the answer in a conversation: the contents of user and assistant by turns, beginning and ending with the user's."""
        return self.generate(self.model.chat(contents, system), **settings)

    def logits(self):
        """The scores of what follows all tokens so far, f32 [vocabulary]."""
        self._need_handle()
        scores = c.POINTER(c.c_float)()
        _checked(lambda *error: self._language.logits(self._handle, c.byref(scores), *error))
        return np.ctypeslib.as_array(scores, (self.model.vocabulary,)).copy()

    def _need_handle(self):
        if not self._handle:
            raise GlmcError(1, "the generator is closed")

    def close(self):
        handle, self._handle = self._handle, c.c_void_p()
        if handle:
            self._language.close(handle)

    def __reduce__(self):
        raise TypeError("a Generator owns threads and memory and cannot be copied; make one with model.generator()")

    __enter__ = lambda self: self
    __exit__ = lambda self, *_: self.close()
    __del__ = lambda self: self.close() if getattr(self, "_handle", None) else None


class _EntryPoint:
    def __init__(self, entry):
        self.name = _text(entry.name)
        self.inputs = [Info(entry.inputs[i]) for i in range(entry.input_count)]
        self.outputs = [Info(entry.outputs[i]) for i in range(entry.output_count)]


_loaded = {}


def _load_library(path):
    """The library that the file at `path` is. The loader takes a library of the same name for the same file; one that replaced another by renaming
    is told from it by another spelling of its path."""
    status = os.stat(path)
    identity = (status.st_dev, status.st_ino)
    while _loaded.setdefault(path, identity) != identity:
        path = "/" + path
    return c.CDLL(path)


class Model:
    """A compiled model: `name`, `inputs`, `outputs`, `entries`, `manifest` (a dict), `cpu_features`; of a language model also `vocabulary`, `context`,
    `stop_tokens`. A copy, also in another process, is loaded anew."""

    def __init__(self, path, threads=0, check=True):
        path = os.path.abspath(path)
        if not os.path.exists(path):
            raise GlmcError(1, f"there is no file '{path}'")
        _check_file(path, _library_is_sound if check else lambda _: True)
        try:
            self._library = _load_library(path)
            get = self._library.glmc_model_get
        except (OSError, AttributeError) as problem:
            raise GlmcError(1, f"'{path}' is not an artifact of glmc: {problem}") from None
        get.restype = c.POINTER(_Model)
        self._pointer = get()
        if not self._pointer:
            raise GlmcError(1, f"'{path}' returned no model")
        self._raw = self._pointer.contents
        if self._raw.abi_version != ABI_VERSION or self._raw.size < _Model.language.offset:
            raise GlmcError(1, f"'{path}' speaks version {self._raw.abi_version} of the interface, this file version {ABI_VERSION}: compile it again")
        self.name = _text(self._raw.name)
        self.manifest = json.loads(_text(self._raw.manifest) or "{}")
        self.cpu_features = _text(self._raw.cpu_features).split()
        self.entries = [_EntryPoint(self._raw.entries[i].contents) for i in range(self._raw.entry_count)]
        self.inputs, self.outputs = self.entries[0].inputs, self.entries[0].outputs
        beside = self._raw.weights_file
        self._weights_path = None if self._raw.weights or not beside else os.path.join(os.path.dirname(os.path.realpath(os.fsencode(path))), beside)
        if self._weights_path and check:
            _check_file(os.fsdecode(self._weights_path), _seal_holds)
        self._path, self._threads, self._session, self._generator, self._lock = path, threads, None, None, threading.Lock()
        has_language = self._raw.size >= c.sizeof(_Model) and bool(self._raw.language)
        self._language = self._raw.language.contents if has_language else None
        if self._language:
            self.vocabulary, self.context = self._language.vocabulary, self._language.context
            self.stop_tokens = self._language.stop_tokens[: self._language.stop_token_count]

    def session(self, threads=0):
        return Session(self, threads)

    def __call__(self, *arrays, **named):
        """Runs the first entry point with a session that the model keeps; not from several threads at once. Arrays by position are those of the first
        inputs, the others are given by name."""
        if len(arrays) > len(self.inputs):
            raise GlmcError(1, f"the model takes {len(self.inputs)} inputs, {len(arrays)} were given by position")
        inputs = {info.name: array for info, array in zip(self.inputs, arrays)}
        for name in named:
            if name in inputs:
                raise GlmcError(1, f"input '{name}' is given twice: by position and by name")
        with self._lock:
            if self._session is None:
                self._session = Session(self, self._threads)
        return self._session.run({**inputs, **named})

    def _need_language(self):
        if not self._language:
            raise GlmcError(1, f"'{self.name}' is no language model")
        return self._language

    def encode(self, text, framed=True, special=True):
        """The tokens of a text; `framed`: with those that the model wants around it; `special`: special tokens that stand in the text are tokens."""
        language, data = self._need_language(), text.encode()
        tokens, flags = (c.c_int32 * (len(data) // 2 + 16))(), framed * 1 | (not special) * 2
        while True:
            count = _counted(lambda *error: language.encode(self._raw.language, data, len(data), flags, tokens, len(tokens), *error))
            if count <= len(tokens):
                return tokens[:count]
            tokens = (c.c_int32 * count)()

    def decode(self, tokens, special=False):
        """The text of tokens; `special`: special ones too."""
        language, flags = self._need_language(), special * 4
        if any(not 0 <= token < 2**31 for token in tokens):
            raise GlmcError(8, "a token's number is out of range")
        tokens = (c.c_int32 * len(tokens))(*tokens)
        text = c.create_string_buffer(8 * len(tokens) + 1)
        while True:
            count = _counted(lambda *error: language.decode(self._raw.language, tokens, len(tokens), flags, text, len(text), *error))
            if count <= len(text):
                return text.raw[:count].decode(errors="replace")
            text = c.create_string_buffer(count)

    def chat(self, contents, system=None):
        """The prompt of a conversation as tokens: the contents of user and assistant by turns, beginning and ending with the user's."""
        language, said = self._need_language(), (c.c_char_p * len(contents))(*map(_string, contents))
        frame = lambda text, room: _counted(lambda *error: language.chat(
            self._raw.language, None if system is None else _string(system), said, len(contents), text, room, *error))
        text = c.create_string_buffer(frame(None, 0) + 1)
        count = frame(text, len(text))
        return self.encode(text.raw[:count].decode(), framed=False)

    def generator(self, threads=0):
        return Generator(self, threads)

    def generate(self, prompt, **settings):
        """What follows a text, as `Generator.generate`, with a generator that the model keeps; one text at a time."""
        return self._own_generator().generate(prompt, **settings)

    def answer(self, contents, system=None, **settings):
        """The answer in a conversation, as `Generator.answer`, with a generator that the model keeps; one text at a time."""
        return self._own_generator().answer(contents, system, **settings)

    def _own_generator(self):
        with self._lock:
            if self._generator is None:
                self._generator = Generator(self, self._threads)
        return self._generator

    def __reduce__(self):
        return Model, (self._path, self._threads)


def load(path, threads=0, check=True):
    """Opens a shared library that `glmc compile` wrote, once its bytes are known to be whole; `check=False` leaves that out, where something else
    vouches for them."""
    return Model(path, threads, check)
