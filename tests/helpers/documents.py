"""Python blocks of documents, and the output that their comments state."""

import re


def python_blocks(text):
    """Return the fenced "python" blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def expected_output(block):
    """Return the lines that a block prints, as stated by comments: `print(...)  # prints: ...`."""
    return re.findall(r"print\(.*# prints: (.*)$", block, re.M)
