"""Where clips may lie, also where DVC, an extra, is not installed."""

import sys
from pathlib import Path

import pytest

from twinear.clips.roots import find_dvc_cache


def test_without_dvc_the_repositorys_own_configuration_names_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dvc.dirs", None)  # as if it were not installed
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache]\n    dir = ../elsewhere\n", encoding="utf-8")
    assert find_dvc_cache(tmp_path / "data") == (tmp_path / "elsewhere").resolve()
