"""Tools of all benchmarks: interleaved timing, reports with targets, fresh interpreters, description of the machine."""

import csv
import gc
import importlib.util
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

__all__ = [
    "RESULTS",
    "Report",
    "Result",
    "environment",
    "fresh",
    "geometric_mean",
    "installed",
    "interleaved",
    "machine",
    "other_cores_busy",
    "run_in_child",
]

ROOT = Path(__file__).resolve().parents[1]  # of the repository
RESULTS = Path(__file__).resolve().parent / "results"
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def environment(limit: str) -> dict[str, str]:
    """Environment variables that limit the threads of a process to a number, or "all" for no limit."""
    if limit == "all":
        return dict(os.environ)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={str(limit != '1').lower()}"
    return os.environ | dict.fromkeys(THREAD_LIMITS, limit) | {"XLA_FLAGS": flags.strip()}


def interleaved(functions: Mapping[str, Callable[[], object]], runs: int, warm: bool = True) -> dict[str, float]:
    """Time functions in turns, so that a disturbance of the machine affects all of them.

    Parameters
    ----------
    functions : mapping of name to function
        The functions to time.
    runs : int
        Number of rounds. Each round calls every function once and starts with a different one.
    warm : bool, default=True
        Whether to call each function once before the timing.

    Returns
    -------
    seconds : dict of name to float
        Median time of each function.
    """
    names = list(functions)
    if warm:
        for name in names:
            functions[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for round_ in range(runs):
            first = round_ % len(names)
            for name in names[first:] + names[:first]:
                began = perf_counter()
                functions[name]()
                seconds[name].append(perf_counter() - began)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in seconds.items()}


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean; NaN for an empty sequence."""
    return statistics.geometric_mean(values) if values else float("nan")


def fresh(module: str, function: str, *arguments: Any) -> Any:
    """Call ``benchmarks.module.function(*arguments)`` in a fresh interpreter; return its result, passed as JSON."""
    code = f"import json; from benchmarks.{module} import {function}; print(json.dumps({function}(*{arguments!r})))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}.{function}{arguments} failed in a fresh interpreter:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_in_child(module: str, limit: str = "1") -> None:
    """Run the script `module` again with this one's arguments and ``--child``, in a process with a thread limit."""
    subprocess.run([sys.executable, "-m", module, "--child", *sys.argv[1:]], env=environment(limit), check=True)


class other_cores_busy:
    """Context in which other processes keep all cores but one busy."""

    def __enter__(self) -> None:
        n = max((os.cpu_count() or 2) - 1, 1)
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Result:
    """A measured value, its target such as (">=", 5.0), if it has one, and its unit."""

    value: float
    target: tuple[str, float] | None = None
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """Either "met" or "NOT met"; empty without a target or a value."""
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
    """Prints tables and appends their rows to CSV files.

    Parameters
    ----------
    folder : Path
        Folder of ``<section>.csv`` and ``targets.csv``.
    threads : str
        Thread limit of this process, a column of every file.
    """

    def __init__(self, folder: Path, threads: str):
        self.folder, self.threads = folder, threads

    def table(self, section: str, title: str, rows: list[dict[str, Any]], notes: Sequence[str] = ()) -> None:
        """Print `rows`; append them to ``<section>.csv``, and the results with a target to ``targets.csv``."""
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
            {name: row[name].value if isinstance(row.get(name), Result) else row.get(name, "") for name in columns}
            for row in rows
        ]
        self._append(section, [{"threads": self.threads} | row for row in plain])
        targets = [
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
            if isinstance(cell, Result) and cell.verdict and cell.target
        ]
        if targets:
            self._append("targets", targets)

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
    """Describe the processor, its load, the libraries, and BLAS with the processor that its kernels are for."""
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
    import numpy  # noqa: F401  loads its BLAS

    blas = {f"{i['internal_api']} {i['version']} ({i.get('architecture', '')})" for i in _blas(threadpool_info())}
    return [
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}{_load()}",
        ", ".join(versions),
        f"BLAS of NumPy: {', '.join(sorted(blas))}",
    ]


def _load() -> str:
    """Return the mean number of processes that want a core; Windows does not count them."""
    return f", load {os.getloadavg()[0]:.1f} over the last minute" if hasattr(os, "getloadavg") else ""


def _blas(libraries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [library for library in libraries if library["user_api"] == "blas"]
