"""The toy server, run and task for the tests of predicting."""

from pathlib import Path

from tests import toy_server
from tools.conf.run import Run
from tools.conf.task import Task
from tools.data.convert import convert
from tools.predict.client import engine_of
from tools.predict.engines import Options
from tools.predict.predict import collect
from tools.predict.questions import Asking
from tools.predict.server import Server

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures


def asking(run: Run, task: Task, word: str = "adapter") -> Asking:
    """The train split, asked of one of the run's models."""
    return Asking(run, task, "train", run.variant(word))


def predict_train(run: Run, task: Task, server: Server, out: Path, concurrency: int = 64) -> Path:
    """Predict the train split with a server that runs."""
    asked = asking(run, task)
    return collect(asked, out, engine_of(server, asked, concurrency), Options())


def convert_changed(task: Task, dataset: Path, old: str, new: str) -> None:
    """Change the raw file and convert it again."""
    raw = Path(task.raw["train"])
    raw.write_text(raw.read_text().replace(old, new))
    convert(task, dataset)
