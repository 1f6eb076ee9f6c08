#!/usr/bin/env python3
"""Compile GGUF files and compare with what llama.cpp's own Python packages make of the same models.

    PYTHONPATH=LLAMA_CPP/gguf-py python3 tools/check_gguf.py GLMC LLAMA_CPP [--tiny ROOT] [--only models|types|tokenizers]

LLAMA_CPP is the source of llama.cpp (`vendor/llama.cpp` in the source package of llama-cpp-python on PyPI). Needs torch, transformers and safetensors.
Models: the folders of ROOT (see check_decoders.py) are converted by llama.cpp's converter; their logits are recorded, or, where GGUF files cannot say all of a
configuration, those of the folder with what they say.
Types: a LLaMA whose matrices are random blocks of each of ggml's types must have the logits of one that holds, as F32, what the package gguf reads from them.
Tokenizers: the vocabularies beside llama.cpp's tests must give the recorded tokens.
The exit status is 1 when a relative L2 error exceeds 1e-5, a token differs, or a file does not compile."""
import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc

LIMIT = 1e-5
TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "F16", "BF16"]
MAGNITUDE = 0.02  # what a weight is about
# Where the 16-bit floats of a block lie.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def compiled(program, model, artifact, *flags):
    done = subprocess.run([program, "compile", str(model), "-o", str(artifact), *flags], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()[-400:]}")
    return glmc.load(str(artifact))


def distance(mine, expected):
    return float(np.linalg.norm(mine.astype(np.float64) - expected) / np.linalg.norm(expected.astype(np.float64)))


# What GGUF files of an architecture cannot say, and what they stand for.
UNSAID = {
    "gemma2": lambda config: dict(query_pre_attn_scalar=config["head_dim"]),
    "gemma3_text": lambda config: dict(query_pre_attn_scalar=config["head_dim"], sliding_window_pattern=6, layer_types=None),
    "glm": lambda config: dict(rms_norm_eps=1e-5),
    "smollm3": lambda config: dict(no_rope_layer_interval=4, no_rope_layers=None),
    "mistral": lambda config: dict(sliding_window=None),
    "gpt2": lambda config: dict(n_ctx=config["n_positions"]),
}


def settled(folder, copy):
    """A copy of a folder that a GGUF file can hold; whether that computes the same."""
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    changes = UNSAID.get(config["model_type"], lambda config: {})(config)
    (copy / "config.json").write_text(json.dumps({key: value for key, value in {**config, **changes}.items() if value is not None}))
    return all(config.get(key, value) == value for key, value in changes.items())


def converted(source, folder, file):
    """Converts a folder without a tokenizer, by llama.cpp's converter."""
    sys.path.insert(0, str(source))
    logging.disable(logging.WARNING)
    import conversion
    from conversion.base import ModelBase, ModelType
    hparams = ModelBase.load_hparams(folder, False)
    kind = conversion.get_model_class(conversion.get_model_architecture(hparams, ModelType.TEXT))

    class Bare(kind):
        model_arch = kind.model_arch

        def set_vocab(self):
            pass

    Bare.__name__ = kind.__name__
    # Some converters count the tokens.
    tokens = folder / "tokenizer.json"
    tokens.write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(hparams.get("vocab_size", 0))}}, "added_tokens": []}))
    Bare(folder, gguf.LlamaFileType.ALL_F32, file, eager=True).write()
    tokens.unlink()


def check_models(options, work):
    for folder in sorted(path for path in options.tiny.iterdir() if (path / "config.json").exists()):
        file, copy = work / f"{folder.name}.gguf", work / folder.name
        same = settled(folder, copy)
        try:
            converted(options.source, copy, file)
        except NotImplementedError as problem:
            yield True, f"{folder.name}: left out, llama.cpp does not convert it: {problem}"
            continue
        golden = np.load(folder / "golden.npz")
        tokens = golden["ids"].astype(np.int64).reshape(1, -1)
        try:
            expected = golden["logits"] if same else compiled(options.program, copy, work / "r.so", "--no-tokenizer")(tokens)[0][0]
            error = distance(compiled(options.program, file, work / "m.so", "--no-tokenizer")(tokens)[0][0], expected)
            yield error <= LIMIT, f"{folder.name}: {error:.1e}{'' if same else ', of what a GGUF file can say'}"
        except RuntimeError as problem:
            yield "architecture" in str(problem), f"{folder.name}: {problem}"


def blocks(rng, kind, rows, columns):
    """Random blocks of a type, about as large as weights are; what the package reads from them."""
    if kind in ("F16", "BF16"):
        packed = gguf.quants.quantize(rng.normal(scale=MAGNITUDE, size=(rows, columns)).astype(np.float32), gguf.GGMLQuantizationType[kind])
    else:
        count, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        packed = rng.integers(0, 256, (rows, columns // count, size), dtype=np.uint8)
        for place in SCALES[kind]:
            largest = MAGNITUDE / (1000 if kind.endswith("_K") or kind == "IQ4_XS" else 100 if kind in ("Q8_0", "IQ4_NL") else 10)
            values = rng.uniform(-largest, largest, packed.shape[:2]).astype(np.float16)
            packed[..., place : place + 2] = values[..., None].view(np.uint8)
        packed = packed.reshape(rows, -1)
    return packed, gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[kind])


def llama(file, tensors, heads=4, width=256, inner=512, layers=2):
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_block_count(layers), writer.add_context_length(128), writer.add_embedding_length(width), writer.add_feed_forward_length(inner)
    writer.add_head_count(heads), writer.add_head_count_kv(heads // 2), writer.add_layer_norm_rms_eps(1e-5), writer.add_rope_dimension_count(width // heads)
    for name, (values, kind) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=None if kind is None else gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


def check_types(options, work):
    rng = np.random.default_rng(7)
    shapes = {"token_embd": (96, 256), "output": (96, 256)}
    for i in range(2):
        shapes |= {f"blk.{i}.{name}": shape for name, shape in dict(attn_q=(256, 256), attn_k=(128, 256), attn_v=(128, 256), attn_output=(256, 256), ffn_gate=(512, 256), ffn_up=(512, 256),
                                                                     ffn_down=(256, 512)).items()}
    norms = {f"{name}.weight": (rng.uniform(0.5, 1.5, 256).astype(np.float32), None) for name in ["output_norm"] + [f"blk.{i}.{part}_norm" for i in range(2) for part in ("attn", "ffn")]}
    tokens = rng.integers(0, 96, (1, 20))
    for kind in TYPES:
        for tied in (False, True):
            own, plain = dict(norms), dict(norms)
            for name, shape in shapes.items():
                if tied and name == "output":
                    continue
                packed, values = blocks(rng, kind, *shape)
                own[f"{name}.weight"], plain[f"{name}.weight"] = (packed, kind), (values, None)
            llama(work / "own.gguf", own), llama(work / "plain.gguf", plain)
            try:
                mine, = compiled(options.program, work / "own.gguf", work / "own.so", "--no-tokenizer")(tokens)
                expected, = compiled(options.program, work / "plain.gguf", work / "plain.so", "--no-tokenizer")(tokens)
                error = distance(mine, expected)
                yield error <= LIMIT, f"{kind}{', tied' if tied else ''}: {error:.1e}"
            except RuntimeError as problem:
                yield False, f"{kind}: {problem}"


def check_tokenizers(options, work):
    for file in sorted((options.source / "models").glob("ggml-vocab-*.gguf")):
        if not Path(f"{file}.inp").exists():
            continue
        texts = Path(f"{file}.inp").read_text().split("\n__ggml_vocab_test__\n")
        rows = [[int(x) for x in line.split()] for line in Path(f"{file}.out").read_text().split("\n")]
        bad, message = 0, ""
        for text, row in zip(texts, rows):
            (work / "text").write_text(text)
            done = subprocess.run([options.program, "tokenize", str(file), "--file", str(work / "text"), "--plain", "--json"], capture_output=True, text=True)
            if done.returncode:
                message = done.stderr.strip()[:200]
                break
            bad += json.loads(done.stdout)["tokens"] != row
        if message and "is not supported" in message:
            yield True, f"{file.stem}: left out, {message}"
        else:
            yield not message and not bad, f"{file.stem}: {message or f'{len(rows)} texts, {bad} differ'}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("source", type=Path)
    options.add_argument("--tiny", type=Path)
    options.add_argument("--only", choices=["models", "types", "tokenizers"])
    options = options.parse_args()
    checks = {"types": check_types, "tokenizers": check_tokenizers, **({"models": check_models} if options.tiny else {})}
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        for name, check in checks.items():
            if options.only in (None, name):
                for right, text in check(options, Path(work)):
                    wrong += not right
                    print("ok  " if right else "BAD ", text, flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
