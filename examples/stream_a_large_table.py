"""A table ten times as large as the memory
========================================

A table ten times as large as the available memory: `partial_fit` on a stream is as accurate as `fit` on all rows.

The script writes the table to a Parquet file, or to CSV without pyarrow. It then trains twice: with `fit` on all
rows in this process, and with `partial_fit`, chunk by chunk, in a process with limited memory. After imports and a
warm-up, the writable memory of that process (RLIMIT_DATA) may grow by a given number of megabytes. This includes
Arrow's buffers, the chunk, the network, the optimizer and all copies. The process shows that the whole table does
not fit.

The distribution of the sensors drifts from the first row to the last. The first chunk therefore says little about
the scale of later ones, and the scaling follows the stream. The last call of each pass has validation rows for
early stopping.

::

    python stream_a_large_table.py [megabytes, 12 by default]
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from skscratch import ScratchMLPRegressor

N_COLUMNS, CHUNK, SWEEPS, PATIENCE = 100, 1000, 4, 2
COLUMNS = [f"sensor {j}" for j in range(N_COLUMNS)] + ["y"]
SETTINGS = {"hidden_layer_sizes": (32, 32), "n_members": 2, "n_jobs": 1, "random_state": 0}
FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}  # no preallocated or duplicate arenas


def number_of_chunks(megabytes):
    """Return the number of chunks in a table of ten times this size."""
    return -(-10 * megabytes * 2**20 // (8 * CHUNK * N_COLUMNS))


def rows(position, n, seed):
    """Generate rows at a position in the table (0 to 1): sensors, and the target."""
    rng = np.random.default_rng(seed)
    drift = np.linspace(-1, 1, N_COLUMNS) * 4 * np.reshape(position, (-1, 1))
    X = (rng.normal(size=(n, N_COLUMNS)) + drift).round(3)
    a, b, c, d, e = X[:, ::20].T
    return X, np.sin(a) + 0.5 * b + np.abs(c) + 0.3 * d * e + rng.normal(0, 0.4, n)


def held_out(n, seed):
    """Generate held-out rows from all positions of the table."""
    return rows(np.linspace(0, 1, n), n, seed)


def write(folder, n_chunks):
    """Write the table chunk by chunk."""
    frames = (
        pd.DataFrame(np.column_stack(rows(number / n_chunks, CHUNK, seed=[0, number])), columns=COLUMNS)
        for number in range(n_chunks)
    )
    if find_spec("pyarrow") is None:
        for number, frame in enumerate(frames):
            frame.to_csv(folder / "table.csv", mode="a", index=False, header=number == 0)
        return folder / "table.csv"
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64()) for name in COLUMNS])
    with pq.ParquetWriter(folder / "table.parquet", schema, compression="zstd", use_dictionary=False) as file:
        for frame in frames:
            file.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
    return folder / "table.parquet"


def chunks(path):
    """Read the table, chunk by chunk."""
    if path.suffix == ".csv":
        with path.open() as file:
            file.readline()
            while lines := list(islice(file, CHUNK)):
                table = np.loadtxt(lines, delimiter=",", ndmin=2)  # uses less memory than pandas
                yield table[:, :-1], table[:, -1]
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(CHUNK, use_threads=False):
            yield np.column_stack(batch.columns[:-1]), batch["y"].to_numpy()


def limit(megabytes):
    """Limit the growth of this process's memory. Return False if the system does not support this."""
    try:
        import resource

        status = Path("/proc/self/status").read_text()
    except (ImportError, OSError):
        return False
    used = int(status.split("VmData:")[1].split()[0]) * 1024  # all writable memory
    resource.setrlimit(resource.RLIMIT_DATA, (used + megabytes * 2**20,) * 2)
    return True


def stream(path, megabytes):
    """Train on the stream in a process with limited memory, and save the model next to the table."""
    for X, y in chunks(
        path
    ):  # warm up imports and the buffers of BLAS, which small products do not use on some processors
        ScratchMLPRegressor(max_iter=1, batch_size=250, **SETTINGS).fit(X, y).predict(X)
        for dtype in ("float32", "float64"):
            np.ones((512, 512), dtype) @ np.ones((512, 512), dtype)
        break
    n_chunks = number_of_chunks(megabytes)
    if limit(megabytes):
        try:
            np.ones((n_chunks * CHUNK, N_COLUMNS))
        except MemoryError as error:
            print(f"{megabytes} MB allowed. The whole table: {error}")
    else:
        print("This system cannot limit memory: streaming without a limit")

    X_val, y_val = held_out(500, seed=1)
    # one cosine decay of the learning rate over the maximum number of calls
    model = ScratchMLPRegressor(learning_rate="cosine", max_iter=SWEEPS * n_chunks, batch_size=250, **SETTINGS)
    for sweep in range(SWEEPS):
        for number, (X, y) in enumerate(chunks(path), start=1):
            validation = {"X_val": X_val, "y_val": y_val} if number == n_chunks else {}
            model.partial_fit(X, y, **validation)
        print(f"  sweep {sweep + 1}: validation loss {-model.validation_scores_[-1]:.4f}")
        if len(model.loss_curve_) - model.best_iteration_ >= PATIENCE * n_chunks:
            break
    path.with_name("model.pickle").write_bytes(pickle.dumps(model))


def main():
    """Write the table, train both ways, and compare the scores."""
    parser = argparse.ArgumentParser(description="Stream a table that is larger than memory.")
    parser.add_argument(
        "megabytes", nargs="?", type=int, default=12, help="memory limit; the table is ten times as large"
    )
    parser.add_argument(
        "--stream", type=Path, help=argparse.SUPPRESS
    )  # path of the table, for the process with limited memory
    options = parser.parse_args()
    if options.stream is not None:
        return stream(options.stream, options.megabytes)

    n_chunks = number_of_chunks(options.megabytes)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), n_chunks)
        n_rows, on_disk = n_chunks * CHUNK, path.stat().st_size / 2**20
        print(f"{n_rows} rows of {N_COLUMNS} numbers: {n_rows * N_COLUMNS / 2**17:.0f} MB in memory")
        print(f"({on_disk:.0f} MB in {path.name})\n")
        X_test, y_test = held_out(5000, seed=2)

        began = perf_counter()
        X, y = map(np.concatenate, zip(*chunks(path), strict=True))
        whole = ScratchMLPRegressor(max_iter=SWEEPS, **SETTINGS).fit(X, y).score(X_test, y_test)
        print(f"fit on all rows:          R² {whole:.4f}   {perf_counter() - began:.1f} seconds\n")

        began = perf_counter()
        command = [sys.executable, __file__, str(options.megabytes), "--stream", str(path)]
        sys.stdout.flush()
        subprocess.run(command, check=True, env=os.environ | FRUGAL)
        model = pickle.loads(path.with_name("model.pickle").read_bytes())
        streamed = model.score(X_test, y_test)
        print(f"partial_fit on a stream:  R² {streamed:.4f}   {perf_counter() - began:.1f} seconds")
        difference = abs(streamed - whole) / whole
        print(f"relative difference:      {difference:.2%}, {'within' if difference < 0.01 else 'more than'} 1%")


if __name__ == "__main__":
    main()
