"""Small GGUF files, without the package gguf: decoders that fuzz_files.py damages, and blocks that tests read."""
import random
import struct

TEXT, LIST = 8, 9
FORMATS = {4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q"}
# ggml's number of a type, elements and bytes of a block.
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110),
         "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136), "BF16": (30, 1, 2)}


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def plain(value, kind): return text(value) if kind == TEXT else struct.pack(FORMATS[kind], value)


def typed(value):
    """A value with its type in front: the type follows from Python's."""
    if isinstance(value, list):
        kind = typed(value[0])[0] if value else 4
        return LIST, struct.pack("<IQ", kind, len(value)) + b"".join(plain(v, kind) for v in value)
    kind = {bool: 7, int: 4, float: 6, str: TEXT}[type(value)]
    return kind, plain(value, kind)


def file(values, tensors, alignment=32):
    """`tensors`: name to (type, shape with the innermost axis last, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        kind, data = typed(value)
        head += text(key) + struct.pack("<I", kind) + data
    body = b""
    for name, (kind, shape, data) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", TYPES[kind][0], len(body))
        body += data + bytes(-len(data) % alignment)
    return head + bytes(-len(head) % alignment) + body


def matrix(source, kind, shape):
    """Random blocks of a type; 16-bit floats where they begin with one, so that most numbers are small."""
    _, count, size = TYPES[kind]
    total = 1
    for n in shape: total *= n
    if kind == "F32": return kind, shape, struct.pack(f"<{total}f", *(source.gauss(0, 0.1) for _ in range(total)))
    return kind, shape, b"".join((struct.pack("<e", source.uniform(-0.01, 0.01)) + source.randbytes(size))[:size] for _ in range(total // count))


def decoder(source, kind="Q4_0", architecture="llama", width=32, inner=32, layers=1, tied=True):
    """The file of a decoder of two heads with one key head, with a tokenizer."""
    letters = [chr(c) for c in range(33, 127)] + ["Ġ", "ab", "<s>", "</s>"]
    vocabulary = len(letters)
    spm = source.random() < 0.4
    values = {"general.architecture": architecture, "general.alignment": 32, **{f"{architecture}.{key}": value for key, value in {
        "block_count": layers, "context_length": 64, "embedding_length": width, "feed_forward_length": inner, "attention.head_count": 2, "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0, "rope.dimension_count": width // 2, "vocab_size": vocabulary}.items()},
        "tokenizer.ggml.model": "llama" if spm else "gpt2", "tokenizer.ggml.tokens": letters, "tokenizer.ggml.token_type": [1] * (vocabulary - 2) + [3, 3],
        "tokenizer.ggml.bos_token_id": vocabulary - 2, "tokenizer.ggml.eos_token_id": vocabulary - 1, "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"}
    values.update({"tokenizer.ggml.scores": [-float(i) for i in range(vocabulary)]} if spm else {"tokenizer.ggml.pre": source.choice(["smollm", "llama-bpe", "qwen2", "gpt-2"]), "tokenizer.ggml.merges": ["a b"]})
    norm = lambda: ("F32", [width], struct.pack(f"<{width}f", *[1.0] * width))
    tensors = {"token_embd.weight": matrix(source, kind, [vocabulary, width]), "output_norm.weight": norm()}
    if not tied: tensors["output.weight"] = matrix(source, kind, [vocabulary, width])
    for layer in range(layers):
        for name, shape in (("attn_q", [width, width]), ("attn_k", [width // 2, width]), ("attn_v", [width // 2, width]), ("attn_output", [width, width]), ("ffn_gate", [inner, width]), ("ffn_up", [inner, width]),
                            ("ffn_down", [width, inner])):
            tensors[f"blk.{layer}.{name}.weight"] = matrix(source, kind, shape)
        for name in ("attn_norm", "ffn_norm"): tensors[f"blk.{layer}.{name}.weight"] = norm()
    return file(values, tensors)


if __name__ == "__main__":
    import sys
    sys.stdout.buffer.write(decoder(random.Random(1), *sys.argv[1:2]))
