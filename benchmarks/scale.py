"""What a network on a Dask cluster costs: measured with one and two processes, from there by a model up to 256 workers.

    python benchmarks/scale.py [--quick] [--latency MICROSECONDS] [--bandwidth GBITS] [--rows N] [--columns D]

Measured here, on a LocalCluster: time of an epoch beside the ordinary estimator in the same run, messages and bytes of
a step.  Measured in this process: time of a chunk of B rows, which is a + c B, and of the optimizer.
The model then adds up one step of W workers: each computes its share of the batch, as many rows as the draw gives it,
with jitter; the process that fits sends the parameters to one after the other and receives as many gradients, through
one network card.  Results go to benchmarks/results/scale: measured.csv, model.csv, targets.csv, scale.png.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster
from measure import Judged, Report, machine

from skscratch import ScratchMLPRegressor
from skscratch.dask import DaskScratchMLPRegressor
from skscratch.estimators.plan import small_buffers
from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.accumulation import CHUNK
from skscratch.training.loop import Data, Step
from skscratch.training.optimizers import Adam
from skscratch.training.threads import one_blas_thread

RESULTS = Path(__file__).resolve().parent / "results" / "scale"
MEMBERS, HIDDEN = 5, [64, 64]
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BATCH, SYNC_EVERY = 8192, 16  # of the model: what batch_size="auto" is for 10⁷ rows; steps between two meetings
JITTER = 0.05  # standard deviation of the logarithm of a worker's time: cores are never equally fast


# ------------------------------------------------------------------ measured on a cluster


def table(rows: int, columns: int, parts: int) -> tuple[da.Array, da.Array]:
    """A Dask Array of normal numbers, and a target that bends in some of its columns."""
    X = da.random.default_rng(0).standard_normal((rows, columns), chunks=(-(-rows // parts), columns), dtype=np.float32)
    y = X[:, 0] + X[:, 1] ** 2 - abs(X[:, 2])
    return X, y


def epoch_seconds(model: ScratchMLPRegressor) -> float:
    """Time of the quickest epoch but the first, in which buffers are made: others may use the cores meanwhile."""
    return float(np.diff(model.history_["seconds"]).min())


def round_trip(client: Client) -> float:
    """Seconds of a step on next to no rows: the quickest epoch of many, for it is the messages that are to be timed."""
    X, y = client.persist(list(table(6400, 100, 4)))
    options = {"batch_size": 64, "early_stopping": False, "numeric_embedding": None, "max_iter": 6, "random_state": 0}
    model = DaskScratchMLPRegressor(**options, client=client).fit(X, y)
    return float(np.diff(model.history_["seconds"]).min()) / 100


def on_clusters(report: Report, quick: bool) -> tuple[float, float]:
    """Epochs on one and two processes beside the ordinary estimator; seconds of a trip, and of each worker more."""
    rows, columns = (20_000, 20) if quick else (100_000, 100)
    X, y = table(rows, columns, 4)
    here, truth = X.compute(), y.compute()
    lines, trips = [], []
    for n_workers in (1, 2):
        with (
            LocalCluster(n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            trips.append(round_trip(client))
            on_workers = client.persist([X, y])
            for batch in (256, 1024, 4096, 8192):
                for sync_every in (1, SYNC_EVERY):
                    options = {
                        "batch_size": batch,
                        "early_stopping": False,
                        "numeric_embedding": None,
                        "max_iter": 3 if quick else 5,
                        "random_state": 0,
                        "n_jobs": 1,
                    }
                    model = DaskScratchMLPRegressor(**options, client=client, sync_every=sync_every).fit(*on_workers)
                    local = ScratchMLPRegressor(**options).fit(here, truth)
                    ours, theirs = epoch_seconds(model), epoch_seconds(local)
                    steps = options["max_iter"] * -(-rows // batch)
                    traffic = model.traffic_
                    messages = traffic.messages / steps
                    lines.append(
                        {
                            "workers": n_workers,
                            "batch": batch,
                            "sync every": sync_every,
                            "ms a step": 1e3 * ours / -(-rows // batch),
                            "beside ordinary": Judged(
                                ours / theirs, ("<=", 1.2) if n_workers == 1 and batch >= 4096 else None
                            ),
                            "messages a step": messages,
                            "kB sent a step": traffic.bytes_sent / steps / 1e3,
                            "kB received a step": traffic.bytes_received / steps / 1e3,
                        }
                    )
    each = max(trips[1] - trips[0], 2e-4)
    notes = [
        f"{rows:,} rows x {columns} columns, {MEMBERS} networks of {HIDDEN}; epochs beside those of the ordinary fit",
        f"a step on 64 rows takes {1e3 * trips[0]:.2f} ms with one worker, {1e3 * trips[1]:.2f} ms with two",
    ]
    report.table("measured", "On a LocalCluster", lines, notes)
    return max(trips[0] - each, 0.0), each


# ------------------------------------------------------------------ measured in this process


@dataclass(frozen=True)
class Costs:
    """Seconds of each part of a step."""

    fixed: float  # of a chunk of rows, and
    row: float  # of each of its rows
    update: float  # of the optimizer
    trip: float  # of asking and being answered, however many are asked, and
    message: float  # of each that is asked
    parameters: int  # bytes, of all members


def costs(columns: int, trip: float, message: float) -> Costs:
    """Time the arithmetic of a worker's share of a step, and of the optimizer."""
    network = build(columns, (), HIDDEN, 1, ["silu"] * len(HIDDEN), init="data", ntk=True)
    rng = np.random.RandomState(0)
    parameters = np.zeros((MEMBERS, network.layout.size), np.float32)
    network.initialise(parameters, rng)
    gradient, loss = np.empty_like(parameters), make_loss("squared_error", None)
    n = BATCH
    X = np.ones((n, columns + 1), np.float32)
    X[:, :columns] = rng.normal(size=(n, columns))
    data = Data(Table(X, ones=True), Targets(rng.normal(size=(n, 1)).astype(np.float32)), np.ones((1, n), np.float32))
    sizes, seconds = (32, 64, 128, 256, CHUNK), []
    with one_blas_thread(), small_buffers():
        for size in sizes:
            step = Step(network, loss, parameters, gradient, data, size, total=np.ones(1))
            rows = rng.permutation(n)[:size]
            seconds.append(timed(lambda step=step, rows=rows: (step.load(rows), step.run())))
        update = Adam(parameters).bind(parameters, gradient)
        spent = timed(lambda: update(1e-9, 1))
    row, fixed = np.polyfit(sizes, seconds, 1, w=1 / np.array(seconds))
    return Costs(max(fixed, 0.0), row, spent, trip, message, parameters.nbytes)


def timed(do: Callable[[], object], seconds: float = 0.5) -> float:
    """Time of a call: the shortest of as many as fit into some time."""
    do()
    times, until = [], perf_counter() + seconds
    while perf_counter() < until or len(times) < 5:
        began = perf_counter()
        do()
        times.append(perf_counter() - began)
    return min(times)


# ------------------------------------------------------------------ the model


@dataclass(frozen=True)
class Network:
    """A network between machines: one-way latency in seconds, bytes a second of one card."""

    latency: float
    bandwidth: float

    def exchange(self, n_workers: int, there: float, back: float, c: Costs) -> float:
        """One machine asks all others at once: what goes over its own card, and how long the handling takes."""
        return c.trip + n_workers * (c.message + (there + back) / self.bandwidth) + 2 * self.latency


MODES = ("every step", f"every {SYNC_EVERY} steps", "L-BFGS")


def seconds_of(mode: str, n_workers: int, rows: int, c: Costs, net: Network, rng: np.random.RandomState) -> float:
    """Simulated time of what one machine does in `alone_seconds`: a step, a round of steps, or an evaluation."""

    def slowest(n: int) -> float:
        """Time of the worker that takes longest, where n rows are drawn from all workers."""
        shares = rng.multinomial(n, np.full(n_workers, 1 / n_workers)) if n_workers > 1 else np.array([n])
        seconds = c.fixed * np.ceil(shares / CHUNK) + c.row * shares
        return float(np.max(seconds * np.exp(JITTER * rng.normal(size=n_workers))))

    if mode == MODES[0]:
        return slowest(BATCH) + net.exchange(n_workers, c.parameters, c.parameters, c) + c.update
    if mode == MODES[1]:  # parameters and both moments of Adam, there and back
        local = slowest(BATCH * SYNC_EVERY) + SYNC_EVERY * c.update  # they wait for each other at the end alone
        return local + net.exchange(n_workers, 3 * c.parameters, 3 * c.parameters, c)
    return slowest(rows) + net.exchange(n_workers, 2 * c.parameters, 2 * c.parameters, c)  # in double precision


def alone_seconds(mode: str, rows: int, c: Costs) -> float:
    """Time of the same on one machine, in the same chunks (the ordinary estimator takes nearly twice that, in one)."""
    if mode == MODES[2]:
        return rows * (c.row + c.fixed / CHUNK)
    return (BATCH * (c.row + c.fixed / CHUNK) + c.update) * (SYNC_EVERY if mode == MODES[1] else 1)


def simulate(report: Report, c: Costs, net: Network, rows: int, columns: int) -> dict[str, list[float]]:
    """Efficiency of each mode by the number of workers."""
    rng = np.random.RandomState(0)
    efficiency: dict[str, list[float]] = {mode: [] for mode in MODES}
    lines = []
    for n_workers in WORKERS:
        line: dict[str, object] = {"workers": n_workers}
        for mode in MODES:
            draws = [seconds_of(mode, n_workers, rows, c, net, rng) for _ in range(200)]
            speedup = alone_seconds(mode, rows, c) / statistics.mean(draws)
            efficiency[mode].append(speedup / n_workers)
            line[f"{mode}: speed-up"] = speedup
            line[f"{mode}: efficiency"] = Judged(speedup / n_workers, (">=", 0.8) if n_workers == 4 else None)
        lines.append(line)
    notes = [
        f"{rows:,} rows x {columns} columns, batches of {BATCH}, latency {net.latency * 1e6:.0f} us, "
        f"{net.bandwidth * 8 / 1e9:g} Gbit/s; a trip {c.trip * 1e3:.2f} ms and {c.message * 1e3:.2f} ms "
        f"for each worker, {c.parameters / 1e3:.0f} kB there and back, "
        f"a row {c.row * 1e6:.1f} us, the optimizer {c.update * 1e3:.2f} ms"
    ]
    for mode, values in efficiency.items():
        speedups = np.multiply(values, WORKERS)
        halved = [w for w, e in zip(WORKERS, values, strict=True) if e >= 0.5]
        notes.append(
            f"{mode}: efficiency of a half up to {max(halved, default=0)} workers; fastest with "
            f"{WORKERS[int(np.argmax(speedups))]}, {max(speedups):.1f} times one machine"
        )
    report.table("model", "By the model", lines, notes)
    return efficiency


def draw(efficiency: dict[str, list[float]], title: str, path: Path) -> None:
    """Efficiency by workers, one line a mode."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    for (mode, values), color, marker in zip(efficiency.items(), ("#0072B2", "#D55E00", "#009E73"), "os^", strict=True):
        ax.plot(WORKERS, values, color=color, marker=marker, label=f"sums {mode}" if "step" in mode else mode)
    ax.axhline(0.8, color="gray", lw=0.8, ls=":")
    ax.set_xscale("log", base=2)
    ax.set_xticks(WORKERS, [str(w) for w in WORKERS])
    ax.set_ylim(0, 1.05)
    ax.set(xlabel="workers", ylabel="efficiency")
    ax.set_title(title, fontsize=10)
    ax.legend()
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Measure, simulate, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller table")
    parser.add_argument("--latency", type=float, default=100, help="one-way, in microseconds")
    parser.add_argument("--bandwidth", type=float, default=10, help="of a network card, in Gbit/s")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    for old in args.results.glob("*.csv"):
        old.unlink()
    report = Report(args.results, "1")
    print(*machine(), sep="\n")
    c = costs(args.columns, *on_clusters(report, args.quick))
    net = Network(args.latency * 1e-6, args.bandwidth * 1e9 / 8)
    efficiency = simulate(report, c, net, args.rows, args.columns)
    title = f"{args.rows:,} rows × {args.columns} columns, {args.bandwidth:g} Gbit/s, {args.latency:g} µs"
    draw(efficiency, title, args.results / "scale.png")


if __name__ == "__main__":
    main()
