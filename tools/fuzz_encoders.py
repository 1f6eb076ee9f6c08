"""Damaged folders of encoders, of pictures too, of encoder-decoders, and of vision-language models: a kind of tools/fuzz_files.py."""
import shutil
from pathlib import Path

from mutations import number

TESTS = Path(__file__).resolve().parent.parent / "Tests/FrontendTests"
FOLDERS = [folder for kind in ("encoders", "pictures", "encoder-decoders", "vision-language") for folder in sorted((TESTS / kind).iterdir())]
TASKS = ["feature-extraction", "pooler", "sentence-similarity", "text-classification", "token-classification", "question-answering", "fill-mask",
         "image-classification", "image-embeds", "text-embeds", "zero-shot-image-classification"]


class EncoderKinds:
    """What Worker in fuzz_files.py does with them; `damage` is that of `DecoderKinds`."""

    def do_encoder(self, r):
        folder, source, done = Path(self.data + "/encoder"), r.choice(FOLDERS), []
        shutil.rmtree(folder, True)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.npz"))
        files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for path in r.sample(list(files), 1 if r.random() < 0.8 else 2):
            done.append(self.damage(r, path, files[path], r.choice(list(files.values()))))
        (folder / "damage").write_text("\n".join(filter(None, done)))
        words = ["compile", str(folder), *r.choice([["--dry-run"], ["--dry-run"], ["-o", self.data + "/e.c"]]), "-O0", "-march=scalar", "-j1"]
        if r.random() < 0.4: words.append(f"--task={r.choice(TASKS)}")
        if r.random() < 0.3: words.append(f"--dim={r.choice(['batch', 'sequence', 'images', 'texts', 'source', 'rows', 'columns', 'image_tokens'])}={r.choice([0, 1, 11, 12, 512, number(r)])}")
        if r.random() < 0.2: words.append(f"--context={r.choice([0, 1, 12, 13, number(r)])}")
        kept = [str(path) for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20]
        return kept, words, self.command(*words)
