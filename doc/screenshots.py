"""Look at the built site as a reader does: every page in Chromium, light and dark, 1280 and 390 pixels wide.

Needs Chromium (Debian: ``apt-get install chromium``) and ``pip install playwright``. Build the site first::

    python doc/screenshots.py [--pages PATTERN] [FOLDER]

It saves one picture for each page, theme and width in FOLDER (default: doc/_build/screenshots), and exits with 1 if a
page overflows, shows a broken picture, writes an error to the console or asks for a file from elsewhere; or if the
search does not find ``weight_decay``.
"""

import argparse
import functools
import http.server
import re
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

HTML = Path(__file__).parent / "_build" / "html"
WIDTHS = 1280, 390
LEFT_OUT = re.compile(r"_modules|_static|_sources|genindex|py-modindex|sg_execution_times")

# What sticks out of the window, except within something that scrolls; and pictures that did not load.
OVERFLOW = """() => {
  const wide = [];
  for (const element of document.querySelectorAll('main *, header *')) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.right <= window.innerWidth + 1) continue;
    let parent = element.parentElement, scrolls = false;
    for (; parent; parent = parent.parentElement) {
      const style = getComputedStyle(parent);
      if (['auto', 'scroll'].includes(style.overflowX)) { scrolls = true; break; }
    }
    if (!scrolls) wide.push(element.tagName + '.' + element.className + ': ' + element.textContent.slice(0, 60));
  }
  if (document.documentElement.scrollWidth > window.innerWidth + 1)
    wide.push('the page is ' + document.documentElement.scrollWidth + ' pixels wide');
  return wide.slice(0, 5);
}"""
BROKEN = "() => [...document.images].filter(i => i.complete && i.naturalWidth === 0).map(i => i.src)"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *arguments):
        """Log nothing."""


def look(context, page_path, base, picture):
    """Open one page, save its pictures, and yield what is wrong with it."""
    page, messages = context.new_page(), []
    page.on("console", lambda message: messages.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    page.on("request", lambda r: None if r.url.startswith((base, "data:")) else messages.append(f"asks for {r.url}"))
    page.goto(f"{base}/{page_path}")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.screenshot(path=f"{picture}-{theme}-{width}.png", full_page=True)
        yield from (f"{width} wide: overflows: {text}" for text in page.evaluate(OVERFLOW))
    yield from (f"broken picture: {source}" for source in page.evaluate(BROKEN))
    yield from messages
    page.close()


def search(context, base):
    """Return what is wrong with the search for `weight_decay`."""
    page = context.new_page()
    page.goto(f"{base}/search.html?q=weight_decay")
    link = "#search-results li a:has-text('ScratchMLPClassifier')"  # the page that documents it
    try:
        page.wait_for_selector(link, timeout=20_000)
    except Exception as error:
        return [f"does not find the estimator: {error}"]
    page.close()
    return []


def main():
    """Look at every page."""
    parser = argparse.ArgumentParser(description="Screenshots of every page, and what is wrong with them.")
    parser.add_argument("folder", nargs="?", type=Path, default=HTML.parent / "screenshots")
    parser.add_argument("--pages", default="", help="a pattern of the pages to look at")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    pages = sorted(path.relative_to(HTML).as_posix() for path in HTML.glob("**/*.html"))
    pages = [page for page in pages if not LEFT_OUT.search(page) and re.search(arguments.pages, page)]
    wrong = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context()
        for page in pages:
            picture = arguments.folder / page.removesuffix(".html").replace("/", "-")
            wrong += [f"{page}: {text}" for text in look(context, page, base, picture)]
        wrong += [f"search: {text}" for text in search(context, base)]
        browser.close()
    server.shutdown()
    print(*wrong, sep="\n")
    print(f"{len(pages)} pages, {len(wrong)} problems, pictures in {arguments.folder}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
