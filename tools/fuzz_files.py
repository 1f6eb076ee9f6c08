"""Damaged and hostile files for every reader of glmc: each must end in a documented exit code, with a message, in bounded time and memory.

    python tools/fuzz_files.py GLMC --count 100000 --seed 1 --jobs 2

Valid seeds of every kind are mutated (bits, blocks, splices, lengths, interesting numbers, hostile text) and given to the cheapest command that reads
them. A finding is an undocumented exit code, a signal, an empty message, raw control characters, a file left behind, more than 20 s of processor time or
2 GB of memory; a cached object or an artifact whose damage goes unnoticed is one too. Findings are kept in --keep, each with the command that repeats it."""
import argparse, collections, io, json, os, random, re, resource, shutil, signal, struct, sys, tempfile, time

import numpy as np
import onnx
from onnx import TensorProto as T, helper as H

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import glmc as loader
from fuzz_decoders import DecoderKinds
from fuzz_encoders import EncoderKinds
from mutations import HOSTILE, mutate_bytes, mutate_npy, mutate_text, mutate_wire, npz, number

SECONDS, MEMORY, DOCUMENTED = 20, 2 << 30, {0, 1, 2, 3, 4}
# What a terminal obeys, whatever its encoding; our own messages hold line ends and tabs only.
RAW = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c")


# --- seeds -----------------------------------------------------------------------------------------------------------

def onnx_seeds():
    vi, node = H.make_tensor_value_info, H.make_node
    ints = lambda name, *v: H.make_tensor(name, T.INT64, [len(v)], v)

    def model(nodes, inputs, outputs=("y",), constants=(), functions=(), opset=21, more=()):
        graph = H.make_graph(nodes, "g", [vi(n, T.FLOAT, s) for n, s in inputs], [vi(n, T.FLOAT, None) for n in outputs], list(constants))
        m = H.make_model(graph, opset_imports=[H.make_opsetid("", opset), *more], functions=list(functions))
        m.ir_version = 10
        return m.SerializeToString()

    one = lambda op, inputs, constants=(), extra=(), outputs=("y",), **attributes: model(
        [node(op, [n for n, _ in inputs] + list(extra), list(outputs), name="some node", **attributes)], inputs, outputs, constants)
    x = [("x", [2, 3])]
    branch = lambda op: H.make_graph([node(op, ["x"], ["b"])], "b", [], [vi("b", T.FLOAT, [2, 3])])
    body = H.make_graph([node("Identity", ["c"], ["d"]), node("Add", ["s", "x"], ["t"])], "l", [vi("i", T.INT64, []), vi("c", T.BOOL, []), vi("s", T.FLOAT, [2, 3])],
                        [vi("d", T.BOOL, []), vi("t", T.FLOAT, [2, 3])])
    function = H.make_function("dom", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [H.make_opsetid("", 21)])
    yes, five = H.make_tensor("yes", T.BOOL, [], [True]), H.make_tensor("five", T.INT64, [], [5])
    return [
        one("Relu", [("x", ["batch", 3])]), one("Gemm", x + [("w", [4, 3])], transB=1, alpha=0.5), one("MatMul", [("x", ["n", 4, 3]), ("w", [3, 5])]),
        one("Slice", [("x", [4, 5])], [ints("a", 1), ints("b", 4), ints("c", 1), ints("d", 2)], "abcd"), one("Concat", x + [("w", [2, 3])], axis=1),
        one("Conv", [("x", [1, 4, 9, 9]), ("w", [6, 2, 3, 3])], group=2, strides=[2, 1], pads=[1, 1, 0, 1], dilations=[1, 2], kernel_shape=[3, 3]),
        one("MaxPool", [("x", [1, 2, 6, 6])], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1), one("AveragePool", [("x", ["n", 2, 6, 6])], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        one("ConvTranspose", [("x", [1, 2, 4, 4]), ("w", [2, 3, 2, 2])], strides=[2, 2], output_padding=[1, 0]), one("LSTM", [("x", [3, 1, 4]), ("w", [1, 8, 4]), ("r", [1, 8, 2])], outputs=("y", "h"), hidden_size=2),
        one("TopK", [("x", [3, 6])], [ints("k", 2)], "k", outputs=("y", ""), axis=1), one("Pad", x, [ints("p", 0, 1, 1, 0)], "p"), one("Tile", x, [ints("p", 2, 1)], "p"),
        one("Resize", [("x", [1, 1, 4, 4])], [H.make_tensor("s", T.FLOAT, [4], [1, 1, 2, 1.5])], ["", "s"], mode="linear"), one("Split", [("x", [6, 2])], [ints("s", 2, 4)], "s", outputs=("y", "z")),
        one("Attention", [("q", [1, 3, 8]), ("k", [1, 5, 8]), ("v", [1, 5, 8])], q_num_heads=2, kv_num_heads=2), one("DFT", [("x", [1, 8, 1])], onesided=1), one("ReduceMean", [("x", [2, 3, 4])], [ints("s", 1)], "s"),
        one("GatherND", [("x", [3, 4])], [H.make_tensor("i", T.INT64, [2, 1], [0, 2])], "i"), one("Gather", [("x", [3, 4])], [ints("i", 0, -1)], "i", axis=1), one("Einsum", x + [("w", [3, 4])], equation="ij,jk->ik"),
        one("GroupNormalization", [("x", [1, 4, 3]), ("s", [4]), ("b", [4])], num_groups=2), one("QuantizeLinear", x, [H.make_tensor("s", T.FLOAT, [], [0.5]), H.make_tensor("z", T.UINT8, [], [3])], "sz"),
        one("Col2Im", [("x", [1, 4, 4])], [ints("i", 3, 3), ints("k", 2, 2)], "ik"), one("Reshape", [("x", ["n", 6])], [ints("s", 0, 2, -1)], "s"), one("Expand", [("x", [2, 1])], [ints("s", 1, 2, 4)], "s"),
        one("ScatterElements", x + [("u", [1, 3])], [H.make_tensor("i", T.INT64, [1, 3], [0, 1, 1])], "i"), one("CumSum", x, [H.make_tensor("a", T.INT64, [], [1])], "a"), one("CenterCropPad", [("x", [5, 6])], [ints("s", 3, 8)], "s"),
        one("SpaceToDepth", [("x", [1, 2, 4, 6])], blocksize=2), one("DepthToSpace", [("x", [1, 8, 2, 3])], blocksize=2), one("OneHot", [("x", [3])], [ints("d", 5), H.make_tensor("v", T.FLOAT, [2], [0, 1])], "dv"),
        model([node("Shape", ["x"], ["s"]), node("Mod", ["s", "k"], ["q"]), node("Reshape", ["x", "q"], ["y"])], [("x", ["n", 3])], constants=[ints("k", 7, 5)]),
        model([node("ConstantOfShape", ["s"], ["y"])], [], constants=[ints("s", 2, 3)]), model([node("Range", ["a", "b", "c"], ["y"])], [], constants=[H.make_tensor(n, T.INT64, [], [v]) for n, v in (("a", 0), ("b", 9), ("c", 2))]),
        model([node("If", ["yes"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg"))], x, constants=[yes]), model([node("Loop", ["five", "yes", "x"], ["y"], body=body)], x, constants=[yes, five]),
        model([node("Twice", ["x"], ["a"], domain="dom"), node("Twice", ["a"], ["y"], domain="dom")], x, functions=[function], more=[H.make_opsetid("dom", 1)]),
    ]


BERT = dict(model_type="bert", hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=6, vocab_size=5, type_vocab_size=2, max_position_embeddings=4, layer_norm_eps=1e-12, hidden_act="gelu")


def safetensors_seed():
    h, shapes = 8, {}
    for name, shape in (("word", [5, h]), ("token_type", [2, h]), ("position", [4, h])): shapes[f"embeddings.{name}_embeddings.weight"] = shape
    linear = lambda name, a, b: shapes.update({name + ".weight": [b, a], name + ".bias": [b]})
    norm = lambda name: shapes.update({name + ".weight": [h], name + ".bias": [h]})
    norm("embeddings.LayerNorm")
    layer = "encoder.layer.0."
    for part in ("self.query", "self.key", "self.value", "output.dense"): linear(layer + "attention." + part, h, h)
    norm(layer + "attention.output.LayerNorm"), linear(layer + "intermediate.dense", h, 6), linear(layer + "output.dense", 6, h), norm(layer + "output.LayerNorm")
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name], end = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}, end + size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


# --- running ---------------------------------------------------------------------------------------------------------

class Ended(collections.namedtuple("Ended", "status seconds bytes text")): pass


def limited(start, out):
    """Runs `start` in a child process with limits: exit status (negative: the signal; "time" when it was killed), processor time, memory, output."""
    out.seek(0); out.truncate()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid(); os.dup2(out.fileno(), 1); os.dup2(out.fileno(), 2); os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS)); resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
            start()
        finally: os._exit(99)
    end, pause, killed = time.time() + 6 * SECONDS, 0.001, False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done: break
        if time.time() > end: os.killpg(pid, signal.SIGKILL); killed = True
        time.sleep(pause); pause = min(pause * 1.3, 0.01)
    out.seek(0)
    code = "time" if killed else os.waitstatus_to_exitcode(status)
    return Ended(code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, out.read(1 << 20))


class Worker(DecoderKinds, EncoderKinds):
    def __init__(self, glmc, place, seed, keep):
        self.glmc, self.seed, self.keep, self.place = os.path.abspath(glmc), seed, keep, place
        self.run_folder, self.temp, self.data = place + "/cwd", place + "/tmp", place + "/data"
        for folder in (self.run_folder, self.temp, self.data): os.makedirs(folder, exist_ok=True)
        self.environment = dict(os.environ, GLMC_CACHE=place + "/cache", TMPDIR=self.temp, NO_COLOR="1")
        self.out, self.found = open(place + "/out", "w+b"), collections.Counter()
        self.onnx = onnx_seeds()
        self.tensors = safetensors_seed()
        self.prepare()
        self.prepare_decoders()

    def command(self, *words, program=None):
        def start(): os.chdir(self.run_folder); os.execve(program or self.glmc, [os.path.basename(program or "glmc"), *words], self.environment)
        return limited(start, self.out)

    def file(self, name, content):
        path = f"{self.data}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f: f.write(content)
        return path

    def must(self, *words):
        ended = self.command(*words)
        if ended.status != 0: sys.exit(f"a seed fails: glmc {' '.join(words)}: {ended.status}\n{ended.text.decode(errors='replace')}")
        return ended

    def prepare(self):
        """Textual IR of the seeds, an artifact with a warm cache, a test case, arrays."""
        self.glm = []
        for i, model in enumerate(self.onnx):
            ended = self.command("opt", self.file(f"seed{i}.onnx", model), "-O0" if i % 2 else "-O2")
            if ended.status == 0: self.glm.append(ended.text)
            elif ended.status not in DOCUMENTED: sys.exit(f"seed {i} fails: {ended.status} {ended.text}")
        if len(self.glm) < len(self.onnx) * 3 // 4: sys.exit("too many seeds are refused")
        self.model, self.artifact = self.file("case/model.onnx", self.onnx[0]), self.file("seed.so", b"")
        self.must("compile", self.model, "-o", self.artifact, "-march=scalar", "-j1")
        self.library = open(self.artifact, "rb").read()
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        save = io.BytesIO(); np.save(save, array); self.npy = save.getvalue()
        self.case = [onnx.numpy_helper.from_array(a, n).SerializeToString() for a, n in ((array, "x"), (np.maximum(array, 0), "y"))]
        for name, content in zip(("input_0.pb", "output_0.pb"), self.case): self.file("case/test_data_set_0/" + name, content)
        self.case_model = self.onnx[0]
        self.must("conformance-case", self.data + "/case", "-march=scalar", "-j1")
        self.must("compile", self.data + "/seed0.onnx", "-o", self.data + "/again.so", "-march=scalar", "-j1")
        self.cached = [os.path.join(f, n) for f, _, names in os.walk(self.place + "/cache") for n in names if os.path.getsize(os.path.join(f, n)) > 500]

    # Each kind: makes the file, gives what it ran and how that ended; `None` where nothing was to be told apart from the seed.

    def do_onnx(self, r):
        seed, other = r.choice(self.onnx), r.choice(self.onnx)
        path = self.file("f.onnx", (mutate_wire if r.random() < 0.75 else mutate_bytes)(r, seed, other))
        words = r.choices([["compile", path, "--dry-run", r.choice(["-O0", "-O2", "-O3"])], ["inspect", path] + ["--json"] * r.randint(0, 1), ["opt", path], ["explain", path],
                           ["run", path, "--random", "1", "-march=scalar", "-O0", "--cflag=-O0", "-j1", "--threads=1"]], [50, 25, 15, 10, 1])[0]
        return [path], words, self.command(*words)

    def do_external(self, r):
        where = r.choice(["w.bin", "../f.onnx", "/etc/passwd", "/dev/zero", ".", "", "fifo", "w.bin/", *HOSTILE])
        tensor = H.make_tensor("w", T.FLOAT, [2, 3], np.zeros(6)); tensor.ClearField("float_data"); tensor.data_location = T.EXTERNAL
        for key, value in (("location", where), ("offset", str(r.choice([0, 4, number(r)]))), ("length", str(r.choice([24, number(r)])))):
            try: tensor.external_data.add(key=key, value=value)
            except (ValueError, UnicodeError): pass
        info = H.make_tensor_value_info
        graph = H.make_graph([H.make_node("Add", ["x", "w"], ["y"])], "g", [info("x", T.FLOAT, [2, 3])], [info("y", T.FLOAT, None)], [tensor])
        path = self.file("f.onnx", H.make_model(graph, opset_imports=[H.make_opsetid("", 17)]).SerializeToString()); self.file("w.bin", bytes(r.choice([0, 23, 24, 100])))
        if not os.path.exists(self.data + "/fifo"): os.mkfifo(self.data + "/fifo")
        words = ["compile", path, "--dry-run"]
        return [path], words, self.command(*words)

    def do_safetensors(self, r):
        config, tensors = json.dumps(BERT).encode(), self.tensors
        kind = r.randrange(4)
        if kind == 0: config = mutate_text(r, config, config)
        elif kind == 1: config = mutate_bytes(r, config, config)
        elif kind == 2: tensors = mutate_bytes(r, tensors, self.onnx[0])
        else:
            n = struct.unpack("<Q", tensors[:8])[0]; head = mutate_text(r, tensors[8:8 + n], tensors[8:8 + n])
            tensors = struct.pack("<Q", len(head)) + head + tensors[8 + n:]
        files = [self.file("bert/config.json", config), self.file("bert/model.safetensors", tensors)]
        words = [r.choice(["inspect", "opt"]), self.data + "/bert"]
        return files, words, self.command(*words)

    def do_glm(self, r):
        seed, other = r.choice(self.glm), r.choice(self.glm)
        path = self.file("f.glm", (mutate_text if r.random() < 0.75 else mutate_bytes)(r, seed, other))
        words = r.choice([["opt", path, r.choice(["-O0", "-O2", "-O3"])], ["compile", path, "--dry-run"], ["inspect", path]])
        return [path], words, self.command(*words)

    def do_arrays(self, r):
        if r.random() < 0.4:
            path = self.file("f.npy", mutate_npy(r, self.npy, self.npy)); words = ["run", self.artifact, "--input", "x=" + path]
        else:
            content = npz([("x.npy" if r.random() < 0.8 else (r.choice(HOSTILE)[:60000] or "x"), mutate_npy(r, self.npy, self.npy) if r.random() < 0.6 else self.npy)], r.random() < 0.5)
            path = self.file("f.npz", mutate_bytes(r, content, content) if r.random() < 0.5 else content)
            words = ["run", self.artifact, "--inputs", path] if r.random() < 0.7 else ["run", self.artifact, "--random", "1", "--expected", path]
        return [path], words, self.command(*words)

    def do_artifact(self, r):
        content = mutate_bytes(r, self.library, self.library)
        if content == self.library: return None
        path, kind = self.file("f.so", content), r.randrange(4)
        if kind == 3:
            def start():
                os.chdir(self.run_folder)
                try: loader.load(path, 1)(np.zeros((2, 3), np.float32))
                except loader.GlmcError as error: print(error, flush=True); os._exit(1)
                os._exit(0)
            words, ended = ["(python/glmc)", path], limited(start, self.out)
        else:
            words = [["run", path, "--random", "1"], ["inspect", path, "--kernels"], ["bench", path, "--duration", "0", "--warmup", "0"]][kind]
            ended = self.command(*words)
        return [path], words, ended._replace(status="damage was not noticed") if ended.status == 0 and not self.is_trimmed(content) else ended

    def is_trimmed(self, content):
        """The library without its checksum is what a linker wrote: that is whole."""
        return content == self.library[:-24]

    def do_case(self, r):
        which = r.randrange(2)
        path = self.file(f"case/test_data_set_0/{('input', 'output')[which]}_0.pb", (mutate_wire if r.random() < 0.5 else mutate_bytes)(r, self.case[which], self.case[1 - which]))
        words = ["conformance-case", self.data + "/case", "-march=scalar", "-j1"]
        ended = self.command(*words)
        for name, content in zip(("input_0.pb", "output_0.pb"), self.case): self.file("case/test_data_set_0/" + name, content)
        return [path], words, ended

    def do_cached(self, r):
        if not self.cached: return None
        path = r.choice(self.cached); whole = open(path, "rb").read()
        with open(path, "wb") as f: f.write(mutate_bytes(r, whole, whole))
        words = ["compile", self.data + "/seed0.onnx", "-o", self.data + "/cached.so", "-march=scalar", "-j1"]
        ended = self.command(*words)
        if ended.status == 0 and open(self.data + "/cached.so", "rb").read() != open(self.data + "/again.so", "rb").read(): ended = ended._replace(status="damage was not noticed")
        with open(path, "wb") as f: f.write(whole)
        return [path], words, ended

    KINDS = {"onnx": 55, "external": 3, "safetensors": 10, "glm": 15, "arrays": 10, "artifact": 7, "case": 0.3, "cached": 0.3, "decoder": 10, "encoder": 5, "gguf": 8, "prompt": 3}

    def complaint(self, ended):
        left = os.listdir(self.run_folder) + os.listdir(self.temp)
        for name in left: shutil.rmtree(self.run_folder + "/" + name, True); shutil.rmtree(self.temp + "/" + name, True)
        for name in left:
            for folder in (self.run_folder, self.temp):
                if os.path.lexists(f"{folder}/{name}"): os.unlink(f"{folder}/{name}")
        if ended.status not in DOCUMENTED: return f"exit {ended.status}"
        if ended.status and not ended.text.strip(): return f"exit {ended.status} without a message"
        if ended.seconds > SECONDS: return f"{ended.seconds:.0f} s"
        if ended.bytes > MEMORY: return f"{ended.bytes >> 20} MB"
        if RAW.search(ended.text): return "raw control characters"
        if left: return f"left {re.sub('[0-9]+', 'N', left[0])}"
        return None

    def one(self, index, kinds):
        r = random.Random(f"{self.seed}/{index}")
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        made = getattr(self, "do_" + kind)(r)
        if made is None: return
        files, words, ended = made
        complaint = self.complaint(ended)
        if not complaint: return
        message = ended.text.decode(errors="replace").strip().splitlines()
        about = "" if complaint.startswith("raw") else re.sub("[0-9]+", "N", message[0] if message else "")[:110]
        signature = f"{kind}: {complaint}: {about}"
        self.found[signature] += 1
        if self.found[signature] > 3: return
        folder = f"{self.keep}/{kind}-{self.seed}-{index}"
        os.makedirs(folder, exist_ok=True)
        kept = []
        for word in words:
            for path in files:
                if word in (path, os.path.dirname(path)) or word.endswith("=" + path): word = word.replace(self.data, folder)
            kept.append("'" + word.replace("'", "'\\''") + "'")
        for path in files:
            target = path.replace(self.data, folder) if path.startswith(self.data) else folder + "/" + os.path.basename(path)
            os.makedirs(os.path.dirname(target), exist_ok=True); shutil.copy(path, target)
        with open(folder + "/command", "w", errors="replace") as f: f.write(f"{complaint}\n{self.glmc} {' '.join(kept)}\n\n" + ended.text.decode(errors="replace"))
        print(f"{index} {signature}\n    {folder}/command", flush=True)


def fuzz(options, worker, kinds, job, start):
    for count, index in enumerate(range(options.first + job, options.first + options.count, options.jobs)):
        worker.one(index, kinds)
        if count % 1000 == 999: print(f"job {job}: {count + 1} files, {sum(worker.found.values())} findings, {(count + 1) / (time.time() - start):.0f} per second", flush=True)
    for signature, count in worker.found.most_common(): print(f"{count:6} x {signature}", flush=True)
    os._exit(3 if worker.found else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glmc"); parser.add_argument("--count", type=int, default=1000); parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1); parser.add_argument("--keep", default="fuzz-findings"); parser.add_argument("--kinds", help="only these, separated by commas: " + ", ".join(Worker.KINDS))
    parser.add_argument("--first", type=int, default=0, help="the number of the first file, to go on or to repeat one")
    options = parser.parse_args()
    kinds = {k: v for k, v in Worker.KINDS.items() if not options.kinds or k in options.kinds.split(",")}
    keep, start, children = os.path.abspath(options.keep), time.time(), []
    place = tempfile.mkdtemp(prefix="glmc-files-")
    for job in range(options.jobs):
        pid = os.fork()
        if pid == 0:
            try: fuzz(options, Worker(options.glmc, f"{place}/{job}", options.seed, keep), kinds, job, start)
            except BaseException:
                import traceback; traceback.print_exc(); os._exit(1)
        children.append(pid)
    ends = {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children}
    shutil.rmtree(place, True)
    if ends - {0, 3}: sys.exit("the fuzzer itself failed")
    print(f"{options.count} files in {time.time() - start:.0f} s: {'findings in ' + keep if 3 in ends else 'nothing found'}")
    sys.exit(max(ends))


if __name__ == "__main__": main()
