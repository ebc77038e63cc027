"""What the tests of trainings share: the sample's Alpaca files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.files import ROOT


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample's Alpaca files."""
    folder = tmp_path_factory.mktemp("dataset")
    subprocess.run([sys.executable, "-m", "tools", "data", "conf/task/sample.yaml", "--out", folder], cwd=ROOT, check=True, capture_output=True)
    return folder / "alpaca"
