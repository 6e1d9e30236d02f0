"""Hints for names and values that users carry over from other libraries: what they are called here.

An error for an unknown name, or for a value that a parameter does not accept, ends in such a hint.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from numbers import Real
from typing import Any, TypeVar, cast

__all__ = ["FIT_ARGUMENTS", "NAMES", "NUMBERS", "VALUES", "hint_for_names", "hint_for_value", "hinted", "with_hints"]

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

FIT_ARGUMENTS = ("sample_weight", "X_val", "y_val", "sample_weight_val")

LAYERS = "hidden_layer_sizes=(64, 64) has the number of units of each hidden layer."
EPOCHS = "max_iter is the number of epochs."
RATE = "learning_rate_init is the learning rate, and learning_rate its schedule."
MEMBERS = "n_members is the number of networks, and max_iter the number of epochs of each."
PATIENCE = (
    "n_iter_no_change is the patience. It applies to early_stopping=True or X_val; the default early_stopping='folds' "
    "decides after each cycle of the learning rate."
)
VALIDATION = "Pass validation rows to fit as X_val and y_val."
SCORE = "scoring is the score on validation rows."
CATEGORIES = (
    "categorical_features names the categorical columns. In a DataFrame, columns of strings and categories are found "
    "without it."
)
CPU = "There is no such choice: the network runs on the CPU."
TREES = "There is no such parameter: it belongs to trees. hidden_layer_sizes is the size of the networks."
SUBSAMPLE = "There is no such parameter: each member leaves out another fold of the rows (n_folds)."
COLUMNS = "There is no such parameter: all columns are used. dropout leaves out hidden units."
DECAY = "alpha is an L2 penalty, and weight_decay the decay of the weights."
NO_L1 = "There is no L1 penalty. alpha is an L2 penalty, and weight_decay the decay of the weights."
NORMALISATION = "There is no normalisation layer: init='data' fits the scale of each hidden unit to the rows."
EMBEDDING = "There is no such parameter: the size of an embedding follows from the number of categories."
NOT_NEEDED = "It is not needed: fit finds it out."
CONTINUE = "warm_start=True continues the fit from the one before."

_NAMES_BY_HINT: tuple[tuple[str, str], ...] = (
    # network
    (
        "hidden_dim hidden_dims hidden_layers hidden_layer hidden_size hidden_sizes hidden_units hidden_width "
        "hidden_features hidden n_hidden n_hidden_layers n_layers num_layers n_neurons neurons units layers width "
        "layer_sizes layer_size d_hidden d_layers d_block d_model n_blocks depth_mlp",
        LAYERS,
    ),
    ("activation_function activations act nonlinearity hidden_activation", "activation is that of the hidden layers."),
    ("output_activation final_activation last_activation", "out_activation is that of the output."),
    ("batch_norm batchnorm use_bn batch_normalization normalization norm layer_norm", NORMALISATION),
    ("use_bias bias", "fit_intercept says whether the layers have biases."),
    ("kernel_initializer initializer weight_init init_method", "init is the initialisation of the weights."),
    ("input_dim input_shape input_size in_features n_features output_dim num_class num_classes n_classes", NOT_NEEDED),
    ("classes class_names", "The labels in y are the classes; partial_fit has the argument classes."),
    ("module model estimator base_estimator", "There is no such parameter: hidden_layer_sizes describes the network."),
    ("embed_dim embedding_dim embedding_dims embedding_size cat_emb_dim cat_embed_dim cat_emb_size", EMBEDDING),
    # ensemble
    ("n_estimators n_trees num_trees n_ensemble n_ensembles n_ens ensemble_size n_models n_networks", MEMBERS),
    ("n_cv cv n_splits num_folds k_folds", "n_folds is the number of folds that the members leave out in turn."),
    ("n_refit refit_full", "refit is the number of epochs on all rows, as a share of those before."),
    ("bagging_fraction subsample bagging_freq bootstrap bootstrap_type max_samples", SUBSAMPLE),
    ("colsample_bytree colsample_bylevel feature_fraction max_features rsm", COLUMNS),
    ("temperature", "calibrate=True chooses the temperature; the result is temperature_."),
    # loss and scores
    ("objective loss_function criterion loss_fn application", "loss is the function that training minimises."),
    (
        "metric metrics eval_metric custom_metric val_metric val_metric_name monitor score_func",
        f"{SCORE} It decides with early_stopping.",
    ),
    ("class_weights auto_class_weights is_unbalance", "class_weight='balanced' is a parameter of the classifier."),
    ("scale_pos_weight pos_weight", "class_weight={0: 1, 1: 10} weights the classes of a classifier."),
    ("class_weight", "Only the classifier has it. fit has the argument sample_weight."),
    ("ls_eps use_ls smoothing", "label_smoothing is a parameter of the classifier."),
    ("label_smoothing", "Only the classifier has it."),
    ("quantiles quantile_alpha quantile_level", "Use ScratchMLPRegressor(loss='quantile', quantile=0.9)."),
    ("quantile huber_delta scale_target clip_target", "Only the regressor has it."),
    ("delta huber_slope", "huber_delta belongs to the loss 'huber' of the regressor."),
    # optimisation
    ("lr eta step_size initial_lr base_lr max_lr", RATE),
    ("lr_scheduler lr_schedule lr_sched scheduler schedule", "learning_rate is the schedule of the learning rate."),
    ("warmup_steps warmup_epochs warmup_ratio n_warmup", "warmup is a fraction of the training."),
    ("optimizer optimiser optim opt", "solver is the optimizer: 'adam', 'sgd' or 'lbfgs'."),
    ("betas beta1 beta2 adam_beta1 adam_beta2 mom sq_mom", "beta_1 and beta_2 belong to the solver 'adam'."),
    ("eps opt_eps", "epsilon belongs to the solver 'adam'."),
    ("nesterov", "nesterovs_momentum belongs to the solver 'sgd'."),
    ("batchsize train_batch_size minibatch_size mini_batch_size", "batch_size is the number of rows per step."),
    ("steps_per_epoch", "batch_size is the number of rows per step; an epoch is one pass over the rows."),
    # regularisation
    ("l2 l2_reg l2_regularization l2_leaf_reg reg_lambda lambda_l2 reg kernel_regularizer wd decay C penalty", DECAY),
    ("l1 l1_reg l1_ratio reg_alpha lambda_l1", NO_L1),
    ("dropout_rate dropout_prob p_dropout p_drop drop_rate dropouts", "dropout is the fraction of the hidden units."),
    ("grad_clip gradient_clip clip_grad clip_grad_norm max_grad_norm clipnorm clip_value", "clip_norm does this."),
    # stopping
    ("epochs n_epochs num_epochs max_epochs n_epoch nb_epoch n_iter", EPOCHS),
    ("num_boost_round num_iterations iterations num_round num_rounds n_rounds", EPOCHS),
    ("early_stopping_rounds early_stopping_round patience n_iter_early_stop od_wait es_patience", PATIENCE),
    ("time_limit timeout time_limit_s time_budget max_runtime max_train_time", "max_time limits a fit, in seconds."),
    ("min_delta early_stopping_min_delta", "tol is the smallest improvement that counts."),
    (
        "validation_split val_fraction val_split val_size valid_fraction eval_fraction test_size",
        "validation_fraction is the share of the rows that early_stopping=True holds out.",
    ),
    ("use_best_model restore_best save_best load_best", "restore_best_weights keeps the best epoch."),
    # table
    (
        "cat_features categorical_feature cat_cols cat_columns categorical_columns categorical_features_indices "
        "cat_idxs cat_col_names enable_categorical",
        CATEGORIES,
    ),
    ("max_bins max_bin border_count num_bins bins", "n_bins is the number of bins of a numeric column."),
    ("normalize normalise standardize scaler scale scaling", "scale_features=True scales the numeric columns."),
    ("scale_y normalize_y transform_target target_scaler", "scale_target is a parameter of the regressor."),
    ("missing nan_mode use_missing", "It is not needed: missing values are NaN, None or pandas.NA."),
    ("use_label_encoder", "It is not needed: labels may be strings or numbers."),
    (
        "num_leaves max_leaves max_leaf_nodes max_depth depth min_child_samples min_child_weight min_data_in_leaf "
        "min_samples_leaf min_samples_split min_split_gain gamma tree_method grow_policy boosting_type boosting "
        "booster linear_tree random_strength bagging_temperature importance_type",
        TREES,
    ),
    # running
    ("device device_type device_name task_type gpu use_gpu gpu_id cuda accelerator devices predictor", CPU),
    ("seed random_seed rng", "random_state is the seed."),
    ("num_threads nthread nthreads n_threads thread_count num_workers n_workers", "n_jobs is the number of threads."),
    ("verbosity silent logging_level verbose_eval", "verbose=True prints a line for each epoch, False none."),
    ("precision mixed_precision float_precision", "dtype is the precision of the network."),
    ("init_model xgb_model initial_epoch resume", CONTINUE),
    ("client sync_every", "DaskScratchMLPClassifier and DaskScratchMLPRegressor in skscratch.dask have it."),
    # arguments of fit
    ("eval_set eval_sets validation_data valid_sets val_data eval_data valid_data X_valid y_valid x_val", VALIDATION),
    ("eval_sample_weight sample_weight_eval_set", "sample_weight_val are the weights of the validation rows."),
    ("sample_weights weight weights", "fit has the argument sample_weight."),
    ("callbacks callback", "set_callbacks takes scikit-learn's callbacks and those of skscratch.callbacks."),
    ("init_score base_margin baseline", "There is no such argument: training starts from the mean of y."),
    ("feature_name feature_names columns", "The columns of a DataFrame are the names."),
)
NAMES = {name: hint for names, hint in _NAMES_BY_HINT for name in names.split()}

MAE, MSE, LOG_LOSS = "loss='absolute_error'", "loss='squared_error'", "loss='log_loss'"
VALUES: dict[str, dict[str, str]] = {
    "activation": {
        "sigmoid": "activation='logistic'",
        "swish": "activation='silu'",
        "linear": "activation='identity'",
        "none": "activation='identity'",
        "leakyrelu": "activation='leaky_relu'",
    },
    "learning_rate": {"auto": "learning_rate_init='auto'", "cosine_annealing": "learning_rate='cosine'"},
    "loss": {
        **dict.fromkeys(["mse", "mean_squared_error", "l2", "rmse", "regression"], MSE),
        **dict.fromkeys(["mae", "mean_absolute_error", "l1", "regression_l1"], MAE),
        **dict.fromkeys(
            [
                *("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"),
                *("cross_entropy", "crossentropy", "ce", "bce", "binary", "multiclass", "logloss"),
            ],
            LOG_LOSS,
        ),
        "pinball": "loss='quantile'",
    },
    "scoring": {
        **dict.fromkeys(["val_loss", "logloss", "log_loss"], "scoring='loss'"),
        **dict.fromkeys(["auc", "AUC"], "scoring='roc_auc'"),
        **dict.fromkeys(["rmse", "RMSE"], "scoring='neg_root_mean_squared_error'"),
        **dict.fromkeys(["mae", "MAE"], "scoring='neg_mean_absolute_error'"),
        **dict.fromkeys(["acc", "Accuracy"], "scoring='accuracy'"),
    },
    "solver": {"adamw": "solver='adam' with weight_decay"},
}
NUMBERS = {  # for a number where another value is expected
    "learning_rate": "learning_rate_init={value!r}, for learning_rate is the schedule",
    "early_stopping": "early_stopping=True with n_iter_no_change={value!r}",
    "verbose": "verbose=False, which prints nothing",
}


def hint_for_value(name: str, value: Any) -> str:
    """Return a sentence about a value that the parameter does not accept, after a space, or an empty text."""
    if isinstance(value, str):
        like = VALUES.get(name, {}).get(value, VALUES.get(name, {}).get(value.lower()))
    else:
        like = NUMBERS.get(name) if isinstance(value, Real) else None
    return f" Here it is {like.format(value=value)}." if like else ""


def hint_for_names(names: Iterable[str], parameters: Collection[str], in_constructor: bool = True) -> str:
    """Return sentences about names that are unknown, each after a space, or an empty text.

    Parameters
    ----------
    names : iterable of str
    parameters : collection of str
        Names that the constructor knows.
    in_constructor : bool, default=True
        Whether the names were given to the constructor or to `set_params`, and not to `fit`.
    """
    hints = []
    for name in names:
        similar = get_close_matches(name, [*parameters, *FIT_ARGUMENTS], n=1, cutoff=0.8)
        if name in parameters:
            hints.append(f"{name} is a parameter of the constructor.")
        elif name in FIT_ARGUMENTS:
            hints.append(f"{name} is an argument of fit.")
        elif name in NAMES:
            hints.append(NAMES[name])
            if not in_constructor and not any(argument in NAMES[name] for argument in FIT_ARGUMENTS):
                hints[-1] += " Parameters belong to the constructor."
        elif similar:
            hints.append(f"Did you mean {similar[0]}?")
    return "".join(f" {hint}" for hint in dict.fromkeys(hints))


def hinted(method: Function) -> Function:
    """Decorate a method of an estimator: its TypeError for unknown keywords says what they are called here."""
    name, known = method.__name__, frozenset(signature(method).parameters)

    @wraps(method)
    def call(self: Any, *args: Any, **keywords: Any) -> Any:
        if not keywords.keys() <= known:
            unknown = [keyword for keyword in keywords if keyword not in known]
            hint = hint_for_names(unknown, [field.name for field in fields(self)], name == "__init__")
            plural = "an unexpected keyword argument" if len(unknown) == 1 else "unexpected keyword arguments"
            raise TypeError(f"{type(self).__name__}.{name}() got {plural} {', '.join(map(repr, unknown))}.{hint}")
        return method(self, *args, **keywords)

    return cast(Function, call)


def with_hints(cls: Class) -> Class:
    """Class decorator that applies `hinted` to the constructor."""
    estimator_class: Any = cls  # mypy allows no assignment to a method
    estimator_class.__init__ = hinted(estimator_class.__init__)
    return cls
