"""Peak memory of our fits on the largest tables, each in its own interpreter."""

import csv
import resource
import sys
from pathlib import Path

from ..measure import fresh
from . import models, tables

__all__ = ["measure", "peak", "read"]


def peak(folder: str, name: str, setting: str) -> tuple[str, float]:
    """Fit and predict; return the name of the model and the peak memory of this process in MB."""
    path = Path(folder) if folder else None
    rows = tables.split(path, name, 0)
    [(model, options)] = models.settings([setting]).items()
    models.ours(options, tables.tasks(path)[name], 0).fit(rows.X, rows.y).predict(rows.X_held)
    unit = 1 if sys.platform == "darwin" else 1024
    return model, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(path: Path, folder: Path | None, names: list[str], settings: list[str]) -> None:
    """Write the peak memory of each setting, Python included, on the tables in `names` with the most training rows."""
    sizes = {name: len(tables.split(folder, name, 0).y) for name in names}
    largest = [name for name, size in sizes.items() if size == max(sizes.values())]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "table", "MB"])
        for setting in settings:
            for name in largest:
                model, size = fresh("quality.memory", "peak", str(folder.resolve() if folder else ""), name, setting)
                writer.writerow([model, name, round(size, 1)])
                file.flush()
                print(f"{name} {model}: peak memory of the process {size:.0f} MB", flush=True)


def read(path: Path) -> dict[str, tuple[float, str, int]]:
    """Return the peak MB of each of our models, the table of that fit, and the number of tables; {} without a file."""
    found: dict[str, list[tuple[float, str]]] = {}
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["model"], []).append((float(row["MB"]), row["table"]))
    return {model: (*max(sizes), len(sizes)) for model, sizes in found.items()}
