"""Cross-validation and a grid search on a Dask cluster: scikit-learn's own functions, with joblib's backend "dask".

Nothing else changes, and the scores are those of one machine to the bit: a fit takes one thread, so that as many fits
run at a time as the cluster has threads. The cluster here is of two processes on this machine; `Client("host:8786")`
is another. For Ray it would be the backend "ray", after `ray.util.joblib.register_ray()`. Where `distributed` is not
installed, joblib's own processes do the work.
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
    """Let joblib hand its tasks to two worker processes, and say what they are."""
    if find_spec("distributed") is None:
        print("distributed is not installed: two processes of joblib's own")
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
    """Score and search here and there, and compare."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = ScratchMLPClassifier(max_iter=20, random_state=0)
    settings = {"hidden_layer_sizes": [(), (32,), (64, 64)], "weight_decay": [0.0, 0.02]}

    began = perf_counter()
    here = cross_val_score(model, X, y)
    print(f"here: {here.mean():.3f} ± {here.std():.3f} in {perf_counter() - began:.1f} seconds\n")

    with workers():
        began = perf_counter()
        there = cross_val_score(model, X, y)
        print(f"there: {there.mean():.3f} ± {there.std():.3f} in {perf_counter() - began:.1f} seconds")
        print(f"the same scores: {'yes' if (here == there).all() else 'no'}\n")

        began = perf_counter()
        search = GridSearchCV(model, settings, cv=3).fit(X, y)
        print(
            f"grid search there: {len(search.cv_results_['params'])} settings in {perf_counter() - began:.1f} seconds"
        )
        print(f"best: {search.best_params_}, {search.best_score_:.3f}")


if __name__ == "__main__":
    main()
