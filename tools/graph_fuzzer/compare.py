"""Whether two results agree."""
import numpy as np

from .builder import ROUNDING
from .oracle import Refused, is_float

# Largest relative L2 error, and largest error of an element relative to the largest expected one.
TOLERANCE = {"float64": (1e-7, 1e-6), "float32": (1e-4, 1e-3), "float16": (1e-2, 4e-2), "bfloat16": (5e-2, 0.2)}
# Under --int8, --bf16 and --fp16: how far every number is moved to learn what rounding so may do, and the least bound.
NARROW = {"--int8": (2e-2, 0.1), "--bf16": (8e-3, 4e-2), "--fp16": (1e-3, 1e-2)}


def difference(expected, got, tolerance=(0, 0), slack=0.0):
    """None, or what differs. `slack` is added to what each element may be off."""
    if expected.shape != got.shape:
        return f"shape {list(got.shape)} instead of {list(expected.shape)}"
    if expected.dtype != got.dtype:
        return f"type {got.dtype} instead of {expected.dtype}"
    if expected.size == 0:
        return None
    if not is_float(expected.dtype):
        bad = np.argwhere(expected != got)
        return None if len(bad) == 0 or slack > 0 else f"{len(bad)} of {expected.size} integers differ: {got[tuple(bad[0])]} instead of {expected[tuple(bad[0])]} at {bad[0].tolist()}"
    e, g = expected.astype(np.float64), got.astype(np.float64)
    for what, test in (("NaN", np.isnan), ("inf", np.isinf)):
        if (test(e) != test(g)).any() and slack == 0:
            at = tuple(np.argwhere(test(e) != test(g))[0])
            return f"{what} at other places: {g[at]} instead of {e[at]} at {[int(i) for i in at]}"
    ok = np.isfinite(e) & np.isfinite(g)
    if (e[np.isinf(e) & np.isinf(g)] != g[np.isinf(e) & np.isinf(g)]).any():
        return "inf of the other sign"
    d = np.abs(e[ok] - g[ok])
    if d.size == 0:
        return None
    largest, norm = np.abs(e[ok]).max(), np.linalg.norm(e[ok])
    if d.max() <= max(tolerance[1] * max(largest, 1e-2), 10 * slack) and np.linalg.norm(d) <= max(tolerance[0] * max(norm, 1e-2), 10 * slack * np.sqrt(d.size)):
        return None
    at = tuple(int(i) for i in np.argwhere(ok)[d.argmax()])
    return f"error {d.max():.3g} ({g[at]:.6g} instead of {e[at]:.6g} at {list(at)}), relative L2 {np.linalg.norm(d) / max(norm, 1e-30):.3g}"


def precision(component, narrow=None):
    """The tolerance of a component: that of its narrowest type that rounds."""
    names = {component.values[n].dtype.name for n in component.values if not isinstance(component.values[n], list) and (n in component.inexact or n in component.outputs)}
    loosest = max((TOLERANCE[n] for n in names if n in TOLERANCE), default=(0, 0))
    return max(loosest, (NARROW[narrow][1], NARROW[narrow][1])) if narrow else loosest


def judge(component, oracle, feeds, expected, got, narrow=None):
    """The outputs that are wrong, with what is wrong, and how many differ only by what a few roundings may change."""
    bound, wrong = precision(component, narrow), {}
    for name in component.outputs:
        found = difference(expected[name], got[name], bound)
        if found:
            wrong[name] = found
    if not wrong:
        return {}, 0
    slack, reshaped = {}, set()
    for seed in range(4):
        try:
            moved = component.evaluate(oracle, feeds, seed + 10, NARROW[narrow][0] if narrow else None, everything=bool(narrow))
        except Refused:
            continue
        for name in wrong:
            e, m = expected[name], moved[name]
            if e.shape != m.shape:
                reshaped.add(name)
                continue
            e, m = e.astype(np.float64), m.astype(np.float64)
            if (np.isfinite(e) != np.isfinite(m)).any():
                slack[name] = np.inf
            elif e.size:
                ok = np.isfinite(e)
                slack[name] = max(slack.get(name, 0), np.abs(e[ok] - m[ok]).max(initial=0))
    still = {}
    for name, found in wrong.items():
        if name in reshaped:
            continue
        by = slack.get(name, 0)
        if by == np.inf and expected[name].shape == got[name].shape:
            continue
        remaining = difference(expected[name], got[name], bound, by if by != np.inf else 0) if by else found
        if remaining:
            still[name] = remaining
    return still, len(wrong) - len(still)
