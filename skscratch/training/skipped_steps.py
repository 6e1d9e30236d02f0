"""SkippedSteps: what Adam does to parameters in steps in which their gradient is zero, made up for all at once."""

import numpy as np

from ..nn.tape import Array
from .optimizers import Adam

__all__ = ["SkippedSteps"]

NEGLIGIBLE = 1e-9  # of a movement: what is left of a vector's momentum after so many steps that it is left out


class SkippedSteps:
    """The steps of an epoch that vectors skip because no row of the batch has them, so that their gradient is zero.

    At step s a vector p moved last, and has the moments m and v.  At each later step t both shrink, m ← β₁ m and
    v ← β₂ v, and the vector still moves by η_t m / √v.  With q = β₁ / √β₂, all steps up to t together are

        p ← p - m / (√v + ε) Σ η_i qⁱ⁻ˢ  (s < i ≤ t),  m ← β₁ᵗ⁻ˢ m,  v ← β₂ᵗ⁻ˢ v.

    This is what the single steps give, but for ε, which shrinks along with √v here.

    Parameters
    ----------
    adam : Adam
    n_steps : int
        Steps of an epoch.
    width : int
        Elements of a vector.

    Attributes
    ----------
    n_done : int
        Steps since the start of the epoch.
    """

    def __init__(self, adam: Adam, n_steps: int, width: int):
        self._small, self._width, ages = adam.small, width, np.arange(n_steps + 1)
        with np.errstate(under="ignore"):
            self._m_shrinks, self._v_shrinks = float(adam.beta_1) ** ages, float(adam.beta_2) ** ages
            powers = ratio(adam) ** ages
        self._powers = powers[: max(np.count_nonzero(powers > NEGLIGIBLE), 1)]  # q⁰, q¹, ...
        self._movement = np.zeros(n_steps + 1)  # Σ η_i qⁱ⁻ˢ up to now, for each step s
        self.n_done = 0

    def restart(self) -> None:
        """Start an epoch: no vector has skipped a step."""
        self._movement[:] = 0
        self.n_done = 0

    def add(self, size: float) -> None:
        """Count a step whose η, as `Adam.size` has it, is `size`."""
        self.n_done += 1
        first = max(self.n_done - len(self._powers) + 1, 0)
        self._movement[first : self.n_done] += size * self._powers[self.n_done - first : 0 : -1]

    def make_up(self, p: Array, m: Array, v: Array, last: Array) -> None:
        """Bring vectors and their moments, (K, U · width), from steps `last` (U,) to the present one, in place."""
        skipped = self.n_done - last
        move = np.sqrt(v)
        move += self._small
        np.divide(m, move, out=move)
        move *= self._of_elements(self._movement[last], p)
        p -= move
        m *= self._of_elements(self._m_shrinks[skipped], p)
        v *= self._of_elements(self._v_shrinks[skipped], p)

    def _of_elements(self, of_vectors: Array, like: Array) -> Array:
        return np.repeat(of_vectors.astype(like.dtype), self._width)


def ratio(adam: Adam) -> float:
    """Return q = β₁ / √β₂, by which the movement of a vector shrinks from one skipped step to the next."""
    return float(adam.beta_1 / adam.beta_2**0.5) if adam.beta_2 else float("inf")
