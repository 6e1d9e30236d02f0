"""Cross-validation and search on a Dask cluster
=============================================

Cross-validation and a grid search on a Dask cluster, with scikit-learn's own functions and joblib's backend "dask".

The scores are bit for bit those of one machine. Each fit uses one thread; the cluster runs as many fits at a time
as it has threads. This script starts a cluster of two processes on this machine; `Client("host:8786")` connects to
another cluster. Ray works in the same way: call `ray.util.joblib.register_ray()` and use the backend "ray". If
`distributed` is not installed, the script uses joblib's own processes.
"""

from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from time import perf_counter

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, cross_val_score

from skscratch import ScratchMLPClassifier


@contextmanager
def workers():
    """Run joblib's tasks in two worker processes, and print which."""
    if find_spec("distributed") is None:
        print("distributed is not installed: using two processes of joblib")
        with joblib.parallel_config(backend="loky", n_jobs=2):
            yield
        return
    import dask
    from distributed import Client, LocalCluster

    with TemporaryDirectory() as folder, dask.config.set({"temporary-directory": folder}):
        options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            threads = client.nthreads()
            print(f"a Dask cluster of {len(threads)} workers, {sum(threads.values())} threads in all")
            with joblib.parallel_config(backend="dask"):
                yield


def main():
    """Compare the scores of this process with those of the cluster, then search on the cluster."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = ScratchMLPClassifier(max_iter=20, random_state=0)
    settings = {"hidden_layer_sizes": [(), (32,), (64, 64)], "weight_decay": [0.0, 0.02]}

    began = perf_counter()
    local = cross_val_score(model, X, y)
    print(f"in this process: {local.mean():.3f} ± {local.std():.3f} in {perf_counter() - began:.1f} seconds\n")

    with workers():
        began = perf_counter()
        remote = cross_val_score(model, X, y)
        print(f"on the cluster: {remote.mean():.3f} ± {remote.std():.3f} in {perf_counter() - began:.1f} seconds")
        print(f"the same scores: {'yes' if (local == remote).all() else 'no'}\n")

        began = perf_counter()
        search = GridSearchCV(model, settings, cv=3).fit(X, y)
        print(f"grid search: {len(search.cv_results_['params'])} settings in {perf_counter() - began:.1f} seconds")
        print(f"best: {search.best_params_}, {search.best_score_:.3f}")


if __name__ == "__main__":
    main()
