"""The memory of our fits on the largest tables, each in an interpreter of its own."""

import csv
import resource
import sys
from pathlib import Path

import quality_models
import quality_tables
from measure import fresh

__all__ = ["measure", "peak", "read"]


def peak(folder: str, name: str, setting: str) -> tuple[str, float]:
    """Name of a contender of ours, and the most MB that this process has held once it has fitted and predicted."""
    path = Path(folder) if folder else None
    rows = quality_tables.split(path, name, 0)
    [(model, options)] = quality_models.settings([setting]).items()
    quality_models.ours(options, quality_tables.tasks(path)[name], 0).fit(rows.X, rows.y).predict(rows.X_held)
    unit = 1 if sys.platform == "darwin" else 1024
    return model, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(path: Path, folder: Path | None, tables: list[str], settings: list[str]) -> None:
    """Write the peak of each setting on those of `tables` that have most rows to train on, Python and all included."""
    sizes = {name: len(quality_tables.split(folder, name, 0).y) for name in tables}
    largest = [name for name, size in sizes.items() if size == max(sizes.values())]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "table", "MB"])
        for setting in settings:
            for name in largest:
                model, size = fresh("quality_memory", "peak", str(folder.resolve() if folder else ""), name, setting)
                writer.writerow([model, name, round(size, 1)])
                file.flush()
                print(f"{name} {model}: at most {size:.0f} MB in the process", flush=True)


def read(path: Path) -> dict[str, tuple[float, str, int]]:
    """For each contender of ours the most MB of its fits, the table where, and how many tables; {} without a file."""
    found: dict[str, list[tuple[float, str]]] = {}
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["model"], []).append((float(row["MB"]), row["table"]))
    return {model: (*max(sizes), len(sizes)) for model, sizes in found.items()}
