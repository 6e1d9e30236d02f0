"""A raw table with missing values
===============================

A raw table: strings, categories, booleans and numbers, with missing values in every column.

The estimator accepts the DataFrame without encoding, scaling or imputation. At prediction time, an unseen category
is treated as missing. Permutation importance refers to the columns of the table.
"""

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from skscratch import ScratchMLPClassifier


def passengers(n=800, seed=0):
    """Generate a table similar to that of the Titanic: the passengers, and whether they survived."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male"], n, p=[0.35, 0.65])
    cabin = rng.choice(["first", "second", "third"], n, p=[0.25, 0.2, 0.55])
    age = rng.gamma(4, 7.5, n)
    fare = np.exp(rng.normal(np.select([cabin == "first", cabin == "second"], [4.2, 2.9], 2.2), 0.4))
    log_odds = 2.8 * (sex == "female") + 1.3 * (cabin == "first") - 0.9 * (cabin == "third") + 1.5 * (age < 12) - 1.4
    survived = np.where(rng.random(n) < 1 / (1 + np.exp(-log_odds)), "yes", "no")
    X = pd.DataFrame(
        {
            "sex": sex,
            "cabin": pd.Categorical(cabin, categories=["first", "second", "third", "crew"]),
            "port": rng.choice(["Cherbourg", "Queenstown", "Southampton"], n),
            "alone": pd.array(rng.random(n) < 0.6, dtype="boolean"),
            "age": age,
            "fare": fare,
        }
    )
    return X.mask(rng.random(X.shape) < 0.1), pd.Series(survived, name="survived")  # a tenth of the values is missing


def main():
    """Cross-validate, predict with unseen categories, and rank the columns."""
    X, y = passengers()
    columns = pd.DataFrame({"dtype": X.dtypes.astype(str), "missing": X.isna().sum()})
    print(f"{len(X)} passengers, {np.mean(y == 'yes'):.0%} survived\n{columns}\n")

    model = ScratchMLPClassifier(random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for scoring in ("accuracy", "roc_auc"):
        scores = cross_val_score(model, X, y, cv=folds, scoring=scoring)
        print(f"{scoring:<10}{scores.mean():.3f} ± {scores.std():.3f} over five folds")

    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    model.fit(X_train, y_train)
    print(f"accuracy  {model.oof_score_:.3f} on the training rows, from out-of-fold predictions")
    print(f"accuracy  {model.score(X_test, y_test):.3f} on {len(X_test)} passengers held out")

    # "crew" is a declared category without rows, "Belfast" is undeclared; the second row has no other value
    new = X_test.iloc[:2].copy()
    new["sex"], new["cabin"], new["port"] = ["female", None], ["crew", None], ["Belfast", "Belfast"]
    new[["alone", "age", "fare"]] = [[True, 30.0, 20.0], [pd.NA, np.nan, np.nan]]
    print("\nProbability of survival for unseen categories and an almost empty row")
    for row, p in zip(new.astype(object).to_numpy().tolist(), model.predict_proba(new)[:, 1], strict=True):
        print(f"  {p:.3f}  {row}")

    importance = permutation_importance(model, X_test, y_test, n_repeats=5, random_state=0)
    print("\nDecrease in accuracy when a column is shuffled")
    for column in np.argsort(-importance.importances_mean):
        print(f"  {X.columns[column]:<6}{importance.importances_mean[column]:7.3f}")


if __name__ == "__main__":
    main()
