"""The network: from a batch of encoded rows forward to raw scores and a loss, and back to the gradient of all weights.

A batch (`Table` and `Targets`) and all weights in one array come in; raw scores, losses and the gradient go out.  In a
default fit of the diabetes table (442 rows, 10 columns; K = 5 members, batches of 32 rows) the shapes are::

    x (1, 32, 74): 62 bins, 11 numbers, a column of ones    t (1, 32, 1)         parameters (5, 8961)
    [W₁; b₁] (5, 74, 64) → (5, 32, 64)    W₂ (5, 64, 64) → (5, 32, 64)    W₃ (5, 64, 1) → z (5, 32, 1)
    loss of each row (5, 32, 1)                             dz (5, 32, 1)        gradient (5, 8961)

Read `tape` (how a pass is recorded and run), `parameters` (where the weights lie), `batch`, `layers` (from `Dense.bind`
on), `activations`, `links`, `losses`, and `network`, which joins the layers; then `initializers`, `embedding` and
`monotone`.
"""
