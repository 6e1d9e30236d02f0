"""What pictures are drawn with: matplotlib, colours, and columns of units with lines between them.

Matplotlib is optional, and is imported when something is drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["HEAD", "NEUTRAL", "Canvas", "Column", "columns_of", "palette", "pyplot"]

# Okabe & Ito 2008: told apart by colour-blind readers, the dark ones first
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
NEUTRAL = "#808080"
HEAD, FOOT = 3.2, 6.5  # what is written above and below the columns, in heights of a letter
GAP = 13  # such heights between two columns in a figure of our own


def pyplot() -> Any:
    """The module matplotlib.pyplot; ImportError, with what to do, where it is not installed."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError('Pictures need matplotlib: pip install "skscratch[plot]"') from error
    return matplotlib.pyplot


def palette() -> tuple[str, ...]:
    """Six colours that colour-blind readers can tell apart, those first that stand out where text is of this colour."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    dark = sum(to_rgb(rcParams["text.color"])) > 1.5  # light text: the background is dark
    return (*COLORS[4:], *COLORS[2:4], *COLORS[:2]) if dark else COLORS


@dataclass(frozen=True)
class Column:
    """Which units of a layer are drawn, at which heights (rows above the middle), and how many it has."""

    units: np.ndarray
    y: np.ndarray
    size: int

    @property
    def left_out(self) -> int:
        """Units that are not drawn."""
        return self.size - len(self.units)

    @property
    def rows(self) -> int:
        """Rows that the column needs."""
        return len(self.units) + (self.left_out > 0)


def columns_of(weights: Sequence[np.ndarray], max_units: int) -> list[Column]:
    """The features and each layer, in their order; of more than `max_units`, those with the largest weights."""
    columns = []
    sizes = [len(weights[0]), *(W.shape[1] for W in weights)]
    for k, size in enumerate(sizes):
        into = np.linalg.norm(weights[k - 1], axis=0) if k else 1.0
        out = np.linalg.norm(weights[k], axis=1) if k < len(weights) else 1.0
        units = np.sort(np.argsort(-(into * out), kind="stable")[:max_units])
        columns.append(Column(units, np.empty(0), size))
    rows = max(column.rows for column in columns)
    return [replace(column, y=_heights(column, rows)) for column in columns]


def _heights(column: Column, rows: int) -> np.ndarray:
    """Heights of the units: short columns are spread a little; those with a rest are the highest, and end above it."""
    n = len(column.units)
    if column.left_out:
        return (rows - 1) / 2 - np.arange(n)
    return ((n - 1) / 2 - np.arange(n)) * min(1.5, (rows - 1) / max(n - 1, 1))


class Canvas:
    """The axes: columns at x = 0, 1, ..., rows at whole heights, and room around them for what is written.

    Lengths are in points, those of texts in heights of a letter.  Without axes a figure is made, of the size that all
    takes; axes that are given are filled, with letters so small that all fits.
    """

    def __init__(self, ax: Any, rows: int, font: float = math.inf):
        plt = pyplot()
        self.rows, self.resizes = rows, ax is None
        font = min(font, 0.9 * plt.rcParams["font.size"])
        if ax is None:
            height = (rows * np.clip(20 / rows, 1.9, 3.5) + HEAD + FOOT) * font
            _, ax = plt.subplots(figsize=(6, height / 72), layout="constrained")
        self.ax = ax
        self.font = min(font, self._size()[1] / (1.3 * rows + HEAD + FOOT))
        self.radius = min(0.36 * self._row(), 0.7 * self.font)
        self.top, self.bottom = rows / 2, -rows / 2
        self.artists: list[Any] = []
        ax.set_axis_off()
        ax.set_autoscale_on(False)

    def _points(self, pixels: float) -> float:
        return 72 * pixels / self.ax.figure.dpi

    def _size(self) -> tuple[float, float]:
        return self._points(self.ax.bbox.width), self._points(self.ax.bbox.height)

    def _row(self) -> float:
        """Distance between two rows."""
        return (self._size()[1] - (HEAD + FOOT) * self.font) / self.rows

    def units(self, x: float, y: np.ndarray) -> None:
        """Circles, one below the other."""
        face = self.ax.get_figure(root=True).get_facecolor()  # that of axes which are switched off is not seen
        pen = {"facecolor": face, "edgecolor": pyplot().rcParams["text.color"]}
        size, width = (2 * self.radius) ** 2, 0.14 * self.font
        self.artists.append(self.ax.scatter(np.full(len(y), x), y, size, marker="o", linewidths=width, zorder=3, **pen))

    def lines(self, k: int, ends: tuple[np.ndarray, np.ndarray], share: np.ndarray, colors: np.ndarray) -> Any:
        """Lines from heights in column k to heights in the next, as wide and opaque as their `share`; widest on top."""
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba

        order = np.argsort(share, axis=None, kind="stable")
        left, right = (heights.flat[order] for heights in np.meshgrid(*ends, indexing="ij"))
        share = share.flat[order]
        segments = [[(k, a), (k + 1, b)] for a, b in zip(left, right, strict=True)]
        inks = [to_rgba(color, 0.1 + 0.85 * s**1.5) for color, s in zip(colors.flat[order], share, strict=True)]
        lines = LineCollection(segments, colors=inks, linewidths=self.font * (0.03 + 0.3 * share), zorder=2)
        self.artists.append(self.ax.add_collection(lines, autolim=False))
        return lines

    def text(self, text: str, x: float, y: float, *, down: float = 0.0, ha: str = "center", va: str = "center") -> None:
        """Write at a place, or beside the unit there, if it is to end or begin there."""
        aside = {"left": 1, "center": 0, "right": -1}[ha] * (self.radius + 0.4 * self.font)
        place = {"xytext": (aside, -down * self.font), "textcoords": "offset points", "annotation_clip": False}
        as_it_is = {"parse_math": False, "usetex": False}  # a name may hold dollar signs
        self.artists.append(self.ax.annotate(text, (x, y), ha=ha, va=va, fontsize=self.font, **place, **as_it_is))

    def legend(self, meanings: dict[str, str], title: str | None) -> None:
        """Say at the bottom what the colours mean."""
        from matplotlib.lines import Line2D

        pen: dict[str, Any] = {"lw": 0.25 * self.font, "ls": "-", "marker": "none"}
        handles = [Line2D([], [], color=color, label=what, **pen) for color, what in meanings.items()]
        letters = {"fontsize": self.font, "title_fontsize": self.font}
        place = {"loc": "lower center", "ncols": len(handles), "frameon": False, "borderaxespad": 0}
        self.key = self.ax.legend(handles=handles, title=title, **letters, **place)
        self.artists.append(self.key)

    def fit(self) -> float:
        """Make room for all texts, and answer what share of the width that they need there is, 1 if that is enough."""
        left, right, between, last = self._measure()
        key = self._points(self.key.get_window_extent().width) + self.font
        if self.resizes:
            width = max(left + right + last * max(between, GAP * self.font), key)
            self.ax.figure.set_figwidth((width + 8) / 72)  # the layout leaves a margin
        figure = self.ax.get_figure(root=True)
        for layout in (figure.get_layout_engine(), None):
            width, row = self._size()[0], self._row()
            gap = max(width - left - right, 0.1 * width) / last
            self.ax.set_xlim(-left / gap, last + right / gap)
            self.ax.set_ylim(self.bottom - FOOT * self.font / row, self.top + HEAD * self.font / row)
            if layout is not None:  # it may move the axes, but not on account of texts that have their room now
                layout.execute(figure)
        return min(1.0, self._size()[0] / max(left + right + last * between, key))

    def _measure(self) -> tuple[float, float, float, float]:
        """What texts need left of the first column, right of the last, and from one to the next; the last column."""
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
        """Take away all that was drawn."""
        for artist in self.artists:
            artist.remove()
