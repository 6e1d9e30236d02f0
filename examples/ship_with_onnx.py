"""From a mixed table to an ONNX file
==================================

From a fit on a mixed table to an ONNX file, which onnxruntime runs without Python and without this package.

The model in the file has one named input per column. It accepts strings ("" means missing), numbers (NaN means
missing) and unseen categories. It predicts the same values as `predict`, in less time.
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
    """Generate a table of flats, with a tenth of the values missing, and their rents."""
    rng = np.random.default_rng(seed)
    district = rng.choice(["Altstadt", "Hafen", "Nordend", "Westend"], n)
    area, rooms, year = rng.gamma(9, 8, n), rng.integers(1, 6, n), rng.integers(1890, 2025, n).astype(float)
    lift = rng.random(n) < 0.4
    rent = 8 * area + 60 * rooms + 90 * lift + 250 * (district == "Westend") + 0.02 * (year - 1950) ** 2
    X = pd.DataFrame({"district": district.astype(object), "area": area, "year": year})
    X["heating"] = pd.Categorical(rng.choice(["gas", "oil", "district"], n))
    X = X.mask(rng.random(X.shape) < 0.1)
    return X.assign(rooms=rooms, lift=lift), rent + rng.normal(0, 60, n)


def milliseconds(call, times=50):
    """Return the shortest time of repeated calls."""
    best = float("inf")
    for _ in range(times):
        began = perf_counter()
        call()
        best = min(best, perf_counter() - began)
    return 1000 * best


def main():
    """Fit a model, write the file, run it and compare the predictions."""
    missing = [name for name in ("skl2onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        print(f'{" and ".join(missing)} not installed: pip install "skscratch[onnx]"')
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
    for column in session.get_inputs():
        print(f"  {column.name:<10}{column.type}")

    ours, theirs = model.predict(X), session.run(None, input_feed(converted, X))[0][:, 0]
    print(f"\nLargest difference on {len(X)} flats: {np.abs(ours - theirs).max():.1e}, mean rent {rent.mean():.0f}")

    # a row from another program, with an unseen district and a missing year
    row = {"district": "Südend", "area": 80.0, "year": np.nan, "heating": "gas", "rooms": 3, "lift": True}
    dtypes = {"tensor(string)": object, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(bool)": bool}
    feed = {column.name: np.array([[row[column.name]]], dtypes[column.type]) for column in session.get_inputs()}
    flat = pd.DataFrame([row])[X.columns]
    print("\nOne flat           rent   milliseconds")
    for name, call in (
        ("predict", lambda: model.predict(flat)[0]),
        ("onnxruntime", lambda: session.run(None, feed)[0][0, 0]),
    ):
        print(f"  {name:<14}{call():7.2f}{milliseconds(call):15.2f}")


if __name__ == "__main__":
    main()
