"""Fills a page's template with its data: one HTML file that needs no network, and in which nothing that a data file or a model wrote is read as markup.

In: a template with {{policy}} and {{data}}, and the data. Out: the page.

    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.files import read_text
from tools.text import visible


def static_page(template: Path, data: Any) -> str:
    """Returns the page: the template with `data` as JSON, and a Content-Security-Policy that lets only the template's own script and style run."""
    html = read_text(template)
    # The data is escaped, so it can neither end its element nor open another. The page's script adds it as text, never as HTML.
    text = json.dumps(_visible(data), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {_hash(html, 'script')}; {_hash(html, 'style')}"
    return html.replace("{{policy}}", policy, 1).replace("{{data}}", text, 1)


def _hash(template: str, element: str) -> str:
    found = re.search(rf"<{element}>(.*?)</{element}>", template, re.DOTALL)
    assert found is not None
    return f"{element}-src 'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


def _visible(value: Any) -> Any:
    """Returns the value with each invisible character of its strings written out."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(key): _visible(inner) for key, inner in value.items()}
    return [_visible(inner) for inner in value] if isinstance(value, Sequence) else value
