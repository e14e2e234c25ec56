"""How long a browser takes to open the reports in build/pages: ``.venv-pages/bin/python -m tests.pages.measure``.

It counts from the start of navigation until the page is loaded and has been painted.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

_REPEATS = 5
_PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def main() -> None:
    """Print size and median of each page."""
    path = shutil.which("chromium")
    if path is None:
        sys.exit("no chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for file in sorted((Path(__file__).parents[2] / "build" / "pages").glob("*.html")):
            seconds = []
            for _ in range(_REPEATS):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(file.as_uri())
                seconds.append(page.evaluate(_PAINTED) / 1000)
                page.close()
            sys.stdout.write(
                f"{file.stem:12} {file.stat().st_size / 1e6:5.2f} MB {statistics.median(seconds):5.2f} s\n"
            )
        browser.close()


if __name__ == "__main__":
    main()
