#!/usr/bin/env python3
"""Compile small quantised checkpoints, made with the libraries whose formats they are, and compare with the weights that those libraries read from them.

    python3 tools/check_quantized.py GLMC

Needs torch, transformers, safetensors and compressed-tensors; auto-gptq and autoawq lie unpacked on PYTHONPATH (their packages need GPUs to be imported; only the
files that pack and unpack are). A LLaMA of random weights is quantised per format; what the library reads back is put into a checkpoint of floats, whose logits the
quantised one must have. The exit status is 1 when a relative L2 error exceeds 1e-5, or a checkpoint does not compile."""
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import glmc

LIMIT = 1e-5
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def module_file(package, *path):
    """A file of a package that is not imported itself."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{package} is not on PYTHONPATH")
    file = Path(spec.submodule_search_locations[0]).joinpath(*path)
    spec = importlib.util.spec_from_file_location("_".join((package, *path)).removesuffix(".py"), file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grid(weight, size, symmetric, bits=4):
    """Scales and zeros [N, K/size] that cover each group of a matrix [N, K] in 2^bits steps."""
    most, centre = 2**bits - 1, 2 ** (bits - 1)
    groups = weight.reshape(weight.shape[0], -1, size)
    if symmetric:
        return groups.abs().amax(2) / (centre - 1), torch.full(groups.shape[:2], float(centre))
    low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
    scale = (high - low) / most
    return scale, torch.round(-low / scale).clamp(1, most)


def linear(weight):
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight.data = weight
    return made


def gptq(bits, size, symmetric, shuffled, config):
    """auto-gptq's packing and unpacking."""
    library = module_file("auto_gptq", "nn_modules", "qlinear", "qlinear_cuda.py")

    def quantise(weight, generator):
        n, k = weight.shape
        groups = torch.arange(k) // size
        if shuffled:
            groups = groups[torch.randperm(k, generator=generator)]
        order = torch.argsort(groups, stable=True)
        scale, zero = grid(weight[:, order], size, symmetric, bits)
        scale = scale.half().float()
        layer = library.QuantLinear(bits, size, k, n, False, weight_dtype=torch.float16)
        layer.pack(linear(weight), scale, zero.clone(), groups.to(torch.int32))
        parts = {name: getattr(layer, name).contiguous() for name in ("qweight", "qzeros", "scales", "g_idx")}
        parts["scales"] = parts["scales"].half()
        layer.scales = parts["scales"].float()
        layer.use_cuda_fp16 = False
        dense = layer(torch.eye(k)).T.contiguous()
        return parts, dense

    config["quantization_config"] = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": shuffled, "sym": symmetric, "checkpoint_format": "gptq"}
    return quantise


def awq(size, config):
    """AutoAWQ's packing (WQLinear_GEMM.from_linear) and unpacking (dequantize_gemm)."""
    packing = module_file("awq", "utils", "packing_utils.py")
    for name, members in {"awq": {}, "awq.utils": {}, "awq.utils.module": {"try_import": lambda name: (None, "")}, "awq.utils.utils": {"get_best_device": lambda: "cpu"}}.items():
        stub = types.ModuleType(name)
        stub.__dict__.update(members)
        sys.modules.setdefault(name, stub)
    sys.modules["awq.utils.packing_utils"] = packing
    location = next(p for p in sys.path if (Path(p) / "awq/modules/linear/gemm.py").exists())
    spec = importlib.util.spec_from_file_location("awq_gemm", Path(location) / "awq/modules/linear/gemm.py")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)

    def quantise(weight, generator):
        scale, zero = grid(weight, size, False)
        scale = scale.half()
        made = library.WQLinear_GEMM.from_linear(linear(weight), 4, size, scales=scale.T.contiguous(), zeros=zero.T.contiguous())
        dense = packing.dequantize_gemm(made.qweight, made.qzeros, made.scales.float(), 4, size).T.contiguous()
        return {name: getattr(made, name).contiguous() for name in ("qweight", "qzeros", "scales")}, dense

    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True}
    return quantise


def compressed(name, bits, size, symmetric, config):
    """compressed-tensors' compressors."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    arguments = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy="group" if size else "channel", group_size=size)
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments)
    compressor = BaseCompressor.get_value_from_registry(name)

    def quantise(weight, generator):
        n, k = weight.shape
        if size:
            scale, zero = grid(weight, size, symmetric, bits)
            zero = (zero - 2 ** (bits - 1)).to(torch.int8)
        else:
            scale, zero = weight.abs().amax(1, keepdim=True) / 127, torch.zeros(n, 1, dtype=torch.int8)
        scale = scale.half().float()
        state = {"weight": weight, "weight_scale": scale, **({} if symmetric else {"weight_zero_point": zero})}
        parts = compressor.compress(dict(state), scheme)
        dense = compressor.decompress(dict(parts), scheme)["weight"].float()
        return {key: value.contiguous() for key, value in parts.items()}, dense

    group = {"targets": ["Linear"], "weights": {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group" if size else "channel", "group_size": size}}
    config["quantization_config"] = {"quant_method": "compressed-tensors", "format": name, "config_groups": {"group_0": group}, "ignore": ["lm_head"]}
    return quantise


FORMATS = {
    "gptq": lambda c: gptq(4, 32, False, False, c), "gptq, symmetric": lambda c: gptq(4, 64, True, False, c), "gptq, desc_act": lambda c: gptq(4, 32, False, True, c),
    "gptq, 2 bits": lambda c: gptq(2, 32, False, False, c), "gptq, 8 bits": lambda c: gptq(8, 32, False, False, c), "gptq, 8 bits, symmetric, desc_act": lambda c: gptq(8, 64, True, True, c),
    "awq": lambda c: awq(32, c),
    "compressed-tensors, 4 bits": lambda c: compressed("pack-quantized", 4, 32, True, c), "compressed-tensors, 4 bits with zeros": lambda c: compressed("pack-quantized", 4, 64, False, c),
    "compressed-tensors, 8 bits packed": lambda c: compressed("pack-quantized", 8, 32, True, c), "compressed-tensors, 8 bits": lambda c: compressed("int-quantized", 8, None, True, c),
    "compressed-tensors, 8 bits in groups": lambda c: compressed("int-quantized", 8, 32, True, c), "compressed-tensors, 8 bits with zeros": lambda c: compressed("int-quantized", 8, 64, False, c),
}


def logits(program, folder, work, ids):
    artifact = work / "model.so"
    done = subprocess.run([program, "compile", str(folder), "-O1", "-o", str(artifact)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()[-400:]}")
    return glmc.load(str(artifact))(ids)[0], artifact.stat().st_size


def main():
    program, work, right = sys.argv[1], Path(tempfile.mkdtemp(prefix="glmc-quantized-")), True
    torch.manual_seed(5)
    config = LlamaConfig(vocab_size=256, hidden_size=64, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)
    model = LlamaForCausalLM(config).float()
    ids = np.random.default_rng(5).integers(0, 256, (1, 24))
    for name, make in FORMATS.items():
        settings, generator = {}, torch.Generator().manual_seed(6)
        quantise = make(settings)
        parts, dense = {}, {}
        for key, value in model.state_dict().items():
            value = value.detach().clone()
            if key.split(".")[-2] in LAYERS:
                packed, value = quantise(value * 4, generator)
                parts |= {f"{key.removesuffix('.weight')}.{part}": tensor for part, tensor in packed.items()}
            else:
                parts[key] = value.clone()
            dense[key] = value.float().contiguous()
        results = []
        for folder, tensors, extra in ((work / "quantised", parts, settings), (work / "dense", dense, {})):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            save_file(tensors, str(folder / "model.safetensors"))
            (folder / "config.json").write_text(json.dumps({**config.to_dict(), "model_type": "llama", **extra}))
        try:
            results = [logits(program, work / kind, work, ids) for kind in ("quantised", "dense")]
            (mine, size), (expected, whole) = results
            error = float(np.linalg.norm(mine - expected) / np.linalg.norm(expected))
            good, text = error <= LIMIT, f"relative L2 {error:.2e}, {size} bytes of {whole}"
        except RuntimeError as problem:
            good, text = False, str(problem)
        right &= good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)
    shutil.rmtree(work, ignore_errors=True)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
