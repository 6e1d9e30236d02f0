"""Cross-validation and grid search on diabetes
============================================

Cross-validation and grid search on scikit-learn's diabetes table: 442 patients, ten columns in their original units.

The default estimator needs no scaler, a scaler in front of it does no harm, and a grid search accepts all its
parameters. Ridge and scikit-learn's MLPRegressor are evaluated on the same five folds.
"""

from time import perf_counter

from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPRegressor


def main():
    """Score all models on the same folds."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    folds = KFold(5, shuffle=True, random_state=0)

    # a strong setting of scikit-learn's network: scaled X and y, early stopping, more than the default 200 epochs
    network = MLPRegressor(early_stopping=True, max_iter=1000, random_state=0)
    scaled_network = TransformedTargetRegressor(make_pipeline(StandardScaler(), network), transformer=StandardScaler())
    models = {
        "ScratchMLPRegressor()": ScratchMLPRegressor(random_state=0),
        "StandardScaler, ScratchMLPRegressor()": make_pipeline(StandardScaler(), ScratchMLPRegressor(random_state=0)),
        "StandardScaler, Ridge()": make_pipeline(StandardScaler(), Ridge()),
        "StandardScaler (X and y), MLPRegressor()": scaled_network,
    }
    print(f"R² on {len(y)} rows, five folds               mean     std   seconds")
    for name, model in models.items():
        began = perf_counter()
        scores = cross_val_score(model, X, y, cv=folds)
        print(f"  {name:<41}{scores.mean():7.3f} {scores.std():7.3f} {perf_counter() - began:9.2f}")

    model = ScratchMLPRegressor(random_state=0).fit(X, y)
    print(f"\nOne fit on all rows: R² {model.oof_score_:.3f} from out-of-fold predictions (oof_score_)")

    grid = {"scratchmlpregressor__hidden_layer_sizes": [(), (64, 64)], "scratchmlpregressor__weight_decay": [0.02, 1]}
    search = GridSearchCV(models["StandardScaler, ScratchMLPRegressor()"], grid, cv=folds)
    began = perf_counter()
    search.fit(X, y)
    print(f"\nGrid search: {len(search.cv_results_['params'])} settings, {perf_counter() - began:.2f} seconds")
    for settings, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        text = ", ".join(f"{name.split('__')[1]}={value}" for name, value in settings.items())
        print(f"  {text:<46}{score:7.3f}{'   best' if settings == search.best_params_ else ''}")


if __name__ == "__main__":
    main()
