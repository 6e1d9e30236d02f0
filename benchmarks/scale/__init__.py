"""Training on a Dask cluster: measured on one machine, simulated for many."""
