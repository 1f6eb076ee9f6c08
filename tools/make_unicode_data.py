#!/usr/bin/env python3
"""Writes Sources/Frontend/Tokenizer/UnicodeData.swift: what PyPI `tokenizers` takes every code point for.

usage: make_unicode_data.py OUT.swift
Needs: tokenizers (0.23.3 made the committed file), a Python whose unicodedata is 14.0 or later.

Hugging Face's library holds several versions of the Unicode database: Oniguruma's for patterns, Rust's for white space, digits and lower case, older ones for
normal forms, punctuation and control characters. So the tables are measured: every code point is sent through the component that uses the property.
Only combining classes and pairs that compose take their values from unicodedata; both are kept where the library agrees."""
import itertools, sys, unicodedata
import tokenizers
from tokenizers import Regex, normalizers as N, pre_tokenizers as P

POINTS = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cn Co".split()
SCRIPTS = "Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Hebrew Thai Devanagari Bopomofo".split()
PATTERNS = {name: rf"\p{{{name}}}" for name in CATEGORIES + SCRIPTS + ["Alphabetic", "Uppercase", "Lowercase"]} | {"word": r"\w", "space": r"\s", "digit": r"\d"}


def runs(points):
    """Sorted code points -> [(first, last)]."""
    out = []
    for point in points:
        if out and point == out[-1][1] + 1: out[-1][1] = point
        else: out.append([point, point])
    return out


def matched(pattern):
    found, split = [], P.Split(Regex(f"(?:{pattern})+"), "removed", invert=True)
    for start in range(0, len(POINTS), 1 << 14):
        chunk = POINTS[start:start + (1 << 14)]
        for _, (first, last) in split.pre_tokenize_str("".join(map(chr, chunk))): found += chunk[first:last]
    return found


def written(ranges):
    """Each range as the distance from the end of the one before, and its length minus one where that is not 0; hexadecimal."""
    out, end = [], 0
    for first, last in ranges:
        out.append(f"{first - end:x}" + (f"+{last - first:x}" if last > first else ""))
        end = last
    return " ".join(out)


def pieces(component, text): return [piece for piece, _ in component.pre_tokenize_str(text)]


digits, spaces, marks, words = P.Digits(), P.WhitespaceSplit(), P.Punctuation(), P.Whitespace()
clean = N.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
bare = N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
accents, lower, nfd, nfkd, nfc = N.StripAccents(), N.Lowercase(), N.NFD(), N.NFKD(), N.NFC()
sets = {name: matched(pattern) for name, pattern in PATTERNS.items()}
sets["rust.numeric"] = [c for c in POINTS if len(pieces(digits, "a" + chr(c))) == 2]
sets["rust.space"] = [c for c in POINTS if len(pieces(spaces, f"a{chr(c)}a")) == 2]
sets["rust.word"] = [c for c in POINTS if pieces(words, "a" + chr(c)) == ["a" + chr(c)]]
sets["bert.punctuation"] = [c for c in POINTS if len(pieces(marks, "a" + chr(c))) == 2]
sets["bert.control"] = [c for c in POINTS if clean.normalize_str("a" + chr(c)) == "a"]
sets["bert.accent"] = [c for c in POINTS if bare.normalize_str("a" + chr(c)) == "a"]
sets["combining"] = [c for c in POINTS if accents.normalize_str("a" + chr(c)) == "a"]

hangul = range(0xac00, 0xac00 + 11172)
maps = {}
for name, component in {"lowercase": lower, "canonical": nfd, "compatible": nfkd}.items():
    changed = {c: component.normalize_str(chr(c)) for c in POINTS if c not in hangul}
    maps[name] = {c: text for c, text in changed.items() if text != chr(c)}
maps["compatible"] = {c: text for c, text in maps["compatible"].items() if maps["canonical"].get(c) != text}

# A mark of class 240 gives way to every mark of a smaller class that follows it.
classes = {}
for c in POINTS:
    mark = chr(c)
    if unicodedata.combining(mark) and nfd.normalize_str("a\u0345" + mark) == "a" + nfd.normalize_str(mark) + "\u0345": classes[c] = unicodedata.combining(mark)
    elif unicodedata.combining(mark) == 240: classes[c] = 240
pairs = []
for c in POINTS:
    parts = unicodedata.decomposition(chr(c)).split()
    if len(parts) == 2 and parts[0][0] != "<" and nfc.normalize_str(chr(int(parts[0], 16)) + chr(int(parts[1], 16))) == chr(c): pairs.append((int(parts[0], 16), int(parts[1], 16), c))
folds = {}
for c in POINTS:
    if len(chr(c).casefold()) == 1: folds.setdefault(chr(c).casefold(), []).append(c)

lines = [f"// Written by tools/make_unicode_data.py from tokenizers {tokenizers.__version__} and Unicode {unicodedata.unidata_version}; see there what it measures.", "",
         "/// Properties of code points as text; `UnicodeData` reads them.", "enum UnicodeText {",
         "    /// Sets by name: for each range its distance from the end of the one before and, behind +, its length minus one; hexadecimal.",
         "    static let sets: [String: StaticString] = ["]
lines += [f'        "{name}": "{written(runs(points))}",' for name, points in sets.items()]
lines += ["    ]", "    /// What a code point becomes: `point:point.point`, hexadecimal.", "    static let maps: [String: StaticString] = ["]
lines += [f'        "{name}": "' + " ".join(f"{c:x}:" + ".".join(f"{ord(x):x}" for x in text) for c, text in changed.items()) + '",' for name, changed in maps.items()]
lines += ["    ]", "    /// Canonical combining classes other than 0, as `point:class`, hexadecimal.",
          '    static let classes: StaticString = "' + " ".join(f"{c:x}:{k:x}" for c, k in classes.items()) + '"',
          "    /// Pairs that compose, as `first:second.composed`, hexadecimal.",
          '    static let pairs: StaticString = "' + " ".join(f"{a:x}:{b:x}.{c:x}" for a, b, c in sorted(pairs)) + '"',
          "    /// Code points that are one letter when case is ignored, as `point:point.point`, hexadecimal.",
          '    static let folds: StaticString = "' + " ".join(f"{v[0]:x}:" + ".".join(f"{x:x}" for x in v[1:]) for v in folds.values() if len(v) > 1) + '"', "}", ""]
open(sys.argv[1], "w").write("\n".join(lines))
