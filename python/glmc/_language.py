"""Texts that language models continue."""
import ctypes as c
import os

import numpy as np

from ._abi import Generated, GlmcError, Language, Sampling, decoded


ENDS = {1: "token", 2: "text", 3: "count", 4: "context", 5: "interrupted"}


def counted(call):
    """`call(error, bytes)`, which returns a count, or a status as a negative number."""
    error = c.create_string_buffer(1024)
    count = call(error, 1024)
    if count < 0:
        raise GlmcError(-count, decoded(error.value))
    return count


def checked(call):
    error = c.create_string_buffer(1024)
    status = call(error, 1024)
    if status:
        raise GlmcError(status, decoded(error.value))


def string(text):
    if "\0" in text:
        raise GlmcError(8, "the text holds a zero byte")
    return text.encode()


def check_threads(threads):
    if not 0 <= threads <= 1024:
        raise GlmcError(1, f"a generator cannot have {threads} threads")


class Generator:
    """Continues texts with a language model. Its cache keeps the last one: what a prompt has in common with that is not computed again. `threads` as of
    a Session; for one text at a time. `figures` tells of the last text: `prompt_tokens`, `kept_tokens` (in the cache already), `new_tokens`, `prompt_s`,
    `decode_s`, `steps` (runs of the model for them), `end` ("token", "text", "count", "context", None while it goes on)."""

    def __init__(self, model, threads=0, handle=None):
        self.model, self.figures, self._handle, self._serial = model, {}, c.c_void_p(handle), 0
        self._language = model._need_language()
        check_threads(threads)
        if handle is None:
            checked(lambda *error: self._language.open(model._pointer, threads, model._weights_path, c.byref(self._handle), *error))

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
        stops = [string(text) for text in ([stop] if isinstance(stop, str) else stop)]
        how = Sampling(c.sizeof(Sampling), top_k, temperature, top_p, min_p, repeat_penalty, seed, max_new or 0, (c.c_char_p * len(stops))(*stops),
                        len(stops), int(ignore_stop_tokens), None, lookup)
        self._need_handle()
        checked(lambda *error: self._language.start(self._handle, (c.c_int32 * len(tokens))(*tokens), len(tokens), c.byref(how), *error))
        self._serial, self.figures = self._serial + 1, {}
        return self._pieces(self._serial)

    def _pieces(self, serial):
        while not self.figures.get("end"):
            if serial != self._serial:
                raise GlmcError(1, "another text was started with this generator")
            piece = self._next()
            if piece is not None:
                yield piece

    def _next(self):
        """One token more: the text that it completes, or the token where the model has no tokenizer; None where there is no text yet."""
        generated = Generated(size=c.sizeof(Generated))
        self._need_handle()
        checked(lambda *error: self._language.next(self._handle, c.byref(generated), *error))
        self.figures = {"prompt_tokens": generated.prompt_tokens, "kept_tokens": generated.kept_tokens, "new_tokens": generated.new_tokens,
                        "prompt_s": generated.prompt_ns * 1e-9, "decode_s": generated.decode_ns * 1e-9, "steps": generated.steps, "end": ENDS.get(generated.end)}
        if not self._language.tokenizer:
            return generated.token
        return c.string_at(generated.text, generated.text_bytes).decode(errors="replace") if generated.text_bytes else None

    def answer(self, contents, system=None, **settings):
        """An iterator over the answer in a conversation: the contents of user and assistant by turns, beginning and ending with the user's."""
        return self.generate(self.model.chat(contents, system), **settings)

    def logits(self):
        """The scores of what follows all tokens so far, f32 [vocabulary]."""
        self._need_handle()
        scores = c.POINTER(c.c_float)()
        checked(lambda *error: self._language.logits(self._handle, c.byref(scores), *error))
        return np.ctypeslib.as_array(scores, (self.model.vocabulary,)).copy()

    def save(self, path):
        """Writes what the cache holds, tokens with their keys and values, to a file, for `restore` with the same artifact."""
        self._need_handle()
        self.model._need_shares()
        checked(lambda *error: self._language.save(self._handle, os.fsencode(path), *error))

    def restore(self, path):
        """Reads such a file into the cache: a text that begins with its tokens is not computed again. The text that was continued ends."""
        self._need_handle()
        self.model._need_shares()
        self._serial += 1
        checked(lambda *error: self._language.restore(self._handle, os.fsencode(path), *error))

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


class LanguageFunctions:
    """What a `Model` that is a language model can do."""

    def _need_language(self):
        if not self._language:
            raise GlmcError(1, f"'{self.name}' is no language model")
        return self._language

    def encode(self, text, framed=True, special=True):
        """The tokens of a text; `framed`: with those that the model wants around it; `special`: special tokens that stand in the text are tokens."""
        language, data = self._need_language(), text.encode()
        tokens, flags = (c.c_int32 * (len(data) // 2 + 16))(), framed * 1 | (not special) * 2
        while True:
            count = counted(lambda *error: language.encode(self._raw.language, data, len(data), flags, tokens, len(tokens), *error))
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
            count = counted(lambda *error: language.decode(self._raw.language, tokens, len(tokens), flags, text, len(text), *error))
            if count <= len(text):
                return text.raw[:count].decode(errors="replace")
            text = c.create_string_buffer(count)

    def chat(self, contents, system=None):
        """The prompt of a conversation as tokens: the contents of user and assistant by turns, beginning and ending with the user's."""
        language, said = self._need_language(), (c.c_char_p * len(contents))(*map(string, contents))
        frame = lambda text, room: counted(lambda *error: language.chat(
            self._raw.language, None if system is None else string(system), said, len(contents), text, room, *error))
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

    def generators(self, count, threads=0):
        """Generators, at most `sequences`, that share threads and a cache: what a prompt has in common with a text of any of them is not computed again. Use them
        from one thread at a time."""
        self._need_shares()
        check_threads(threads)
        if not 0 < count < 2**32:
            raise GlmcError(1, f"there cannot be {count} generators")
        handles = (c.c_void_p * min(count, self.sequences + 1))()
        checked(lambda *error: self._language.open_many(self._pointer, threads, self._weights_path, count, handles, *error))
        return [Generator(self, handle=handle) for handle in handles]

    def generate_all(self, prompts, threads=None, **settings):
        """What follows each of several texts, as `Generator.generate`: pairs of a prompt's number and a piece of what follows it. As many at once as the
        artifact has sequences (`--batch`), which read the weights together; the next prompt begins where a text ends."""
        waiting = enumerate(prompts)
        generators = self.generators(self.sequences, self._threads if threads is None else threads)
        try:
            running, free = {}, list(generators)
            while True:
                # The model computes as many rows as the last sequence in use has in front of it.
                free.sort(key=generators.index, reverse=True)
                while free and (prompt := next(waiting, None)) is not None:
                    running[free[-1]] = prompt[0]
                    free.pop().generate(prompt[1], **settings)
                if not running:
                    return
                handles = (c.c_void_p * len(running))(*[generator._handle for generator in running])
                checked(lambda *error: self._language.advance(handles, len(handles), *error))
                for generator, number in list(running.items()):
                    piece = generator._next()
                    if piece is not None:
                        yield number, piece
                    if generator.figures["end"]:
                        del running[generator]
                        free.append(generator)
        finally:
            for generator in generators:
                generator.close()

    def _shares(self):
        return self._language.size >= c.sizeof(Language)

    def _need_shares(self):
        self._need_language()
        if not self._shares():
            raise GlmcError(1, "the artifact is of an earlier version, which cannot do this: compile the model again")

    def _own_generator(self):
        with self._lock:
            if self._generator is None:
                self._generator = Generator(self, self._threads)
        return self._generator
