"""Drives the mock model through python/glmc.py; prints "ok" or the assertion that failed."""
import copy, pickle, sys, threading

sys.path.insert(0, sys.argv[1])
import glmc, numpy as np

model = glmc.load(sys.argv[2], threads=2)
weights = np.arange(1, 9, dtype=np.float32) * np.float32([1, -1] * 4)
x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)
want = lambda x: np.maximum(x * weights + np.float32(0.5), 0)


def refused(part, action):
    try:
        action()
    except (glmc.GlmcError, TypeError) as error:
        assert part in str(error), error
    else:
        raise AssertionError(f"not refused: {part}")


# A file that replaced another is another model, whatever lives of the first.
import os, shutil, tempfile

with tempfile.TemporaryDirectory() as folder:
    path, new = os.path.join(folder, "m.so"), os.path.join(folder, "new.so")
    shutil.copy(sys.argv[2], path)
    first, same = glmc.load(path), glmc.load(path)
    shutil.copy(sys.argv[2], new)
    os.replace(new, path)
    second = glmc.load(path)
    address = lambda model: glmc.c.addressof(model._pointer.contents)
    assert address(first) == address(same) != address(second)

y, total, positive = model(x)
assert np.allclose(y, want(x)) and np.allclose(total, want(x).sum()) and np.array_equal(positive, np.argwhere(want(x) > 0))
assert np.allclose(model(x=x)[0], y)
refused("given twice", lambda: model(x, x=x))
refused("no input 'z'", lambda: model(x, z=x))
refused("by position", lambda: model(x, x))
refused("'x' is missing", model)
refused("float64", lambda: model(x.astype(np.float64)))
refused(">f4", lambda: model(x.astype(">f4")))
refused("1 dimensions", lambda: model(x[0]))
refused("'n' is 0", lambda: model(x[:0]))
refused("at most 8", lambda: model(x.reshape((1,) * 7 + (3, 8))))

session = model.session(1)
for copying in (copy.copy, copy.deepcopy, pickle.dumps):
    refused("cannot be copied", lambda: copying(session))
for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
    assert np.allclose(other(x)[0], y)
refused("entry point number -1", lambda: session.run([x], entry=-1))
refused("entry point number 2", lambda: session.run([x], entry=2))
refused("-1 threads", lambda: model.session(-1))

# Any layout of memory is the caller's to choose, except of what is updated in place.
bytes_ = bytearray(x.nbytes + 1)
apart = np.frombuffer(bytes_, np.float32, x.size, 1).reshape(x.shape)
apart[:] = x
for same in (apart, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1]):
    assert np.allclose(session.run([same])[0], want(same))
cache, index = np.zeros(4, np.float32), np.array(2, np.int64)
for _ in range(3):
    session.run({"cache": cache, "index": index}, entry=1)
assert cache.tolist() == [0, 0, 3, 0]
refused("writable", lambda: session.run([np.zeros(8, np.float32)[::2], index], entry=1))
refused("outside", lambda: session.run([cache, np.array(9, np.int64)], entry=1))

# One session in two threads: each run is right or refused.
wrong = []


def use(seed):
    mine = np.random.default_rng(seed).standard_normal((50, 8)).astype(np.float32)
    for _ in range(300):
        try:
            if not np.allclose(session.run([mine])[0], want(mine), atol=1e-5):
                wrong.append(seed)
        except glmc.GlmcError as error:
            if error.status != 7:
                wrong.append(error)


threads = [threading.Thread(target=use, args=(seed,)) for seed in range(3)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert not wrong, wrong
session.close(), session.close()
refused("closed", lambda: session.run([x]))
print("ok")
