"""What both estimators do alike: checked input, training, and raw scores.

`fit` checks its input, encodes table and targets, builds the network, trains it and keeps the best epoch's
weights; `_scores` encodes and runs the network forward.
"""

import copy
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ..encoding.check_input import Rows, check_table, check_weight, declared_categories
from ..encoding.columns import ColumnTable, refuse_excess
from ..encoding.features import FeatureEncoder
from ..encoding.out_of_core import MemmapTable, StreamSample, encode_lazily, sketch_memmap, transfer_weights
from ..files import packed, unpacked
from ..nn.batch import Table
from ..nn.losses import Loss
from ..nn.network import Network, build
from ..training.early_stopping import split
from ..training.evaluation import Validation, deal, fold_weights
from ..training.loop import Data, State
from ..training.threads import one_blas_thread
from .callback_support import CallbackSupport, Tasks, run_as_task
from .constraints import InvalidParameterError, check, frozen, is_activation_pair
from .docstrings import documentation_address
from .parameters import HyperParameters
from .plan import TINY, Outcome, automatic_bins, most_epochs, solve
from .scoring import answering, score_of

__all__ = ["ScratchMLP"]

DOUBLE_UP_TO = 200  # rows that dtype="auto" trains in double precision: time does not count there, and digits may
ENCODED = 2**20  # numbers of an encoded table that predicting holds at a time
SAMPLE = 256  # rows that the hidden layers' start is fitted to
SERIAL_WORK = 2**18  # multiplications: below, BLAS does not start threads


def _for_reading(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to (training would not see it), without the axis of a lone member."""
    view = array[0] if len(array) == 1 else array[:]
    view.flags.writeable = False
    return view


class ScratchMLP(CallbackSupport, HyperParameters):
    """Fitting, and raw scores; the subclasses know about targets."""

    _loss: Loss
    _categorical: list[bool] | None
    _known: tuple[Any, np.ndarray] | None = None  # a table, and the pooled raw scores of its rows that a scorer is told

    # scikit-learn links the representation in notebooks to this address
    _doc_link_module = "skscratch"
    _doc_link_template = "{address}"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        return {"address": documentation_address()}

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network to a table.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Numbers as they are, in any units; in a DataFrame also strings, categories and booleans.
            Missing values are NaN, None or pandas.NA. A memory-mapped array of 64 MB and more is not copied:
            its rows are read and encoded batch by batch.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels (or an indicator matrix) for the classifier, numbers for the regressor.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; 2 counts as the row twice, 0 as if it were absent.
        X_val, y_val : as X and y, default=None
            Rows to validate on after each epoch: the best epoch's weights are kept, and with
            `early_stopping` they decide when to stop, in place of a part of X.
        sample_weight_val : array-like, default=None
            Weights of the rows of `X_val`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        InvalidParameterError
            For a parameter of the wrong type or out of range.
        ValueError, TypeError
            For input that does not fit; whatever was fitted before is as it was.
        """
        check(self)

        def fit(tasks: Tasks) -> Any:
            with self._intact_on_error():
                return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), tasks)

        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        return run_as_task(self, fit, most_epochs(self), X=X, y=y, metadata=metadata)

    def _partial_fit(self, X, y, sample_weight, validation, classes=None):
        check(self)
        with self._intact_on_error():
            return self._fit(X, y, sample_weight, validation, Tasks(), incremental=True, classes=classes)

    @contextmanager
    def _intact_on_error(self):
        """Take back every attribute that was set, if an error comes."""
        before, state = vars(self).copy(), getattr(self, "_state", None)
        generator = None if state is None else state.rng.get_state(legacy=False)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            if state is not None:
                state.rng.set_state(generator)
            raise

    def _fit(self, X, y, sample_weight, validation, tasks, *, incremental=False, classes=None):
        self._check_together()
        continuing = hasattr(self, "_parameters") and (incremental or self.warm_start)
        if continuing:
            self._check_same_network()
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        data = self._check_X(X, reset=not continuing)
        if not continuing and not incremental and isinstance(data, ColumnTable):
            refuse_excess(data)
        if incremental and isinstance(data, MemmapTable):
            data = np.asarray(data)  # a chunk, that is to fit in memory
        y = self._check_y(y)
        check_consistent_length(data, y)
        weight = check_weight(sample_weight, data.shape[0])
        if continuing:
            self._renew_loss()
        else:
            self._start_targets(y, classes)
        values = self._target_values(y)
        rows = Rows(X, y, data, values, self._row_weights(values, weight)).without_weightless()
        if not incremental:
            self._check_enough(rows.values, continuing)
        held = self._check_validation(*validation)

        old = self._state if continuing else None
        state = None if old is None else old.copy()
        rng = self._generator() if state is None else state.rng
        validation_rows = None
        if held is None and self.early_stopping is True and not incremental:
            validation_rows = None if state is None else state.validation_rows
            if validation_rows is None or validation_rows[-1] >= len(rows):
                strata = self._strata(rows.values)
                validation_rows = split(len(rows), self.validation_fraction, rows.weight, strata, rng)
            held, rows = rows[validation_rows], rows[np.setdiff1d(np.arange(len(rows)), validation_rows)]
        if continuing:
            self._widen_target_range(rows.values)
        else:
            self._start(rows, incremental)
        if state is None:
            state = self._new_state(rng, not continuing, rows)
        state.validation_rows = validation_rows
        state.folds = None if incremental or held is not None else self._deal(rows, state)
        state.incremental |= incremental
        if incremental and (state.stream or not continuing):
            self._follow(state, rows)
        if self.solver == "lbfgs":  # its line searches need double precision, whatever dtype comes out
            state.parameters = state.parameters.astype(np.float64)
        self._train(state, rows, held, tasks, incremental)
        return self

    def _as_data(self, rows: Rows, dtype: np.dtype) -> Data:
        """Rows as training reads them: encoded, in numbers of one type."""
        weight = None if rows.weight is None else rows.weight[None].astype(dtype)
        return Data(self._encode(rows.data, dtype), self._encode_targets(rows.values, dtype), weight)

    def _check_together(self) -> None:
        """Rules that concern several parameters at once."""
        n_hidden = len(self._hidden())
        if isinstance(self.activation, list | tuple) and not is_activation_pair(self.activation):
            if len(self.activation) != n_hidden:
                raise InvalidParameterError(
                    f"The 'activation' parameter of {type(self).__name__} must be one for each of the {n_hidden} "
                    f"hidden layers, or one for all. Got {self.activation!r} instead."
                )
        if self.solver == "lbfgs":
            for name in ("dropout", "clip_norm"):
                if getattr(self, name):
                    raise InvalidParameterError(
                        f"The {name!r} parameter of {type(self).__name__} must be {getattr(type(self), name)!r} with "
                        f"solver='lbfgs', which has no single steps. Got {getattr(self, name)!r} instead."
                    )

    def _of_the_network(self) -> dict[str, Any]:
        """The parameters that network and loss are made by."""
        return {name: copy.copy(getattr(self, name)) for name in frozen(type(self), "network", "loss")}

    def _check_same_network(self) -> None:
        for name in frozen(type(self), "network"):
            value, before = getattr(self, name), self._fitted_with[name]
            if value is not before and not np.array_equal(np.asarray(value, object), np.asarray(before, object)):
                raise ValueError(
                    f"Training cannot go on with another network: {name} was {before!r} and is now {value!r}. "
                    "For a new one call fit, with warm_start=False."
                )

    def _renew_loss(self) -> None:
        """Take over a loss that was changed since the last call, if the network's outputs suit it."""
        loss = self._make_loss()
        if (loss.link.name, loss.n_scores) != (self._loss.link.name, self._loss.n_scores):
            raise ValueError(
                f"Training cannot go on with another network: its output was for loss {self._loss.name!r} with "
                f"{self._loss.link.name!r} and is now for {loss.name!r} with {loss.link.name!r}. For a new one call "
                "fit, with warm_start=False."
            )
        self._loss = loss
        self._fitted_with = self._of_the_network()

    def _hidden(self) -> list[int]:
        sizes: Any = self.hidden_layer_sizes
        return [int(sizes)] if np.ndim(sizes) == 0 else [int(size) for size in sizes]

    def _check_X(self, X, reset: bool):
        """Checked table; sets the names, number and kinds of the features, or compares them."""
        kinds = None if reset else self._categorical
        table = check_table(self, X, self.categorical_features, kinds, reset)
        if reset:
            self._categorical = table.categorical if isinstance(table, ColumnTable) else None
        return table

    def _check_validation(self, X_val, y_val, weight_val) -> Rows | None:
        """Validation rows that were given, checked as those of training are."""
        if X_val is None:
            for name, value in (("y_val", y_val), ("sample_weight_val", weight_val)):
                if value is not None:
                    raise ValueError(f"{name} was given without X_val.")
            return None
        if y_val is None:
            raise ValueError("X_val was given without y_val.")
        try:
            data = self._check_X(X_val, reset=False)
            y = self._check_y(y_val)
            check_consistent_length(data, y)
            weight = check_weight(weight_val, data.shape[0])
            return Rows(X_val, y, data, self._target_values(y), weight)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X_val and y_val do not match X and y: {error}") from error

    def _generator(self) -> np.random.RandomState:
        """A generator of this fit's own; one that was passed in moves on by one draw."""
        given = check_random_state(self.random_state)
        own = copy.deepcopy(given)
        given.randint(2**31 - 1)
        return own

    def _start(self, rows: Rows, more_to_come: bool = False) -> None:
        """Fit encoder and target scaling, and build the network."""
        names = getattr(self, "feature_names_in_", None)
        names = [f"x{j}" for j in range(self.n_features_in_)] if names is None else [str(name) for name in names]
        bins = 0
        if self.numeric_embedding is not None:
            n_numbers = self.n_features_in_ - sum(self._categorical or [])
            bins = automatic_bins(len(rows), n_numbers) if isinstance(self.n_bins, str) else self.n_bins
        automatic = isinstance(self.dtype, str) and self.dtype == "auto"
        suited = np.float64 if len(rows) <= DOUBLE_UP_TO else np.float32
        self._dtype = np.dtype(suited if automatic else self.dtype)
        declared = declared_categories(rows.X) if more_to_come and isinstance(rows.data, ColumnTable) else []
        self._encoder = FeatureEncoder(self.scale_features, more_to_come, bins)
        known = sketch_memmap(rows.data, rows.weight) if isinstance(rows.data, MemmapTable) else rows.data
        self._encoder.fit(known, rows.weight, names, declared)
        self._fit_target_scale(rows.values, rows.weight, more_to_come)
        self._network = self._make_network()
        self._fitted_with = self._of_the_network()
        self.n_layers_ = len(self._hidden()) + 2
        self.out_activation_ = self._loss.link.name

    def _follow(self, state: State, rows: Rows) -> None:
        """Take in some more rows of a stream; move scaling and bins where they are due, and the weights with them."""
        followed = isinstance(rows.data, np.ndarray | ColumnTable) and (self.scale_features or self._encoder.n_bins)
        numbers = self._encoder.number_columns(rows.data) if followed else []
        targets = self._scaled_targets(rows.values)
        n_columns = len(numbers) + len(targets)
        stream = state.stream or StreamSample.empty(n_columns)
        if n_columns == 0 or stream.rows.shape[1] != n_columns:  # now sparse, now dense: such a chunk is left out
            return
        stream = stream.after([*numbers, *targets], rows.weight)
        if stream.is_stale and state.stream:
            seen, weight, layers = stream.rows, stream.weight, self._network.dense(state.parameters)
            with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
                if numbers:
                    before, self._encoder = self._encoder, self._encoder.refitted(seen, weight)
                    transfer_weights(before, self._encoder, seen, weight, layers[0])
                if targets:
                    self._follow_targets(seen[:, len(numbers) :], weight, layers[-1])
        state.stream = stream.mark_used() if stream.is_stale else stream

    def _make_network(self) -> Network:
        hidden = self._hidden()
        activation: Any = self.activation
        shared = isinstance(activation, str) or is_activation_pair(activation)
        return build(
            self._encoder.width,
            self._encoder.categories,
            hidden,
            self.n_outputs_,
            [activation] * len(hidden) if shared else list(activation),
            bias=self.fit_intercept,
            dropout=float(self.dropout),
            init=self.init if isinstance(self.init, str) else "auto",
            ntk=self.parametrization == "ntk",
            n_bins=self._encoder.n_bins,
        )

    def _sample(self, rows: Rows, rng: np.random.RandomState) -> tuple[Table, np.ndarray | None]:
        """Some rows, encoded, and their weights, that the hidden layers' start is fitted to."""
        if len(rows) > SAMPLE:
            rows = rows[rng.choice(len(rows), SAMPLE, replace=False)]
        return self._encode(rows.data), rows.weight

    def _deal(self, rows: Rows, state: State) -> np.ndarray | None:
        """Fold of each row; None where members are not blind to any."""
        if self.early_stopping != "folds" or self.solver == "lbfgs" or len(rows) <= TINY:
            return None
        # every fold has as many members that are blind to it, and at least a row
        possible = [f for f in range(2, min(self.n_members, len(rows)) + 1) if self.n_members % f == 0]
        if not possible:
            return None
        if state.folds is not None and len(state.folds) == len(rows):
            return state.folds
        return deal(rows.values, min(possible, key=lambda f: (abs(f - self.n_folds), f)), state.rng)

    def _new_state(self, rng: np.random.RandomState, fresh: bool, rows: Rows) -> State:
        """Parameters drawn, given or (where training goes on without a state) as they are; a new optimizer."""
        if fresh:
            parameters = np.zeros((self.n_members, self._network.layout.size), self._dtype)
            with one_blas_thread():  # which also keeps the bits from depending on how many threads are allowed
                self._network.initialise(parameters, rng, *(self._sample(rows, rng) if self.init == "data" else ()))
            if not isinstance(self.init, str):
                self._network.assign(parameters, *self.init)
        else:
            parameters = self._parameters.copy()
        state = State(parameters, None, rng)
        if not fresh:
            state.history = {name: list(values) for name, values in self.history_.items()}
        return state

    def _train(self, state: State, rows: Rows, held: Rows | None, tasks: Tasks, incremental: bool) -> None:
        """Run the solver on `state`, and take over what it found."""
        begun, dtype = state.epoch, state.parameters.dtype
        training, validation, judged = self._as_data(rows, dtype), None, held
        if held is not None:
            validation = self._validation(self._as_data(held, dtype), None)
        elif state.folds is not None:
            validation, training = self._validation(training, state.folds), self._blinded(training, state.folds)
            judged = rows
        score = None if judged is None or self.scoring == "loss" else partial(score_of, self, judged)

        def fitted(outcome: Outcome) -> dict[str, Any]:
            return self._results(outcome, state, begun, rows, validation is not None)

        def so_far(outcome: Outcome) -> dict[str, Any]:  # nothing that training is still to change
            outcome = replace(outcome, parameters=outcome.parameters.copy())
            return self._results(outcome, state.snapshot(), begun, rows, validation is not None)

        outcome = solve(
            self, self._network, self._loss, state, training, validation, score, tasks, so_far, incremental=incremental
        )
        if not np.isfinite(outcome.parameters).all():
            raise ValueError("Training produced non-finite weights: lower learning_rate_init or scale the input.")
        self.__dict__.update(fitted(outcome))

    def _validation(self, data: Data, folds: np.ndarray | None) -> Validation:
        calibrates = bool(self.calibrate and is_classifier(self) and self._loss.canonical)
        return Validation(self._network, self._loss, data, folds, calibrates)

    def _blinded(self, data: Data, folds: np.ndarray) -> Data:
        """Rows as the members see them: each is blind to its fold."""
        return replace(data, weight=fold_weights(folds, self.n_members, data.weight, self._dtype))

    def _results(self, outcome: Outcome, state: State, begun: int, rows: Rows, validated: bool) -> dict[str, Any]:
        """Every attribute that training sets."""
        history = state.history
        losses = history.get("loss", [])
        results = {
            "_parameters": outcome.parameters.astype(self._dtype, copy=False),
            "_state": state,
            "temperature_": outcome.temperature,
            "best_iteration_": outcome.epoch,
            "history_": history,
            "n_iter_": state.epoch - begun,
            "t_": state.n_seen,
            "loss_curve_": losses,
            "loss_": losses[-1] if losses else float("nan"),
            "best_loss_": None if validated else state.best_loss,
            "validation_loss_curve_": history.get("validation_loss"),
            "validation_scores_": history.get("validation_score"),
            "best_validation_score_": state.best_score if validated else None,
            "oof_predictions_": None,
            "oof_score_": None,
        }
        if state.folds is not None and outcome.scores is not None:
            # what each training row is predicted by the members that have not seen it, and how good that is
            seen = answering(self, rows, outcome.scores)
            results["oof_predictions_"] = seen.predict_proba(rows.X) if is_classifier(self) else seen.predict(rows.X)
            with np.errstate(over="ignore", invalid="ignore"):  # squares of targets of any unit
                results["oof_score_"] = float(seen.score(rows.X, rows.y, rows.weight))
        return results

    # ------------------------------------------------------------- predicting

    def _scores(self, X, pooled: bool = True) -> np.ndarray:
        """Raw scores over the temperature: the members' mean (n, out), or each member's (K, n, out)."""
        if self._known is not None:
            if X is not self._known[0] or not pooled:
                raise ValueError("only the validation rows, as they were handed to it, can be predicted by a scorer")
            return self._known[1]
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # which tells the user so
        data = self._check_X(X, reset=False)
        n = data.shape[0]
        size = max(ENCODED // max(self._encoder.width, 1), 1)  # rows that are encoded at a time
        with nullcontext() if n * self._parameters.size <= SERIAL_WORK else one_blas_thread():
            if n <= size:
                return self._scores_of_rows(data, pooled)
            starts = range(0, n, size)
            parts = [self._scores_of_rows(data[start : min(start + size, n)], pooled) for start in starts]
            return np.concatenate(parts, axis=-2)

    def _scores_of_rows(self, data, pooled: bool) -> np.ndarray:
        z = self._network.scores(self._parameters, self._encode(data))  # (K, n, out)
        if pooled:
            z = z[0] if len(z) == 1 else z.mean(axis=0)
        return z if self.temperature_ == 1 else z / z.dtype.type(self.temperature_)

    def _encode(self, data, dtype: np.dtype | None = None) -> Any:
        """Table of these rows; of a memory-mapped array, a LazyTable."""
        encoder, ones, dtype = self._encoder, self.fit_intercept, dtype or self._dtype
        if not isinstance(data, MemmapTable):
            return encoder.transform(data, dtype, ones)
        return encode_lazily(encoder, data, dtype, ones)

    def _strata(self, values: np.ndarray) -> np.ndarray | None:
        """Codes by which to stratify the rows held out for validation."""
        return None

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weight matrix of each layer, (n_in, n_out); of several members (K, n_in, n_out)."""
        self._only_fitted("coefs_")
        return [_for_reading(layer.W) for layer in self._network.dense(self._parameters)]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Bias vector of each layer, (n_out,); of several members (K, n_out); zeros where there is none."""
        self._only_fitted("intercepts_")
        return [
            _for_reading(layer.b[:, 0] if hasattr(layer, "b") else np.zeros_like(layer.W[:, 0]))
            for layer in self._network.dense(self._parameters)
        ]

    def _only_fitted(self, name: str) -> None:
        if not hasattr(self, "_parameters"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r} before it is fitted")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_parameters")

    def __copy__(self):
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __getstate__(self) -> dict:
        """What a file holds: without the state that only a continued training needs, unless it is to be continued."""
        state = getattr(self, "_state", None)
        going_on = state is not None and (self.warm_start or state.incremental or state.unfinished)
        return packed(super().__getstate__(), going_on)

    def __setstate__(self, state: dict) -> None:
        """Take over the state in a file of this version or an older one."""
        super().__setstate__(unpacked(state, type(self).__name__))
        if self.__sklearn_is_fitted__():
            as_fitted = copy.copy(self)  # parameters may have been set since
            as_fitted.__dict__.update(self._fitted_with)
            self._dtype = self._parameters.dtype
            self._loss, self._network = as_fitted._make_loss(), as_fitted._make_network()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags
