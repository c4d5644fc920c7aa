"""What every test may use: the project's root, its params, and tracking turned off."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"


@pytest.fixture(autouse=True)
def _no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINEAR_TRACKING", "off")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
