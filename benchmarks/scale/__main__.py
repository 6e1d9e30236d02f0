"""Measure training on a Dask cluster with one and two worker processes, and simulate it with up to 256 workers.

::

    python -m benchmarks.scale [--quick] [--latency MICROSECONDS] [--bandwidth GBITS] [--rows N] [--columns D]

On a LocalCluster, the benchmark measures the time of an epoch beside that of the ordinary estimator, and the
messages and bytes of a step. In its own process it measures the time of a micro-batch of B rows, a + c B, and of
the optimizer.

The simulation adds up one step with W workers. Each worker processes its random share of the batch, with jitter in
its speed. The client sends the parameters to one worker after the other and receives as many gradients through one
network card. Results go to ``benchmarks/results/scale``: ``measured.csv``, ``model.csv``, ``targets.csv``,
``scale.png``.
"""

import argparse
from pathlib import Path

from ..measure import RESULTS, Report, machine
from .cluster import measure
from .costs import costs
from .simulation import Connection, draw, simulate


def main() -> None:
    """Measure, simulate and plot."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller table")
    parser.add_argument("--latency", type=float, default=100, help="one-way latency in microseconds (default: 100)")
    parser.add_argument("--bandwidth", type=float, default=10, help="of a network card, in Gbit/s (default: 10)")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS / "scale")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    for old in args.results.glob("*.csv"):
        old.unlink()
    report = Report(args.results, "1")
    print(*machine(), sep="\n")
    c = costs(args.columns, *measure(report, args.quick))
    connection = Connection(args.latency * 1e-6, args.bandwidth * 1e9 / 8)
    efficiency = simulate(report, c, connection, args.rows, args.columns)
    title = f"{args.rows:,} rows × {args.columns} columns, {args.bandwidth:g} Gbit/s, {args.latency:g} µs"
    draw(efficiency, title, args.results / "scale.png")


if __name__ == "__main__":
    main()
