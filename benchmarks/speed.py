"""Measure what this package costs, beside scikit-learn, PyTorch, JAX and the bare matrix products.

::

    python benchmarks/speed.py            # everything, with one thread and with all
    python benchmarks/speed.py --quick    # a first look, under a minute
    python benchmarks/speed.py --only steps fits --threads 1 --data FOLDER --out FOLDER

Contenders train the same network on the same batches for the same epochs under the same limit of threads, in one
process, taking turns; times are medians. PyTorch, JAX and matplotlib are left out, with a note, where they are not
installed. Each section prints a table in which the ratios stand beside their targets, and writes it to
``<section>.csv`` in the folder given by ``--out``; ``targets.csv`` holds all verdicts, ``machine.txt`` the machine,
``growth.png`` the plot.

``--data`` is a folder of real tables: ``manifest.csv`` with columns name and task (regression, binary or multiclass),
and a ``<name>.csv.gz`` with a column target for each of california_housing, kin8nm, phoneme and telco_churn. Without
it, a generated table and those bundled with scikit-learn are used.
"""

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
PER_LIMIT = ("steps", "fits", "quality", "predict")  # measured under each limit of threads
ONCE = ("threads", "growth", "memory", "pickles", "imports")  # no limit on threads from outside


def main() -> None:
    """Run each limit of threads in a process of its own, for libraries take it from the environment when loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer epochs and runs; one thread unless --threads")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="real tables: manifest.csv and <name>.csv.gz")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*PER_LIMIT, *ONCE], help=f"{(*PER_LIMIT, *ONCE)}")
    parser.add_argument("--threads", nargs="+", metavar="N", help="limits: numbers, or 'all' (default: 1 all)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path(__file__).parent / "results")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = arguments.only or [*PER_LIMIT, *ONCE]
    if arguments.child:
        measure(arguments.child, wanted, arguments)
        return
    limits = arguments.threads or (["1"] if arguments.quick else ["1", "all"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in [*wanted, "targets"]:
        (arguments.out / f"{name}.csv").unlink(missing_ok=True)
    from measure import machine

    description = machine()
    (arguments.out / "machine.txt").write_text("\n".join(description) + "\n")
    print("\n".join(description), flush=True)
    for limit, sections in [*((limit, PER_LIMIT) for limit in limits), ("all", ONCE)]:
        sections = [name for name in sections if name in wanted]
        if sections:
            options = ["--child", limit, "--only", *sections, "--out", str(arguments.out)]
            options += ["--quick"] * arguments.quick + (["--data", str(arguments.data)] if arguments.data else [])
            subprocess.run([sys.executable, __file__, *options], env=environment(limit), check=True)
    summarise(arguments.out / "targets.csv")


def environment(limit: str) -> dict[str, str]:
    """The environment of a process that may use so many threads."""
    if limit == "all":
        return dict(os.environ)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={str(limit != '1').lower()}"
    return os.environ | dict.fromkeys(LIMITS, limit) | {"XLA_FLAGS": flags.strip()}


def measure(limit: str, names: list[str], arguments: argparse.Namespace) -> None:
    """Run sections in this process."""
    import rivals
    import training_time
    import using
    from measure import Report

    if limit != "all" and rivals.installed("torch"):
        import torch

        torch.set_num_threads(int(limit))
    report = Report(arguments.out, limit)
    for name in names:
        section = getattr(training_time, name, None) or getattr(using, name)
        began = perf_counter()
        section(report, arguments.quick, arguments.data)
        print(f"  ({perf_counter() - began:.0f} s)", flush=True)


def summarise(path: Path) -> None:
    """Print how many targets are met, and those that are not."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        judged = list(csv.DictReader(file))
    missed = [row for row in judged if row["verdict"] != "met"]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} targets met")
    for row in missed:
        print(f"  NOT met, threads {row['threads']}: {row['section']}, {row['what']}: {row['value']} ({row['target']})")


if __name__ == "__main__":
    main()
