"""Class docstrings of the two estimators: one text for what they share; and where the README is."""

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from textwrap import fill

__all__ = ["CLASSIFIER", "REGRESSOR", "link_to_readme"]


def link_to_readme(section: str) -> str:
    """Address of a section of the README: on the web where the package's metadata names its documentation.

    Else that of the file that comes with the package.
    """
    try:
        addresses = metadata("skscratch").get_all("Project-URL") or []
    except PackageNotFoundError:
        addresses = []
    for name, _, address in (entry.partition(", ") for entry in addresses):
        if name == "Documentation":
            return f"{address}#{section}"
    package = Path(__file__).parents[1]
    for folder in (package, package.parent):  # a wheel has it within the package
        if (folder / "README.md").exists():
            return f"{(folder / 'README.md').as_uri()}#{section}"
    return ""


_NETWORK = """\
    hidden_layer_sizes : int or array-like of int, default=(64, 64)
        [network] Number of units of each hidden layer; `()` for none, a linear model.
    activation : str, pair of callables, or list of these, default='silu'
        [network] Activation of the hidden layers, one for all or one for each: {activations};
        or (function, derivative), both elementwise on the pre-activation.
    out_activation : {{'auto', {links}}}, default='auto'
        [network] Activation of the output; 'auto' is the one that suits the loss, and the only one for a classifier.
    fit_intercept : bool, default=True
        [network] Whether the layers have biases.
    init : str or (coefs, intercepts), default='data'
        [network] Initial weights: {initializers}, or 'auto' for the one of these that suits the activation. 'data'
        gives each hidden unit unit variance over 256 of the rows, and a bias in their midst, and starts the output at
        zero (RealMLP, Holzmüller et al. 2024). Or the arrays themselves, as lists.
    parametrization : {{'ntk', 'standard'}}, default='ntk'
        [network] With 'ntk' the rate of a layer's weights is divided by the square root of its inputs, so that one
        rate suits all widths and tables (Jacot et al. 2018).
    n_members : int, default=5
        [ensemble] Train so many networks together, from different initial weights, and average their raw scores.
    n_folds : int, default=5
        [ensemble] Into how many folds the rows are dealt with `early_stopping='folds'`; of the divisors of
        `n_members`, the nearest to it is taken.
    calibrate : bool, default=True
        [ensemble] Whether a classifier's raw scores are divided by the temperature that suits the validation rows
        best (Guo et al. 2017); with 'folds', by a power of it, for the mean of all members is less sure of itself than
        those few are that have not seen a row.
"""

_SHARED = """\
    solver : {{'adam', 'sgd', 'lbfgs'}}, default='adam'
        [optimisation] How weights are updated. 'lbfgs' uses the whole table at once, and suits small ones.
    learning_rate : str or callable, default='multi_cosine'
        [optimisation] Schedule of the rate: one of {schedules},
        or a function of progress, from 0 at the start to 1 at `max_iter` epochs, giving a factor on
        `learning_rate_init`. 'constant', 'invscaling' and 'adaptive' are
        scikit-learn's and have no end of their own; 'multi_cosine' is RealMLP's "coslog4", four cycles, each twice as
        long as the one before. Not for 'lbfgs'.
    learning_rate_init : float or 'auto', default='auto'
        [optimisation] The rate that the schedule multiplies. 'auto' is, for 'adam', 0.04 at 64 rows a step, and grows
        with their square root, up to 0.08; for 'sgd' 0.1.
    warmup : float, default=0.0
        [optimisation] Share of training over which the rate rises from 0, whatever the schedule.
    batch_size : int or 'auto', default='auto'
        [optimisation] Rows in a step; all of them, if there are fewer. 'auto' is about 32 for tables of fewer than
        1,000 rows, 64 to 2,500, 128 to 5,000 and 256 from there on; all rows of a table of up to 40.
    shuffle : bool, default=True
        [optimisation] Whether the rows come in another order each epoch.
    beta_1 : float, default=0.9
        [optimisation] Decay of Adam's first moment, the mean of past gradients.
    beta_2 : float, default=0.95
        [optimisation] Decay of Adam's second moment, the mean of their squares.
    epsilon : float, default=1e-8
        [optimisation] What keeps Adam from dividing by zero.
    momentum : float, default=0.9
        [optimisation] Momentum of 'sgd'.
    nesterovs_momentum : bool, default=True
        [optimisation] Whether that momentum is Nesterov's.
    power_t : float, default=0.5
        [optimisation] Exponent of the schedule 'invscaling'.
    max_fun : int, default=15000
        [optimisation] Most evaluations of the loss by 'lbfgs'.
    alpha : float, default=0.0
        [regularisation] L2 penalty ½ alpha ‖W‖² / (sum of all sample weights), added to the mean loss. It does
        not depend on the batch size.
    weight_decay : float, default=0.0
        [regularisation] Decoupled decay: each step multiplies the weights by 1 - rate * weight_decay
        (Loshchilov & Hutter 2019, AdamW). Of 'adam' alone; the other solvers have `alpha`.
    dropout : float, default=0.0
        [regularisation] Share of hidden units that a training step leaves out.
    clip_norm : float, default=None
        [regularisation] Largest norm of a step's gradient, over all weights of a member.
    max_iter : int, default=60
        [stopping] Number of epochs (of iterations, for 'lbfgs') at most.
    tol : float, default=0.0001
        [stopping] An epoch counts as better if the loss or score improves by at least this. For 'lbfgs', the
        size of the gradient at which it stops.
    n_iter_no_change : int or inf, default=10
        [stopping] Epochs in a row that may fail to be better before training stops: by validation score with
        `early_stopping`, else by training loss, and then only on a schedule without an end.
    early_stopping : bool or 'folds', default='folds'
        [stopping] Whether validation decides when to stop, and on what. With True, on `X_val` if `fit` was given one,
        else on a part of the rows, stratified by class. With 'folds' no row is lost: the rows are dealt to folds,
        member k is blind to one of them, and every row is judged by the members that have not seen it. From these
        scores follow the best epoch, the end (the cycle of 'multi_cosine' that gains less than 0.5 %) and the
        temperature. It needs more than 40 rows, two members, and a solver with epochs, and gives way to `X_val`.
    refit : float, default=0.2
        [stopping] With `early_stopping='folds'`, members go on from the best epoch on all rows, none held out any
        longer, for this share of its number of epochs; 0 for not at all.
    validation_fraction : float, default=0.1
        [stopping] That part's share of the total sample weight.
    scoring : 'loss', str, callable or None, default='loss'
        [stopping] What validation measures: the loss, a scikit-learn scorer, or (None) the method `score`.
    restore_best_weights : bool, default=True
        [stopping] Whether the weights of the best epoch are kept: by validation score where there is one, else
        by training loss on a schedule without an end. If not, and on one that ends, those of the last.
    categorical_features : 'from_dtype', array-like or None, default='from_dtype'
        [table] Which columns are categories: those of dtype category, string or object in a DataFrame; or
        their numbers, names or a mask; None for none. Up to 50 categories become one-hot columns, more get a
        learned embedding. Categories not seen in `fit` count as missing.
    scale_features : bool, default=True
        [table] Whether each number column is centered on its median, divided by its quartile range, and
        squeezed smoothly into (-3, 3): raw units and outliers do no harm, and nothing is extrapolated.
    numeric_embedding : 'bins' or None, default='bins'
        [table] Whether each number column is also shown as bins: components that fill up one after the other between
        quantiles (Gorishniy et al. 2022), so that a function that bends in a single column is seen at once. Not for
        sparse tables.
    n_bins : int or 'auto', default='auto'
        [table] Bins of a column, at most: half between quantiles of its rows, half between those of its distinct
        values, which coincide where no value is twice there. 'auto' is a sixth of the rows and at most 384 for all
        columns together, at most 48 for one; fewer than three are none.
"""

_RUNNING = """\
    n_jobs : int or None, default=None
        [running] Threads that members are divided among; None for as many as BLAS may use here, which joblib and
        threadpoolctl limit, and for one in a thread or process of a pool, whose peers take the other cores. No result
        depends on it.
    dtype : {{'auto', 'float32', 'float64'}}, default='auto'
        [running] Precision of the network. 'auto' is float32, and float64 for tables of up to 200 rows.
    random_state : int, RandomState instance or None, default=None
        [running] Seed of initial weights, order of rows, dropout and validation split. The same seed gives the
        same bits on one machine.
    warm_start : bool, default=False
        [running] Whether `fit` goes on where the last call stopped: weights, optimizer and random numbers. An
        interrupted fit is finished; after one that ended, the schedule begins anew, for `max_iter` epochs more.
    verbose : bool or int, default=False
        [running] Whether to tell of each epoch in a line, to the logger "skscratch": where the program has not set up
        logging, it is printed.
"""

_ATTRIBUTES = """\
    coefs_ : list of ndarray
        Weight matrix (n_in, n_out) of each layer; with several members a leading axis for them. The first layer's rows
        are the encoded columns.
    intercepts_ : list of ndarray
        Bias vector (n_out,) of each layer; with several members a leading axis for them.
    loss_ : float
        Mean training loss of the last epoch.
    best_loss_ : float or None
        Mean training loss of the best epoch; None where validation decided.
    loss_curve_ : list of float
        Training loss of each epoch: the mean over its batches, each before its step.
    validation_loss_curve_ : list of float or None
        Validation loss after each epoch, or None without validation. NaN for epochs that were not judged: with
        `early_stopping='folds'` those in which the rate is high.
    validation_scores_ : list of float or None
        Validation score after each epoch, as `scoring` says; None or NaN where the validation loss is.
    best_validation_score_ : float or None
        The highest of `validation_scores_`.
    oof_predictions_ : ndarray of shape (n_samples, ...) or None
        With `early_stopping='folds'`, what each training row of positive weight is predicted by the members that have
        not seen it: probabilities, or numbers. Not part of a pickle.
    oof_score_ : float or None
        Their accuracy or R²: an honest score that cost no rows, if a little flattered by the choice of the epoch.
    temperature_ : float
        What the mean of the members' raw scores is divided by.
    best_iteration_ : int
        The epoch, counted from 1 over all calls, whose weights predict.
    history_ : dict of list
        All that was recorded of each epoch: loss, learning rate, seconds, validation loss and score.
    n_iter_ : int
        Epochs run by the last call of fit.
    t_ : int
        Rows that training has seen, counting repeats.
    n_layers_ : int
        Number of layers, counting input and output.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : str
        Activation of the output.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where they all have one.
"""

_NOTES = """\
    Every step of the arithmetic is in the package's files, in NumPy. One batch passes through them in this
    order: `encoding` (table to numbers), `network` and `layers` (forward), `losses`, `layers` again (backward),
    `optimizers` (update), with `training` as the loop around it.
"""


def _choices() -> dict[str, str]:
    from ..nn.activations import ACTIVATIONS
    from ..nn.initializers import INITIALIZERS
    from ..nn.links import LINKS
    from ..training.schedules import SCHEDULES

    tables: dict[str, dict] = {
        "activations": ACTIVATIONS,
        "links": LINKS,
        "initializers": INITIALIZERS,
        "schedules": SCHEDULES,
    }
    return {name: ", ".join(f"'{key}'" for key in table) for name, table in tables.items()}


def _wrapped(text: str) -> str:
    """The text with its long lines broken, where choices were filled in."""
    lines = [fill(line, 118, subsequent_indent=" " * 8) if len(line) > 118 else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def _document(summary: str, loss: str, table: str, attributes: str, example: str) -> str:
    parameters = _wrapped((_NETWORK + loss + _SHARED).format(**_choices()) + table + _RUNNING.format())
    sections = {
        "Parameters": parameters,
        "Attributes": _ATTRIBUTES + attributes,
        "Notes": _NOTES,
        "Examples": example,
    }
    return summary + "".join(f"\n    {name}\n    {'-' * len(name)}\n{text}" for name, text in sections.items()) + "    "


_GROUPS = """
    What to change first: for a better and slower model `hidden_layer_sizes`, `n_members` and `max_iter`; for a quicker
    one `n_members=2`; against overfitting `dropout` and `weight_decay`. The parameters below are
    marked with their group: network, ensemble, loss, optimisation, regularisation, stopping, table, running.
"""

CLASSIFIER = _document(
    """Neural network classifier for tables: numbers in any units, categories, missing values.
"""
    + _GROUPS,
    """\
    loss : {{'log_loss', 'squared_error'}} or callable, default='log_loss'
        [loss] Cross-entropy, or ½ (p - y)² of the probabilities. A callable takes targets and raw scores, both
        (n, n_outputs), and returns the loss of each row (n,) and its gradient by the raw scores.
    class_weight : dict, 'balanced', list of dict or None, default=None
        [loss] Weight of each class, on top of `sample_weight`; 'balanced' gives each the same total. A list
        has a dictionary for each label of a multilabel target.
    label_smoothing : float, default=0.0
        [loss] Share of each target that is spread over all classes.
""",
    "",
    """\
    classes_ : ndarray of shape (n_classes,)
        Class labels.
""",
    """\
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from skscratch import ScratchMLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> model = ScratchMLPClassifier(random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.93
    True
""",
)

REGRESSOR = _document(
    """Neural network regressor for tables: numbers in any units, categories, missing values.
"""
    + _GROUPS,
    """\
    loss : str or callable, default='squared_error'
        [loss] 'squared_error' (½ (p - y)², its mean over the rows), 'absolute_error', 'huber', 'quantile', or for
        targets that are counts or positive 'poisson' and 'gamma', which predict through exp. A callable takes
        scaled targets and raw scores, both (n, n_outputs), and returns the loss of each row (n,) and its gradient by
        the raw scores.
    quantile : float or increasing array-like of float, default=0.5
        [loss] Which quantile 'quantile' predicts; several give a column each, and never cross.
    huber_delta : float, default=1.35
        [loss] Residual, in units of the target's scale, from which 'huber' is linear.
""",
    """\
    scale_target : bool, default=True
        [table] Whether y is centered and scaled for training, as the loss wants it: mean and standard deviation
        for squared error, median and quartile range for losses that outliers should not move. Predictions
        are in the units of y.
    clip_target : bool, default=True
        [table] Whether predictions are held to the range of the y that was fitted, over all calls of a training that
        goes on. One that begins with `partial_fit` knows of none.
""",
    "",
    """\
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from skscratch import ScratchMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> float(cross_val_score(ScratchMLPRegressor(random_state=0), X, y).mean()) > 0.4
    True
""",
)
