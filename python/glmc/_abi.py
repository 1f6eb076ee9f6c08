"""glmc.h in ctypes: its structures, numbers and errors."""
import ctypes as c

import numpy as np

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
        super().__init__(printable(text or STATUS.get(status, f"status {status}")))
        self.status = status


def printable(text):
    """Names are other people's text: what is no visible character in them is spelt out."""
    return "".join(ch if ch.isprintable() or ch == "\n" else f"\\u{{{ord(ch):x}}}" for ch in text)


def decoded(value):
    return value.decode(errors="replace")


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("bytes", c.c_uint64), ("dtype", c.c_int32), ("rank", c.c_int32), ("device", c.c_int32),
                ("device_index", c.c_int32), ("shape", c.c_int64 * MAX_RANK)]


class Info(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_int32), ("rank", c.c_int32), ("shape", c.POINTER(c.c_int64)), ("dims", c.POINTER(c.c_char_p)),
                ("flags", c.c_uint32), ("state", c.c_int32), ("device", c.c_int32), ("squeezed", c.c_uint32), ("reserved", c.c_uint32 * 2)]


class Dim(c.Structure):
    _fields_ = [("name", c.c_char_p), ("min", c.c_int64), ("max", c.c_int64), ("flags", c.c_uint32), ("reserved", c.c_uint32)]


class Entry(c.Structure):
    _fields_ = [("size", c.c_uint32), ("input_count", c.c_uint32), ("output_count", c.c_uint32), ("dim_count", c.c_uint32), ("kernel_count", c.c_uint32),
                ("reserved", c.c_uint32), ("name", c.c_char_p), ("inputs", c.POINTER(Info)), ("outputs", c.POINTER(Info)), ("dims", c.POINTER(Dim)),
                ("output_shapes", c.c_void_p), ("workspace_size", c.c_void_p), ("run", c.c_void_p)]


class Model(c.Structure):
    pass


Open = c.CFUNCTYPE(c.c_int, c.POINTER(Model), c.c_int, c.c_char_p, c.POINTER(c.c_void_p), c.c_char_p, c.c_uint64)
Run = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, c.POINTER(Tensor), c.c_uint32, c.POINTER(Tensor), c.c_uint32, c.c_char_p, c.c_uint64)
ERROR = [c.c_char_p, c.c_uint64]
Encode = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_char_p, c.c_uint64, c.c_uint32, c.POINTER(c.c_int32), c.c_int64, *ERROR)
Decode = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.POINTER(c.c_int32), c.c_int64, c.c_uint32, c.c_char_p, c.c_int64, *ERROR)
Chat = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_char_p, c.POINTER(c.c_char_p), c.c_uint32, c.c_char_p, c.c_int64, *ERROR)


class Sampling(c.Structure):
    _fields_ = [("size", c.c_uint32), ("top_k", c.c_int32), ("temperature", c.c_float), ("top_p", c.c_float), ("min_p", c.c_float),
                ("repeat_penalty", c.c_float), ("seed", c.c_uint64), ("most_tokens", c.c_uint64), ("stops", c.POINTER(c.c_char_p)),
                ("stop_count", c.c_uint32), ("ignores_stop_tokens", c.c_uint32), ("interrupted", c.c_void_p), ("draft_tokens", c.c_uint32),
                ("reserved", c.c_uint32), ("draft", c.c_void_p), ("draft_context", c.c_void_p)]


class Generated(c.Structure):
    _fields_ = [("size", c.c_uint32), ("token", c.c_int32), ("end", c.c_int32), ("reserved", c.c_uint32), ("text", c.c_void_p), ("text_bytes", c.c_uint64),
                ("prompt_tokens", c.c_uint64), ("kept_tokens", c.c_uint64), ("new_tokens", c.c_uint64), ("prompt_ns", c.c_int64), ("decode_ns", c.c_int64), ("steps", c.c_uint64)]


class Language(c.Structure):
    _fields_ = [("size", c.c_uint32), ("prefill_entry", c.c_uint32), ("decode_entry", c.c_uint32), ("score_entry", c.c_uint32), ("vocabulary", c.c_int64),
                ("context", c.c_int64), ("tokenizer", c.c_void_p), ("tokenizer_bytes", c.c_uint64), ("stop_tokens", c.POINTER(c.c_int32)),
                ("stop_token_count", c.c_uint64), ("framing", c.c_void_p), ("encode", Encode), ("decode", Decode), ("chat", Chat),
                ("open", c.CFUNCTYPE(c.c_int, c.POINTER(Model), c.c_int, c.c_char_p, c.POINTER(c.c_void_p), *ERROR)),
                ("start", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_int32), c.c_uint64, c.POINTER(Sampling), *ERROR)),
                ("next", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Generated), *ERROR)),
                ("logits", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.POINTER(c.c_float)), *ERROR)), ("close", c.CFUNCTYPE(None, c.c_void_p)),
                ("verify_entry", c.c_uint32), ("batch_entry", c.c_uint32), ("sequences", c.c_int64),
                ("open_many", c.CFUNCTYPE(c.c_int, c.POINTER(Model), c.c_int, c.c_char_p, c.c_uint32, c.POINTER(c.c_void_p), *ERROR)),
                ("advance", c.CFUNCTYPE(c.c_int, c.POINTER(c.c_void_p), c.c_uint32, *ERROR)),
                ("save", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, *ERROR)), ("restore", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, *ERROR)), ("rewind", c.c_int64)]


Model._fields_ = [("abi_version", c.c_uint32), ("size", c.c_uint32), ("name", c.c_char_p), ("manifest", c.c_char_p), ("manifest_bytes", c.c_uint64),
                   ("cpu_features", c.c_char_p), ("device", c.c_int32), ("entry_count", c.c_uint32), ("entries", c.POINTER(c.POINTER(Entry))),
                   ("weights", c.c_void_p), ("weights_bytes", c.c_uint64), ("weights_file", c.c_char_p), ("weights_id", c.c_char_p),
                   ("check_cpu", c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_uint64)), ("threads_create", c.c_void_p), ("session_open", Open),
                   ("session_run", Run), ("session_close", c.CFUNCTYPE(None, c.c_void_p)), ("language", c.POINTER(Language))]
