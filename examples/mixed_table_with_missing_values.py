"""A table as it comes: strings, categories, yes/no and numbers, with missing values in every column.

The estimator takes the DataFrame itself: nothing is encoded, scaled or filled in by hand, a category that was
not there in `fit` may come in `predict`, and permutation importance speaks of the table's own columns.
"""

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

from skscratch import ScratchMLPClassifier


def passengers(n=800, seed=0):
    """Make a table like the Titanic's: who they were, and whether they survived."""
    draw = np.random.default_rng(seed)
    sex = draw.choice(["female", "male"], n, p=[0.35, 0.65])
    cabin = draw.choice(["first", "second", "third"], n, p=[0.25, 0.2, 0.55])
    age = draw.gamma(4, 7.5, n)
    fare = np.exp(draw.normal(np.select([cabin == "first", cabin == "second"], [4.2, 2.9], 2.2), 0.4))
    chance = 2.8 * (sex == "female") + 1.3 * (cabin == "first") - 0.9 * (cabin == "third") + 1.5 * (age < 12) - 1.4
    survived = np.where(draw.random(n) < 1 / (1 + np.exp(-chance)), "yes", "no")
    X = pd.DataFrame(
        {
            "sex": sex,
            "cabin": pd.Categorical(cabin, categories=["first", "second", "third", "crew"]),
            "port": draw.choice(["Cherbourg", "Queenstown", "Southampton"], n),
            "alone": pd.array(draw.random(n) < 0.6, dtype="boolean"),
            "age": age,
            "fare": fare,
        }
    )
    return X.mask(draw.random(X.shape) < 0.1), pd.Series(survived, name="survived")  # every tenth value is lost


def main():
    """Cross-validate, predict with an unseen category, and rank the columns."""
    X, y = passengers()
    kinds = pd.DataFrame({"dtype": X.dtypes.astype(str), "missing": X.isna().sum()})
    print(f"{len(X)} passengers, {np.mean(y == 'yes'):.0%} survived\n{kinds}\n")

    model = ScratchMLPClassifier(random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for scoring in ("accuracy", "roc_auc"):
        scores = cross_val_score(model, X, y, cv=folds, scoring=scoring)
        print(f"{scoring:<10}{scores.mean():.3f} ± {scores.std():.3f} over five folds")

    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    model.fit(X_train, y_train)
    print(f"accuracy  {model.oof_score_:.3f} on the training rows, each judged by members that had not seen it")
    print(f"accuracy  {model.score(X_test, y_test):.3f} on {len(X_test)} passengers held out")

    # "crew" was declared and never seen, "Belfast" not even declared; all else about the second is missing
    new = X_test.iloc[:2].copy()
    new["sex"], new["cabin"], new["port"] = ["female", None], ["crew", None], ["Belfast", "Belfast"]
    new[["alone", "age", "fare"]] = [[True, 30.0, 20.0], [pd.NA, np.nan, np.nan]]
    print("\nUnseen categories and an almost empty row: probability of survival")
    for row, p in zip(new.astype(object).to_numpy().tolist(), model.predict_proba(new)[:, 1], strict=True):
        print(f"  {p:.3f}  {row}")

    importance = permutation_importance(model, X_test, y_test, n_repeats=5, random_state=0)
    print("\nAccuracy lost when a column is shuffled")
    for column in np.argsort(-importance.importances_mean):
        print(f"  {X.columns[column]:<6}{importance.importances_mean[column]:7.3f}")


if __name__ == "__main__":
    main()
