"""Code blocks of documents, and the output that they state."""

import doctest
import re

__all__ = ["Rounded", "anchors", "expected_output", "python_blocks", "python_blocks_with_output"]

DECIMAL = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def python_blocks(text):
    """Return the fenced "python" blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def python_blocks_with_output(text):
    """Return each fenced "python" block that a "text" block follows, with that text."""
    return re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.M | re.S)


def expected_output(block):
    """Return the lines that a block prints, as stated by comments: `print(...)  # prints: ...`."""
    return re.findall(r"print\(.*# prints: (.*)$", block, re.M)


def anchors(text):
    """Return the anchors of the headings of a Markdown document, as GitHub and MyST name them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Rounded(doctest.OutputChecker):
    """Compares text exactly, and a decimal number up to one unit of the last digit that the page shows.

    The last bits of a product of matrices depend on the processor and on the version of BLAS.
    """

    def check_output(self, want, got, optionflags=0):
        if super().check_output(want, got, optionflags):
            return True
        want, got = (" ".join(text.split()).replace("[ ", "[") for text in (want, got))  # arrays are padded
        wanted, printed = DECIMAL.findall(want), DECIMAL.findall(got)
        if DECIMAL.sub("#", want) != DECIMAL.sub("#", got):
            return False
        return all(abs(float(w) - float(g)) <= 1.01 * unit(w) for w, g in zip(wanted, printed, strict=True))


def unit(number):
    """Return the size of one unit of the last digit of a number in text."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
