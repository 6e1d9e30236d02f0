"""From a fit on a mixed table to an ONNX file, which any onnxruntime runs, with no Python and none of this package.

The file takes one input a column, under its name: text as it comes ("" where it is missing), numbers (NaN where they
are), and districts that were never seen.  It says what `predict` says, and says it sooner.
"""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd

from skscratch import ScratchMLPRegressor
from skscratch.onnx import input_feed, to_onnx


def flats(n=600, seed=0):
    """Make a table of flats, a tenth of whose values are lost, and their rents."""
    draw = np.random.default_rng(seed)
    district = draw.choice(["Altstadt", "Hafen", "Nordend", "Westend"], n)
    area, rooms, year = draw.gamma(9, 8, n), draw.integers(1, 6, n), draw.integers(1890, 2025, n).astype(float)
    lift = draw.random(n) < 0.4
    rent = 8 * area + 60 * rooms + 90 * lift + 250 * (district == "Westend") + 0.02 * (year - 1950) ** 2
    X = pd.DataFrame({"district": district.astype(object), "area": area, "year": year})
    X["heating"] = pd.Categorical(draw.choice(["gas", "oil", "district"], n))
    X = X.mask(draw.random(X.shape) < 0.1)
    return X.assign(rooms=rooms, lift=lift), rent + draw.normal(0, 60, n)


def milliseconds(call, times=50):
    """Time of a call: the best of so many."""
    best = float("inf")
    for _ in range(times):
        began = perf_counter()
        call()
        best = min(best, perf_counter() - began)
    return 1000 * best


def main():
    """Fit, write the file, run it, and compare."""
    lacking = [name for name in ("skl2onnx", "onnxruntime") if find_spec(name) is None]
    if lacking:
        print(f'{" and ".join(lacking)} not installed: pip install "skscratch[onnx]"')
        return
    import onnxruntime

    X, rent = flats()
    model = ScratchMLPRegressor(max_iter=30, random_state=0).fit(X, rent)
    converted = to_onnx(model, X)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rent.onnx"
        file.write_bytes(converted.SerializeToString())
        print(f"{file.name}: {file.stat().st_size / 1024:.0f} kB, {len(converted.graph.node)} nodes")
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for place in session.get_inputs():
        print(f"  {place.name:<10}{place.type}")

    ours, theirs = model.predict(X), session.run(None, input_feed(converted, X))[0][:, 0]
    print(f"\nLargest difference on {len(X)} flats: {np.abs(ours - theirs).max():.1e}, of rents of {rent.mean():.0f}")

    # a row as another program would write it: a district that was never seen, and a year that is not known
    row = {"district": "Südend", "area": 80.0, "year": np.nan, "heating": "gas", "rooms": 3, "lift": True}
    kinds = {"tensor(string)": object, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(bool)": bool}
    feed = {place.name: np.array([[row[place.name]]], kinds[place.type]) for place in session.get_inputs()}
    flat = pd.DataFrame([row])[X.columns]
    print("\nOne flat           rent   milliseconds")
    for name, call in (
        ("predict", lambda: model.predict(flat)[0]),
        ("onnxruntime", lambda: session.run(None, feed)[0][0, 0]),
    ):
        print(f"  {name:<14}{call():7.2f}{milliseconds(call):15.2f}")


if __name__ == "__main__":
    main()
