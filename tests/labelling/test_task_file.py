"""A task file that gets other raw files."""

from pathlib import Path

import pytest
import yaml

from tools.errors import ToolError
from tools.labelling.task_file import with_raw_files

PATH = Path("toy.yaml")
BLOCK = """# head
raw:
  train: a.jsonl   # of May
  dev: b.jsonl
# about the reader
reader: bio
fields:
  text: 正文
labels:
- name
- address
version: 7   # why
answer: {label: label, text: text}
"""


def test_only_the_raw_files_the_reader_and_the_version_change_and_comments_stay() -> None:
    new = with_raw_files(BLOCK, PATH, {"train": "c.jsonl", "dev": "b.jsonl"}, "jsonl", 8)
    assert yaml.safe_load(new) == {
        "raw": {"train": "c.jsonl", "dev": "b.jsonl"},
        "reader": "jsonl",
        "labels": ["name", "address"],
        "version": 8,
        "answer": {"label": "label", "text": "text"},
    }
    assert (
        new.startswith("# head\n")
        and "# about the reader\n" in new
        and "version: 8   # why\n" in new
        and new.endswith("answer: {label: label, text: text}\n")
    )


def test_keys_that_say_how_a_file_is_read_stay_where_the_reader_does() -> None:
    text = "raw: {train: a.jsonl}\nreader: jsonl\nfields: {text: 正文}\nversion: 1"
    new = with_raw_files(text, PATH, {"train": "b.jsonl"}, "jsonl", 2)
    assert yaml.safe_load(new) == {"raw": {"train": "b.jsonl"}, "reader": "jsonl", "fields": {"text": "正文"}, "version": 2}


def test_a_version_that_isnt_there_is_added() -> None:
    assert yaml.safe_load(with_raw_files("raw: {train: a}\nreader: jsonl\n", PATH, {"train": "b"}, "jsonl", 2))["version"] == 2


@pytest.mark.parametrize(
    "text",
    ["{raw: {train: a}, reader: bio, version: 1}\n", '"raw": {train: a}\nreader: bio\nversion: 1\n', "raw: {train: a,\ndev: b}\nreader: bio\n"],
)
def test_a_layout_that_cant_be_edited_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ToolError, match=r"toy\.yaml: .*by hand"):
        with_raw_files(text, PATH, {"train": "b"}, "jsonl", 2)
