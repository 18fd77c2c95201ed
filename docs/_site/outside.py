"""A hook of mkdocs: pages of the repository's root become pages of the site, and links between the two are kept.

On a git host a guide links to ``../../README.md``; mkdocs knows only what is below ``docs/``. So each page of the root
gets an address in the site, and links from and to it are rewritten. A link to any other file outside of ``docs/`` is
left as it is, which fails the strict build.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "overview.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# Files of the root that the site does not show: the text of the link stays, without the link.
NOT_SHOWN = {"LICENSE", "NOTICE"}

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s:]+)\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages of the repository's root."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite the links of a page that lead out of ``docs/``, or into it from a page of the root."""
    place = page.file.src_uri
    sources = {shown: source for source, shown in PAGES.items()}
    home = sources.get(place, f"docs/{place}")

    def rewritten(match: re.Match[str]) -> str:
        text, target = match.groups()
        path, mark, anchor = target.partition("#")
        if not path:
            return match[0]
        found = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        if found in NOT_SHOWN:
            return text
        if (ROOT / found).is_dir() and (ROOT / found / "README.md").exists():
            found = f"{found}/README.md"
        shown = PAGES.get(found) or found.removeprefix("docs/")
        if shown == found:
            return match[0]
        return f"[{text}]({posixpath.relpath(shown, posixpath.dirname(place) or '.')}{mark}{anchor})"

    return _LINK.sub(rewritten, markdown)
