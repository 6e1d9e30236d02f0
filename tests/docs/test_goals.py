"""The table of goals agrees with the result files that it collects."""

import pandas as pd
import pytest

from benchmarks.goals import GOALS, reached
from benchmarks.measure import RESULTS

TABLE = pd.read_csv(RESULTS / "goals.csv")


def test_each_goal_has_a_row():
    assert TABLE["what"].tolist() == [goal.what for goal in GOALS]


@pytest.mark.parametrize("number", range(len(GOALS)))
def test_a_row_is_what_the_files_say(number):
    row, goal = TABLE.iloc[number], GOALS[number]
    now = reached(goal)
    assert row["reached"] == pytest.approx(now["reached"], abs=6e-4, nan_ok=True)  # it is rounded to three digits
    assert (row["wanted"], row["verdict"], row["file"]) == (now["wanted"], now["verdict"], now["file"])
