"""The encoding: from a user's table and targets to the numbers that the network reads, and from its outputs back to y.

X, y and sample_weight come in; a `Table` and `Targets` go out.  In a default fit of the diabetes table (442 rows, nine
number columns, and `sex` as a category) the shapes are::

    DataFrame (442, 10) → ColumnTable → numbers (442, 9), codes of categories (442, 1)
    X (442, 74) = [62 bins | 9 scaled numbers | 0 missing flags | 2 one-hot | 1]        y (442,) → t (442, 1)

Read `check_input` (what is accepted), `columns` (DataFrames), the blocks `numeric`, `bins` and `categories`, then
`features`, which sets them side by side; `targets`, `numeric_targets` and `class_targets`.  `values` and `conversion`
read a single column, `times` one of dates, and the block `dates` encodes it.  `quantiles` has the statistics that the
blocks learn; `sparse` is the same encoding for CSR matrices, and `out_of_core` for memory-mapped tables and streams.
"""

from .features import FeatureEncoder

__all__ = ["FeatureEncoder"]
