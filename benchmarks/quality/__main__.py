"""Measure accuracy and fit time of the default settings, beside scikit-learn's MLP, boosted trees and other networks.

::

    python -m benchmarks.quality                           # all models, scikit-learn's bundled tables
    python -m benchmarks.quality --data FOLDER             # the tables of a folder
    python -m benchmarks.quality --models skscratch mlp hgb --tables wine diabetes --seeds 1
    python -m benchmarks.quality --models skscratch --settings ablation
    python -m benchmarks.quality --memory                  # also peak memory of our fits on the largest tables
    python -m benchmarks.quality --report                  # tables and plots of existing results, without new runs

All models have their default settings, the same training rows and the same held-out rows: three quarters and one
quarter of the table, at most 8,000 rows each. The fits run one after the other in one process with one thread
limit. Their time includes the preprocessing of the raw table. LightGBM, XGBoost, CatBoost and pytabkit are skipped,
with a message, if they are not installed.

``--data`` is a folder with ``manifest.csv``, columns name, task (regression, binary or multiclass) and source_repo,
and a ``<name>.csv.gz`` with a column target for each table. A table whose source_repo is
``sklearn.datasets.load_<name>`` comes from scikit-learn. A manifest with the columns name, task (reg or class),
target, sep and header describes raw tables instead, which are read by ``pd.read_csv`` and nothing else.

Each finished run is appended to ``runs.csv`` in the folder given by ``--out``. Runs in this file are not repeated,
except with ``--fresh``. The report writes ``summary.csv``, ``targets.csv``, ``ablation.csv`` and the plots
``time.png``, ``ranks.png`` and ``tables.png``. ``machine.txt`` describes the machine; ``--memory`` writes
``memory.csv``. The summary and the plots show all models with results, on the tables that these models have in
common. With ``--report``, the options ``--models``, ``--settings`` and ``--tables`` select among them. Compare
times only between runs on an equally idle machine.
"""

import argparse
from importlib import metadata
from pathlib import Path

from ..measure import RESULTS, Report, installed, machine, run_in_child
from . import ablation, memory, runs, summary, tables
from .models import ABLATION, BASELINES, OURS, SETTINGS, settings


def main() -> None:
    """Run the fits in a child process, because libraries read their thread limit when they are loaded."""
    arguments = parse()
    if arguments.child:
        runs.measure(
            runs.Runs(arguments.out / "runs.csv"),
            arguments.data,
            arguments.tables,
            arguments.models,
            arguments.settings,
            arguments.seeds,
            threads=arguments.threads,
            fresh=arguments.fresh,
        )
        if arguments.memory:
            named = [name for name in arguments.settings if name in SETTINGS]
            memory.measure(arguments.out / "memory.csv", arguments.data, arguments.tables, named)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        describe(arguments.out / "machine.txt")
        run_in_child("benchmarks.quality", arguments.threads)
    report(arguments)


def parse() -> argparse.Namespace:
    """Parse the command line and check the names."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.quality", description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    models, chosen = [OURS, *BASELINES], [*SETTINGS, "ablation", *ABLATION]
    add("--data", type=Path, metavar="FOLDER", help="tables: manifest.csv and <name>.csv.gz")
    add("--tables", nargs="+", metavar="NAME", help="tables (default: all)")
    add("--models", nargs="+", metavar="NAME", choices=models, default=models, help=f"{', '.join(models)}")
    add(
        "--settings",
        nargs="+",
        metavar="NAME",
        choices=chosen,
        default=list(SETTINGS),
        help=f"of {OURS}: {', '.join(SETTINGS)}; or 'ablation', or one component to remove: {', '.join(ABLATION)}",
    )
    add(
        "--seeds",
        type=int,
        metavar="N",
        default=3,
        help="maximum number (default: 3; 1 for more than 5000 training rows)",
    )
    add("--threads", metavar="N", default="1", help="thread limit: a number, or 'all' (default: 1)")
    add("--out", type=Path, metavar="FOLDER", default=RESULTS / "quality")
    add("--fresh", action="store_true", help="repeat existing runs")
    add("--memory", action="store_true", help=f"also measure the memory of {OURS} with each of --settings")
    add("--report", action="store_true", help="report existing results only")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads != "all" and not (arguments.threads.isdigit() and int(arguments.threads)):
        parser.error("--threads takes a number or 'all'")
    known = list(tables.tasks(arguments.data))
    unknown = set(arguments.tables or ()) - set(known)
    if unknown and not arguments.report:
        parser.error(f"no table {', '.join(sorted(unknown))}; the tables are {', '.join(known)}")
    arguments.tables = arguments.tables or ([] if arguments.report else known)
    return arguments


def describe(path: Path) -> None:
    """Write and print the machine and the versions of the libraries."""
    versions = []
    for name in ("lightgbm", "xgboost", "catboost", "pytabkit"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    text = "\n".join([*machine(), ", ".join(versions)])
    path.write_text(text + "\n")
    print(text, flush=True)


def report(arguments: argparse.Namespace) -> None:
    """Print and write the tables and plots."""
    everything = runs.Runs(arguments.out / "runs.csv").read(arguments.threads)
    if everything.empty:
        print(f"no results for thread limit {arguments.threads} in {arguments.out}")
        return
    models, chosen = [OURS, *BASELINES], list(SETTINGS)
    if arguments.report:
        models, chosen = arguments.models, arguments.settings
        everything = everything[everything["table"].isin(arguments.tables or everything["table"])]
    ours = settings(chosen) if OURS in models else {}
    compared = summary.Comparison(everything, [*ours, *(name for name in models if name != OURS)])
    for name in ("summary", "targets", "ablation"):
        (arguments.out / f"{name}.csv").unlink(missing_ok=True)
    printed = Report(arguments.out, arguments.threads)
    summary.summary(printed, compared)
    summary.targets(printed, everything, memory.read(arguments.out / "memory.csv"))
    ablation.ablation(printed, everything)
    if not installed("matplotlib"):
        print("matplotlib is not installed: no plots")
    elif compared.tables:
        from .plots import plots

        plots(arguments.out, compared)


if __name__ == "__main__":
    main()
