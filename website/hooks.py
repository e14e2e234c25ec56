"""What the site has beside docs/: pages that are made, and the repository's files that pages link to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY: Final = Path(__file__).parents[1]
MADE: Final = REPOSITORY / "build" / "site-pages"
"""What ``make site`` leaves for this: commands.md, and the notebook as it ran."""
_OUT_OF_DOCS: Final = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)[^)]*\)")
_SHOWN_BY_BROWSERS: Final = {".json", ".svg", ".md"}
_SHORT_CODE: Final = re.compile(r"<code>([^<\s]{1,28})</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made and what is linked to."""
    added = {path.relative_to(MADE).as_posix(): path for path in MADE.rglob("*") if path.is_file()}
    added["changelog.md"] = REPOSITORY / "CHANGELOG.md"
    for page in list(files.documentation_pages()):
        for _text, name in _OUT_OF_DOCS.findall(page.content_string):
            path = REPOSITORY / name
            if path.is_file():
                added[_place(name)] = path
    for name, path in added.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Have links out of docs/ lead to the copy of the file; of a link to a folder only the text is left."""

    def replace(match: re.Match[str]) -> str:
        text, name = match.groups()
        if (REPOSITORY / name).is_dir():
            return text
        return f"[{text}]({'../' * page.file.src_uri.count('/')}{_place(name)})"

    return _OUT_OF_DOCS.sub(replace, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Mark options and names in lines, which site.css keeps from being broken at their hyphens."""
    return _SHORT_CODE.sub(r'<code class="word">\1</code>', html)


def _place(name: str) -> str:
    """Name the copy so that a browser shows it: a .toml is text."""
    return f"repository/{name}" if Path(name).suffix in _SHOWN_BY_BROWSERS else f"repository/{name}.txt"
