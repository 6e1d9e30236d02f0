"""Tune a network with six random draws
====================================

Tune a network on scikit-learn's breast cancer table: six draws from its search space, compared with the defaults.

`search_space` finds the network in a pipeline and returns its parameters with the pipeline's names. The search uses
the training rows only; a third of the table is held out for the comparison with the defaults.
"""

from time import perf_counter

from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier
from skscratch.search import search_space


def main():
    """Search, and compare the result with the defaults on held-out rows."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)

    model = make_pipeline(StandardScaler(), ScratchMLPClassifier(random_state=0))
    space = search_space(model)
    print("Search space")
    for name, values in space.items():
        text = values if isinstance(values, list) else f"between {values.support()[0]:g} and {values.support()[1]:g}"
        print(f"  {name:<42} {text}")

    search = RandomizedSearchCV(model, space, n_iter=6, cv=3, scoring="neg_log_loss", random_state=0)
    began = perf_counter()
    search.fit(X_train, y_train)
    print(f"\n{len(search.cv_results_['params'])} draws, {perf_counter() - began:.1f} seconds; the best draw:")
    for name, value in search.best_params_.items():
        print(f"  {name:<42} {value:.3f}" if isinstance(value, float) else f"  {name:<42} {value}")

    print(f"\n{len(y_test)} held-out rows    log loss  accuracy    ROC AUC")
    for name, fitted in (("defaults", model.fit(X_train, y_train)), ("best found", search.best_estimator_)):
        p = fitted.predict_proba(X_test)[:, 1]
        loss, accuracy, area = log_loss(y_test, p), fitted.score(X_test, y_test), roc_auc_score(y_test, p)
        print(f"  {name:<18}{loss:10.4f}{accuracy:10.3f}{area:11.4f}")


if __name__ == "__main__":
    main()
