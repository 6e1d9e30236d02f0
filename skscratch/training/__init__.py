"""The training: an objective and a plan come in; the weights of the best epoch, and a state to continue from, go out.

In a default fit of the diabetes table (442 rows; K = 5 members, each of which holds out 88 or 89 rows) the shapes are::

    parameters, gradient, Adam's m and v (5, 8961)    weights of the rows (5, 442), 0 if held out    14 steps per epoch

Read `objective` (the loss over some rows), `step` (one mini-batch of it), `optimizers`, `schedules`, `epoch` (from
`Epoch.advance` on: one training step) and `loop`, then `state`, `listeners` (early stopping), `evaluation` (out-of-fold
scores, temperature), `plan` and `fit`, which joins them; then `race` (the penalty of categories), `lazy_epoch` and
`skipped_steps` (large embeddings), `lbfgs`, `parallel` (members and micro-batches in threads) and `threads` (one thread
of BLAS).
"""
