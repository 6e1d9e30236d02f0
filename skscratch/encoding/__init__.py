"""The encoding: from a table as users have it to the numbers that a network reads.

A DataFrame, an array or a sparse matrix comes in, with y and the weights of the rows; an encoded `Table` and `Targets`
go out.  In a default fit of the diabetes table (442 rows, 10 columns, of which `sex` is a category) the shapes are::

    X (442, 10) → [62 bins | 9 scaled numbers | 0 missing flags | 2 one-hot | 1] = (442, 74)    y (442,) → t (442, 1)

Read `check_input` and `columns` (what comes in), `features` (the blocks side by side), the blocks `numeric`, `bins` and
`categories`, and `targets`; then `quantiles` (weighted statistics), `sparse` and `out_of_core` (memory maps, streams).
"""

from .features import FeatureEncoder

__all__ = ["FeatureEncoder"]
