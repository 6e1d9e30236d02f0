"""Measure the time and memory of this package, beside scikit-learn, PyTorch, JAX and the bare matrix products.

::

    python -m benchmarks.speed            # all sections, with one thread and with all
    python -m benchmarks.speed --quick    # a first look, in less than a minute
    python -m benchmarks.speed --only steps fits --threads 1 --data FOLDER --out FOLDER

All libraries train the same network with the same batch size and number of epochs, in one process and with the same
thread limit. Their runs alternate; times are medians. PyTorch, JAX and matplotlib are skipped, with a note, if they
are not installed. Each section prints a table with ratios and their targets, and writes it to ``<section>.csv`` in
the folder given by ``--out``. ``targets.csv`` contains all targets, ``machine.txt`` the machine and its load,
``growth.png`` the plot. The last lines compare the results with those that were in the folder before, by default the
committed ones, so that a slower commit shows.

``--data`` is a folder of real tables: ``manifest.csv`` with columns name and task (regression, binary or
multiclass), and a ``<name>.csv.gz`` with a column target for each of california_housing, kin8nm, phoneme and
telco_churn. The default is a generated table and the bundled tables of scikit-learn.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from ..measure import RESULTS, Report, environment, installed, machine

PER_LIMIT = ("steps", "fits", "quality", "predict")  # measured with each thread limit
ONCE = ("threads", "growth", "memory", "large_tables", "pickles", "imports")  # measured once, without a thread limit
SINGLE = ("shapes", "wide", "lazy_tables")  # measured once, with one thread

NOISE = 0.1  # of a ratio, between runs of the same code


def main() -> None:
    """Run each thread limit in a child process, because libraries read it when they are loaded."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.speed", description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer epochs and runs; --threads defaults to 1")
    add("--data", type=Path, metavar="FOLDER", help="real tables: manifest.csv and <name>.csv.gz")
    sections = [*PER_LIMIT, *SINGLE, *ONCE]
    add("--only", nargs="+", metavar="NAME", choices=sections, help=f"sections: {', '.join(sections)}")
    add("--threads", nargs="+", metavar="N", help="thread limits: numbers, or 'all' (default: 1 all)")
    add("--out", type=Path, metavar="FOLDER", default=RESULTS / "speed")
    add("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = arguments.only or sections
    if arguments.child:
        measure(arguments.child, wanted, arguments)
        return
    limits = arguments.threads or (["1"] if arguments.quick else ["1", "all"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    before = ratios(arguments.out)
    for name in [*wanted, "targets"]:
        (arguments.out / f"{name}.csv").unlink(missing_ok=True)
    description = machine()
    (arguments.out / "machine.txt").write_text("\n".join(description) + "\n")
    print("\n".join(description), flush=True)
    for limit, names in [*((limit, PER_LIMIT) for limit in limits), ("1", SINGLE), ("all", ONCE)]:
        chosen = [name for name in names if name in wanted]
        if chosen:
            options = ["--child", limit, "--only", *chosen, "--out", str(arguments.out)]
            options += ["--quick"] * arguments.quick + (["--data", str(arguments.data)] if arguments.data else [])
            command = [sys.executable, "-m", "benchmarks.speed", *options]
            subprocess.run(command, env=environment(limit), check=True)
    summarise(arguments.out / "targets.csv")
    print_changes(before, ratios(arguments.out))


def measure(limit: str, names: list[str], arguments: argparse.Namespace) -> None:
    """Run sections in this process."""
    from . import deployment, shapes, training

    if limit != "all" and installed("torch"):
        import torch

        torch.set_num_threads(int(limit))
    report = Report(arguments.out, limit)
    for name in names:
        section = next(getattr(module, name) for module in (training, shapes, deployment) if hasattr(module, name))
        began = perf_counter()
        section(report, arguments.quick, arguments.data)
        print(f"  ({perf_counter() - began:.0f} s)", flush=True)


def summarise(path: Path) -> None:
    """Print the number of targets met, and the targets not met."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        targets = list(csv.DictReader(file))
    missed = [row for row in targets if row["verdict"] != "met"]
    print(f"\n{len(targets) - len(missed)} of {len(targets)} targets met")
    for row in missed:
        print(f"  NOT met, threads {row['threads']}: {row['section']}, {row['what']}: {row['value']} ({row['target']})")


def ratios(folder: Path) -> dict[tuple[str, str], float]:
    """Return each result in ``targets.csv`` by the thread limit and by section and row."""
    path = folder / "targets.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["threads"], f"{row['section']}, {row['what']}"): float(row["value"]) for row in rows}


def print_changes(before: dict[tuple[str, str], float], now: dict[tuple[str, str], float]) -> None:
    """Print each result that differs by more than `NOISE` from the one that was in the folder before."""
    common = [key for key in now if before.get(key, 0) > 0 and now[key] > 0]
    changed = [key for key in common if abs(now[key] / before[key] - 1) > NOISE]
    print(f"\n{len(changed)} of {len(common)} results differ by more than {NOISE:.0%} from those before this run")
    for threads, what in changed:
        then, value = before[threads, what], now[threads, what]
        print(f"  threads {threads}: {what}: {value:.3g} now, {then:.3g} before ({value / then:.2f} x)")


if __name__ == "__main__":
    main()
