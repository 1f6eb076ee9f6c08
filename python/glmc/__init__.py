"""Run models that glmc compiled, from Python. Needs only numpy.

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
import os
import threading

from ._abi import ABI_VERSION, GlmcError, decoded
from ._abi import Model as RawModel
from ._files import check_file, library_is_sound, load_library, trailer_holds
from ._language import Generator, LanguageFunctions
from ._session import EntryPoint, Info, Session

__all__ = ["load", "Model", "Session", "Generator", "Info", "GlmcError"]


class Model(LanguageFunctions):
    """A compiled model: `name`, `inputs`, `outputs`, `entries`, `manifest` (a dict), `cpu_features`; of a language model also `vocabulary`, `context`,
    `sequences` (how many texts at once), `stop_tokens`. A copy, also in another process, is loaded anew."""

    def __init__(self, path, threads=0, check=True):
        path = os.path.abspath(path)
        if not os.path.exists(path):
            raise GlmcError(1, f"there is no file '{path}'")
        check_file(path, library_is_sound if check else lambda _: True)
        try:
            self._library = load_library(path)
            get = self._library.glmc_model_get
        except (OSError, AttributeError) as problem:
            raise GlmcError(1, f"'{path}' is not an artifact of glmc: {problem}") from None
        get.restype = c.POINTER(RawModel)
        self._pointer = get()
        if not self._pointer:
            raise GlmcError(1, f"'{path}' returned no model")
        self._raw = self._pointer.contents
        if self._raw.abi_version != ABI_VERSION or self._raw.size < RawModel.language.offset:
            raise GlmcError(1, f"'{path}' speaks version {self._raw.abi_version} of the interface, this package version {ABI_VERSION}: compile it again")
        self.name = decoded(self._raw.name)
        self.manifest = json.loads(decoded(self._raw.manifest) or "{}")
        self.cpu_features = decoded(self._raw.cpu_features).split()
        self.entries = [EntryPoint(self._raw.entries[i].contents) for i in range(self._raw.entry_count)]
        self.inputs, self.outputs = self.entries[0].inputs, self.entries[0].outputs
        beside = self._raw.weights_file
        self._weights_path = None if self._raw.weights or not beside else os.path.join(os.path.dirname(os.path.realpath(os.fsencode(path))), beside)
        if self._weights_path and check:
            check_file(os.fsdecode(self._weights_path), trailer_holds)
        self._path, self._threads, self._session, self._generator, self._lock = path, threads, None, None, threading.Lock()
        has_language = self._raw.size >= c.sizeof(RawModel) and bool(self._raw.language)
        self._language = self._raw.language.contents if has_language else None
        if self._language:
            self.vocabulary, self.context = self._language.vocabulary, self._language.context
            self.sequences = max(1, self._language.sequences) if self._shares() else 1
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

    def __reduce__(self):
        return Model, (self._path, self._threads)


def load(path, threads=0, check=True):
    """Opens a shared library that `glmc compile` wrote, once its bytes are known to be whole; `check=False` leaves that out, where something else
    vouches for them."""
    return Model(path, threads, check)
