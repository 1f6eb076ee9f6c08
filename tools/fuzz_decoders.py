"""Damaged folders and GGUF files of language models, and prompts that no artifact can take: kinds of tools/fuzz_files.py."""
import json
import os
import shutil
from pathlib import Path

import small_decoders
import small_gguf
from mutations import HOSTILE, mutate_bytes, mutate_text, number

TESTS = Path(__file__).resolve().parent.parent / "Tests/FrontendTests"
CONTEXT = 24


def tokenizers():
    return {path.stem: json.dumps(json.loads(path.read_text())["tokenizer"]).encode() for path in sorted((TESTS / "tokenizers").glob("*.json"))}


def templates():
    return [case["template"] for case in json.loads((TESTS / "chat/cases.json").read_text())]


class DecoderKinds:
    """What Worker in fuzz_files.py does with them; `command`, `must`, `data` are its own."""

    def prepare_decoders(self):
        self.tokenizers, self.templates = tokenizers(), templates()
        self.talker, self.teller = self.data + "/talker.so", self.data + "/teller"
        folder = Path(self.data + "/talker")
        small_decoders.write(folder, {**small_decoders.files(vocabulary=512, seed=1), "tokenizer.json": self.tokenizers["smollm"]})
        for output in (self.talker, self.teller): self.must("compile", str(folder), "-o", output, "-O0", "-march=scalar", "--cflag=-O0", "-j1", f"--context={CONTEXT}")

    def healthy(self, r):
        """A folder's files, of any kind of tokenizer; of a family that compiles or one whose configuration alone is whole."""
        make, family = r.choice([small_decoders.files, small_decoders.sharded]), r.choice(["llama", "gemma3"])
        files = make(family, vocabulary=512, width=8, layers=r.choice([1, 2]))
        if r.random() < 0.25: files = small_decoders.quantised(r.choice(list(small_decoders.METHODS)), vocabulary=512, width=16, layers=1)
        if r.random() < 0.3: files["config.json"] = json.dumps(small_decoders.config(r.choice(list(small_decoders.CONFIGS)), vocabulary=512)).encode()
        settings = dict(bos_token="<s>", eos_token=r.choice(["</s>", dict(content="</s>", lstrip=False)]), chat_template=r.choice([r.choice(self.templates), [dict(name="default", template="{{ messages }}")]]))
        return {**files, "tokenizer.json": r.choice(list(self.tokenizers.values())), "tokenizer_config.json": json.dumps(settings).encode(), "generation_config.json": b'{"eos_token_id": [1, 2], "do_sample": true}'}

    def damage(self, r, path, content, other):
        """Damages one file; what was done, where it is no change of its content."""
        kind = r.randrange(14)
        if kind < 6: path.write_bytes(mutate_text(r, content, other))
        elif kind < 8: path.write_bytes(mutate_bytes(r, content, other))
        elif kind == 8 and path.suffix == ".safetensors":
            size = int.from_bytes(content[:8], "little")
            header = mutate_text(r, content[8:8 + size], content[8:8 + size])
            path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size:])
        else:
            path.unlink()
            what = r.choice(["missing", "empty", "folder", "loop", "zeros", "terminal", "dangling", "pipe", "socket", "long", "longer", "tail"])
            if what == "empty": path.touch()
            elif what == "folder": path.mkdir()
            elif what in ("loop", "zeros", "terminal", "dangling"): path.symlink_to({"loop": path, "zeros": "/dev/zero", "terminal": "/dev/tty", "dangling": "nowhere"}[what])
            elif what == "pipe": os.mkfifo(path)
            elif what == "socket": os.mknod(path, 0o140600)
            elif what in ("long", "longer", "tail"):
                path.write_bytes(content if what == "tail" else b"")
                os.truncate(path, {"long": 3 << 30, "longer": 1 << 40, "tail": len(content) + (3 << 30)}[what])
            return f"{path.name}: {what}"

    def do_decoder(self, r):
        folder = Path(self.data + "/decoder")
        shutil.rmtree(folder, True)
        files, done = self.healthy(r), []
        small_decoders.write(folder, files)
        for name in r.sample(list(files), 1 if r.random() < 0.8 else 2):
            done.append(self.damage(r, folder / name, files[name], r.choice(list(files.values()))))
        (folder / "damage").write_text("\n".join(filter(None, done)))
        cheap = ["-O0", "-march=scalar", "--cflag=-O0", "-j1", "--threads=1", "--context=8"]
        words = r.choices([["compile", str(folder), "--dry-run"], ["inspect", str(folder)], ["tokenize", str(folder), "--text", "ab 12"], ["compile", str(folder), "-o", self.data + "/d.c", *cheap[:2]],
                           ["generate", str(folder), "--prompt", "ab", "--max-new", "2", *cheap], ["perplexity", str(folder), "--tokens", self.file("tokens", b"1 2 3"), *cheap]], [50, 5, 15, 25, 2, 2])[0]
        kept = [str(path) for path in folder.iterdir() if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20]
        return kept, words, self.command(*words)

    def do_gguf(self, r):
        kinds = [name for name, (_, count, _) in small_gguf.TYPES.items() if count < 256]
        make = lambda: small_gguf.decoder(r, r.choice(kinds), r.choice(["llama", "qwen2", "gemma", "glm4", "nothing"]) if r.random() < 0.3 else "llama", tied=r.random() < 0.7)
        whole = make()
        # Most of the file are weights, which may hold anything.
        head = whole.rfind(b"ffn_norm") + 100 if r.random() < 0.8 else len(whole)
        path = self.file("f.gguf", mutate_bytes(r, whole[:head], make()) + whole[head:])
        cheap = ["-O0", "-march=scalar", "--cflag=-O0", "-j1", "--threads=1", "--context=8"]
        words = r.choices([["compile", path, "--dry-run"], ["inspect", path], ["tokenize", path, "--text", "ab 12"], ["compile", path, "-o", self.data + "/g.c", *cheap[:2]],
                           ["generate", path, "--prompt", "ab", "--max-new", "2", *cheap]], [55, 5, 25, 10, 1])[0]
        return [path], words, self.command(*words)

    def do_prompt(self, r):
        def token(): return r.choice([str(r.randrange(300)), str(r.randrange(300)), "511", "512", "-1", str(number(r)), "", "x", "1e3", "0x1", " 7"])
        def text(): return r.choice(["", "ab", "<s>", "a" * 5000, "\udced\udca0\udcbd", "\udcff\udcfe", "a\udcc0", "é" * r.randint(1, 40), r.choice(HOSTILE)]).replace("\0", "")
        def tokens(): return ",".join(token() for _ in range(r.choice([0, 1, 2, CONTEXT - 1, CONTEXT, CONTEXT + 1, 5000])))
        raw = lambda: self.file("text", mutate_bytes(r, text().encode("utf-8", "surrogateescape") or b"a", b"abc"))
        settings = [["--max-new", str(r.choice([1, 3, 99, number(r)]))], ["--temperature", r.choice(["0", "1", "-1", "1e39", "nan", "inf", "x", "1e-40"])], ["--top-k", str(r.choice([1, 5, number(r)]))],
                    ["--top-p", r.choice(["0", "0.5", "1", "2", "-0.1", "nan"])], ["--min-p", r.choice(["0.1", "1", "nan"])], ["--repeat-penalty", r.choice(["1.2", "0", "-1", "inf", "1e-45"])], ["--seed", str(number(r))],
                    ["--stop", text()], ["--threads", str(r.choice([1, 2, 0, number(r)]))], ["--json"], ["--logits", r.choice([self.data + "/l.npy", "/nowhere/l.npy", "", "/dev/full"])], ["--chat"], ["--system", text()]]
        words = r.choices([["generate", r.choice([["--tokens", tokens()], ["--prompt", text()]])], ["tokenize", r.choice([["--text", text()], ["--file", raw()], ["--decode", tokens()]])],
                           ["perplexity", r.choice([["--text", raw()], ["--tokens", self.file("tokens", tokens().replace(",", " ").encode())], ["--tokens", raw()]])]], [60, 20, 20])[0]
        program, command, more = r.choice([None, self.teller]), words[0], words[1]
        if command == "generate": more = more + sum(r.sample(settings, r.choice([0, 0, 1, 2, 4])), [])
        if command == "perplexity": more, program = more + r.choice([[], ["--window", str(r.choice([2, 5, 1, number(r)]))]]), None
        words = ([] if program and command == "generate" else [command]) + ([] if program else [self.talker]) + more
        ended = self.command(*words, program=program)
        # What a model says may hold anything.
        return [], words, ended._replace(text=b"") if ended.status == 0 else ended
