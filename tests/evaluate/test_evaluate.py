"""Predicting, scoring and reporting in one."""

import json
from collections.abc import Callable

from tests import toy_server
from tests.predict.conftest import asking
from tests.toy_server import ADAPTER, Faulty
from tools.conf.run import Run
from tools.conf.task import Task
from tools.evaluate.evaluate import evaluated
from tools.predict.engines import Options

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures


def test_an_evaluation_is_predictions_score_and_report_in_one_folder(start: Callable[..., Faulty], run_: Run, task: Task) -> None:
    score = evaluated(asking(run_, task), Options(url=start([ADAPTER]).url, concurrency=2))
    folder = run_.output_dir / "eval/toy_train"
    assert json.loads((folder / "score.json").read_text())["rows"] == score["rows"] == 7
    for name in ("predictions.jsonl", "predictions.meta.json", "report.html"):
        assert (folder / name).is_file()
