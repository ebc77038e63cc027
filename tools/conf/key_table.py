"""Writes the table of a task's keys in docs/keys.md and docs/zh/keys.md.

In: the descriptions of Task's fields. Out: the table between two marks of each page. tests/test_keys_page.py compares the pages with it.

    .venv/train/bin/python -m tools.conf.key_table
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from tools.conf.task import KEYS, PARTS
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.files import ROOT, read_text, write_text

PAGES = {"en": ROOT / "docs" / "keys.md", "zh": ROOT / "docs" / "zh" / "keys.md"}
BEGIN, END = "<!-- task keys: written by .venv/train/bin/python -m tools.conf.key_table -->\n", "<!-- end of task keys -->\n"
HEADS = {"en": "| key | default | what it does; when to touch it |", "zh": "| 键 | 默认值 | 作用；什么时候改 |"}
NEEDED = {"en": "needed", "zh": "必填"}
NONE = {"en": "none", "zh": "无"}


def table(language: str) -> str:
    """Returns the table of a task's keys in Markdown; `language` is 'en' or 'zh'."""
    return "\n".join([HEADS[language], "|---|---|---|", *(_row(key, field, language) for key, field in _fields()), ""])


def with_table(page: str, language: str) -> str:
    """Returns a page's text with today's table between its marks. Raises ToolError for a page without them."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ToolError(f"{PAGES[language]}: has no line {(END if begin else BEGIN).strip()}")
    return head + begin + table(language) + end + tail


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for key, field in KEYS.items():
        yield key, field
        if key in PARTS:
            yield from ((f"{key}.{name}", part) for name, part in PARTS[key].model_fields.items() if part.description)


def _row(key: str, field: FieldInfo, language: str) -> str:
    words: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    description = field.description if language == "en" else words["zh"]
    return f"| `{key}` | {words.get(f'default_{language}') or _default(field, language)} | {description} |"


def _default(field: FieldInfo, language: str) -> str:
    if field.is_required():
        return NEEDED[language]
    value = field.get_default(call_default_factory=True)
    return NONE[language] if value is None or value in ([], {}) else f"`{value}`" if isinstance(value, str) else str(value)


def main() -> None:
    """Writes both pages."""
    for language, page in PAGES.items():
        write_text(page, with_table(read_text(page), language))
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    run_tool(main)
