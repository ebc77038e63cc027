"""Reads the commands of the pages' code blocks: each once, with the places where it stands and the output that a page shows below it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

NAME = "tiny-qwen2-sample-ner-lora-sft"
# A page's placeholder → what stands in its place when the command is run: the embedded run, the sample task, a folder of the checkout.
PLACEHOLDERS = {"<run>": NAME, "<实验>": NAME, "<task>": "sample", "<任务>": "sample", "=/data/": "=given/"}
# A block without a language is one of commands where its first line begins with one of these, and one of output otherwise.
PROGRAMS = {
    *("make", "./ner", "llamafactory-cli", "python", "python3", "pip", "pip3", "uv", "conda", "hf", "huggingface-cli", "modelscope", "ray", "vllm"),
    *("docker", "docker-compose", "podman", "apt", "apt-get", "dnf", "yum", "sudo", "systemctl", "journalctl", "nvidia-smi", "nginx", "ollama"),
    *("curl", "wget", "aria2c", "git", "ssh", "scp", "rsync", "tar", "unzip", "gzip", "iconv", "openssl", "ss", "lsof", "kill"),
    *("export", "cd", "cp", "mv", "rm", "ln", "ls", "mkdir", "cat", "head", "tail", "grep", "sed", "awk", "wc", "diff", "jq", "echo", "printf"),
    *("find", "du", "df", "free", "nproc", "lscpu", "uname", "which", "test", "for", "while", "source", ".", "chmod", "chown", "id", "env", "time"),
}
PATHS = (".venv/", "./", "/", "bench/", "tools/")
FENCE = re.compile(r"^( *)(`{3,})([\w+-]*) *\n(.*?)^ *\2`* *$", re.MULTILINE | re.DOTALL)
# Files of other programs that call this project's commands: lines of a pipeline, a unit, a Dockerfile.
WITHIN = re.compile(r"^\s*(?:- (?:run: )?|run: |ExecStart=|RUN )(?=(?:\S*/)?(?:make|ner|python) )")


@dataclass
class Command:
    """A command as bash takes it, without its comment and with the placeholders' values; for Python, the whole block.

    `shown` are the lines of output that a page shows below it, each with its place.
    """

    text: str
    language: str
    places: list[str] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{', '.join(self.places)}: {self.text}"


def commands(pages: Iterable[tuple[str, str]]) -> dict[str, Command]:
    """Returns the commands of (name, text) pages by their text, in the order in which they first stand."""
    found: dict[str, Command] = {}
    for name, page in pages:
        above: list[Command] = []  # of the block before
        end = 0
        for block in FENCE.finditer(page):
            if re.search(r"^#+ ", page[end : block.start()], re.MULTILINE):
                above = []
            end = block.end()
            indent, language, body = len(block[1]), block[3], block[4]
            line = page.count("\n", 0, block.start()) + 2
            lines = [one[indent:] if one[:indent].isspace() else one for one in body.splitlines()]
            here = [(f"{name}:{line + number}", text, kind) for number, text, kind in _of_block(language, lines)]
            for place, text, kind in here:
                found.setdefault(text, Command(text, kind)).places.append(place)
            if here:
                above = [found[text] for _, text, _ in here]
            elif language in ("", "text", "console"):
                for command in above:
                    command.shown += [(f"{name}:{line + number}", one) for number, one in enumerate(lines) if one.strip(" …")]
                above = []
    return found


def _of_block(language: str, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yields (number of the line in the block, command, language)."""
    if language == "python":
        yield 0, "\n".join(lines), "python"
    elif language in ("", "bash", "sh", "shell", "console") and _begins(next((one for one in lines if one.strip() and one[0] != "#"), "")):
        for number, text in _joined(lines):
            yield number, text, "bash"
    elif language != "text":
        for number, line in enumerate(lines):
            if within := WITHIN.match(line):
                yield number, plain(line[within.end() :]), "bash"


def _begins(line: str) -> bool:
    """Returns whether a line begins as a command does."""
    words = re.sub(r"^\$ ", "", line.strip()).split()
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return bool(words) and (words[0] in PROGRAMS or words[0].startswith(PATHS))


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yields each command with the number of its first line; a backslash, or a quote that is open, goes on in the next."""
    held, first = "", 0
    for number, line in enumerate(lines):
        held, first = (f"{held}\n{line}", first) if held else (line, number)
        if held.endswith("\\"):
            continue
        try:
            shlex.split(plain(held))
        except ValueError:  # a quote is open
            continue
        if plain(held):
            yield first, plain(held)
        held = ""
    assert not held, f"a quote is left open: {held}"


def plain(line: str) -> str:
    """Returns a command without prompt, comments and line breaks of the shell, and with the values of the placeholders."""
    text = re.sub(r"^\$ |^#.*$|(?<=\s)#\s.*$", "", line.replace("\\\n", " "), flags=re.MULTILINE)
    for name, value in PLACEHOLDERS.items():
        text = text.replace(name, value)
    return re.sub(r" {2,}", " ", text).strip()
