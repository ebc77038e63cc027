"""What the tests of trainings share: the sample's Alpaca files, and an engine without objections."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.files import ROOT
from tools.train import native_parser
from tools.train.native_parser import Objections


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample's Alpaca files."""
    folder = tmp_path_factory.mktemp("dataset")
    subprocess.run([sys.executable, "-m", "tools", "data", "conf/task/sample.yaml", "--out", folder], cwd=ROOT, check=True, capture_output=True)
    return folder / "alpaca"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaMA-Factory's own parser, which takes seconds to import, has nothing to say."""
    monkeypatch.setattr(native_parser, "ask", lambda run: Objections())
