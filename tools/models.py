"""The public models that the tools measure: their files, inputs, and the shapes that are tried."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LINES = ["Invoice 2041-77", "glmc compiles models", "Total: 1,284.50 EUR", "The quick brown fox", "jumps over the lazy dog", "Thank you, come again"]


def page(shape, random):
    """Photographed text, as OCR models see it: dark letters on uneven light paper, values in -1...1."""
    batch, _, height, width = shape
    pages = []
    for number in range(batch):
        gradient = np.linspace(205, 245, width)[None, :, None] + random.normal(0, 3, (height, width, 3))
        paper = Image.fromarray(gradient.clip(0, 255).astype(np.uint8))
        draw, size = ImageDraw.Draw(paper), max(12, min(40, height * 2 // 3))
        for row, top in enumerate(range(max(0, (height - size) // 2 if height < 3 * size else size), height - size + 1, 2 * size)):
            draw.text((size // 3, top), LINES[(row + number) % len(LINES)], fill=(25, 25, 40), font=ImageFont.load_default(size))
        pages.append(np.asarray(paper, np.float32).transpose(2, 0, 1) / 127.5 - 1)
    return np.stack(pages)


KINDS = {
    "noise": lambda shape, random: random.random(shape, dtype=np.float32),
    "page": page,
    "tokens": lambda shape, random: random.integers(0, 30000, shape).astype(np.int64),
    "bytes": lambda shape, random: random.integers(0, 256, shape).astype(np.int32),
    "no": lambda shape, random: np.zeros(shape, np.int64),
    "yes": lambda shape, random: np.ones(shape, np.int64),
    "lengths": lambda shape, random: (np.arange(shape[1]) < random.integers(shape[1] // 2, shape[1] + 1, (shape[0], 1))).astype(np.int64),
    "16 kHz": lambda shape, random: np.array(16000, np.int64),
}


@dataclass(frozen=True)
class Model:
    """`inputs`: kind and shape by name; a name in a shape is a free dimension, and `sizes` are the values that it is tried with. The
    first of them is what benchmarks use."""

    file: str
    inputs: dict
    sizes: tuple = ({},)

    def shapes(self, sizes):
        return {name: tuple(sizes.get(n, n) for n in shape) for name, (_, shape) in self.inputs.items()}

    def feed(self, sizes=None, seed=0):
        random = np.random.default_rng(seed)
        shapes = self.shapes(self.sizes[0] if sizes is None else sizes)
        return {name: KINDS[kind](shapes[name], random) for name, (kind, _) in self.inputs.items()}

    @property
    def is_onnx(self):
        return self.file.endswith(".onnx")

    def path(self, folder):
        return Path(folder) / self.file


def _text(batch, length, mask="yes"):
    return {"input_ids": ("tokens", (batch, length)), "token_type_ids": ("no", (batch, length)), "attention_mask": (mask, (batch, length))}


def _image(name, kind, *shape):
    return {name: (kind, ("n", *shape))}


MODELS = {
    "resnet50": Model("resnet50.onnx", {"input": ("noise", (1, 3, 224, 224))}),
    "mobilenetv2": Model("mobilenetv2.onnx", {"input": ("noise", (1, 3, 224, 224))}),
    "bert_base": Model("bert_base_s128.onnx", _text(1, 128)),
    "minilm": Model("minilm_l6_s128.onnx", _text(1, 128)),
    "minilm_safetensors": Model("minilm", _text("n", "s", "lengths"), ({"n": 1, "s": 128}, {"n": 3, "s": 32}, {"n": 2, "s": 17})),
    "ppocr_det": Model("ppocr_det.onnx", _image("x", "page", 3, "h", "w"), ({"n": 1, "h": 640, "w": 640}, {"n": 1, "h": 320, "w": 480}, {"n": 2, "h": 96, "w": 256})),
    "ppocr_rec": Model("ppocr_rec.onnx", _image("x", "page", 3, 48, "w"), ({"n": 1, "w": 320}, {"n": 1, "w": 200}, {"n": 3, "w": 480})),
    "ppocr_cls": Model("ppocr_cls.onnx", _image("x", "noise", 3, 48, "w"), ({"n": 1, "w": 192}, {"n": 4, "w": 192}, {"n": 1, "w": 320})),
    "yolov8n": Model("yolov8n_320.onnx", _image("images", "noise", 3, "h", "w"), ({"n": 1, "h": 320, "w": 320}, {"n": 1, "h": 256, "w": 416}, {"n": 2, "h": 160, "w": 192})),
    "magika": Model("magika.onnx", {"bytes": ("bytes", ("n", 2048))}, ({"n": 1}, {"n": 3}, {"n": 8})),
    "silero": Model("silero_vad.onnx", {"input": ("noise", ("n", 576)), "state": ("noise", (2, "n", 128)), "sr": ("16 kHz", ())}, ({"n": 1}, {"n": 2}, {"n": 5})),
}
