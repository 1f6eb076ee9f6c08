#!/usr/bin/env python3
"""Random and adversarial strings through glmc's tokenizer and PyPI `tokenizers`: encode, pairs, decode and streaming decode must agree.

    python3 tools/check_tokenizers.py GLMC                                 the families of tokenizer_recipes.py, trained on text of this machine
    python3 tools/check_tokenizers.py GLMC --families llama3,bert          some of them
    python3 tools/check_tokenizers.py GLMC --folders smollm2 vocab/qwen2   folders with tokenizer.json and, where there are test vectors, vectors.json
    python3 tools/check_tokenizers.py GLMC --random 300 --count 300        tokenizers with every setting drawn, 300 strings each

--count N (100000) strings of --seed N (1); --cflags "-fsanitize=address,undefined" for the tokenizer in C; --keep FOLDER for tokenizers that differ. The table is what
glmc puts into an artifact of a small model with that tokenizer. Needs: tokenizers, a C compiler. Exit status 3 when something differs."""
import argparse, contextlib, ctypes, glob, json, os, pathlib, random, resource, shutil, signal, subprocess, sys, tempfile, time, unicodedata
from tokenizers import Tokenizer

import small_decoders, tokenizer_recipes

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


def table(glmc, folder, vocabulary):
    """What glmc makes of FOLDER/tokenizer.json, from the artifact of a decoder of one layer; raises ValueError with its message."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        small_decoders.write(work, small_decoders.files(vocabulary=vocabulary, width=8, layers=1))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if os.path.exists(os.path.join(folder, name)): shutil.copy(os.path.join(folder, name), work)
        done = subprocess.run([glmc, "compile", work, "-o", work / "m.c", "-O0", "--context=16"], capture_output=True, text=True)
        if done.returncode: raise ValueError(f"exit status {done.returncode}: {done.stderr.strip()[-300:]}")
        return (work / "m.tokenizer").read_bytes()


class Ours:
    def __init__(self, lib, data):
        self.memory = ctypes.create_string_buffer(len(data) + 64)
        self.table = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) & ~63)
        ctypes.memmove(self.table, data, len(data))
        self.lib, self.seconds, self.bytes = lib, 0.0, 0
        if not self.lib.check(self.table, ctypes.c_uint64(len(data))): sys.exit("the table does not pass its check")
        self.capacity = 1 << 20
        self.ids, self.types, self.text = (ctypes.c_int32 * self.capacity)(), (ctypes.c_int32 * self.capacity)(), ctypes.create_string_buffer(1 << 23)

    def encode(self, text, pair=None, flags=1):
        """Tokens and their types, or the error; `text` is a string or bytes."""
        raw, second = text if isinstance(text, bytes) else text.encode(), None if pair is None else pair.encode()
        start = time.perf_counter()
        count = self.lib.encode(self.table, raw, ctypes.c_uint64(len(raw)), second, ctypes.c_uint64(len(second or b"")), flags, self.ids, self.types, ctypes.c_int64(self.capacity))
        self.seconds += time.perf_counter() - start
        self.bytes += len(raw) + len(second or b"")
        return (list(self.ids[:count]), list(self.types[:count])) if count >= 0 else count

    def text_of(self, function, ids, flags):
        array = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        count = function(self.table, array, ctypes.c_int64(len(ids)), flags, self.text, ctypes.c_int64(1 << 23))
        return ctypes.string_at(self.text, count).decode(errors="surrogateescape") if count >= 0 else count


SCRIPTS = [(0x41, 0x7a), (0xc0, 0x17f), (0x300, 0x36f), (0x391, 0x3c9), (0x410, 0x44f), (0x5d0, 0x5ea), (0x620, 0x652), (0x904, 0x94d), (0xe01, 0xe3a), (0x1100, 0x11ff), (0x1e00, 0x1eff),
           (0x2000, 0x206f), (0x20a0, 0x20bf), (0x2190, 0x21ff), (0x2460, 0x24ff), (0x3040, 0x30ff), (0x3400, 0x3410), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfb00, 0xfb4f),
           (0xfe00, 0xfe0f), (0xff01, 0xff5e), (0x1d400, 0x1d7ff), (0x1f1e6, 0x1f1ff), (0x1f300, 0x1f6ff), (0x20000, 0x20100), (0xe0100, 0xe01ef), (0, 0x10ffff)]
WORDS = ("the of and to in is that it was for on are with as I his they be at one have this from or had by hot but some what there we can out other were all your when up use word how said an each she which do their "
         "time if will way about many then them would write like so these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people "
         "don't I'm we'll they've you're it's he'd DON'T I'LL getElementById snake_case HTTPServer naïve café Straße Ελλάδα привет мир 你好世界 こんにちは 안녕하세요 नमस्ते สวัสดี مرحبا").split()

MARKS = [chr(point) for point in range(0x110000) if unicodedata.combining(chr(point))]


def point(rng):
    while True:
        c = rng.randint(*rng.choice(SCRIPTS))
        if not 0xd800 <= c < 0xe000: return chr(c)


def sample(rng, special):
    def space(): return rng.choice([" ", "  ", "   ", "\n", "\r\n", "\t", "\n\n", " \n ", "\u00a0", "\u3000", "\u2003", "\r", "\x0b", "\x85", "\u2028", " " * rng.randint(1, 40)])
    def digits(): return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 12)))
    def emoji(): return rng.choice(["😀", "👨‍👩‍👧‍👦", "🇩🇪🇫", "👍🏽", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "#️⃣"])
    def marks(): return rng.choice("aeoAnsкが") + "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 4)))
    def long(): return "".join(rng.choice(["ab", "é", "x", "的", "Q", "7", "_", "\u0301", "e"]) for _ in range(rng.randint(80, 400)))
    def run(): return rng.choice(["a", " ", "!", "=", "ab", "\n", "1", "é", "的", "\u200d", ".", "-", "▁", "Ġ"]) * rng.randint(1, 60)
    def punctuation(): return "".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡«»“”‘’…—·、。「」") for _ in range(rng.randint(1, 5)))
    def part(): return rng.choice(special) if special else "<s>"
    def piece():
        token = part()
        cut = rng.randint(0, len(token))
        return token[:cut] if rng.random() < .5 else token[cut:]
    kinds = [lambda: rng.choice(WORDS), lambda: " " + rng.choice(WORDS), lambda: rng.choice(WORDS).upper(), space, space, digits, emoji, marks, run, punctuation, part, piece, lambda: point(rng),
             lambda: "".join(point(rng) for _ in range(rng.randint(1, 8))), lambda: rng.choice(["<0x41>", "<unk>", "▁", "##s", "\ufeff", "\ufffd", "\u0000", "\x7f", "\u200b", "ſ", "K", "ß", "İ", "ŉ"])]
    return "".join(rng.choice(kinds)() if rng.random() < .997 else long() for _ in range(rng.randint(0, 14)))


def corpus(rng):
    """Documents and programs of this machine, 8 MB, and random strings."""
    lines = []
    for pattern, most in (("/usr/share/doc/**/*", 3_000_000), (os.path.dirname(os.__file__) + "/**/*.py", 4_000_000), (os.path.join(HERE, "../**/*.md"), 1_000_000)):
        for path in sorted(glob.glob(pattern, recursive=True)):
            if most <= 0: break
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = open(path, encoding="utf-8", newline="").read()[:200_000]
                lines += text.splitlines(keepends=True)
                most -= len(text)
    return lines + [sample(rng, []) for _ in range(20_000)]


def broken(rng, text):
    """Bytes that may be no UTF-8."""
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 3)):
        at, piece = rng.randint(0, len(data)), rng.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x9f", bytes([rng.randrange(256)])])
        data[at:at + rng.randint(0, 1)] = piece
    return bytes(data)


def first_wrong(data):
    """Where `data` stops being UTF-8, or None."""
    try: data.decode()
    except UnicodeDecodeError as error: return error.start


def can_stream(decoder):
    """Whether what a decoder makes of tokens begins with what it makes of the first of them, as with all families."""
    if not decoder: return True
    order, last = ["Replace", "ByteFallback", "Fuse", "Strip"], 0
    for step in decoder.get("decoders", []):
        if step["type"] not in order[last:] or step["type"] == "Strip" and (step["start"] > 1 or step["stop"] > 0) or "Regex" in step.get("pattern", {}): return False
        last = order.index(step["type"])
    return decoder["type"] in ("Sequence", "ByteLevel", "Metaspace", "WordPiece") or decoder.get("suffix") == "</w>"


def check(ours, theirs, count, seed):
    """Compares `count` strings. Returns how many differ; the first are printed."""
    special = [token.content for token in theirs.get_added_tokens_decoder().values()]
    streaming = can_stream(json.loads(theirs.to_str())["decoder"])
    rng, bad, skipped, size = random.Random(seed), 0, 0, max(theirs.get_vocab().values()) + 1

    def differ(what, text, mine, his):
        nonlocal bad
        if mine == his: return
        bad += 1
        if bad <= 3: print(f"{what}: {text!r}\n  glmc       {mine}\n  tokenizers {his}", flush=True)

    for number in range(count):
        text, pair = sample(rng, special), sample(rng, special) if number % 8 == 0 else None
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))] if number % 4 == 1 else None
        data = broken(rng, text)
        try:
            for flags, adds, as_text in [(1, True, False)] + ([(2, False, True)] if number % 4 == 0 else []):
                theirs.encode_special_tokens = as_text
                his = theirs.encode(text, add_special_tokens=adds)
                differ("encode", text, ours.encode(text, flags=flags), (his.ids, his.type_ids if theirs.post_processor else [0] * len(his.ids)))
                theirs.encode_special_tokens = False
            if pair is not None:
                differ("pair", (text, pair), ours.encode(text, pair)[0], theirs.encode(text, pair).ids)
            wrong, found = first_wrong(data), ours.encode(data)
            differ("bytes", data, -16 - found if isinstance(found, int) else None, wrong)
            streams, ids = ids is None and streaming, his.ids if ids is None else ids
            for flags in (0, 1):
                his = theirs.decode(ids, skip_special_tokens=bool(flags))
                differ("decode", ids, ours.text_of(ours.lib.decode, ids, flags), his)
                # Bytes behind characters may spoil the whole run of bytes, which a stream has given out.
                if streams and "\ufffd" not in his: differ("stream", ids, ours.text_of(ours.lib.stream, ids, flags), his)
        except BaseException as error:
            # What is no exception of Python's is a panic of the peer.
            if type(error).__name__ != "PanicException": raise
            skipped += 1
    return bad, skipped


def vectors(ours, path):
    """How many recorded encodings differ."""
    rows = json.load(open(path))
    return sum(ours.encode(text, flags=0)[0] != ids for text, ids in rows), len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("--families", default=None)
    parser.add_argument("--folders", nargs="+", default=[])
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cflags", default="")
    parser.add_argument("--keep")
    options = parser.parse_args()
    lib, failed = library(options.cflags), 0
    # Panics of the peer print a page each.
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def run(name, folder):
        """Whether FOLDER's tokenizer is right; prints a line."""
        theirs = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        theirs.no_padding(), theirs.no_truncation()
        try: ours = Ours(lib, table(options.glmc, folder, max(theirs.get_vocab().values()) + 1))
        except ValueError as error:
            print(f"{name}: glmc refuses it: {error}", flush=True)
            return True
        start, extra = time.perf_counter(), ""
        bad, skipped = check(ours, theirs, options.count, options.seed)
        if os.path.exists(os.path.join(folder, "vectors.json")):
            wrong, all = vectors(ours, os.path.join(folder, "vectors.json"))
            bad, extra = bad + wrong, f", {all - wrong} of {all} vectors"
        if skipped: extra += f", {skipped} left out where tokenizers panicked"
        print(f"{name}: {options.count} strings, {bad} differences{extra}; {options.count / (time.perf_counter() - start):.0f} strings/s compared, glmc encodes {ours.bytes / ours.seconds / 1e6:.1f} MB/s", flush=True)
        return bad == 0

    def made(name, tokenizer):
        """How many tokenizers were wrong: 0 or 1."""
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save(os.path.join(folder, "tokenizer.json"))
            if run(name, folder): return 0
            if options.keep: shutil.copytree(folder, os.path.join(options.keep, name), dirs_exist_ok=True)
            return 1

    for folder in options.folders: failed += not run(os.path.basename(os.path.normpath(folder)), folder)
    for number in range(options.random):
        try: tokenizer = tokenizer_recipes.drawn(random.Random(options.seed + number))
        except BaseException as error:
            if type(error).__name__ != "PanicException": raise
            continue
        # In a process of its own: some make the peer allocate without end.
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            signal.alarm(120)
            os._exit(made(f"random-{options.seed + number}", tokenizer))
        status = os.waitpid(child, 0)[1]
        failed += os.WIFEXITED(status) and os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status): print(f"random-{options.seed + number}: left out, ended by signal {os.WTERMSIG(status)}", flush=True)
    if options.families is not None or not (options.folders or options.random):
        text = corpus(random.Random(options.seed))
        for name in options.families.split(",") if options.families else tokenizer_recipes.FAMILIES: failed += made(name, tokenizer_recipes.FAMILIES[name](text))
    sys.exit(3 if failed else 0)


if __name__ == "__main__": main()
