"""The contenders of the quality benchmark: each takes a raw table, and whatever it needs before is part of its fit.

A contender is made for a task (regression, binary or multiclass), the table it will be fitted to, a seed and a limit
of threads (None: no limit), and is an unfitted estimator. Libraries are imported when their contender is made.
"""

import os
from collections.abc import Callable
from typing import Any

import cases
import pandas as pd
from rivals import installed
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

__all__ = ["ABLATION", "OURS", "RIVALS", "SETTINGS", "WITHOUT", "library", "make", "settings"]

OURS, WITHOUT = "skscratch", "skscratch without "

# Named settings of ours: what they set.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "strong": {"hidden_layer_sizes": (128, 128, 128)},
}

# Parts of the default: what takes each out. A parameter that one of the two estimators lacks is not set there.
ABLATION: dict[str, dict[str, Any]] = {
    "members (one network, no folds)": {"n_members": 1},
    "folds (all rows, no best epoch)": {"early_stopping": False},
    "bins": {"numeric_embedding": None},
    "refit on all rows": {"refit": 0.0},
    "temperature": {"calibrate": False},
    "start fitted to data": {"init": "auto"},
    "rates by width": {"parametrization": "standard", "learning_rate_init": 0.005},
    "cycles of the rate (one cosine)": {"learning_rate": "cosine"},
    "nothing, weight decay of 0.02 added": {"weight_decay": 0.02},
    "nothing, dropout of 0.1 added": {"dropout": 0.1},
    "SiLU (ReLU)": {"activation": "relu"},
    "beta_2 of 0.95 (0.999)": {"beta_2": 0.999},
    "clipped predictions": {"clip_target": False},
}


def settings(names: list[str]) -> dict[str, dict[str, Any]]:
    """What to set for each contender of ours, by its name in the results; "ablation" stands for the default and all."""
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
    """Our estimator with those of `options` that it has; None where there are options and it has none of them."""
    kind = ScratchMLPRegressor if task == "regression" else ScratchMLPClassifier
    known = {name: value for name, value in options.items() if name in kind().get_params()}
    return kind(**known, random_state=seed) if known or not options else None


def mlp(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """scikit-learn's MLP behind the usual preparation, a regression target standardised."""
    if task != "regression":
        return make_pipeline(cases.preparation(), MLPClassifier(random_state=seed))
    model = make_pipeline(cases.preparation(), MLPRegressor(random_state=seed))
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def hgb(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """scikit-learn's boosted trees; their threads are limited by the environment."""
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(random_state=seed)


def lgbm(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """LightGBM; it takes categories and missing values as they come."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return kind(random_state=seed, n_jobs=threads, verbose=-1)


def xgb(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """XGBoost, told to take categories as such."""
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBRegressor if task == "regression" else XGBClassifier
    return kind(random_state=seed, n_jobs=threads, enable_categorical=True)


def catboost(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """CatBoost, told which columns are categories; it wants a string for a missing one."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    columns = _categories(X)
    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    model = kind(
        random_seed=seed,
        thread_count=-1 if threads is None else threads,
        cat_features=columns,
        verbose=False,
        allow_writing_files=False,
    )
    return make_pipeline(FunctionTransformer(_strings, kw_args={"columns": columns}), model)


def _categories(X: pd.DataFrame) -> list[str]:
    return list(X.select_dtypes("category").columns)


def _strings(X: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return X.assign(**{name: X[name].astype(object).fillna("missing").astype(str) for name in columns})


class TrainingMean(TransformerMixin, BaseEstimator):
    """Put the mean of the training rows for missing numbers, and a category of its own for missing categories."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "TrainingMean":
        """Learn the means."""
        self.means_ = X.mean(numeric_only=True)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Fill `X`."""
        return X.fillna(self.means_)


def _pytabkit(name: str) -> Callable[..., Any]:
    def make(task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Regressor' if task == 'regression' else 'Classifier'}")
        return make_pipeline(TrainingMean(), kind(device="cpu", random_state=seed, n_threads=threads or os.cpu_count()))

    make.__doc__ = f"{name} of pytabkit on the processor."
    return make


# Name, module it needs, and what makes it.
RIVALS: dict[str, tuple[str, Callable[..., Any]]] = {
    "mlp": ("sklearn", mlp),
    "hgb": ("sklearn", hgb),
    "lgbm": ("lightgbm", lgbm),
    "xgb": ("xgboost", xgb),
    "catboost": ("catboost", catboost),
    "realmlp_td_s": ("pytabkit", _pytabkit("RealMLP_TD_S")),
    "realmlp_td": ("pytabkit", _pytabkit("RealMLP_TD")),
    "tabm_d": ("pytabkit", _pytabkit("TabM_D")),
}


def library(name: str) -> str | None:
    """The module that a contender lacks, or None."""
    module = RIVALS[name][0] if name in RIVALS else OURS
    return None if installed(module) else module


def make(name: str, options: dict[str, Any] | None, task: str, X: pd.DataFrame, seed: int, threads: int | None) -> Any:
    """An unfitted contender: a rival by its name, or ours with `options`; None where these do not concern the task."""
    return RIVALS[name][1](task, X, seed, threads) if options is None else ours(options, task, seed)
