#!/usr/bin/env python3
"""Compile a sentence encoder and find the sentences that answer a question; compile a language model and let it write; say how long it took.

    python3 tools/demo.py GLMC FOLDER      FOLDER holds minilm/ and smollm2.gguf, from fetch_models.py
"""
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import glmc

SENTENCES = [
    "The mitochondria produce most of the chemical energy of a cell.",
    "A compiler turns source code into machine instructions.",
    "Knead the dough for ten minutes and let it rise overnight.",
    "The river froze so hard that winter that carts drove across it.",
    "Interest rates were raised to slow down inflation.",
    "Violins are tuned in fifths, guitars mostly in fourths.",
]
QUESTIONS = ["How do programs become something that a processor can run?", "What should I do before baking bread?", "Which part of a cell gives it power?"]


class WordPieces:
    """BERT's tokenizer for plain text: lower case, no accents, longest known pieces first."""

    def __init__(self, vocabulary):
        self.ids = {word: number for number, word in enumerate(vocabulary.read_text(encoding="utf-8").split("\n"))}

    def words(self, text):
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        return "".join(c if c.isalnum() else f" {c} " for c in text).split()

    def pieces(self, word):
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    found.append(self.ids[piece])
                    start = end
                    break
            else:
                return [self.ids["[UNK]"]]
        return found

    def __call__(self, text):
        return [self.ids["[CLS]"], *(piece for word in self.words(text) for piece in self.pieces(word)), self.ids["[SEP]"]]


def encode(session, tokenizer, texts):
    """Unit vectors, one per text, all in one batch."""
    tokens = [tokenizer(text) for text in texts]
    ids = np.zeros((len(texts), max(map(len, tokens))), np.int64)
    mask = np.zeros_like(ids)
    for row, line in enumerate(tokens):
        ids[row, : len(line)], mask[row, : len(line)] = line, 1
    hidden, = session.run({"input_ids": ids, "token_type_ids": np.zeros_like(ids), "attention_mask": mask})[:1]
    mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def compile_model(program, model, output, flags):
    start = time.perf_counter()
    subprocess.run([program, "compile", str(model), "-O3", "-o", str(output), *flags], check=True)
    return time.perf_counter() - start


def show(path, seconds, tokenizer, reference):
    start = time.perf_counter()
    with glmc.load(path).session() as session:
        encode(session, tokenizer, QUESTIONS[:1])
        first = time.perf_counter() - start
        times = []
        for _ in range(10):
            start = time.perf_counter()
            answers = encode(session, tokenizer, QUESTIONS)
            times.append(time.perf_counter() - start)
        known = encode(session, tokenizer, SENTENCES)
    print(f"\n{path.name}: {path.stat().st_size / 1e6:.1f} MB, compiled in {seconds:.1f} s, loaded and run once in {first * 1e3:.0f} ms, "
          f"{len(QUESTIONS)} questions in {min(times) * 1e3:.1f} ms")
    for question, row in zip(QUESTIONS, answers @ known.T):
        print(f"  {question}\n    {row.max():.2f}  {SENTENCES[int(row.argmax())]}")
    if reference is not None:
        print(f"  cosine with the fp32 artifact: {(answers * reference).sum(1).min():.4f} at least")
    return answers


def write(program, folder):
    """Lets a language model go on with a text."""
    artifact = folder / "smollm2.so"
    seconds = compile_model(program, folder / "smollm2.gguf", artifact, ["--int4", "--context", "1024"])
    print(f"\n{artifact.name}: {artifact.stat().st_size / 1e6:.1f} MB with its tokenizer, compiled in {seconds:.1f} s; it writes:\n", flush=True)
    subprocess.run([program, "generate", str(artifact), "--prompt", "The nice thing about small programs is that", "--max-new", "48"], check=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, folder = sys.argv[1], Path(sys.argv[2])
    tokenizer = WordPieces(folder / "minilm" / "vocab.txt")
    variants = [("minilm.so", [])]
    if "--int8" in subprocess.run([program, "help", "compile"], capture_output=True, text=True).stdout:
        variants.append(("minilm-int8.so", ["--int8"]))
    reference = None
    for name, flags in variants:
        seconds = compile_model(program, folder / "minilm", folder / name, flags)
        answers = show(folder / name, seconds, tokenizer, reference)
        reference = answers if reference is None else reference
    write(program, folder)


if __name__ == "__main__":
    main()
