"""Removes from a text or a run's values everything that a published file may not hold: secrets, addresses, accounts and paths of this machine.

In: the values of run.yaml, or a text. Out: the same without them; of a path outside the checkout only the last component stays.

    .venv/train/bin/python -c "from tools.report.card_public import public_text; print(public_text('see /home/me/data/x.json'))"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CACHED = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)(/snapshots/[^/]+)?/?$")  # the Hugging Face hub's own cache
_PRIVATE_KEY = re.compile(
    r"(^|[_-])(token|tokens_file|api_?key|access_?key|key_id|secret|password|passwd|credentials?|webhook(_url)?"
    r"|addr|address|host|hostname|ip|port|url|uri|endpoint|user|username|email|workspace|entity|hub_model_id|space_id|env_vars|runtime_env)$",
    re.IGNORECASE,
)
_SECRET = re.compile(r"\b(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|AKIA[A-Z0-9]{12,})")
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
# A path that is absolute or leads out of the checkout; nothing that follows a word, as in https://host/page, owner/name and 10/20.
_PATH = re.compile(r"""(?:file://|(?<![\w.:/~<]))(?:~[\w.-]*|\.\.)?/[^\s,;:'"<>|()（）。，；]+""")
_OUTSIDE = re.compile(r"file://|~|/|(.*/)?\.\.(/|$)")


def public(value: Any) -> Any:
    """Returns a value, at any depth, without secrets, addresses and accounts."""
    if isinstance(value, Mapping):
        return {key: public(inner) for key, inner in value.items() if not _PRIVATE_KEY.search(str(key))}
    if isinstance(value, list | tuple):
        return [public(inner) for inner in value]
    return public_text(value) if isinstance(value, str) else value


def public_text(text: str) -> str:
    """Returns the text without logins and what looks like a secret, and with the last component alone of each path outside the checkout."""
    text = _LOGIN.sub("", _SECRET.sub("(removed)", text))
    if _OUTSIDE.match(text) and not re.search(r"[,;\n]", text):
        return last_component(text)  # one path, with or without spaces
    return _PATH.sub(lambda found: last_component(found[0]), text)


def last_component(path: str) -> str:
    """Returns the last component of a path, or of a model's name on a hub."""
    if found := CACHED.search(path):
        return found["name"]
    return Path(path.removeprefix("file://")).name or "(path)"
