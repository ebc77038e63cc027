"""Spares trainings in child processes the ten seconds of LLaMA-Factory's own parser, which tests/train/test_check.py and test_native_parser.py ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.files import ROOT
from tools.train import native_parser
from tools.train.examination import examine


def let_pass(conf: str, words: Sequence[str]) -> None:
    """Examines a run, and lets it be remembered as one that the parser has passed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(native_parser, "ask", lambda run: native_parser.Objections())
        assert examine(load_run(Path(conf), words)).problems == []
