"""Thousands of random cases of legal but extreme input: how many are fitted, refused, and wrong.

::

    python -m benchmarks.robustness --minutes 10 [--seed 0]

The cases are those of ``tests/contracts/test_hostile.py``.  The script prints counts, the refusals by their message,
and the smallest input of each failure; it exits with status 1 if there is any.
"""

import argparse
import re
import sys
import traceback
from collections import Counter
from time import monotonic

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.helpers.hostile import Case, Refused, cases, verify

ROUND = 200  # cases per round, each of its own seed; a failure ends a round


def main() -> int:
    """Run rounds of cases until the time is over; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    args = parser.parse_args()
    began, number = monotonic(), args.seed
    counts: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    failures: dict[str, tuple[int, Case, str]] = {}
    while monotonic() - began < 60 * args.minutes:
        run_round(number, counts, refusals, failures, began + 60 * args.minutes)
        number += 1
    print(f"{counts['fitted'] + counts['refused']} cases in {number - args.seed} rounds: {dict(counts)}")
    for message, count in (+refusals).most_common():
        print(f"{count:7d}  {message}")
    for name, (round_number, case, trace) in failures.items():
        print(f"\n=== {name}, round {round_number}, {counts[name]} times; the smallest case:\n{case}\n{trace}")
    return 1 if failures else 0


def run_round(
    number: int,
    counts: Counter[str],
    refusals: Counter[str],
    failures: dict[str, tuple[int, Case, str]],
    until: float,
) -> None:
    """Run the cases of one seed; record the smallest case of a failure."""
    last: list[tuple[Case, str, str]] = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(cases())
    def check(case: Case) -> None:
        if monotonic() > until and not last:
            return
        try:
            verify(case)
        except Refused as error:
            counts["refused"] += not last  # cases that a failure is shrunk to do not count
            refusals[template(str(error))] += not last
        except Exception as error:
            last.append((case, place(error), traceback.format_exc()))
            raise
        else:
            counts["fitted"] += not last

    try:
        check()
    except Exception:
        case, name, trace = last[-1]
        counts[name] += 1
        failures.setdefault(name, (number, case, trace))
        print(f"round {number}: {name}", file=sys.stderr, flush=True)


def template(message: str) -> str:
    """Return a message without its numbers and names."""
    return re.sub(r"[-+]?\d[\w.+]*|'[^']*'|\[[^\]]*\]", "…", message.split("\n")[0])[:150]


def place(error: Exception) -> str:
    """Return the error's type and the line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.filename.rpartition('/')[2]}:{frame.lineno}: {str(error).strip()[:90]}"


if __name__ == "__main__":
    raise SystemExit(main())
