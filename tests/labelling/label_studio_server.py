"""Starts the real Label Studio server for tests, on this machine and without the network.

In: an empty folder, which takes its database, its files and its log. Out: a LabelStudio, whose methods speak the server's HTTP API with urllib. INSTALL is the
command that makes the server's environment; LABEL_STUDIO names the executable of another.

    with server(tmp_path) as label_studio:
        project = label_studio.create_project('<View><Labels name="label" toName="text"><Label value="PER"/></Labels><Text name="text" value="$text"/></View>')
        label_studio.import_tasks(project, [{"data": {"text": "张三"}}])

Source: api.labelstud.io for the API; the package's core/settings for the environment. Held against 1.23.2.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.files import ROOT
from tools.process import Child

INSTALL = ".venv/uv/bin/uv venv .venv/label-studio && .venv/uv/bin/uv pip install --python .venv/label-studio/bin/python label-studio==1.23.2"
PATIENCE = 600  # seconds; imports and migrations take two to three minutes on two busy cores
PAGE = 1000  # tasks a request
TOKEN = "0123456789abcdef0123456789abcdef01234567"
# Label Studio reads a bare name too where LABEL_STUDIO_<name> isn't set, so it must not see a test runner's HOST, DEBUG or CI.
SETTINGS = {
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_SENTRY_DSN": "",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LANG": "C.UTF-8",
}


def installed() -> Path | None:
    """Returns the executable: LABEL_STUDIO's, or that of `.venv/label-studio`, or the one on PATH. None where Label Studio isn't installed."""
    named = os.environ.get("LABEL_STUDIO", "")
    ours = ROOT / ".venv" / "label-studio" / "bin" / "label-studio"
    found = named or (str(ours) if ours.is_file() else shutil.which("label-studio"))
    return Path(found) if found else None


@dataclass(frozen=True)
class LabelStudio:
    """A running server, asked as its one user."""

    url: str

    def create_project(self, config: str) -> int:
        """Creates a project with a labelling configuration in XML. Returns the project's id."""
        return int(self.ask("POST", "/api/projects", {"title": "a project", "label_config": config})["id"])

    def import_tasks(self, project: int, tasks: list[dict[str, Any]]) -> list[int]:
        """Imports tasks with their annotations and predictions. Returns the ids that the server gave them, in the order of the tasks."""
        ids: list[int] = self.ask("POST", f"/api/projects/{project}/import?return_task_ids=true", tasks)["task_ids"]
        return ids

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """Returns a project's tasks with their annotations and whole predictions, labelled or not."""
        tasks: list[dict[str, Any]] = []
        total, page = 1, 1
        while len(tasks) < total:
            answer = self.ask("GET", f"/api/tasks?project={project}&fields=all&page_size={PAGE}&page={page}")
            tasks, total, page = tasks + answer["tasks"], answer["total"], page + 1
        return tasks

    def submit(self, task: int, result: list[dict[str, Any]], **fields: Any) -> int:
        """Submits a new annotation, as the editor's Submit does; `fields` may hold `parent_prediction` or `was_cancelled`. Returns the annotation's id."""
        return int(self.ask("POST", f"/api/tasks/{task}/annotations", {"result": result, **fields})["id"])

    def change(self, annotation: int, result: list[dict[str, Any]]) -> None:
        """Replaces an annotation's results, as the editor's Update does."""
        self.ask("PATCH", f"/api/annotations/{annotation}", {"result": result})

    def export(self, project: int, kind: str = "JSON", unlabelled: bool = False) -> list[dict[str, Any]]:
        """Returns the export that the page's button downloads, in the format `kind`: the annotated tasks, and the others too if `unlabelled`."""
        query = f"exportType={kind}&download_all_tasks={str(unlabelled).lower()}"
        tasks: list[dict[str, Any]] = self.ask("GET", f"/api/projects/{project}/export?{query}")
        return tasks

    def delete(self, project: int) -> None:
        """Deletes a project with its tasks."""
        self.ask("DELETE", f"/api/projects/{project}")

    def ask(self, method: str, path: str, body: Any = None, timeout: float = PATIENCE) -> Any:
        """Returns the server's answer to a request, None for an empty one. Raises RuntimeError with the server's words for any other status than 2xx."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with _direct().open(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                words = refusal.read().decode(errors="replace")
            raise RuntimeError(f"{method} {path}: {refusal.code} {words[:1000]}") from None
        return json.loads(text) if text else None


@contextmanager
def server(tmp: Path) -> Iterator[LabelStudio]:
    """Runs a server of its own on a free loopback port until the block ends. Raises RuntimeError with its log's end if it isn't up within PATIENCE seconds."""
    executable = installed()
    if executable is None:
        raise RuntimeError(f"Label Studio isn't installed: {INSTALL}")
    for name in ("data", "home", "tmp"):
        (tmp / name).mkdir()
    port = _free_port()
    label_studio = LabelStudio(f"http://127.0.0.1:{port}")
    path = tmp / "server.log"
    with open(path, "w", encoding="utf-8") as log, Child(_command(executable, tmp, port), log=log) as process:
        until = time.monotonic() + PATIENCE
        while not _is_up(label_studio):
            if process.poll() is not None or time.monotonic() > until:
                state = "isn't up" if process.returncode is None else f"ended with exit code {process.returncode}"
                raise RuntimeError(f"Label Studio {state}; the end of its log:\n{path.read_text(encoding='utf-8', errors='replace')[-3000:]}")
            time.sleep(0.5)
        yield label_studio


def _command(executable: Path, tmp: Path, port: int) -> list[str]:
    """Returns the command that starts a server in an environment of nothing but its settings, with a user and the user's token."""
    places = {"PATH": os.environ.get("PATH", os.defpath), "HOME": tmp / "home", "TMPDIR": tmp / "tmp", "LABEL_STUDIO_BASE_DATA_DIR": tmp / "data"}
    settings = [f"{name}={value}" for name, value in {**SETTINGS, **places}.items()]
    address = ["--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    # The token of --user-token is a legacy one, which is only taken where the organisation allows it.
    user = ["--username", "tests@example.com", "--password", "only-for-tests", "--user-token", TOKEN, "--enable-legacy-api-token"]
    return ["env", "-i", *settings, str(executable), "start", *address, *user]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_up(label_studio: LabelStudio) -> bool:
    """Returns whether the server answers and knows its user."""
    try:
        label_studio.ask("GET", "/api/projects", timeout=10)
    except (OSError, RuntimeError):
        return False
    return True


def _direct() -> urllib.request.OpenerDirector:
    """Returns an opener that takes no proxy: the server is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
