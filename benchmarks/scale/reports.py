"""A report that replaces some sections of an earlier one, and keeps the others."""

import csv
from pathlib import Path

from ..measure import Report

__all__ = ["report_of"]


def report_of(folder: Path, *sections: str) -> Report:
    """Return a report on these sections, whose earlier results are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        (folder / f"{section}.csv").unlink(missing_ok=True)
    targets = folder / "targets.csv"
    if targets.exists():
        with targets.open(newline="") as file:
            reader = csv.DictReader(file)
            columns, kept = reader.fieldnames or [], [row for row in reader if row["section"] not in sections]
        with targets.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(kept)
    return Report(folder, "1")
