"""A fit as scikit-learn's callbacks see it: a root task "fit", and within it a sub-task for each epoch.

Callbacks came with scikit-learn 1.9 (``sklearn.callback``); without any set, none of it is loaded and nothing is done.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["CallbackSupport", "Tasks", "run_as_task"]


class CallbackSupport:
    """Mix-in that gives an estimator `set_callbacks`."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Set callbacks, which are told of each fit and of each of its epochs, and may end it.

        Parameters
        ----------
        *callbacks : instances that follow ``sklearn.callback.FitCallback``
            scikit-learn's `ProgressBar` and `ScoringMonitor`, those of `skscratch.callbacks`, or your own; none takes
            all away. Hooks are told `X`, `y`, `metadata` (the sample weight) and `fitted_estimator`, the estimator as
            if the fit had ended there. One whose `on_fit_task_end` returns True for an epoch ends the fit there: the
            best epoch's weights are kept, as ever, and `refit` is left out.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ImportError
            Where scikit-learn is older than 1.9.
        TypeError
            For what does not follow the protocol.
        """
        try:
            from sklearn.callback import CallbackSupportMixin
        except ImportError as error:
            import sklearn

            raise ImportError(
                f"set_callbacks needs scikit-learn 1.9 or newer, which brought callbacks; {sklearn.__version__} is "
                "installed. All else works without."
            ) from error
        CallbackSupportMixin.set_callbacks(self, *callbacks)
        return self


class Tasks:
    """The tasks of one fit; one made without arguments has none, and costs nothing.

    Attributes
    ----------
    attributes : callable
        Gives, when a callback asks for it, what turns a copy of the estimator into one that is fitted as if training
        had ended now.
    """

    def __init__(self, estimator: Any = None, context: Any = None, told: dict[str, Any] | None = None):
        self._estimator, self._context = estimator, context
        self._told = told or {}  # what hooks are told of the data: X, y and metadata
        self._running: Any = None
        self.attributes: Callable[[], dict[str, Any]] = dict

    def begin(self) -> None:
        """An epoch begins; or, if it failed, begins again, of which nobody is told."""
        if self._context is None or self._running is not None:
            return
        self._running = self._context.subcontext(task_name="epoch")
        self._running.call_on_fit_task_begin(
            estimator=self._estimator, **self._told, reconstruction_attributes=self._rebuilt
        )

    def end(self) -> bool:
        """The epoch is over; whether a callback wants training to end with it."""
        if self._running is None:
            return False
        task, self._running = self._running, None
        return bool(
            task.call_on_fit_task_end(estimator=self._estimator, **self._told, reconstruction_attributes=self._rebuilt)
        )

    def _rebuilt(self) -> dict[str, Any]:
        return self.attributes()


def run_as_task(estimator: Any, fit: Callable[[Tasks], Any], max_epochs: int, **told: Any) -> Any:
    """Run `fit` as the root task of the estimator's callbacks, and return what it does.

    Whatever happens, those callbacks that were set up are torn down.
    """
    if not hasattr(estimator, "_skl_callbacks"):
        return fit(Tasks())
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    def managed(estimator: Any) -> Any:
        root = CallbackSupportMixin._init_callback_context(estimator, max_subtasks=max_epochs)
        root.call_on_fit_task_begin(estimator=estimator, **told)
        tasks = Tasks(estimator, root, told)
        result = fit(tasks)
        tasks.end()  # of an epoch that failed, or was interrupted
        root.call_on_fit_task_end(estimator=estimator, **told, reconstruction_attributes={})
        return result

    return with_callbacks(managed)(estimator)
