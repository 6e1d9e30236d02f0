"""Hyper-parameters that both estimators share: each is declared once, with its default, constraint, group and text.

The constructor, the docstring, the check at `fit`, the parameters that a continued training must keep and the site's
table of differences from scikit-learn all follow from the declarations.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np

from . import constraints as c
from .constraints import boolean, choice, either, function, integer, nothing, parameter, real
from .hints import hint_for_names
from .sklearn_types import BaseEstimator

__all__ = ["HyperParameters"]


@dataclass(eq=False, repr=False)
class HyperParameters(BaseEstimator):
    """The hyper-parameters that both estimators share."""

    # ---------------------------------------------------------------- network

    hidden_layer_sizes: c.LayerSizes = parameter(
        (64, 64),
        c.layer_sizes,
        "network",
        "Number of units in each hidden layer. `()` has no hidden layer and gives a linear model.",
        frozen="network",
        sklearn="Two hidden layers; scikit-learn has one, `(100,)`.",
    )
    _: KW_ONLY
    activation: c.Activations = parameter(
        "silu",
        c.activations,
        "network",
        """Activation of the hidden layers, one for all or one for each: {choices}; or a pair (function, derivative),
        both elementwise on the pre-activation.""",
        frozen="network",
        sklearn="Eleven functions or your own, one for all layers or one for each; scikit-learn's default is `'relu'`.",
    )
    out_activation: Literal["auto"] | c.LinkName = parameter(
        "auto",
        choice(("auto", *get_args(c.LinkName))),
        "network",
        """Activation of the output: {choices}. 'auto' selects the one that belongs to the loss. A classifier accepts
        no other.""",
        frozen="network",
        sklearn="New; in scikit-learn it follows from the loss.",
    )
    fit_intercept: bool = parameter(
        True,
        boolean,
        "network",
        "Whether the layers have biases.",
        frozen="network",
        sklearn="New: biases can be switched off.",
    )
    init: Literal["data", "auto"] | c.InitializerName | tuple[list[Any], list[Any]] = parameter(
        "data",
        c.initial_weights,
        "network",
        """Initial weights: {choices}; or the arrays themselves, as two lists. 'data' is fitted to 256 of the rows:
        each hidden unit starts with unit variance and with its bias among the values of these rows, and the output
        starts at zero (RealMLP, Holzmüller et al. 2024). 'auto' selects the initializer that suits the activation.""",
        sklearn="New: fitted to 256 of the rows; scikit-learn uses Glorot's uniform distribution for every activation.",
    )
    parametrization: Literal["ntk", "standard"] = parameter(
        "ntk",
        choice(("ntk", "standard")),
        "network",
        """With 'ntk' the learning rate of a layer's weights is divided by the square root of the number of inputs, so
        that the same `learning_rate_init` suits layers and tables of any width (Jacot et al. 2018).""",
        frozen="network",
        sklearn="New: the learning rate depends on a layer's inputs; scikit-learn has one for all layers.",
    )

    # ---------------------------------------------------------------- ensemble

    n_members: int = parameter(
        5,
        integer(),
        "ensemble",
        """Number of networks that are trained together from different initial weights. Their raw scores are
        averaged.""",
        frozen="network",
        sklearn="New: five networks, whose raw scores are averaged; scikit-learn trains one.",
    )
    n_folds: int = parameter(
        5,
        integer(2),
        "ensemble",
        """Number of folds with `early_stopping='folds'`. If it does not divide `n_members`, the nearest divisor
        is used.""",
        frozen="network",
        sklearn="New: parts of the rows that the members leave out in turn.",
    )
    calibrate: bool = parameter(
        True,
        boolean,
        "ensemble",
        """Whether a classifier divides its raw scores by the temperature that minimises the validation loss (Guo et
        al. 2017). In that loss a share (6 / n_rows)² of each class counts as unknown, so that few rows prove no
        certainty. With 'folds' a power of the temperature is used, because the average over all members is less
        confident than a single held-out member.""",
        sklearn="New: a temperature fitted to the validation rows; scikit-learn does not calibrate.",
    )

    # ---------------------------------------------------------------- optimisation

    solver: Literal["adam", "sgd", "lbfgs"] = parameter(
        "adam",
        choice(("adam", "sgd", "lbfgs")),
        "optimisation",
        """Optimizer of the weights. 'lbfgs' uses all rows in every iteration, which suits small tables.""",
    )
    learning_rate: c.ScheduleName | Callable[[float], float] = parameter(
        "multi_cosine",
        either(choice(get_args(c.ScheduleName)), function),
        "optimisation",
        """Schedule of the learning rate: {choices}; or a function of progress (0 at the start, 1 after `max_iter`
        epochs) that returns a factor on `learning_rate_init`. 'constant', 'invscaling' and 'adaptive' are
        scikit-learn's schedules and have no end of their own. 'multi_cosine' is RealMLP's "coslog4": four cycles, each
        twice as long as the one before. With 60 epochs it has five cycles for more than 125,000 rows and six for
        more than 258,000, so that training can stop after fewer epochs. 'lbfgs' uses no schedule.""",
        sklearn="Four cosine cycles; scikit-learn's default is `'constant'`, and its schedules apply to `'sgd'` only.",
    )
    learning_rate_init: float | Literal["auto"] = parameter(
        "auto",
        either(choice(["auto"]), real(0, closed="neither")),
        "optimisation",
        """Base learning rate, which the schedule multiplies. 'auto' depends on the solver. For 'adam' it is 0.04 at 64
        rows per step and grows with the square root of the batch size, up to 0.08; for 'sgd' it is 0.1.""",
        sklearn="Depends on the batch size; scikit-learn's default is `0.001`.",
    )
    warmup: float = parameter(
        0.0,
        real(0, 1, "both"),
        "optimisation",
        "Fraction of training over which the learning rate rises linearly from 0, with any schedule.",
        sklearn="New: the learning rate can rise linearly at the start.",
    )
    batch_size: int | Literal["auto"] = parameter(
        "auto",
        either(choice(["auto"]), integer()),
        "optimisation",
        """Number of rows per step; a table with fewer rows is used as a whole. 'auto' is about 32 for tables with fewer
        than 1,000 rows, 64 up to 2,500, 128 up to 5,000 and 256 above; from 125,000 rows on it grows with their square
        root, up to 1,024. Tables with up to 40 rows are one batch.""",
        sklearn="`'auto'` depends on the number of rows; in scikit-learn it is `min(200, n_samples)`.",
    )
    shuffle: bool = parameter(True, boolean, "optimisation", "Whether the rows are shuffled before each epoch.")
    beta_1: float = parameter(
        0.9,
        real(0, 1),
        "optimisation",
        "Decay rate of Adam's first moment, the running mean of the gradients.",
    )
    beta_2: float = parameter(
        0.95,
        real(0, 1),
        "optimisation",
        "Decay rate of Adam's second moment, the running mean of the squared gradients.",
        sklearn="scikit-learn's default is `0.999`.",
    )
    epsilon: float = parameter(
        1e-8,
        real(0, closed="neither"),
        "optimisation",
        "Small number in the denominator of Adam's step, which prevents a division by zero.",
    )
    momentum: float = parameter(0.9, real(0, 1, "both"), "optimisation", "Momentum of the solver 'sgd'.")
    nesterovs_momentum: bool = parameter(
        True, boolean, "optimisation", "Whether the solver 'sgd' uses Nesterov's momentum."
    )
    power_t: float = parameter(0.5, real(0), "optimisation", "Exponent of the schedule 'invscaling'.")
    max_fun: int = parameter(
        15000, integer(), "optimisation", "Maximum number of evaluations of the loss by the solver 'lbfgs'."
    )

    # ---------------------------------------------------------------- regularisation

    alpha: float = parameter(
        0.0,
        real(0),
        "regularisation",
        """L2 penalty ½ alpha ‖W‖² / (sum of all sample weights), which is added to the mean loss. Its strength does not
        depend on the batch size.""",
        sklearn="Independent of the batch size, unlike in scikit-learn, where the default is `0.0001`.",
    )
    category_penalty: float | Literal["auto"] = parameter(
        "auto",
        either(choice(("auto",)), real(0)),
        "regularisation",
        """L2 penalty ½ category_penalty ‖E‖² / n_samples on the embeddings E of large categories, which is added to the
        mean loss. The vector of a category with n rows keeps about n / (n + category_penalty) of its unpenalised
        length, so that rare categories are not memorised. 'auto' trains four epochs each with 30, 5, 1 and 0,
        fewer for more than 50,000 rows, until one is worse than the one before; it takes the largest of them whose
        validation loss is within 2 % of the lowest. It is 3 without validation.""",
        sklearn="New: regularises columns of many categories.",
    )
    weight_decay: float = parameter(
        0.0,
        real(0),
        "regularisation",
        """Decoupled weight decay of the solver 'adam': each step multiplies the weights by
        1 - learning rate * weight_decay (AdamW, Loshchilov & Hutter 2019). The other solvers have `alpha` instead.""",
        sklearn="New: decoupled weight decay for `'adam'`.",
    )
    dropout: float = parameter(
        0.0,
        real(0, 1),
        "regularisation",
        "Fraction of the hidden units that each training step leaves out.",
        frozen="network",
        sklearn="New: leaves out hidden units at random.",
    )
    clip_norm: float | None = parameter(
        None,
        either(nothing, real(0, closed="neither")),
        "regularisation",
        "Maximum norm of the gradient in a step, over all weights of a member.",
        sklearn="New: limits the norm of the gradient.",
    )

    # ---------------------------------------------------------------- stopping

    max_iter: int = parameter(
        60,
        integer(),
        "stopping",
        "Maximum number of epochs, or of iterations with the solver 'lbfgs'.",
        sklearn="scikit-learn's default is `200`.",
    )
    max_time: float | None = parameter(
        None,
        either(nothing, real(0, closed="neither")),
        "stopping",
        """Maximum duration of `fit` in seconds. If all epochs would take longer, the schedule of the learning rate runs
        over the time instead of the epochs, so that the rate falls to its end in time; evaluations and the refit have
        their share of it. Training gets at least half of the time, however long the encoding of the table takes. A fit
        that ends earlier on its own is not affected. The results of a fit that is cut depend on the speed of the
        machine. 'lbfgs' and schedules without an end just stop. `partial_fit` has no limit.""",
        sklearn="New: limits the duration of a fit.",
    )
    tol: float = parameter(
        1e-4,
        real(0),
        "stopping",
        """Minimum improvement of the loss or score for an epoch to count as better. The solver 'lbfgs' stops when the
        gradient is smaller than this.""",
    )
    n_iter_no_change: float = parameter(
        10,
        either(integer(), c.infinity),
        "stopping",
        """Number of consecutive epochs without an improvement after which training stops. With `early_stopping` the
        validation score decides; otherwise the training loss decides, and only on a schedule without an end.""",
        sklearn="The exact number of epochs; scikit-learn trains one epoch longer.",
    )
    early_stopping: bool | Literal["folds"] = parameter(
        "folds",
        either(choice(["folds"]), boolean),
        "stopping",
        """Whether validation decides when training stops, and on which rows. True uses `X_val` if `fit` receives it,
        otherwise a part of the rows, stratified by class. 'folds' trains on every row: the rows are divided into folds,
        each member leaves out one of them, and every row is scored by the members that are not trained on it. These
        out-of-fold scores determine the best epoch, the end of training (after a cycle of 'multi_cosine' that gains
        less than 0.5 %) and the temperature. 'folds' needs as many different rows as folds, at least two members and a
        solver with epochs; `X_val` takes precedence over it.""",
        sklearn="Out-of-fold validation; scikit-learn's default is `False`, and True holds out a tenth of the rows.",
    )
    refit: float = parameter(
        0.2,
        real(0, 100, "both"),
        "stopping",
        """With `early_stopping='folds'`, training continues from the best epoch on all rows, none of them left out, for
        this fraction of the number of epochs so far. 0 skips the refit.""",
        sklearn="New: after the best epoch, training continues on all rows.",
    )
    validation_fraction: float = parameter(
        0.1,
        real(0, 1),
        "stopping",
        "Fraction of the total sample weight that `early_stopping=True` holds out if `fit` receives no `X_val`.",
    )
    scoring: str | Callable[..., Any] | None = parameter(
        "loss",
        c.scorer,
        "stopping",
        """Validation score: 'loss', the name of a scikit-learn scorer, a scorer, or None for the method `score`.""",
        sklearn="New: the loss or any scorer; scikit-learn uses accuracy or R², as None does here.",
    )
    restore_best_weights: bool = parameter(
        True,
        boolean,
        "stopping",
        """Whether the weights of the best epoch are kept: by validation score if there is one, otherwise by training
        loss on a schedule without an end. If not, and on a schedule that ends, the weights of the last epoch are
        kept.""",
        sklearn="New: the best epoch's weights; scikit-learn keeps the last ones, except with early stopping.",
    )

    # ---------------------------------------------------------------- table

    categorical_features: c.ColumnSelection = parameter(
        "from_dtype",
        c.column_selection,
        "table",
        """Categorical columns: 'from_dtype' selects those with dtype category, string or object in a DataFrame;
        otherwise an array-like of column numbers, of names, or a mask; None selects no column. Up to 10 categories
        become one-hot columns, more get a learned embedding. Categories not seen in `fit` count as missing.""",
        frozen="network",
        sklearn="New: strings, categories, dates and missing values are encoded; scikit-learn rejects them.",
    )
    scale_features: bool = parameter(
        True,
        boolean,
        "table",
        """Whether each numeric column is centered on its median, divided by its interquartile range and squeezed
        smoothly into (-3, 3). Raw units and outliers do no harm, and the model does not extrapolate. To
        follow a trend beyond the rows of training, scale the columns yourself, and set ``scale_features=False``,
        ``numeric_embedding=None`` and, in a regressor, ``clip_target=False``.""",
        frozen="network",
        sklearn="New: features are scaled; scikit-learn uses them as given.",
    )
    numeric_embedding: Literal["bins"] | None = parameter(
        "bins",
        either(nothing, choice(["bins"])),
        "table",
        """With 'bins' each dense numeric column is also encoded as components between quantiles that fill up one after
        the other (Gorishniy et al. 2022), so that the network quickly learns functions that bend in a single column.
        Beyond the outer quantiles the components are constant, so that the model hardly extrapolates.
        Sparse tables have no bins.""",
        frozen="network",
        sklearn="New: numeric columns are encoded as bins too.",
    )
    n_bins: int | Literal["auto"] = parameter(
        "auto",
        either(choice(["auto"]), integer(2)),
        "table",
        """Maximum number of bins per column: half of them between quantiles of the rows and half between quantiles of
        the distinct values, which coincide if no value occurs twice. 'auto' is a sixth of the rows and at most 384 over
        all columns, and at most 48 for one column; a result below three means no bins.""",
        frozen="network",
        sklearn="New: number of these bins.",
    )
    monotonic_cst: c.MonotonicConstraints = parameter(
        None,
        c.monotonic_constraints,
        "table",
        """Constraints of number columns, as in HistGradientBoosting: 1 where predictions must not fall as the column
        rises, whatever the other columns are; -1 where they must not rise; 0 without constraint. An array-like has one
        value for each column, a dict those of some columns by name. They hold for each output, inside and outside the
        range of training. A missing value is not compared with others. A classifier must have two classes: the
        probability of the second one is constrained. With several quantiles their distances are constrained too. An
        activation that falls somewhere ('silu', 'gelu', 'mish') is replaced by 'elu'.""",
        frozen="network",
        sklearn="New: predictions that never fall, or never rise, with a column.",
    )

    # ---------------------------------------------------------------- running

    dtype: c.FloatType = parameter(
        "auto",
        c.float_type,
        "running",
        """Precision of the network. 'auto' is float64 for tables of at most 200 rows whose
        members have at most 100,000 parameters, and float32 otherwise. Predictions
        are float64 in any case.""",
        frozen="network",
        sklearn="New: float32, float64 for small tables and networks; scikit-learn uses float64 unless X is float32.",
    )
    n_jobs: int | None = parameter(
        None,
        c.number_of_jobs,
        "running",
        """Number of threads that divide the members, and the rows of long predictions; -1 uses all cores, -2 all but
        one. Batches of more than 512 rows are cut into parts of at most 256 rows, which threads share if the network is
        large enough, so that more threads than members are of use. None uses as many threads as BLAS may use, which
        joblib and threadpoolctl limit, and a single thread within a thread or process of a pool, where the other
        workers use the other cores. No result depends on it.""",
        sklearn="New: members run in threads; scikit-learn leaves threads to BLAS, which slows down small products.",
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        c.seed,
        "running",
        """Seed of the initial weights, the order of the rows, dropout and the validation split. The same seed gives the
        same bits on one machine.""",
    )
    warm_start: bool = parameter(
        False,
        boolean,
        "running",
        """Whether `fit` continues from the previous call, with its weights, optimizer state and random numbers. An
        interrupted fit resumes where it stopped and gives the same bits as an uninterrupted one. After a completed fit
        the schedule starts again, for another `max_iter` epochs.""",
        sklearn="Optimizer and random numbers continue too; scikit-learn starts with a new optimizer.",
    )
    verbose: bool | int = parameter(
        False,
        either(boolean, integer(0)),
        "running",
        """Number of epochs from one line of progress to the next; True is 1, and False or 0 no lines. The last line
        says why training ended, which epoch is kept, and whether a refit follows. Lines go to the logger "skscratch",
        which prints them if the program has not set up logging.""",
        sklearn="A line for each epoch, or each n-th one, goes to a logger; scikit-learn prints the loss.",
    )

    # ---------------------------------------------------------------- changes

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : dict
            Values by name of the parameter.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If there is no parameter of that name; the message says what it is called here.
        """
        known = [field.name for field in fields(self)]
        try:
            return super().set_params(**params)
        except ValueError as error:
            raise ValueError(f"{error}{hint_for_names((n for n in params if n not in known), known)}") from None
