"""FeatureImportanceDisplay: a plot of the importance of each feature, with its standard error."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..inspection import find_network, names_of_features
from .canvas import palette, pyplot
from .names import checked_names, shortened

__all__ = ["FeatureImportanceDisplay"]

ROW_HEIGHT, MARGINS = 0.28, 1.1  # inches, of a bar and of what is above and below all bars


class FeatureImportanceDisplay:
    """Plot of the importances of features as bars, the largest on top, with their standard errors.

    `from_estimator` creates a display. The constructor takes other importances too, such as those of
    `sklearn.inspection.permutation_importance`.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Importance of each feature.
    errors : array-like of shape (n_features,), default=None
        Standard error of each importance.
    feature_names : sequence of str, default=None
        Names of the features; None for x0, x1, ...
    label : str, default="importance"
        Label of the horizontal axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the bars.
    figure_ : matplotlib Figure
        The figure of the axes.
    bars_ : matplotlib BarContainer
        The bars, from the top down.
    features_ : ndarray of int
        Indices of the features shown, from the top down.

    See Also
    --------
    NetworkDisplay : Plot of layers, units and weights.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skscratch import FeatureImportanceDisplay, ScratchMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = ScratchMLPRegressor(random_state=0).fit(X, y)
    >>> display = FeatureImportanceDisplay.from_estimator(model, max_features=4)
    >>> len(display.bars_)
    4
    """

    ax_: Any
    figure_: Any
    bars_: Any
    features_: Any

    def __init__(
        self,
        *,
        importances: Any,
        errors: Any = None,
        feature_names: Sequence[str] | None = None,
        label: str = "importance",
    ):
        self.importances = importances
        self.errors = errors
        self.feature_names = feature_names
        self.label = label

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, feature_names: Any = None, max_features: int = 20, ax: Any = None, color: Any = None
    ) -> Self:
        """Plot `feature_importances_` of a fitted estimator, with `feature_importances_se_`.

        Parameters
        ----------
        estimator : estimator
            A fitted ScratchMLPClassifier or ScratchMLPRegressor, or a fitted estimator that contains one: a Pipeline,
            GridSearchCV, TransformedTargetRegressor, ...
        feature_names : array-like of str, default=None
            Names of the features of the network; None for their names in `fit`, or in the output of the preceding steps
            of a Pipeline.
        max_features, ax, color
            See `plot`.

        Returns
        -------
        display : FeatureImportanceDisplay
            The display with the plot.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        AttributeError
            If it has no importances, because `fit` was not its last call.
        TypeError
            If the estimator contains no network of this package.
        ValueError
            If it contains several networks, or if the number of names is wrong.
        ImportError
            If matplotlib is not installed.
        """
        chain = find_network(estimator)
        model = chain[-1]
        display = cls(
            importances=model.feature_importances_,
            errors=model.feature_importances_se_,
            feature_names=checked_names("feature_names", feature_names, names_of_features(chain)),
            label="permutation importance",
        )
        return display.plot(ax, max_features=max_features, color=color)

    def plot(self, ax: Any = None, *, max_features: int = 20, color: Any = None) -> Self:
        """Plot the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into; None for a new figure of the height that the bars need.
        max_features : int, default=20
            Maximum number of features shown: those with the largest importances.
        color : matplotlib color, default=None
            Color of the bars; None for the first of six colors that color-blind readers can distinguish.

        Returns
        -------
        display : FeatureImportanceDisplay
            This display.
        """
        if max_features < 1:
            raise ValueError(f"max_features must be at least 1. Got {max_features!r} instead.")
        importances = np.asarray(self.importances, dtype=float)
        errors = None if self.errors is None else np.asarray(self.errors, dtype=float)
        if importances.ndim != 1 or (errors is not None and errors.shape != importances.shape):
            raise ValueError("importances and errors must have one dimension and the same length.")
        names = checked_names("feature_names", self.feature_names, [f"x{j}" for j in range(len(importances))])
        plt = pyplot()
        shown = np.argsort(-importances, kind="stable")[:max_features]
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, MARGINS + ROW_HEIGHT * len(shown)), layout="constrained")
        self.ax_, self.figure_, self.features_ = ax, ax.figure, shown
        places = np.arange(len(shown))
        self.bars_ = ax.barh(
            places,
            importances[shown],
            xerr=None if errors is None else errors[shown],
            color=palette()[0] if color is None else color,
            ecolor=plt.rcParams["text.color"],
            capsize=2,
        )
        ax.set_yticks(places, [shortened(names[j]) for j in shown], parse_math=False)
        ax.set_ylim(len(shown) - 0.5, -0.5)  # the largest on top
        ax.set_xlabel(self.label)
        if n_hidden := len(importances) - len(shown):
            ax.set_title(f"{len(shown):,} of {n_hidden + len(shown):,} features", fontsize="medium")
        return self
