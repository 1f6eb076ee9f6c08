#!/usr/bin/env python3
"""Random and adversarial strings through glmc's tokenizer and PyPI `tokenizers`: encode, pairs, decode and streaming decode must agree.

usage: check_tokenizer.py TABLE FOLDER [--count N] [--seed N] [--cflags FLAGS]
TABLE is the table that glmc made of FOLDER/tokenizer.json. Needs: tokenizers, a C compiler. Exit status 3 when something differs."""
import argparse, ctypes, os, random, subprocess, sys, tempfile
from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = r"""
#include "glmc_tokenizer.h"
int check(const void *t, uint64_t n) { return glmc_tokenizer_check(t, n); }
int64_t encode(const void *t, const char *a, uint64_t n, const char *b, uint64_t m, int f, int32_t *o, int32_t *y, int64_t c) { return glmc_encode_pair(t, a, n, b, m, f, o, y, c); }
int64_t decode(const void *t, const int32_t *i, int64_t n, int f, char *o, int64_t c) { return glmc_decode(t, i, n, f, o, c); }
int64_t stream(const void *t, const int32_t *i, int64_t n, int f, char *o, int64_t c) {
    glmc_decoder d = {0};
    int64_t at = 0, r = 0;
    d.table = t, d.flags = f;
    for (int64_t k = 0; k <= n && r >= 0; k++) at += r = k < n ? glmc_decoder_push(&d, i[k], o + at, c - at) : glmc_decoder_flush(&d, o + at, c - at);
    return r < 0 ? r : at;
}
"""


def library(cflags):
    folder = tempfile.mkdtemp()
    source, out = os.path.join(folder, "t.c"), os.path.join(folder, "t.so")
    open(source, "w").write(SOURCE)
    subprocess.check_call(["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-I", os.path.join(HERE, "../Sources/CGlmcABI/include"), *cflags.split(), "-o", out, source])
    lib = ctypes.CDLL(out)
    for name in ("encode", "decode", "stream"): getattr(lib, name).restype = ctypes.c_int64
    return lib


class Ours:
    def __init__(self, path, cflags=""):
        data = open(path, "rb").read()
        self.memory = ctypes.create_string_buffer(len(data) + 64)
        self.table = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) & ~63)
        ctypes.memmove(self.table, data, len(data))
        self.lib = library(cflags)
        if not self.lib.check(self.table, ctypes.c_uint64(len(data))): sys.exit("the table does not pass its check")
        self.capacity = 1 << 23
        self.ids, self.types, self.text = (ctypes.c_int32 * self.capacity)(), (ctypes.c_int32 * self.capacity)(), ctypes.create_string_buffer(1 << 24)

    def encode(self, text, pair=None, flags=1):
        raw, second = text.encode(), None if pair is None else pair.encode()
        count = self.lib.encode(self.table, raw, ctypes.c_uint64(len(raw)), second, ctypes.c_uint64(len(second or b"")), flags, self.ids, self.types, ctypes.c_int64(self.capacity))
        return (list(self.ids[:count]), list(self.types[:count])) if count >= 0 else count

    def text_of(self, function, ids, flags):
        array = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        count = function(self.table, array, ctypes.c_int64(len(ids)), flags, self.text, ctypes.c_int64(1 << 24))
        return ctypes.string_at(self.text, count).decode(errors="surrogateescape") if count >= 0 else count


SCRIPTS = [(0x41, 0x7a), (0xc0, 0x17f), (0x300, 0x36f), (0x391, 0x3c9), (0x410, 0x44f), (0x5d0, 0x5ea), (0x620, 0x652), (0x904, 0x94d), (0xe01, 0xe3a), (0x1100, 0x11ff), (0x1e00, 0x1eff),
           (0x2000, 0x206f), (0x20a0, 0x20bf), (0x2190, 0x21ff), (0x2460, 0x24ff), (0x3040, 0x30ff), (0x3400, 0x3410), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfb00, 0xfb4f),
           (0xfe00, 0xfe0f), (0xff01, 0xff5e), (0x1d400, 0x1d7ff), (0x1f1e6, 0x1f1ff), (0x1f300, 0x1f6ff), (0x20000, 0x20100), (0xe0100, 0xe01ef), (0, 0x10ffff)]
WORDS = ("the of and to in is that it was for on are with as I his they be at one have this from or had by hot but some what there we can out other were all your when up use word how said an each she which do their "
         "time if will way about many then them would write like so these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people "
         "don't I'm we'll they've you're it's he'd DON'T I'LL getElementById snake_case HTTPServer naïve café Straße Ελλάδα привет мир 你好世界 こんにちは 안녕하세요 नमस्ते สวัสดี مرحبا").split()


def point(rng):
    while True:
        c = rng.randint(*rng.choice(SCRIPTS))
        if not 0xd800 <= c < 0xe000: return chr(c)


def sample(rng, special):
    def space(): return rng.choice([" ", "  ", "   ", "\n", "\r\n", "\t", "\n\n", " \n ", "\u00a0", "\u3000", "\u2003", "\r", "\x0b", "\x85", "\u2028", " " * rng.randint(1, 40)])
    def digits(): return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 12)))
    def emoji(): return rng.choice(["😀", "👨‍👩‍👧‍👦", "🇩🇪🇫", "👍🏽", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "#️⃣"])
    def marks(): return rng.choice("aeoAnsкが") + "".join(chr(rng.randint(0x300, 0x36f)) for _ in range(rng.randint(1, 4)))
    def run(): return rng.choice(["a", " ", "!", "=", "ab", "\n", "1", "é", "的", "\u200d", ".", "-", "▁", "Ġ"]) * rng.randint(1, 60)
    def punctuation(): return "".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡«»“”‘’…—·、。「」") for _ in range(rng.randint(1, 5)))
    def part(): return rng.choice(special) if special else "<s>"
    def piece():
        token = part()
        cut = rng.randint(0, len(token))
        return token[:cut] if rng.random() < .5 else token[cut:]
    kinds = [lambda: rng.choice(WORDS), lambda: " " + rng.choice(WORDS), lambda: rng.choice(WORDS).upper(), space, space, digits, emoji, marks, run, punctuation, part, piece, lambda: point(rng),
             lambda: "".join(point(rng) for _ in range(rng.randint(1, 8))), lambda: rng.choice(["<0x41>", "<unk>", "▁", "##s", "\ufeff", "\ufffd", "\u0000", "\x7f", "\u200b", "ſ", "K", "ß", "İ", "ŉ"])]
    return "".join(rng.choice(kinds)() for _ in range(rng.randint(0, 14)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cflags", default="")
    options = parser.parse_args()
    theirs = Tokenizer.from_file(os.path.join(options.folder, "tokenizer.json"))
    theirs.no_padding(), theirs.no_truncation()
    ours = Ours(options.table, options.cflags)
    special = [token.content for token in theirs.get_added_tokens_decoder().values()]
    rng, bad, size = random.Random(options.seed), 0, theirs.get_vocab_size()

    def differ(what, text, mine, his):
        nonlocal bad
        if mine == his: return
        bad += 1
        if bad <= 10: print(f"{what}: {text!r}\n  glmc       {mine}\n  tokenizers {his}", flush=True)

    for number in range(options.count):
        text = sample(rng, special)
        for flags, adds, asText in [(1, True, False)] + ([(2, False, True)] if number % 4 == 0 else []):
            theirs.encode_special_tokens = asText
            his = theirs.encode(text, add_special_tokens=adds)
            differ("encode", text, ours.encode(text, flags=flags), (his.ids, his.type_ids) if theirs.post_processor else (his.ids, [0] * len(his.ids)))
            theirs.encode_special_tokens = False
        ids = his.ids
        if number % 8 == 0:
            pair = sample(rng, special)
            his = theirs.encode(text, pair)
            differ("pair", (text, pair), ours.encode(text, pair)[0], his.ids)
            ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        for flags in (0, 1):
            his = theirs.decode(ids, skip_special_tokens=bool(flags))
            differ("decode", ids, ours.text_of(ours.lib.decode, ids, flags), his)
            if number % 8: differ("stream", ids, ours.text_of(ours.lib.stream, ids, flags), his)
    print(f"{options.count} strings, {bad} differences", flush=True)
    sys.exit(3 if bad else 0)


if __name__ == "__main__": main()
