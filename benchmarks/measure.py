"""Interleaved timing, tables of ratios beside their targets, fresh interpreters, and the machine's description."""

import csv
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["Judged", "Report", "burning", "fresh", "geometric_mean", "interleaved", "machine"]

HERE = Path(__file__).resolve().parent


def interleaved(contenders: Mapping[str, Callable[[], object]], runs: int, warm: bool = True) -> dict[str, float]:
    """Time functions against each other.

    Parameters
    ----------
    contenders : mapping of name to function
        Each does the whole of what is timed.
    runs : int
        How often each is timed, in turn, a different one first in each round.
    warm : bool, default=True
        Whether each is called once before, untimed.

    Returns
    -------
    seconds : dict of name to float
        Median time of each.
    """
    names = list(contenders)
    if warm:
        for name in names:
            contenders[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for round_ in range(runs):
            first = round_ % len(names)
            for name in names[first:] + names[:first]:
                began = perf_counter()
                contenders[name]()
                seconds[name].append(perf_counter() - began)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in seconds.items()}


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean; NaN of none."""
    return statistics.geometric_mean(values) if values else float("nan")


def fresh(module: str, function: str, *arguments: Any) -> Any:
    """Call ``module.function(*arguments)`` of this folder in a fresh interpreter; its answer goes through JSON."""
    code = f"import json, {module}; print(json.dumps({module}.{function}(*{arguments!r})))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}.{function}{arguments} failed in a fresh interpreter:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class burning:
    """While entered, other processes keep all cores busy but one."""

    def __enter__(self) -> None:
        n = max((os.cpu_count() or 2) - 1, 1)
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Judged:
    """A ratio, and the target it is held against, such as (">=", 5.0); None for no target."""

    value: float
    target: tuple[str, float] | None = None
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """Met, not met, or nothing where there is no target."""
        if self.target is None or self.value != self.value:
            return ""
        sign, bound = self.target
        return "met" if (self.value >= bound if sign == ">=" else self.value <= bound) else "NOT met"

    def __str__(self) -> str:
        if self.value != self.value:
            return "-"
        text = f"{self.value:.2f}{self.unit}"
        return text if self.target is None else f"{text} ({self.target[0]} {self.target[1]:g} {self.verdict})"


class Report:
    """Print tables, and append their rows to CSV files.

    Parameters
    ----------
    folder : Path
        Where ``<section>.csv`` and ``targets.csv`` are written.
    threads : str
        The thread limit of this process, a column of every file.
    """

    def __init__(self, folder: Path, threads: str):
        self.folder, self.threads = folder, threads

    def table(self, section: str, title: str, rows: list[dict[str, Any]], notes: Sequence[str] = ()) -> None:
        """Print `rows` under `title` and append them to ``<section>.csv``; judged cells also to ``targets.csv``."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_text(row.get(name, "")) for name in columns] for row in rows]
        widths = [max(len(line[j]) for line in [columns, *cells]) for j in range(len(columns))]
        print(f"\n{title}, threads: {self.threads}")
        for line in [columns, *cells]:
            first, *others = [text.rjust(width) for text, width in zip(line, widths, strict=True)]
            print("  " + "  ".join([first.strip().ljust(widths[0]), *others]))
        for note in notes:
            print(f"  {note}")
        sys.stdout.flush()
        plain = [
            {name: row[name].value if isinstance(row.get(name), Judged) else row.get(name, "") for name in columns}
            for row in rows
        ]
        self._append(section, [{"threads": self.threads} | row for row in plain])
        judged = [
            {
                "section": section,
                "threads": self.threads,
                "what": f"{row[columns[0]]}: {name}",
                "value": round(cell.value, 4),
                "target": f"{cell.target[0]} {cell.target[1]:g}",
                "verdict": cell.verdict,
            }
            for row in rows
            for name, cell in row.items()
            if isinstance(cell, Judged) and cell.verdict and cell.target
        ]
        if judged:
            self._append("targets", judged)

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        path = self.folder / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if new:
                writer.writeheader()
            writer.writerows(rows)


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "-" if cell != cell else f"{cell:.4g}" if abs(cell) < 1e4 else f"{cell:.0f}"
    return str(cell)


def machine() -> list[str]:
    """Lines that describe processor, libraries and BLAS."""
    from threadpoolctl import threadpool_info

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = fields[0] if fields else model
    versions = []
    for name in ("skscratch", "numpy", "scipy", "scikit-learn", "torch", "jax"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    import numpy  # noqa: F401  so that its BLAS is loaded

    blas = {f"{i['internal_api']} {i['version']} ({i.get('architecture', '')})" for i in _blas(threadpool_info())}
    return [
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        ", ".join(versions),
        f"BLAS of NumPy: {', '.join(sorted(blas))}",
    ]


def _blas(libraries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [library for library in libraries if library["user_api"] == "blas"]
