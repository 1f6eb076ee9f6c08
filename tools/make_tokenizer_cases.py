#!/usr/bin/env python3
"""Writes Tests/FrontendTests/tokenizers/NAME.json: small tokenizers of every kind, and what PyPI `tokenizers` makes of strings.

usage: make_tokenizer_cases.py OUT
Needs: tokenizers (0.23.3 made the committed files)."""
import json, os, sys
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["The quick brown fox jumps over the lazy dog. It's 1234567 times, isn't it?", "Don't stop; we'll go there, they've said so!", "naïve café Straße, привет мир, 你好世界, 안녕하세요, नमस्ते",
          "def f(x):\n    return x + 1  # comment\r\n\n\n", "hello hello world world low lower lowest newer newest wider widest"] * 4
TEXTS = ["", " ", "Hello, world!", "The lazy dog's  1234567 tokens", "  leading and trailing  ", "a\r\n\n\nb \n c\t", "DON'T we'LL ſ'ſ K", "naïve cafe\u0301 Ström ÅÅ Å", "привет 你好 안녕 \u1112\u1161\u11ab नमस्ते", "👨‍👩‍👧 😀🇩🇪", "<s>x</s> <mask>  word",
         "<unk> <0x41> ▁▁a", "\x00\x07\ufffd\ufeff", "a" * 40, " " * 17 + "x", "e\u0323\u0301\u0307\u0345", "ﬁ ① ㎏ İI", "low-lower_lowest", "xmask mask mask.", "½٣५x", "A\u00a0b\u3000c\u2028d", "12-34:56", "##s [CLS] a [SEP]"]
PAIRS = [["a", "b"], ["The dog", "hello world"]]


def bpe(normalizer=None, pre=None, decoder=None, post=None, added=(), train=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer: tokenizer.normalizer = normalizer
    if pre: tokenizer.pre_tokenizer = pre
    if decoder: tokenizer.decoder = decoder
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, show_progress=False, **(train or {})))
    finish(tokenizer, post, added)
    return tokenizer


def finish(tokenizer, post, added):
    if added: tokenizer.add_tokens(list(added))
    if post: tokenizer.post_processor = post(tokenizer.token_to_id)


def edited(tokenizer, change):
    data = json.loads(tokenizer.to_str())
    change(data)
    return Tokenizer.from_str(json.dumps(data))


special = lambda content, **options: AddedToken(content, special=True, normalized=False, **options)
MARKS = [special("<s>"), special("</s>"), AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False), AddedToken("mask", single_word=True, normalized=True)]
BYTES = dict(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
SPM = lambda: normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
SPM_DECODER = lambda: decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
FALLBACK = dict(special_tokens=["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)])
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = SUFFIX + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + SUFFIX + r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + SUFFIX +
         r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ODD = r"\b\w++|(?<!\d)\d{2,3}?(?=(?:\d{2})*\b)|(?>[^\S\n]+)(?<=\s)|[a-c&&[^b]]+|\p{^L}\P{N}??.|\n+$|^x|\x41"
by_bytes = lambda pattern: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
template = lambda single, pair, names: lambda id: processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(name, id(name)) for name in names])


def wordpiece(normalizer, pre, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre, decoders.WordPiece()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    finish(tokenizer, lambda id: processors.BertProcessing(("[SEP]", id("[SEP]")), ("[CLS]", id("[CLS]"))), [])
    return tokenizer


def unigram(normalizer, scheme, bytes=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizers.Metaspace(prepend_scheme=scheme), decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=240, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "</s>"]))
    if bytes:
        def change(data):
            data["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0 - byte / 512] for byte in range(256)]
            data["model"]["byte_fallback"] = True
        tokenizer = edited(tokenizer, change)
    finish(tokenizer, template("$A </s>", "$A </s> $B </s>", ["</s>"]), [])
    return tokenizer


def steps(pre, normalizer=None):
    return bpe(pre=pre, normalizer=normalizer, unk_token="<unk>", train=dict(special_tokens=["<unk>"]))


CASES = {
    "gpt2": lambda: bpe(pre=pre_tokenizers.ByteLevel(add_prefix_space=True), decoder=decoders.ByteLevel(), added=MARKS, train=BYTES,
                        post=lambda id: processors.RobertaProcessing(("</s>", id("</s>")), ("<s>", id("<s>")))),
    "llama3": lambda: bpe(pre=by_bytes(LLAMA3), decoder=decoders.ByteLevel(), added=MARKS, train=BYTES, ignore_merges=True,
                          post=lambda id: processors.Sequence([processors.ByteLevel(), template("<s> $A", "<s> $A <s> $B:1", ["<s>"])(id)])),
    "qwen": lambda: bpe(normalizer=normalizers.NFC(), pre=by_bytes(LLAMA3.replace("{1,3}", "")), decoder=decoders.ByteLevel(), added=MARKS, train=BYTES),
    "gpt4o": lambda: bpe(pre=by_bytes(GPT4O), decoder=decoders.ByteLevel(), train=BYTES),
    "odd_pattern": lambda: bpe(pre=by_bytes(ODD), decoder=decoders.ByteLevel(), train=BYTES),
    "smollm": lambda: bpe(pre=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), decoder=decoders.ByteLevel(), train=BYTES),
    "llama2": lambda: bpe(normalizer=SPM(), decoder=SPM_DECODER(), unk_token="<unk>", fuse_unk=True, byte_fallback=True, train=FALLBACK, added=MARKS[:3], post=template("<s> $A", "<s> $A <s> $B", ["<s>"])),
    "gemma": lambda: bpe(normalizer=normalizers.Replace(" ", "▁"), pre=pre_tokenizers.Split(" ", "merged_with_previous"), decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
                         unk_token="<unk>", fuse_unk=True, byte_fallback=True, train=FALLBACK),
    "mistral": lambda: bpe(pre=pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoder=SPM_DECODER(), unk_token="<unk>", fuse_unk=True, byte_fallback=True, train=FALLBACK, added=MARKS[:3]),
    "clip": lambda: bpe(normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]), pre=pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.BPEDecoder("</w>"),
                        unk_token="<unk>", end_of_word_suffix="</w>", train=dict(BYTES, special_tokens=["<unk>"], end_of_word_suffix="</w>")),
    "parts": lambda: bpe(pre=pre_tokenizers.Whitespace(), unk_token="<unk>", fuse_unk=False, continuing_subword_prefix="##", train=dict(special_tokens=["<unk>"], continuing_subword_prefix="##")),
    "bert": lambda: wordpiece(normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
    "bert_cased": lambda: wordpiece(normalizers.BertNormalizer(lowercase=False, strip_accents=True, clean_text=False), pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_next")]), max_input_chars_per_word=12),
    "t5": lambda: unigram(normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(True, False)]), "always"),
    "unigram_bytes": lambda: unigram(normalizers.NFKD(), "never", bytes=True),
    "unigram_first": lambda: unigram(normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip(True, True)]), "first"),
    "whitespace": lambda: steps(pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])),
    "delimiter": lambda: steps(pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("-"), pre_tokenizers.Split(Regex("[a-f]+"), "contiguous"), pre_tokenizers.Split("e", "removed", invert=False)])),
    "behaviours": lambda: steps(pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split(Regex("l|o"), "merged_with_previous"), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Split(Regex(r"\w+"), "removed", invert=True)])),
}


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
