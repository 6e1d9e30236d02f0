"""Benchmarks: quality, speed, and scale on a Dask cluster. Run them from the root of the repository.

::

    python -m benchmarks.quality            # accuracy and fit time beside other libraries
    python -m benchmarks.quality.search     # gain of a hyper-parameter search over the defaults
    python -m benchmarks.speed              # training steps, fits, predictions, memory, pickles, imports
    python -m benchmarks.scale              # training on a Dask cluster
    python -m benchmarks.time_limit         # fits with `max_time`
    python benchmarks/golden.py             # checksums of fits, which a refactoring must not change

Each command explains its options with ``--help``. Results are in ``benchmarks/results``.
"""
