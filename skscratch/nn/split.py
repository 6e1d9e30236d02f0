"""SplitNetwork: a network cut behind its first Dense layer, whose output is a sum over the columns of the raw table.

The first Dense layer computes h = b + Σ_j c_j, where the contribution c_j = x_j W_j comes from the encoded columns of
raw column j: its bins, number, flag and one-hot columns, or its embedding.  If one raw column changes, one term of h
changes, and only the layers behind h have to run again.  A line between two rows of the encoded table is a line in h.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .batch import SparseRows, Table
from .embedding import Embedding
from .layers import Dense
from .network import BoundNetwork, Network, first_input
from .tape import Array, Tape

__all__ = ["SplitNetwork"]


@dataclass(frozen=True)
class SplitNetwork:
    """The first Dense layer of K networks, with its inputs grouped by raw column, and the layers behind it.

    Parameters
    ----------
    network : Network
    parameters : ndarray of shape (K, P)
    sources : ndarray of int, shape (n_encoded + n_embeddings,)
        The raw column of each encoded column, and then of each embedding.
    """

    network: Network
    parameters: Array
    sources: Array

    @cached_property
    def _position(self) -> int:
        """Index of the first Dense layer."""
        return next(i for i, layer in enumerate(self.network.layers) if isinstance(layer, Dense))

    @cached_property
    def input_sources(self) -> Array:
        """The raw column of each input of the first Dense layer, (n_in,)."""
        first = self.network.layers[0]
        if not isinstance(first, Embedding):
            return self.sources
        encoded, embedded = np.split(self.sources, [first.n_numeric])
        return np.concatenate([encoded, np.repeat(embedded, first.width)])

    @cached_property
    def weights(self) -> Array:
        """W of the first Dense layer, (K, n_in, H)."""
        W: Array = self.network.dense(self.parameters)[0].W
        return W

    def first_layer(self, table: Table) -> tuple[Any, Array]:
        """Run the layers up to the first Dense layer.

        Returns
        -------
        x : ndarray of shape (1 or K, n, >= n_in), or SparseRows
            The input of the first Dense layer; a column of ones may follow.
        h : ndarray of shape (K, n, H)
            Its output.
        """
        p = self.network.layout.views(self.parameters)
        x, h = None, first_input(table.as_batch())
        for layer, own in zip(self.network.layers[: self._position + 1], p, strict=False):
            x = h
            h, _, forward, _ = layer.bind(own, None, x, None)
            forward.run()
        return x, h

    @cached_property
    def _groups(self) -> tuple[Array, list[tuple[int, int, int]], Array]:
        """Inputs in the order of their raw columns; each raw column with the span of its inputs; W in this order."""
        order = np.argsort(self.input_sources, kind="stable")
        columns, starts = np.unique(self.input_sources[order], return_index=True)
        stops = np.append(starts, len(order))[1:]  # none where no column has inputs
        spans = zip(columns.tolist(), starts.tolist(), stops.tolist(), strict=True)
        return order, list(spans), self.weights[:, order]

    def contributions(self, x: Array) -> Iterator[tuple[int, Array]]:
        """Yield each raw column j that has inputs, with its contribution c_j = x_j W_j, (K, n, H)."""
        order, spans, W = self._groups
        x = x.take(order, axis=-1)
        for column, start, stop in spans:
            product = np.multiply if stop - start == 1 else np.matmul
            yield column, product(x[..., start:stop], W[:, start:stop])

    def bind_rest(self, h: Array, dh: Array | None = None) -> BoundNetwork:
        """Record the passes of the layers behind the first Dense layer, for the buffer `h` (K, B, H).

        The forward pass may overwrite h.  With a buffer `dh`, the backward pass computes the gradient with respect to h
        from dz, and none of the parameters.
        """
        p = self.network.layout.views(self.parameters)
        forward, backward, y, dy = Tape(), Tape(), h, dh
        for i in range(self._position + 1, len(self.network.layers)):
            y, dy, layer_forward, layer_backward = self.network.layers[i].bind(p[i], None, y, dy)
            forward += layer_forward
            backward[:0] = layer_backward
        return BoundNetwork(y, dy, forward, backward)

    def sparse_changes(self, rows: SparseRows, others: Array) -> tuple[Array, Array, Any]:
        """Return what changes in h if row i of a sparse table takes, one column at a time, the values of row others[i].

        Returns
        -------
        changed, columns : ndarray of int, shape (m,)
            Row and raw column of each change; values that are equal in both rows are none.
        change : csr_matrix of shape (m, n_in)
            The change of the inputs of the first Dense layer.
        """
        difference = (rows.matrix[others] - rows.matrix).tocoo()
        differs = difference.data != 0
        row, inputs, values = difference.row[differs], difference.col[differs], difference.data[differs]
        n_columns = int(self.input_sources.max(initial=0)) + 1
        cell, place = np.unique(row.astype(np.int64) * n_columns + self.input_sources[inputs], return_inverse=True)
        change = sp.csr_matrix((values, (place, inputs)), shape=(len(cell), rows.matrix.shape[1]))
        return cell // n_columns, cell % n_columns, change
