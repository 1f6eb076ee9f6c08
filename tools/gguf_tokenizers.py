#!/usr/bin/env python3
"""Rebuilds tokenizer.json files from the vocabularies of llama.cpp (models/ggml-vocab-*.gguf in the source package of llama-cpp-python on PyPI).

usage: gguf_tokenizers.py MODELS OUT      writes OUT/NAME/tokenizer.json and, where there are test vectors, OUT/NAME/vectors.json
Needs: gguf, numpy. What a GGUF file leaves out (patterns, normalizers, decoders) are facts about the families, as their tokenizer.json files state them."""
import base64, glob, json, os, sys
import gguf

S = lambda pattern, behavior="Isolated", invert=False: {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
BYTES = lambda regex, prefix=False: {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
DIGITS = {"type": "Digits", "individual_digits": True}
SUFFIXES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = SUFFIXES + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = SUFFIXES + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
PRE = {
    "llama-bpe": [S(LLAMA3), BYTES(False)], "qwen2": [S(QWEN2), BYTES(False)], "qwen35": [S(QWEN35), BYTES(False)], "gpt-2": [BYTES(True)], "mpt": [BYTES(True)],
    "starcoder": [DIGITS, BYTES(True)], "refact": [DIGITS, BYTES(True)], "command-r": [DIGITS, BYTES(True)],
    "falcon": [{"type": "Punctuation", "behavior": "Contiguous"}, BYTES(True), dict(DIGITS, individual_digits=False), S("[0-9][0-9][0-9]")],
    "deepseek-coder": [S("[\r\n]"), S(r"\s?\p{L}+"), S(r"\s?\p{P}+"), S("[一-龥ࠀ-一가-퟿]+"), DIGITS, BYTES(False)],
    "deepseek-llm": [S("[\r\n]"), S(rf"\s?[{LETTERS}]+"), S("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), S(r"\s+$"), S("[一-龥ࠀ-一가-퟿]+"), DIGITS, BYTES(False)],
}
NFC = {"qwen2", "command-r"}
REPLACE = lambda a, b: {"type": "Replace", "pattern": {"String": a}, "content": b}


def sentencepiece_merges(tokens, scores):
    """The merges that a SentencePiece BPE vocabulary stands for: every way to make a token of two, by the token's score."""
    ids, found = {token: i for i, token in enumerate(tokens)}, []
    for token, score in zip(tokens, scores):
        local = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ids and token[i:] in ids]
        found += [(-score, ids[a], ids[b], a, b) for a, b in local]
    return [[a, b] for *_, a, b in sorted(found, key=lambda merge: merge[:3])]


def rebuilt(name, path):
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["tokenizer.ggml." + key].contents() if "tokenizer.ggml." + key in reader.fields else None
    model, pre, tokens, types = field("model"), field("pre"), field("tokens"), field("token_type")
    control = [i for i, kind in enumerate(types) if kind == 3]
    user = [i for i, kind in enumerate(types) if kind == 4]
    token = lambda i, special: dict(id=i, content=tokens[i], single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    out = dict(version="1.0", truncation=None, padding=None, added_tokens=[token(i, i in set(control)) for i in sorted(control + user)],
               normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None)
    vocab = {text: i for i, text in enumerate(tokens)}
    if model == "bert":
        # llama.cpp stores words with a mark in front and parts without the ##.
        names = [text[1:] if text.startswith("▁") else text if i in control or text.startswith("[") and text.endswith("]") and len(text) > 2 else "##" + text for i, text in enumerate(tokens)]
        vocab = {text: i for i, text in enumerate(names)}
        out["added_tokens"] = [dict(token(vocab[t], True), content=t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
        out.update(normalizer=dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True), pre_tokenizer={"type": "BertPreTokenizer"},
                   post_processor={"type": "BertProcessing", "cls": ["[CLS]", vocab["[CLS]"]], "sep": ["[SEP]", vocab["[SEP]"]]},
                   decoder=dict(type="WordPiece", prefix="##", cleanup=True),
                   model=dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=100, vocab=vocab))
    elif model in ("llama", "gemma4"):
        spm = model == "llama"
        merges = sentencepiece_merges(tokens, field("scores")) if spm else [merge.split(" ", 1) for merge in field("merges")]
        out.update(normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, REPLACE(" ", "▁")]} if spm else REPLACE(" ", "▁"),
                   pre_tokenizer=None if spm else {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
                   decoder={"type": "Sequence", "decoders": [REPLACE("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}] + ([dict(type="Strip", content=" ", start=1, stop=0)] if spm else [])},
                   model=dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True, byte_fallback=True, ignore_merges=False,
                              vocab=vocab, merges=merges))
    elif model == "t5":
        rules = dict(type="Precompiled", precompiled_charsmap=base64.b64encode(bytes(field("precompiled_charsmap"))).decode())
        out.update(normalizer={"type": "Sequence", "normalizers": [rules, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
                   pre_tokenizer=dict(type="Metaspace", replacement="▁", prepend_scheme="always", split=True), decoder=dict(type="Metaspace", replacement="▁", prepend_scheme="always", split=True),
                   model=dict(type="Unigram", unk_id=field("unknown_token_id"), byte_fallback=False, vocab=[[t, float(s)] for t, s in zip(tokens, field("scores"))]))
    elif pre in PRE:
        steps = PRE[pre]
        out.update(normalizer={"type": "NFC"} if pre in NFC else None, pre_tokenizer=steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}, decoder=BYTES(True),
                   model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                              ignore_merges=pre == "llama-bpe", vocab=vocab, merges=[merge.split(" ") for merge in field("merges")]))
    else: return None
    return out


def main():
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "ggml-vocab-*.gguf"))):
        name = os.path.basename(path)[len("ggml-vocab-"):-len(".gguf")]
        out = rebuilt(name, path)
        if out is None:
            print(f"{name}: left out, its file does not say how it splits text")
            continue
        folder = os.path.join(sys.argv[2], name)
        os.makedirs(folder, exist_ok=True)
        json.dump(out, open(os.path.join(folder, "tokenizer.json"), "w"), ensure_ascii=False)
        if os.path.exists(path + ".inp"):
            texts = open(path + ".inp", encoding="utf-8").read().split("\n__ggml_vocab_test__\n")
            ids = [[int(x) for x in line.split()] for line in open(path + ".out").read().split("\n")]
            json.dump([[text, row] for text, row in zip(texts, ids)], open(os.path.join(folder, "vectors.json"), "w"), ensure_ascii=False)
        print(name, len(out["added_tokens"]), "added tokens")


if __name__ == "__main__": main()
