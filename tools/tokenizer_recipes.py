"""Tokenizers of every kind, trained on a text: what tools/make_tokenizer_cases.py and tools/check_tokenizers.py are about. Needs: tokenizers."""
import json
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["The quick brown fox jumps over the lazy dog. It's 1234567 times, isn't it?", "Don't stop; we'll go there, they've said so!", "naïve café Straße, привет мир, 你好世界, 안녕하세요, नमस्ते",
          "def f(x):\n    return x + 1  # comment\r\n\n\n", "hello hello world world low lower lowest newer newest wider widest"] * 4


def bpe(normalizer=None, pre=None, decoder=None, post=None, added=(), train=None, corpus=CORPUS, size=420, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer: tokenizer.normalizer = normalizer
    if pre: tokenizer.pre_tokenizer = pre
    if decoder: tokenizer.decoder = decoder
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, show_progress=False, **(train or {})))
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


def wordpiece(normalizer, pre, corpus=CORPUS, size=300, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre, decoders.WordPiece()
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    finish(tokenizer, lambda id: processors.BertProcessing(("[SEP]", id("[SEP]")), ("[CLS]", id("[CLS]"))), [])
    return tokenizer


def unigram(normalizer, scheme, bytes=False, corpus=CORPUS, size=240):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizers.Metaspace(prepend_scheme=scheme), decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.train_from_iterator(corpus, trainers.UnigramTrainer(vocab_size=size, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "</s>"]))
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


# Like the tokenizers of whole families: the same steps, special tokens and frames, vocabularies of thousands.

plain = lambda content: AddedToken(content, normalized=False)
turns = lambda text: [special(content) for content in text.split()]
reserved = lambda count: [special(f"<|reserved_special_token_{number}|>") for number in range(count)]
latin = lambda corpus: [line for line in corpus if max(line, default="") < "\u0250"]  # every character of a text becomes a token of a Unigram vocabulary
FAMILIES = {
    "smollm2": lambda corpus: bpe(pre=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), decoder=decoders.ByteLevel(), corpus=corpus, size=16000,
                                  train=dict(BYTES, special_tokens=turns("<|endoftext|> <|im_start|> <|im_end|> <repo_name> <reponame> <file_sep> <filename> <gh_stars> <issue_start> <empty_output>"))),
    "llama3": lambda corpus: bpe(pre=by_bytes(LLAMA3), decoder=decoders.ByteLevel(), train=BYTES, ignore_merges=True, corpus=corpus, size=32000,
                                 added=turns("<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eom_id|> <|eot_id|> <|python_tag|>") + reserved(248),
                                 post=lambda id: processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", ["<|begin_of_text|>"])(id)])),
    "qwen3": lambda corpus: bpe(normalizer=normalizers.NFC(), pre=by_bytes(LLAMA3.replace("{1,3}", "")), decoder=decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False), train=BYTES, corpus=corpus, size=24000,
                                added=turns("<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|box_end|> <|vision_pad|> <|image_pad|>")
                                + [plain(content) for content in "<tool_call> </tool_call> <|fim_prefix|> <|repo_name|> <tool_response> </tool_response> <think> </think>".split()],
                                post=lambda id: processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)),
    "gemma3": lambda corpus: bpe(normalizer=normalizers.Replace(" ", "▁"), pre=pre_tokenizers.Split(" ", "merged_with_previous"), corpus=corpus, size=32000, unk_token="<unk>", fuse_unk=True, byte_fallback=True,
                                 decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]), train=FALLBACK, post=template("<bos> $A", "<bos> $A <bos>:1 $B:1", ["<bos>"]),
                                 added=turns("<pad> <eos> <bos> <unk> <mask> <start_of_turn> <end_of_turn> <start_of_image>") + [plain("\n" * count) for count in range(2, 32)] + [plain("▁" * count) for count in range(2, 32)]
                                 + [plain(content) for content in ("[multimodal]", "<table>", "<tr>", "</td>", "<h1>", "<blockquote>", "<strong>")]),
    "llama2": lambda corpus: bpe(normalizer=SPM(), decoder=SPM_DECODER(), corpus=corpus, size=16000, unk_token="<unk>", fuse_unk=True, byte_fallback=True, train=FALLBACK, added=turns("<unk> <s> </s>"),
                                 post=template("<s> $A", "<s> $A <s>:1 $B:1", ["<s>"])),
    "mistral": lambda corpus: bpe(pre=pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoder=SPM_DECODER(), corpus=corpus, size=16000, unk_token="<unk>", fuse_unk=True, byte_fallback=True, train=FALLBACK,
                                  added=turns("<unk> <s> </s> [INST] [/INST] [TOOL_CALLS] [AVAILABLE_TOOLS]"), post=template("<s> $A", "<s> $A <s>:1 $B:1", ["<s>"])),
    "bert": lambda corpus: wordpiece(normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), corpus=corpus, size=24000),
    "bert-cased": lambda corpus: wordpiece(normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer(), corpus=corpus, size=16000),
    "t5": lambda corpus: unigram(normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]), "always", corpus=latin(corpus), size=8000),
    "unigram-bytes": lambda corpus: unigram(normalizers.NFKC(), "first", bytes=True, corpus=latin(corpus), size=8000),
}


# Tokenizers that no family has: every setting drawn.

CONTENTS = ["<s>", "</s>", "<s", "<mask>", "mask", " mask", "the", "The", "a", "1", "é", "e\u0301", "ＡＢ", "\n\n", "  ", " ", "▁", "▁▁", "Ġ", "[SEP]", "##s", "<0x41>", "don't", "!", "你好", "\u200d", "ß", "İ", "a b", "<|x|>", "𝔸"]
PATTERNS = [LLAMA3, LLAMA3.replace("{1,3}", ""), GPT4O, ODD, r"\s+", r"\w+", r"[^\s\p{P}]+", r"\p{Han}+|\p{L}\p{M}*", r"(?i:the|an?)\b", r"a|aa|aaa", r"x*", r"\d{3}(?=\d)", r"[^\n]+\n?", r"\p{Lu}?\p{Ll}+|.", r"(ab)+c?", r"\S+\s*$"]
BEHAVIOURS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def drawn(rng):
    """A tokenizer with settings drawn by `rng`, of a small vocabulary."""
    flip = lambda share=.5: rng.random() < share
    pattern = lambda: Regex(rng.choice(PATTERNS)) if flip(.7) else rng.choice([" ", "e", "the", "--", "\n", "▁", "é"])
    scheme = lambda: rng.choice(["always", "never", "first"])
    normal = [normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase, normalizers.StripAccents, normalizers.ByteLevel, lambda: normalizers.Strip(flip(), flip()),
              lambda: normalizers.Replace(pattern(), rng.choice(["", " ", "▁", "aé", "$0"])), lambda: normalizers.Prepend(rng.choice(["▁", " ", "ab"])), lambda: normalizers.BertNormalizer(flip(), flip(), strip_accents=rng.choice([None, True, False]), lowercase=flip())]
    splits = [lambda: pre_tokenizers.ByteLevel(add_prefix_space=flip(), use_regex=flip()), lambda: pre_tokenizers.Split(pattern(), rng.choice(BEHAVIOURS), flip(.3)), lambda: pre_tokenizers.Digits(flip()),
              lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIOURS)), pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit, pre_tokenizers.BertPreTokenizer, lambda: pre_tokenizers.CharDelimiterSplit(rng.choice("- e▁")),
              lambda: pre_tokenizers.Metaspace(rng.choice("▁_"), scheme(), flip(.7))]
    joins = [decoders.ByteLevel, decoders.ByteFallback, decoders.Fuse, lambda: decoders.Replace(pattern(), rng.choice(["", " ", "x"])), lambda: decoders.Strip(rng.choice(" ▁a"), rng.randint(0, 2), rng.randint(0, 2)),
             lambda: decoders.Metaspace(rng.choice("▁_"), scheme()), lambda: decoders.WordPiece(rng.choice(["##", "x"]), flip()), lambda: decoders.BPEDecoder(rng.choice(["</w>", "e"]))]
    some = lambda makers, most: [rng.choice(makers)() for _ in range(rng.randint(1, most))]
    one = lambda sequence, parts: parts[0] if len(parts) == 1 and flip() else sequence(parts)
    kind, unknown, size = rng.choice(["bpe", "bpe", "bpe", "wordpiece", "unigram", "words"]), ["[UNK]"], rng.randint(150, 500)
    fallback = [f"<0x{byte:02X}>" for byte in range(256 if flip(.8) else 128)] if flip(.4) else []
    if kind == "bpe":
        prefix, suffix = rng.choice([None, None, "##", "@"]), rng.choice([None, None, "</w>"])
        affixes = {key: value for key, value in (("continuing_subword_prefix", prefix), ("end_of_word_suffix", suffix)) if value}
        model = models.BPE(fuse_unk=flip(), byte_fallback=flip(), ignore_merges=flip(), **affixes, **({"unk_token": "[UNK]"} if flip() else {}))
        trainer = trainers.BpeTrainer(vocab_size=size + len(fallback), show_progress=False, special_tokens=unknown + fallback, initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if flip() else [],
                                      **affixes)
    elif kind == "wordpiece":
        prefix = rng.choice(["##", "@@"])
        model = models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=rng.choice([5, 20, 100]), continuing_subword_prefix=prefix)
        trainer = trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=unknown, continuing_subword_prefix=prefix)
    elif kind == "unigram":
        model, trainer = models.Unigram(), trainers.UnigramTrainer(vocab_size=size, show_progress=False, unk_token="[UNK]", special_tokens=unknown)
    else: model, trainer = models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(vocab_size=size, show_progress=False, special_tokens=unknown)
    tokenizer = Tokenizer(model)
    if flip(.7): tokenizer.normalizer = one(normalizers.Sequence, some(normal, 3))
    if flip(.85): tokenizer.pre_tokenizer = one(pre_tokenizers.Sequence, some(splits, 3))
    if flip(.85): tokenizer.decoder = one(decoders.Sequence, some(joins, 4))
    tokenizer.train_from_iterator(CORPUS + CONTENTS, trainer)

    def bytes_too(data):
        data["model"]["vocab"] += [[text, -15.0 - number / 300] for number, text in enumerate(fallback)]
        data["model"]["byte_fallback"] = bool(fallback)
    if kind == "unigram": tokenizer = edited(tokenizer, bytes_too)
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    looked_for = {""}
    for content in rng.sample(CONTENTS, rng.randint(0, 8)):
        # Of tokens that a normalizer makes the same, tokenizers finds any one.
        normalized = flip() and normalize(content) not in looked_for
        if normalized: looked_for.add(normalize(content))
        # Special tokens that a normalizer changes are printed by tokenizers where special ones are left out.
        tokenizer.add_tokens([AddedToken(content, single_word=flip(.3), lstrip=flip(.3), rstrip=flip(.3), normalized=normalized, special=flip(.4) and (normalize is str or not normalized))])
    tokenizer.add_tokens([special("<A>"), special("<B>")])
    pair = lambda name: (name, tokenizer.token_to_id(name))
    frames = [lambda: processors.BertProcessing(pair("<B>"), pair("<A>")), lambda: processors.RobertaProcessing(pair("<B>"), pair("<A>"), add_prefix_space=flip()), processors.ByteLevel,
              lambda: processors.TemplateProcessing(single=rng.choice(["$A", "<A> $A", "<A> $A:1 <B>:2"]), pair=rng.choice(["$A $B", "<A> $A <B> $B:1", "$B:1 <A>:3 $A"]), special_tokens=[pair("<A>"), pair("<B>")]),
              lambda: processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(single="$A <B>", pair="$A <B> $B:1 <B>:1", special_tokens=[pair("<B>")])])]
    if flip(.7): tokenizer.post_processor = rng.choice(frames)()
    return tokenizer
