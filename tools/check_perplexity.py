#!/usr/bin/env python3
"""Compares `glmc perplexity` with transformers, in fp32, over the same windows of the same text.

    python3 tools/check_perplexity.py GLMC FOLDER [--text FILE] [--tokens 20000] [--window 512] [--artifact FILE.so]

FOLDER is a decoder from Hugging Face with its tokenizer; --artifact is one that is compiled from it already. FILE's beginning is read, as far as it has that many
tokens; without it, the licenses of Debian are. Needs torch, tokenizers and transformers. The exit status is 1 when the tokens differ, or the perplexities by more than 1e-4 of
themselves."""
import argparse
import glob
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

LIMIT = 1e-4


def likelihood(folder, tokens, window):
    """The sum of negative logarithmic likelihoods (natural), and of how many tokens: every window of `window` tokens is read from its beginning, and all of
    its tokens but the first are predicted."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for start in range(0, len(tokens) - 1, window):
        part = torch.tensor(tokens[start : start + window])
        with torch.no_grad():
            logits = model(part[None]).logits[0, :-1].double()
        total += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").item()
        count += len(part) - 1
    return total, count


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("folder")
    options.add_argument("--text")
    options.add_argument("--tokens", type=int, default=20_000)
    options.add_argument("--window", type=int, default=512)
    options.add_argument("--artifact")
    options = options.parse_args()
    text = Path(options.text).read_text() if options.text else "\n".join(Path(path).read_text() for path in sorted(glob.glob("/usr/share/common-licenses/*")) if not Path(path).is_symlink())
    # Not transformers' AutoTokenizer, which puts the steps of a class of its own in place of the file's.
    tokenizer = Tokenizer.from_file(str(Path(options.folder) / "tokenizer.json"))
    ends = tokenizer.encode(text).offsets
    text = text[: ends[min(options.tokens, len(ends)) - 1][1]]
    tokens = tokenizer.encode(text).ids
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "text"
        file.write_text(text)

        def glmc(*words):
            return json.loads(subprocess.run([options.program, *map(str, words), "--json"], check=True, stdout=subprocess.PIPE).stdout)

        if glmc("tokenize", options.folder, "--file", file)["tokens"] != tokens:
            print("the tokens differ")
            return 1
        mine = glmc("perplexity", options.artifact or options.folder, "--text", file, "--window", options.window)
    total, count = likelihood(options.folder, tokens, options.window)
    theirs = math.exp(total / count)
    error = abs(mine["perplexity"] / theirs - 1)
    right = mine["tokens"] == count and error <= LIMIT
    print(f"{len(tokens)} tokens, {count} predicted: glmc {mine['perplexity']:.6f} ({mine['nll']:.4f}), transformers {theirs:.6f} ({total:.4f}), apart by {error:.1e}: {'ok' if right else 'WRONG'}")
    return not right


if __name__ == "__main__":
    sys.exit(main())
