"""vLLM's job without a server; that a worker answers it is shown by tests/test_chain.py."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.predict.conftest import asking
from tests.serve.conftest import write_config, write_weights
from tools.conf.run import Run
from tools.conf.task import Task
from tools.demo import free_port
from tools.errors import ToolError
from tools.predict.engines import Options, offline
from tools.predict.predict import predict
from tools.predict.predictions import read_predictions

# In the worker's place: it answers the job's questions, each with the adapter's folder, or stops.
WORKER = """
import json, sys
from pathlib import Path
job = json.loads(Path(sys.argv[-1]).read_text())
with open(job["answers"], "a") as answers:
    for line in open(job["questions"]):
        answers.write(json.dumps({"id": json.loads(line)["id"], "output": job["adapter"][1]}) + "\\n")
        answers.flush()
        if STOP:
            sys.exit("ValueError: no more memory")
"""


@pytest.fixture
def trained(run_: Run) -> Run:
    """The toy run on the embedded model, with a last adapter and a checkpoint."""
    run = Run(run_.path, {**run_.values, "model_name_or_path": "models/tiny-qwen2"})
    run.output_dir.mkdir()
    (run.output_dir / "train_results.json").write_text("{}")
    write_weights(run.output_dir, 256)
    write_config(run.output_dir)
    shutil.copytree(run.output_dir, run.output_dir / "checkpoint-40")
    return run


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Puts a script in the worker's place."""

    def put(stop: bool) -> None:
        package = tmp_path / "toy_worker.py"
        package.write_text(f"STOP = {stop}\n{WORKER}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(offline, "PYTHON", Path(sys.executable))
        monkeypatch.setattr(offline, "WORKER", "toy_worker")

    return put


@pytest.mark.parametrize(("word", "name", "folder"), [("adapter", "toy-run", ""), ("checkpoint-40", "toy-run@40", "checkpoint-40")])
def test_the_named_adapter_answers_and_no_other(
    trained: Run, task: Task, tmp_path: Path, worker: Callable[[bool], None], word: str, name: str, folder: str
) -> None:
    worker(False)
    asked = asking(trained, task, word)
    assert offline.job(asked)["adapter"] == [name, str(trained.output_dir / folder)]
    found = read_predictions(predict(asked, tmp_path / "out", Options(engine="offline")))
    assert (len(found), {row.output for row in found.values()}) == (7, {str(trained.output_dir / folder)})
    meta = json.loads((tmp_path / "out/predictions.meta.json").read_text())
    assert (meta["which"], meta["model"], meta["engine"].split()[-1]) == (word, name, "offline")


def test_the_base_model_answers_without_an_adapter(trained: Run, task: Task) -> None:
    told = offline.job(asking(trained, task, "base"))
    assert (told["adapter"], told["template_kwargs"]) == (None, {})
    off = Run(trained.path, {**trained.values, "template": "qwen3", "enable_thinking": False})
    assert offline.job(asking(off, task, "base"))["template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("engine", ["offline", "ray"])
def test_a_checkpoint_that_isnt_there_is_refused(trained: Run, task: Task, tmp_path: Path, engine: str) -> None:
    with pytest.raises(ToolError, match=r"checkpoint-4: no such checkpoint\. Available: checkpoint-40"):
        predict(asking(trained, task, "checkpoint-4"), tmp_path / "out", Options(engine=engine))


def test_a_worker_that_stops_says_why_and_its_answers_are_kept(trained: Run, task: Task, tmp_path: Path, worker: Callable[[bool], None]) -> None:
    worker(True)
    with pytest.raises(ToolError, match=r"(?s)exit code 1.*ValueError: no more memory.*1 of 7 rows are answered and kept"):
        predict(asking(trained, task), tmp_path / "out", Options(engine="offline"))


def test_a_cluster_that_does_not_answer_is_said_at_once(
    trained: Run, task: Task, tmp_path: Path, worker: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(False)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ToolError, match="no cluster answers there") as error:
        predict(asking(trained, task), tmp_path, Options(engine="ray"))
    assert error.value.exit_code == 1
    for word in ("", "auto", "local"):
        monkeypatch.setenv("RAY_ADDRESS", word)
        assert predict(asking(trained, task), tmp_path, Options(engine="ray", fresh=True)).is_file()
