"""Models of the quality benchmark. Each accepts a raw table; its preprocessing is part of its fit.

A function makes an unfitted estimator from the task (regression, binary or multiclass), the table, a seed and a thread
limit (None: no limit). It imports its library when it is called.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

from ..datasets import preparation
from ..measure import installed

__all__ = ["ABLATION", "BASELINES", "OURS", "SETTINGS", "WITHOUT", "library", "make", "ours", "settings"]

OURS, WITHOUT = "skscratch", "skscratch without "

# Named settings of our estimators.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "strong": {"hidden_layer_sizes": (128, 128, 128)},
    "of ten members": {"n_members": 10},
}

# Components of the default, and the parameters that remove each of them. An estimator ignores parameters it lacks.
ABLATION: dict[str, dict[str, Any]] = {
    "members (one network, no folds)": {"n_members": 1},
    "folds (all rows, no best epoch)": {"early_stopping": False},
    "bins": {"numeric_embedding": None},
    "refit on all rows": {"refit": 0.0},
    "temperature": {"calibrate": False},
    "data-dependent initialisation": {"init": "auto"},
    "learning rates by width": {"parametrization": "standard", "learning_rate_init": 0.005},
    "learning rate cycles (one cosine)": {"learning_rate": "cosine"},
    "nothing, weight decay 0.02 added": {"weight_decay": 0.02},
    "nothing, dropout 0.1 added": {"dropout": 0.1},
    "SiLU (ReLU)": {"activation": "relu"},
    "beta_2 0.95 (0.999)": {"beta_2": 0.999},
    "clipped predictions": {"clip_target": False},
}


def settings(names: list[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters of each of our models by its name in the results; "ablation" means all of its parts."""
    chosen: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == "ablation":
            chosen |= {OURS: {}} | {WITHOUT + part: options for part, options in ABLATION.items()}
        elif name in ABLATION:
            chosen[WITHOUT + name] = ABLATION[name]
        else:
            chosen[OURS if name == "default" else f"{OURS} {name}"] = SETTINGS[name]
    return chosen


def ours(options: dict[str, Any], task: str, seed: int) -> Any:
    """Return our estimator with the `options` that it has; None if it has none of them."""
    kind = ScratchMLPRegressor if task == "regression" else ScratchMLPClassifier
    known = {name: value for name, value in options.items() if name in kind().get_params()}
    return kind(**known, random_state=seed) if known or not options else None


def mlp(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """scikit-learn's MLP after the usual preprocessing; a regression target is standardised."""
    if task != "regression":
        return make_pipeline(preparation(), MLPClassifier(random_state=seed))
    model = make_pipeline(preparation(), MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def hgb(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """scikit-learn's boosted trees; environment variables limit their threads."""
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return make_pipeline(Categories(255), kind(random_state=seed))  # it accepts no more categories


def lgbm(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """LightGBM, which accepts categories and missing values."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return make_pipeline(Categories(), kind(random_state=seed, n_jobs=threads, verbose=-1))


def xgb(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """XGBoost with its support of categories."""
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBRegressor if task == "regression" else XGBClassifier
    return make_pipeline(Categories(), kind(random_state=seed, n_jobs=threads, enable_categorical=True))


def catboost(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """CatBoost with the names of the categorical columns; it requires a string for a missing category."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    return _with_strings(X, kind(**_catboost_options(X, seed, threads)))


def catboost_tuned(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """CatBoost with the best of `CatBoostSearch`'s draws."""
    return _with_strings(X, CatBoostSearch(task == "regression", _catboost_options(X, seed, threads)))


def _catboost_options(X: pd.DataFrame, seed: int, threads: int | None) -> dict[str, Any]:
    return {
        "random_seed": seed,
        "thread_count": -1 if threads is None else threads,
        "cat_features": _categories(X),
        "verbose": False,
        "allow_writing_files": False,
    }


def _with_strings(X: pd.DataFrame, model: Any) -> Any:
    return make_pipeline(FunctionTransformer(_strings, kw_args={"columns": _categories(X)}), model)


class CatBoostSearch(BaseEstimator):
    """CatBoost with the best of `DRAWS` random settings.

    Each setting is fitted to four fifths of the rows and stops when its loss on the other fifth has not fallen for 50
    trees, of at most 1,000. The setting with the lowest such loss is fitted again to all rows, with as many trees.
    The space is about that of Gorishniy et al. (2021), but with learning rates that suit 1,000 trees. The first
    setting is CatBoost's default.

    Parameters
    ----------
    regression : bool
    options : dict
        The options of CatBoost that are not drawn.
    """

    DRAWS = 20

    def __init__(self, regression: bool, options: dict[str, Any]):
        self.regression, self.options = regression, options

    def fit(self, X: pd.DataFrame, y: Any) -> "CatBoostSearch":
        """Draw, fit and compare the settings, and fit the best of them."""
        from catboost import CatBoostClassifier, CatBoostRegressor

        kind, y = CatBoostRegressor if self.regression else CatBoostClassifier, np.asarray(y)
        seed = self.options["random_seed"]
        inner, held = train_test_split(
            np.arange(len(y)), test_size=0.2, random_state=seed, stratify=None if self.regression else y
        )
        held = held[np.isin(y[held], y[inner])] if not self.regression else held
        rng, best = np.random.default_rng(seed), (np.inf, {})
        for draw in range(self.DRAWS):
            drawn = {
                "learning_rate": float(np.exp(rng.uniform(np.log(0.01), np.log(0.3)))),
                "depth": int(rng.integers(3, 10)),
                "l2_leaf_reg": float(np.exp(rng.uniform(0, np.log(10)))),
                "random_strength": float(rng.uniform(0, 5)),
                "bagging_temperature": float(rng.uniform(0, 1)),
                "one_hot_max_size": int(rng.integers(2, 26)),
                "leaf_estimation_iterations": int(rng.integers(1, 11)),
            }
            drawn = drawn if draw else {}
            model = kind(**self.options, **drawn, iterations=1000, early_stopping_rounds=50)
            model.fit(X.iloc[inner], y[inner], eval_set=(X.iloc[held], y[held]))
            loss = next(iter(model.get_best_score()["validation"].values()))
            best = min(best, (loss, {**drawn, "iterations": model.tree_count_}), key=lambda found: found[0])
        self.model_ = kind(**self.options, **best[1]).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        """Predictions of the best setting."""
        return self.model_.predict(X)

    def predict_proba(self, X: pd.DataFrame) -> Any:
        """Probabilities of the best setting."""
        return self.model_.predict_proba(X)


def _categories(X: pd.DataFrame) -> list[str]:
    return [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def _strings(X: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return X.assign(**{name: X[name].astype(object).fillna("missing").astype(str) for name in columns})


class Categories(TransformerMixin, BaseEstimator):
    """Makes columns of strings categories, those of the training rows, and names the columns c0, c1, ...

    Parameters
    ----------
    most : int, optional
        A column of strings with more categories becomes a column of their codes.
    """

    def __init__(self, most: int | None = None):
        self.most = most

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Categories":
        """Learn the categories of each column of strings or objects."""
        names = set(_categories(X)) - set(X.select_dtypes("category"))
        strings = [j for j, name in enumerate(X) if name in names]
        self.categories_ = {j: pd.Index(X.iloc[:, j].dropna().astype(str).unique()).sort_values() for j in strings}
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Make the columns categories; an unknown one is missing."""
        X = X.set_axis([f"c{j}" for j in range(X.shape[1])], axis=1)
        for j, categories in self.categories_.items():
            text = X[f"c{j}"].astype(object)
            column = pd.Categorical(text.where(text.isna(), text.astype(str)), categories)
            codes = pd.Series(column.codes, X.index, dtype=float).replace(-1, float("nan"))
            X[f"c{j}"] = codes if self.most is not None and len(categories) > self.most else column
        return X


class TrainingMean(TransformerMixin, BaseEstimator):
    """Replaces missing numbers by the mean of the training rows; missing categories stay."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "TrainingMean":
        """Learn the means."""
        self.means_ = X.mean(numeric_only=True)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Fill the missing numbers of `X`."""
        return X.fillna(self.means_)


def _pytabkit(name: str) -> Callable[..., Any]:
    def make(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Regressor' if task == 'regression' else 'Classifier'}")
        return make_pipeline(TrainingMean(), kind(device="cpu", random_state=seed, n_threads=threads or os.cpu_count()))

    make.__doc__ = f"{name} of pytabkit, on the CPU."
    return make


# The name of each baseline, the module it requires, and the function that makes it.
BASELINES: dict[str, tuple[str, Callable[..., Any]]] = {
    "mlp": ("sklearn", mlp),
    "hgb": ("sklearn", hgb),
    "lgbm": ("lightgbm", lgbm),
    "xgb": ("xgboost", xgb),
    "catboost": ("catboost", catboost),
    "catboost_tuned": ("catboost", catboost_tuned),
    "realmlp_td_s": ("pytabkit", _pytabkit("RealMLP_TD_S")),
    "realmlp_td": ("pytabkit", _pytabkit("RealMLP_TD")),
    "tabm_d": ("pytabkit", _pytabkit("TabM_D")),
}


def library(name: str) -> str | None:
    """Return the missing module that a model requires, or None."""
    module = BASELINES[name][0] if name in BASELINES else OURS
    return None if installed(module) else module


def make(name: str, options: dict[str, Any] | None, task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """Return an unfitted baseline, or our estimator with `options`; None if it has none of the options."""
    return BASELINES[name][1](task, X, seed, threads) if options is None else ours(options, task, seed)
