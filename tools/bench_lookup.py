#!/usr/bin/env python3
"""How much faster a language model continues with guesses from its prompt (`--lookup`): on a prompt that asks for a file again, and on fresh text.

    python3 tools/bench_lookup.py GLMC ART [--threads N] [--rounds N]

Prints tokens per second without guesses and with 3, 7 and 15, best of the rounds, which take turns, and how many tokens came at a step."""
import argparse
import json
import subprocess

FUNCTION = '''def {name}(a, b):
    """Return the {what} of a and b."""
    result = a {sign} b
    return result
'''
FILE = "\n\n".join(FUNCTION.format(name=n, what=w, sign=s) for n, w, s in [("add", "sum", "+"), ("subtract", "difference", "-"), ("multiply", "product", "*"), ("divide", "quotient", "/")])
PROMPTS = {
    "a file again": f"Here is a Python file:\n\n{FILE}\n\nThe same file again, with nothing changed:\n\n{FILE[:40]}",
    "fresh text": "Once upon a time in a small village by the sea, there lived an old fisherman who",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("artifact")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    for name, prompt in PROMPTS.items():
        best = {}
        for guesses in [None, 3, 7, 15] * options.rounds:
            words = [options.glmc, "generate", options.artifact, "--prompt", prompt, "--max-new", "120", "--json", "--threads", options.threads]
            done = subprocess.run(words + ([f"--lookup={guesses}"] if guesses else []), capture_output=True, text=True, check=True)
            figures = json.loads(done.stdout)
            best[guesses] = max(best.get(guesses, (0, 0)), (figures["decode_tokens_per_s"], figures["accepted_per_step"]))
        for guesses, (speed, each) in best.items():
            print(f"{name:14} {guesses or 'no':>3} guesses {speed:7.1f} tokens/s, {speed / best[None][0]:.2f} times, {each:.1f} a step", flush=True)


if __name__ == "__main__":
    main()
