"""The fenced blocks of the README and of the pages under docs/."""

import re
from pathlib import Path

from tests.conftest import ROOT

README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))


def read_blocks(language: str, *paths: Path) -> list[str]:
    """Read every fenced block of a language, page by page; of all pages if none is named."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths or PAGES)
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def read_commands(*paths: Path) -> list[str]:
    """Read every command of the console blocks, each once, without its comment."""
    lines = [line for block in read_blocks("console", *paths) for line in block.splitlines()]
    shown = [line.split("  #")[0].removeprefix("$ ").strip() for line in lines if line[:2] == "$ "]
    return list(dict.fromkeys(shown))
