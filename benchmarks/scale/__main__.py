"""Measure training on a Dask cluster with one and two worker processes, and simulate it with up to 256 workers.

::

    python -m benchmarks.scale [--quick] [--model] [--latency MICROSECONDS] [--bandwidth GBITS] [--rows N] [--columns D]

On a LocalCluster, the benchmark measures the time of an epoch beside that of the ordinary estimator, and the
messages and bytes of a step. In its own process it measures the time of a micro-batch of B rows, a + c B, and of
the optimizer. ``sync_every="auto"`` counts with such costs, rounded, as constants of ``skscratch.dask.local_steps``.

The simulation adds up one step with W workers, or the local steps between two meetings. Each worker processes its
random share of the batch, or those of its groups of partitions, with jitter in its speed. The client sends the
parameters to one worker after the other and receives as many gradients through one network card. Results go to
``benchmarks/results/scale``: ``measured.csv``, ``messages.csv``, ``model.csv``, ``targets.csv``, ``machine.txt``,
``scale.png``. What local steps cost in accuracy: ``python -m benchmarks.scale.accuracy``. What the client holds for
each row: ``python -m benchmarks.scale.memory``.
"""

import argparse
from pathlib import Path

from ..measure import RESULTS, machine
from .cluster import measure, messages
from .costs import costs
from .reports import report_of
from .simulation import Connection, draw, simulate


def main() -> None:
    """Measure, simulate and plot."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller table")
    parser.add_argument("--model", action="store_true", help="measure no epochs, but only what the model needs")
    parser.add_argument("--latency", type=float, default=100, help="one-way latency in microseconds (default: 100)")
    parser.add_argument("--bandwidth", type=float, default=10, help="of a network card, in Gbit/s (default: 10)")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS / "scale")
    args = parser.parse_args()
    sections = ["messages", "model"] if args.model else ["messages", "model", "measured"]
    report = report_of(args.results, *sections)
    description = "\n".join(machine())
    print(description)
    (args.results / "machine.txt").write_text(f"{description}\n")
    if not args.model:
        measure(report, args.quick)
    c = costs(args.columns, *messages(report))
    connection = Connection(args.latency * 1e-6, args.bandwidth * 1e9 / 8)
    efficiency = simulate(report, c, connection, args.rows, args.columns)
    title = f"{args.rows:,} rows × {args.columns} columns, {args.bandwidth:g} Gbit/s, {args.latency:g} µs"
    draw(efficiency, title, args.results / "scale.png")


if __name__ == "__main__":
    main()
