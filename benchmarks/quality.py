"""Measure how good this package is untuned, beside scikit-learn's MLP, boosted trees and other networks, and how soon.

::

    python benchmarks/quality.py                           # all contenders, scikit-learn's bundled tables
    python benchmarks/quality.py --data FOLDER             # the tables of a folder
    python benchmarks/quality.py --models skscratch mlp hgb --tables wine diabetes --seeds 1
    python benchmarks/quality.py --models skscratch --settings ablation
    python benchmarks/quality.py --memory                  # the memory of our fits on the largest tables too
    python benchmarks/quality.py --report                  # tables and plots of what is there, nothing is run

Every contender is at its defaults, has the same rows to train on and is scored on the same rows held out: a quarter of
the table, no more than 8,000 rows each. Fits run one after the other in one process under one limit of threads, and
their time includes the preparation of the raw table. LightGBM, XGBoost, CatBoost and pytabkit are left out, with a
note, where they are not installed.

``--data`` is a folder with ``manifest.csv``, columns name, task (regression, binary or multiclass) and source_repo, and
a ``<name>.csv.gz`` with a column target for each table; one whose source_repo is ``sklearn.datasets.load_<name>`` comes
from scikit-learn.

Results go to ``quality_runs.csv`` in the folder given by ``--out``, each as soon as it is known; what is there is not
run again, unless ``--fresh``. From it come ``quality_summary.csv``, ``quality_targets.csv``, ``quality_ablation.csv``
and the plots ``quality_time.png``, ``quality_ranks.png`` and ``quality_tables.png``; ``quality_machine.txt`` tells the
machine, and ``quality_memory.csv``, made with ``--memory``, the memory. The summary and the plots show all contenders
that have results, on the tables that all of these have; with ``--report``, ``--models``, ``--settings`` and
``--tables`` choose among them. Times of runs at different hours compare only as far as the machine was as idle.
"""

import argparse
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import quality_models
import quality_tables
from quality_models import ABLATION, OURS, RIVALS, SETTINGS
from speed import environment

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run in a process of its own, for libraries take their limit of threads from the environment when loaded."""
    arguments = parse()
    if arguments.child:
        import quality_memory
        import quality_runs

        quality_runs.measure(
            quality_runs.Runs(arguments.out / "quality_runs.csv"),
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
            quality_memory.measure(arguments.out / "quality_memory.csv", arguments.data, arguments.tables, named)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        describe(arguments.out / "quality_machine.txt")
        command = [sys.executable, __file__, "--child", *sys.argv[1:]]
        subprocess.run(command, env=environment(arguments.threads), check=True)
    report(arguments)


def parse() -> argparse.Namespace:
    """Arguments of the command line, names checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    models, chosen = [OURS, *RIVALS], [*SETTINGS, "ablation", *ABLATION]
    add("--data", type=Path, metavar="FOLDER", help="tables: manifest.csv and <name>.csv.gz")
    add("--tables", nargs="+", metavar="NAME", help="tables (default: all)")
    add("--models", nargs="+", metavar="NAME", choices=models, default=models, help=f"{', '.join(models)}")
    add(
        "--settings",
        nargs="+",
        metavar="NAME",
        choices=chosen,
        default=list(SETTINGS),
        help=f"of {OURS}: {', '.join(SETTINGS)}; or 'ablation', or one part to take out: {', '.join(ABLATION)}",
    )
    add("--seeds", type=int, metavar="N", default=3, help="seeds of a table, at most (default: 3; 1 where rows > 5000)")
    add("--threads", metavar="N", default="1", help="limit of threads: a number, or 'all' (default: 1)")
    add("--out", type=Path, metavar="FOLDER", default=HERE / "results")
    add("--fresh", action="store_true", help="measure again what was measured already")
    add("--memory", action="store_true", help=f"measure the memory of {OURS} too, with each of --settings")
    add("--report", action="store_true", help="run nothing")
    add("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads != "all" and not (arguments.threads.isdigit() and int(arguments.threads)):
        parser.error("--threads takes a number or 'all'")
    known = list(quality_tables.tasks(arguments.data))
    unknown = set(arguments.tables or ()) - set(known)
    if unknown and not arguments.report:
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    arguments.tables = arguments.tables or ([] if arguments.report else known)
    return arguments


def describe(path: Path) -> None:
    """Write and print the machine and the versions of the contenders."""
    from measure import machine

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
    """Print the tables, and write them and the plots."""
    import quality_ablation
    import quality_memory
    import quality_plots
    import quality_runs
    import quality_summary
    from measure import Report
    from rivals import installed

    everything = quality_runs.Runs(arguments.out / "quality_runs.csv").read(arguments.threads)
    if everything.empty:
        print(f"no results with threads {arguments.threads} in {arguments.out}")
        return
    models, settings = [OURS, *RIVALS], list(SETTINGS)
    if arguments.report:
        models, settings = arguments.models, arguments.settings
        everything = everything[everything["table"].isin(arguments.tables or everything["table"])]
    ours = quality_models.settings(settings) if OURS in models else {}
    compared = quality_summary.Comparison(everything, [*ours, *(name for name in models if name != OURS)])
    for name in ("summary", "targets", "ablation"):
        (arguments.out / f"quality_{name}.csv").unlink(missing_ok=True)
    printed = Report(arguments.out, arguments.threads)
    quality_summary.summary(printed, compared)
    quality_summary.targets(printed, everything, quality_memory.read(arguments.out / "quality_memory.csv"))
    quality_ablation.ablation(printed, everything)
    if not installed("matplotlib"):
        print("no plots without matplotlib")
    elif compared.tables:
        quality_plots.plots(arguments.out, compared)


if __name__ == "__main__":
    main()
