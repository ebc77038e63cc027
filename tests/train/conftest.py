"""What the tests of trainings share: the sample's Alpaca files, and an engine without objections."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.data.scaffold.new_run import TINY
from tools.files import ROOT
from tools.train import native_parser
from tools.train.native_parser import Objections


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample's Alpaca files."""
    folder = tmp_path_factory.mktemp("dataset")
    subprocess.run([sys.executable, "-m", "tools", "data", "conf/task/sample.yaml", "--out", folder], cwd=ROOT, check=True, capture_output=True)
    return folder / "alpaca"


@pytest.fixture(scope="session")
def float_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model in float32: LLaMA-Factory computes in the type that the weights are stored in, and 16 bits round by the order of a sum."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("float") / TINY.name
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("make"))
    AutoModelForCausalLM.from_pretrained(TINY, dtype="float32").save_pretrained(folder)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaMA-Factory's own parser, which takes seconds to import, has nothing to say."""
    monkeypatch.setattr(native_parser, "ask", lambda run: Objections())
