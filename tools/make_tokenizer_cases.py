#!/usr/bin/env python3
"""Writes Tests/FrontendTests/tokenizers/NAME.json: small tokenizers of every kind, and what PyPI `tokenizers` makes of strings.

usage: make_tokenizer_cases.py OUT
Needs: tokenizers (0.23.3 made the committed files)."""
import json, os, sys

from tokenizer_recipes import CASES

TEXTS = ["", " ", "Hello, world!", "The lazy dog's  1234567 tokens", "  leading and trailing  ", "a\r\n\n\nb \n c\t", "DON'T we'LL ſ'ſ K", "naïve cafe\u0301 Ström ÅÅ Å", "привет 你好 안녕 \u1112\u1161\u11ab नमस्ते", "👨‍👩‍👧 😀🇩🇪", "<s>x</s> <mask>  word",
         "<unk> <0x41> ▁▁a", "\x00\x07\ufffd\ufeff", "a" * 40, " " * 17 + "x", "e\u0323\u0301\u0307\u0345", "ﬁ ① ㎏ İI", "low-lower_lowest", "xmask mask mask.", "½٣५x", "A\u00a0b\u3000c\u2028d", "12-34:56", "##s [CLS] a [SEP]"]
PAIRS = [["a", "b"], ["The dog", "hello world"]]


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, make in CASES.items():
        tokenizer = make()
        rows = []
        for text in TEXTS:
            framed, plain = tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=False)
            tokenizer.encode_special_tokens = True
            literal = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            rows.append(dict(text=text, framed=framed.ids, plain=plain.ids, literal=literal, decoded=tokenizer.decode(framed.ids, skip_special_tokens=False), skipped=tokenizer.decode(framed.ids)))
        pairs = [dict(first=a, second=b, ids=tokenizer.encode(a, b).ids, types=tokenizer.encode(a, b).type_ids) for a, b in PAIRS] if tokenizer.post_processor else []
        data = dict(tokenizer=json.loads(tokenizer.to_str()), rows=rows, pairs=pairs)
        if name in ("gpt2", "clip"): data["tokenizer"]["model"]["merges"] = [" ".join(merge) for merge in data["tokenizer"]["model"]["merges"]]
        open(os.path.join(sys.argv[1], name + ".json"), "w").write(json.dumps(data, separators=(",", ":")) + "\n")
        print(name, tokenizer.get_vocab_size())


if __name__ == "__main__": main()
