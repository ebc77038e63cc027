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
        and '  train: "c.jsonl"   # of May\n  dev: b.jsonl\n# about the reader\n' in new
        and "version: 8   # why\n" in new
        and new.endswith("answer: {label: label, text: text}\n")
    )


def test_keys_that_say_how_the_old_file_is_read_and_divided_go_though_the_reader_stays() -> None:
    text = "raw: {train: a.jsonl}\nreader: jsonl\nfields: {text: 正文}\nsplit:\n  dev: 0.1\n  seed: 1\nversion: 1"
    new = with_raw_files(text, PATH, {"train": "b.jsonl", "dev": "c.jsonl"}, "jsonl", 2)
    assert yaml.safe_load(new) == {"raw": {"train": "b.jsonl", "dev": "c.jsonl"}, "reader": "jsonl", "version": 2}


def test_a_version_that_isnt_there_is_added() -> None:
    assert yaml.safe_load(with_raw_files("raw: {train: a}\nreader: jsonl\n", PATH, {"train": "b"}, "jsonl", 2))["version"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "{raw: {train: a}, reader: bio, version: 1}\n",
        '"raw": {train: a}\nreader: bio\nversion: 1\n',
        "raw: {train: a,\ndev: b}\nreader: bio\n",
        "raw: {\n  train: a,\n  dev: b\n}\nreader: bio\n",
        "raw:\n# the first eight\n  train: a  # train\nreader: bio\n...\n",
        "raw: {train: a}\nreader: bio\nversion: 0b11\n",
    ],
)
def test_a_mapping_may_be_laid_out_in_any_way(text: str) -> None:
    new = with_raw_files(text, PATH, {"train": "b"}, "jsonl", 4)
    assert yaml.safe_load(new) == {"raw": {"train": "b"}, "reader": "jsonl", "version": 4}
    assert [comment for comment in ("# the first eight\n", "# train\n") if comment in text and comment not in new] == []


def test_line_ends_stay_those_of_the_file() -> None:
    new = with_raw_files("raw: {train: a}\r\nreader: bio\r\n", PATH, {"train": "b"}, "jsonl", 2)
    assert new == 'raw: {train: "b"}\r\nreader: jsonl\r\nversion: 2\r\n'


@pytest.mark.parametrize("text", ["{raw: {train: a}, offsets: utf-16, reader: bio}", "raw: &a {train: a}\nreader: bio\nextra: *a\n"])
def test_a_layout_in_which_a_key_cant_be_replaced_alone_is_refused(text: str) -> None:
    with pytest.raises(ToolError, match=r"toy\.yaml: .*Nothing was written\. Write each key on a line of its own"):
        with_raw_files(text, PATH, {"train": "b"}, "jsonl", 2)
