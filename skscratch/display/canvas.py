"""Canvas: axes with columns of units, lines between them, and room for texts.

Matplotlib is optional, and is imported only when something is plotted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..nn.tape import Array

__all__ = ["HEAD_LINES", "NEUTRAL", "Canvas", "Column", "layout_columns", "palette", "pyplot"]

# Okabe & Ito 2008: color-blind readers can distinguish these colors; the darkest come first
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
NEUTRAL = "#808080"
HEAD_LINES, FOOT_LINES = 3.2, 6.5  # room for texts above and below the columns, in font sizes
COLUMN_GAP = 13  # distance between two columns in a new figure, in font sizes


def pyplot() -> Any:
    """Return the module matplotlib.pyplot; raise ImportError, with advice, if it is not installed."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "skscratch[plot]"') from error
    return matplotlib.pyplot


def palette() -> tuple[str, ...]:
    """Return six colors that color-blind readers can distinguish, in decreasing contrast to the background."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    dark = sum(to_rgb(rcParams["text.color"])) > 1.5  # light text: the background is dark
    return (*COLORS[4:], *COLORS[2:4], *COLORS[:2]) if dark else COLORS


@dataclass(frozen=True)
class Column:
    """The units of a layer that are shown.

    Attributes
    ----------
    units : ndarray of shape (n_shown,)
        Indices of these units.
    y : ndarray of shape (n_shown,)
        Their heights, in rows above the middle.
    size : int
        Number of all units of the layer.
    """

    units: Array
    y: Array
    size: int

    @property
    def n_hidden(self) -> int:
        """Number of units that are not shown."""
        return self.size - len(self.units)

    @property
    def n_rows(self) -> int:
        """Number of rows that the column needs: one for each unit, and one for the number of hidden units."""
        return len(self.units) + (self.n_hidden > 0)


def layout_columns(weights: Sequence[Array], max_units: int) -> list[Column]:
    """Return a column for the features and for each layer, with up to `max_units` units of the largest weights."""
    columns = []
    sizes = [len(weights[0]), *(W.shape[1] for W in weights)]
    for k, size in enumerate(sizes):
        incoming = np.linalg.norm(weights[k - 1], axis=0) if k else np.ones(size)
        outgoing = np.linalg.norm(weights[k], axis=1) if k < len(weights) else np.ones(size)
        units = np.sort(np.argsort(-(incoming * outgoing), kind="stable")[:max_units])
        columns.append(Column(units, np.empty(0), size))
    n_rows = max(column.n_rows for column in columns)
    return [replace(column, y=_heights(column, n_rows)) for column in columns]


def _heights(column: Column, n_rows: int) -> Array:
    """Return the heights of the units, centered around 0; short columns are spread by up to half a row.

    A column with hidden units starts at the top row, and leaves the last row to their number.
    """
    n = len(column.units)
    if column.n_hidden:
        return (n_rows - 1) / 2 - np.arange(n)
    return ((n - 1) / 2 - np.arange(n)) * min(1.5, (n_rows - 1) / max(n - 1, 1))


class Canvas:
    """Axes with columns at x = 0, 1, ..., rows at distance 1, and room for texts around them.

    Lengths are in points, those of texts in font sizes.

    Parameters
    ----------
    ax : matplotlib Axes, or None
        Axes to fill; the font shrinks until everything fits. None for a new figure of the size that the plot needs.
    n_rows : int
    font : float
        Maximum font size.
    """

    def __init__(self, ax: Any, n_rows: int, font: float = math.inf):
        plt = pyplot()
        self.n_rows, self.resizes = n_rows, ax is None
        font = min(font, 0.9 * plt.rcParams["font.size"])
        if ax is None:
            height = (n_rows * np.clip(20 / n_rows, 1.9, 3.5) + HEAD_LINES + FOOT_LINES) * font
            _, ax = plt.subplots(figsize=(6, height / 72), layout="constrained")
        self.ax = ax
        self.font = min(font, self._size()[1] / (1.3 * n_rows + HEAD_LINES + FOOT_LINES))
        self.radius = min(0.36 * self._row_height(), 0.7 * self.font)
        self.top, self.bottom = n_rows / 2, -n_rows / 2
        self.artists: list[Any] = []
        ax.set_axis_off()
        ax.set_autoscale_on(False)

    def _points(self, pixels: float) -> float:
        return float(72 * pixels / self.ax.figure.dpi)

    def _size(self) -> tuple[float, float]:
        return self._points(self.ax.bbox.width), self._points(self.ax.bbox.height)

    def _row_height(self) -> float:
        """Return the distance between two rows."""
        return (self._size()[1] - (HEAD_LINES + FOOT_LINES) * self.font) / self.n_rows

    def units(self, x: float, y: Array) -> None:
        """Draw circles at column x."""
        face = self.ax.get_figure(root=True).get_facecolor()  # axes that are off do not show their own face color
        pen = {"facecolor": face, "edgecolor": pyplot().rcParams["text.color"]}
        size, width = (2 * self.radius) ** 2, 0.14 * self.font
        self.artists.append(self.ax.scatter(np.full(len(y), x), y, size, marker="o", linewidths=width, zorder=3, **pen))

    def lines(self, k: int, ends: tuple[Array, Array], share: Array, colors: Array) -> Any:
        """Draw lines from heights in column k to heights in the next column, and return them.

        Width and opacity of a line grow with its `share`, from 0 to 1; the widest are on top.

        Parameters
        ----------
        k : int
        ends : tuple of ndarray of shape (n_in,) and (n_out,)
        share, colors : ndarray of shape (n_in, n_out)
        """
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba

        order = np.argsort(share, axis=None, kind="stable")
        left, right = (heights.flat[order] for heights in np.meshgrid(*ends, indexing="ij"))
        share = share.flat[order]
        segments = [[(k, a), (k + 1, b)] for a, b in zip(left, right, strict=True)]
        rgba = [to_rgba(color, 0.1 + 0.85 * s**1.5) for color, s in zip(colors.flat[order], share, strict=True)]
        lines = LineCollection(segments, colors=rgba, linewidths=self.font * (0.03 + 0.3 * share), zorder=2)
        self.artists.append(self.ax.add_collection(lines, autolim=False))
        return lines

    def text(self, text: str, x: float, y: float, *, down: float = 0.0, ha: str = "center", va: str = "center") -> None:
        """Write a text at (x, y), `down` lines lower; a text that begins or ends there keeps clear of a unit."""
        offset = {"left": 1, "center": 0, "right": -1}[ha] * (self.radius + 0.4 * self.font)
        place = {"xytext": (offset, -down * self.font), "textcoords": "offset points", "annotation_clip": False}
        verbatim = {"parse_math": False, "usetex": False}  # a name may contain dollar signs
        self.artists.append(self.ax.annotate(text, (x, y), ha=ha, va=va, fontsize=self.font, **place, **verbatim))

    def legend(self, meanings: dict[str, str], title: str | None) -> None:
        """Add a legend of the colors at the bottom."""
        from matplotlib.lines import Line2D

        pen: dict[str, Any] = {"lw": 0.25 * self.font, "ls": "-", "marker": "none"}
        handles = [Line2D([], [], color=color, label=meaning, **pen) for color, meaning in meanings.items()]
        sizes = {"fontsize": self.font, "title_fontsize": self.font}
        place = {"loc": "lower center", "ncols": len(handles), "frameon": False, "borderaxespad": 0}
        self.legend_box = self.ax.legend(handles=handles, title=title, **sizes, **place)
        self.artists.append(self.legend_box)

    def fit(self) -> float:
        """Make room for all texts; return the available share of the width that they need, at most 1."""
        left, right, between, last = self._measure()
        legend_width = self._points(self.legend_box.get_window_extent().width) + self.font
        if self.resizes:
            width = max(left + right + last * max(between, COLUMN_GAP * self.font), legend_width)
            self.ax.figure.set_figwidth((width + 8) / 72)  # the layout leaves a margin
        figure = self.ax.get_figure(root=True)
        for layout in (figure.get_layout_engine(), None):
            width, height = self._size()[0], self._row_height()
            gap = max(width - left - right, 0.1 * width) / last
            self.ax.set_xlim(-left / gap, last + right / gap)
            self.ax.set_ylim(self.bottom - FOOT_LINES * self.font / height, self.top + HEAD_LINES * self.font / height)
            if layout is not None:  # may move the axes; the texts have their room already
                layout.execute(figure)
        return min(1.0, self._size()[0] / max(left + right + last * between, legend_width))

    def _measure(self) -> tuple[float, float, float, float]:
        """Return the room that texts need at the left, at the right and between columns, and the last column."""
        texts = [artist for artist in self.artists if hasattr(artist, "xyann")]
        last = max(text.xy[0] for text in texts)
        left = right = between = 0.0
        for text in texts:
            box, x = text.get_window_extent(), self.ax.transData.transform(text.xy)[0]
            left = max(left, self._points(x - box.x0) if text.xy[0] == 0 else 0)
            right = max(right, self._points(box.x1 - x) if text.xy[0] == last else 0)
            between = max(between, self._points(box.width) if text.get_ha() == "center" else 0)
        pad = 0.4 * self.font
        return left + pad, right + pad, between + 2 * pad, last

    def clear(self) -> None:
        """Remove everything that was drawn."""
        for artist in self.artists:
            artist.remove()
