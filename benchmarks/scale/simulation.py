"""Simulation of training on many machines, from the measured costs of a step and the parameters of a network."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skscratch.dask.local_steps import automatic_groups, automatic_sync_every

from ..measure import Report, Result
from .costs import BATCH, MEMBERS, MICRO_BATCH, Costs, network

__all__ = ["Connection", "draw", "simulate"]

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
JITTER = 0.05  # standard deviation of the logarithm of a worker's time; cores differ in speed


@dataclass(frozen=True)
class Connection:
    """A computer network: one-way latency in seconds, bandwidth of a network card in bytes per second."""

    latency: float
    bandwidth: float

    def exchange(self, n_workers: int, sent: float, received: float, c: Costs) -> float:
        """Return the seconds in which one machine sends and receives bytes to and from each of `n_workers`."""
        return c.trip + n_workers * (c.message + (sent + received) / self.bandwidth) + 2 * self.latency


MODES = ("every step", "auto", "L-BFGS")
LABELS = {"every step": "sync_every=1", "auto": 'sync_every="auto"', "L-BFGS": "L-BFGS"}
TARGETS = {4: (">=", 0.8), 16: (">=", 0.6)}  # of "auto", by the number of workers


def simulated_seconds(
    mode: str, n_workers: int, rows: int, steps: int, c: Costs, connection: Connection, rng: np.random.RandomState
) -> float:
    """Return the simulated time of a step, of local steps up to the next meeting, or of an L-BFGS evaluation."""

    def slowest(n: int, parts: int = 1, n_groups: int = n_workers) -> float:
        """Return the time of the slowest worker when n rows, in so many steps, are drawn from the groups of all."""
        shares = rng.multinomial(n, np.full(n_groups, 1 / n_groups)) if n_groups > 1 else np.array([n])
        seconds = parts * c.fixed * np.ceil(shares / parts / MICRO_BATCH) + c.row * shares
        if mode == MODES[1]:
            seconds += parts * c.update
        by_worker = np.bincount(np.arange(n_groups) % n_workers, seconds)
        return float(np.max(by_worker * np.exp(JITTER * rng.normal(size=len(by_worker)))))

    if mode == MODES[0]:
        return slowest(BATCH) + connection.exchange(n_workers, c.parameters, c.parameters, c) + c.update
    if mode == MODES[1]:  # sends and receives the parameters and both moments of Adam
        n_groups = automatic_groups(BATCH)
        local = slowest(BATCH * steps, steps, n_groups)
        return local + connection.exchange(min(n_workers, n_groups), 3 * c.parameters, 3 * c.parameters, c)
    # in double precision
    return slowest(rows) + connection.exchange(n_workers, 2 * c.parameters, 2 * c.parameters, c)


def seconds_alone(mode: str, rows: int, steps: int, c: Costs) -> float:
    """Return the time of the same work on one machine, in the same micro-batches."""
    if mode == MODES[2]:
        return rows * (c.row + c.fixed / MICRO_BATCH)
    return (BATCH * (c.row + c.fixed / MICRO_BATCH) + c.update) * (steps if mode == MODES[1] else 1)


def simulate(report: Report, c: Costs, connection: Connection, rows: int, columns: int) -> dict[str, list[float]]:
    """Return the efficiency of each mode by the number of workers."""
    rng = np.random.RandomState(0)
    steps = automatic_sync_every(network(columns), MEMBERS, 4, rows, BATCH, automatic_groups(BATCH))
    efficiency: dict[str, list[float]] = {mode: [] for mode in MODES}
    lines = []
    for n_workers in WORKERS:
        line: dict[str, object] = {"workers": n_workers}
        for mode in MODES:
            draws = [simulated_seconds(mode, n_workers, rows, steps, c, connection, rng) for _ in range(200)]
            speedup = seconds_alone(mode, rows, steps, c) / statistics.mean(draws)
            efficiency[mode].append(speedup / n_workers)
            line[f"{mode}: speed-up"] = speedup
            target = TARGETS.get(n_workers) if mode == MODES[1] else None
            line[f"{mode}: efficiency"] = Result(speedup / n_workers, target)
        lines.append(line)
    notes = [
        f"{rows:,} rows x {columns} columns, batches of {BATCH}, latency {connection.latency * 1e6:.0f} us, "
        f"{connection.bandwidth * 8 / 1e9:g} Gbit/s; round trip {c.trip * 1e3:.2f} ms and {c.message * 1e3:.2f} ms "
        f"per worker, {c.parameters / 1e3:.0f} kB in each direction, "
        f"{c.row * 1e6:.1f} us per row ({3 * c.parameters / 4 / c.row / 1e9:.0f} billion multiply-adds a second), "
        f"optimizer {c.update * 1e3:.2f} ms",
        f"auto: {steps} local steps of {automatic_groups(BATCH)} groups of partitions, on at most as many workers",
    ]
    for mode, values in efficiency.items():
        speedups = np.multiply(values, WORKERS)
        halved = [w for w, e in zip(WORKERS, values, strict=True) if e >= 0.5]
        notes.append(
            f"{mode}: efficiency of at least 0.5 up to {max(halved, default=0)} workers; fastest with "
            f"{WORKERS[int(np.argmax(speedups))]}, {max(speedups):.1f} times one machine"
        )
    report.table("model", "Simulation", lines, notes)
    return efficiency


def draw(efficiency: dict[str, list[float]], title: str, path: Path) -> None:
    """Plot the efficiency by the number of workers, one line per mode."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    for (mode, values), color, marker in zip(efficiency.items(), ("#0072B2", "#D55E00", "#009E73"), "os^", strict=True):
        ax.plot(WORKERS, values, color=color, marker=marker, label=LABELS[mode])
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
