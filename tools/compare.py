#!/usr/bin/env python3
"""Time glmc, ONNX Runtime and OpenVINO on the public models, in turn, in one process.

    python3 tools/compare.py GLMC FOLDER [--threads 1,2] [--rounds 5] [--seconds 0.5] [--precision fp32|bf16|int8] [NAME ...]

FOLDER holds what fetch_models.py and make_models.py write. In every round each engine runs for a while, and the best round of each
counts: shared machines change speed within seconds, so only ratios of one run mean something. `ratio` = fastest peer / glmc.

OpenVINO computes in bf16 on processors that can unless it is told not to. It takes part once as fp32 (INFERENCE_PRECISION_HINT=f32), the
peer of glmc's fp32, and, where its default is another type, once as it comes, outside the ratio.
With --precision=bf16, glmc compiles with --bf16 and OpenVINO takes part as it comes (ONNX Runtime has no bf16 on CPUs); errors are against
ONNX Runtime's fp32. With --precision=int8, every engine's own static post-training quantisation, calibrated on the same eight inputs; the cosine is that of glmc's
int8 and fp32 outputs."""
import argparse
import logging
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from models import MODELS
from timing import artifact_runner, best_ms, compile_model, error, row

CALIBRATION_SEEDS = range(1, 9)


def onnx_runtime(path, feed):
    def make(threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, feed)
    return make


def openvino_model(path, feed):
    try:
        model = openvino.Core().read_model(str(path))
        model.reshape({name: list(value.shape) for name, value in feed.items()})
        return model
    except RuntimeError as error:
        print(f"OpenVINO cannot read {path.name}: {str(error).split('Summary:')[-1].strip()[:120]}", file=sys.stderr)
        return None


def open_vino(model, feed, **properties):
    def make(threads):
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "ENABLE_CPU_PINNING": False, **properties}
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        return lambda: request.infer(feed, share_inputs=True)
    return make


def default_precision(model):
    return openvino.Core().compile_model(model, "CPU").get_property("INFERENCE_PRECISION_HINT").get_type_name()


def fp32_peers(path, feed):
    peers, model = {"ONNX Runtime": onnx_runtime(path, feed)}, openvino_model(path, feed)
    if model is None:
        return peers
    peers["OpenVINO"], default = open_vino(model, feed, INFERENCE_PRECISION_HINT="f32"), default_precision(model)
    return peers if default == "f32" else peers | {f"OpenVINO {default}": open_vino(model, feed)}


def int8_peers(path, feed, model, work):
    import nncf
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.feeds = (model.feed(seed=seed) for seed in CALIBRATION_SEEDS)

        def get_next(self):
            return next(self.feeds, None)

    peers = {}
    try:
        prepared, quantized = work / "prepared.onnx", work / "quantized.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(str(prepared), str(quantized), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        onnx_runtime(quantized, feed)(1)
        peers["ONNX Runtime"] = onnx_runtime(quantized, feed)
    except Exception as error:
        print(f"ONNX Runtime cannot quantise {path.name}: {str(error)[:120]}", file=sys.stderr)
    kind = {"model_type": nncf.ModelType.TRANSFORMER} if "input_ids" in feed else {}
    data = nncf.Dataset([model.feed(seed=seed) for seed in CALIBRATION_SEEDS])
    unquantized = openvino_model(path, feed)
    if unquantized is not None:
        peers["OpenVINO"] = open_vino(nncf.quantize(unquantized, data, subset_size=len(CALIBRATION_SEEDS), **kind), feed)
    return peers


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def openvino_result(model, feed):
    return next(iter(open_vino(model, feed)(1)().values()))


def compare(name, model, options, work):
    path, feed = model.path(options.folder), model.feed()
    artifact, fp32 = work / "model.so", work / "fp32.so"
    flags = {"fp32": [], "bf16": ["--bf16"], "int8": ["--int8", "--calib", str(work / "calibration")]}[options.precision]
    own = {}
    if options.precision != "fp32":
        compile_model(options.glmc, path, feed, fp32, [])
        own = {"glmc fp32": artifact_runner(fp32, feed)}
    if options.precision == "int8":
        (work / "calibration").mkdir()
        for seed in CALIBRATION_SEEDS:
            np.savez(work / "calibration" / f"{seed}.npz", **model.feed(seed=seed))
    seconds = compile_model(options.glmc, path, feed, artifact, flags)
    mine = artifact_runner(artifact, feed)(1)()[0]
    if options.precision == "int8":
        peers, quality = int8_peers(path, feed, model, work), [f"{cosine(mine, artifact_runner(fp32, feed)(1)()[0]):.4f}"]
    elif options.precision == "bf16":
        ov, expected = openvino_model(path, feed), onnx_runtime(path, feed)(1)()[0]
        peers = {"ONNX Runtime": onnx_runtime(path, feed)} | ({"OpenVINO": open_vino(ov, feed)} if ov else {})
        quality = [error(mine, expected), error(openvino_result(ov, feed), expected) if ov else "–"]
    else:
        peers, quality = fp32_peers(path, feed), [error(mine, onnx_runtime(path, feed)(1)()[0])]
    ratios = []
    for threads in map(int, options.threads.split(",")):
        times = best_ms({k: make(threads) for k, make in ({"glmc": artifact_runner(artifact, feed)} | own | peers).items()}, options.rounds, options.seconds)
        level = [times[peer] for peer in ("ONNX Runtime", "OpenVINO") if peer in times]
        ratio = min(level, default=math.nan) / times["glmc"]
        ratios += [ratio] if level else []
        beside = [f"{times['glmc fp32'] / times['glmc']:.2f}"] if own else [f"{times[k]:.3g}" for k in times if k.startswith("OpenVINO ")] or ["–"]
        row([name, str(threads), *(f"{times[k]:.3g}" if k in times else "–" for k in ("ONNX Runtime", "OpenVINO")), f"{times['glmc']:.3g}",
             f"{ratio:.2f}", *beside, *quality, f"{seconds:.1f} s"])
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *MODELS], metavar="NAME")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="fp32")
    options = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    extra = {"fp32": ["OpenVINO as it comes", "error"], "bf16": ["glmc fp32 / bf16", "error", "OpenVINO's error"], "int8": ["glmc fp32 / int8", "cosine"]}[options.precision]
    titles = ["model", "threads", "ONNX Runtime ms", "OpenVINO ms", "glmc ms", "ratio", *extra, "compiled in"]
    row(titles)
    row(["---"] * len(titles))
    ratios = []
    for name in options.names or [name for name in MODELS if MODELS[name].is_onnx]:
        with tempfile.TemporaryDirectory() as work:
            ratios += compare(name, MODELS[name], options, Path(work))
    print(f"\ngeometric mean of the ratios {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, lowest {min(ratios):.2f}")


if __name__ == "__main__":
    main()
