"""A new task from a data file: which reader, which labels, and three files that the rest of the chain takes as they are."""

import codecs
import gzip
import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.conftest import real
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.data.readers import READERS
from tools.data.scaffold import new_run
from tools.data.scaffold.forms import FORMS
from tools.data.scaffold.guess import NoReader, guess
from tools.data.scaffold.new import Wish, new, write_new
from tools.data.scaffold.new_task import readable, scalar
from tools.errors import ToolError
from tools.example import read_examples
from tools.files import ROOT
from tools.text import LONGEST_LABEL

TEXT = "张三在北京"
CLUENER = {"text": TEXT, "label": {"PER": {"张三": [[0, 1]]}, "GPE": {"北京": [[3, 4]]}}}
CCFBDCI = {
    "text": TEXT,
    "entities": [
        {"start_idx": 0, "end_idx": 2, "entity_text": "张三", "entity_label": "PER", "entity_names": ["人名"]},
        {"start_idx": 3, "end_idx": 5, "entity_text": "北京", "entity_label": "GPE", "entity_names": ["地名"]},
    ],
}
OFFSETS = [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 2}, {"id": 2, "label": "GPE", "start_offset": 3, "end_offset": 5}]
CANONICAL = {
    "id": "x",
    "text": TEXT,
    "entities": [{"label": "PER", "text": "张三", "start": 0, "end": 2}, {"label": "GPE", "text": "北京", "start": 3, "end": 5}],
}
SPANS = [{"start": 0, "end": 2, "text": "张三", "labels": ["PER"]}, {"start": 3, "end": 5, "text": "北京", "labels": ["GPE"]}]
STUDIO = {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": [{"type": "labels", "value": span} for span in SPANS]}]}
BIO = "张 B-PER\n三 I-PER\n在 O\n北 B-GPE\n京 I-GPE\n"
BMES = "张\tB-PER\n三\tE-PER\n在\tO\n北\tB-GPE\n京\tE-GPE\n"


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")


def different(row: dict[str, Any], count: int = 12) -> bytes:
    """A row of entities at the beginning of the text so many times, each with a text of its own."""
    return lines(*({**row, "text": f"{TEXT}{number}"} for number in range(count)))


# The bytes of a file, its reader, and what of the reason must be said.
SHAPES = {
    "cluener": (lines(CLUENER), "cluener", 'line 1 holds `label: {"PER": {"张三": [[0, 1]]}'),
    "ccfbdci": (lines(CCFBDCI), "ccfbdci", "start_idx and end_idx"),
    "doccano": (lines({"id": 1, "text": TEXT, "label": [[0, 2, "PER"], [3, 5, "GPE"]], "Comments": []}), "doccano", '[[0, 2, "PER"], [3, 5, "GPE"]]'),
    "doccano, with relations": (lines({"id": 1, "text": TEXT, "entities": OFFSETS, "relations": []}), "doccano", "start_offset and end_offset"),
    "doccano, of old": (lines({"data": TEXT, "labels": [[0, 2, "PER"], [3, 5, "GPE"]]}), "doccano", "the text under `data`"),
    "canonical": (lines(CANONICAL), "jsonl", "label, text, start and end"),
    "Label Studio": (json.dumps([STUDIO]).encode(), "label_studio", "the first task holds `data:"),
    "Label Studio, over many lines": (json.dumps([STUDIO], indent=2).encode(), "label_studio", "`annotations`: a task with its results"),
    "Label Studio, a task a line": (lines(STUDIO), "label_studio", "line 1 holds `data:"),
    "JSON-MIN": (json.dumps([{"id": 1, "text": TEXT, "label": SPANS, "annotation_id": 3}]).encode(), "label_studio", "JSON-MIN"),
    "BIO": (BIO.encode(), "bio", "line 1 is '张 B-PER': a token, a space and a tag; the tags are without marks"),
    "BIO, CRLF and a mark": (codecs.BOM_UTF8 + BIO.replace("\n", "\r\n").encode(), "bio", "a space and a tag"),
    "BIO that begins like a list": (f"[ O\n{BIO}".encode(), "bio", "line 1 is '[ O'"),
    "BIO that begins like a list of one": (f"[1] O\n{BIO}".encode(), "bio", "a space and a tag"),
    "BMES": (BMES.encode(), "bio", "a token, a tab and a tag; the tags are with marks for an entity's end (BMES, BIOES)"),
    "CoNLL": (BIO.replace(" ", " NN _ ").encode(), "bio", "the first and the last of 4 columns"),
    "rows without annotation first": (lines(*[{"text": "未标注"}] * 300, CLUENER), "cluener", "line 301 holds"),
    "rows without entities first": (lines({"text": "无", "label": {}}, CLUENER), "cluener", "line 2 holds"),
}
CLASSES = {
    "a class": (lines({"text": "好看", "label": "影"}, {"text": "赢了", "label": "体"}), "classification", '`label: "影"`: one string', 0),
    "an output": (lines({"text": "好看", "output": "影"}, {"text": "赢了", "output": "体"}), "classification", '`output: "影"`', 0),
    "options": (lines({"text": "好看", "category": ["影", "体"], "output": "影"}), "classification", "as its options", 2),
    "options and a label": (lines({"text": "好看", "category": ["影", "体"], "label": "影"}), "classification", "as its options", 2),
    "canonical options": (lines({"text": "好看", "options": ["影", "体"], "label": "影"}), "jsonl", "with `options`", 2),
    "doccano's class": (lines({"text": "好看", "label": ["影"]}, {"text": "赢了", "label": ["体"]}), "doccano", "or of one class", 0),
    "a class, and no entities": (lines({"text": "好看", "label": "影", "entities": []}), "classification", "one string", 0),
    "choices": (json.dumps([{"text": "好看", "sentiment": "影", "annotation_id": 1}]).encode(), "label_studio", "JSON-MIN", 0),
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the repository's root, to write to."""
    root = tmp_path / "checkout"
    copytree(ROOT / "conf", root / "conf")
    copytree(ROOT / "data/prompts", root / "data/prompts")
    (root / "models").mkdir()
    (root / "models/tiny-qwen2").symlink_to(ROOT / "models/tiny-qwen2")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def give(tmp_path: Path) -> Callable[..., Path]:
    """A file that a user has somewhere, outside the checkout."""

    def write(data: bytes, name: str = "mine.data") -> Path:
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return write


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(source: Path, *, name: str = "toy", dev: Path | None = None, **wish: Any) -> int:
    return new(name, source, dev, Wish(**wish))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_reader_of_entities_is_guessed_and_the_reason_is_what_stands_in_the_file(shape: str, give: Callable[..., Path]) -> None:
    data, reader, reason = SHAPES[shape]
    found = guess(give(data))
    assert (found.reader, found.reading.entities) == (reader, {"PER": 1, "GPE": 1})
    assert reason in found.why


@pytest.mark.parametrize("shape", CLASSES)
def test_the_reader_of_classes_is_guessed_and_one_that_sees_the_options_wins(shape: str, give: Callable[..., Path]) -> None:
    data, reader, reason, options = CLASSES[shape]
    found = guess(give(data))
    assert (found.reader, found.reading.classes["影"], len(found.reading.options)) == (reader, 1, options)
    assert reason in found.why


def test_every_reader_has_a_form_that_it_reads_itself(give: Callable[..., Path]) -> None:
    assert set(FORMS) == set(READERS)
    for reader, form in FORMS.items():
        example = form.example.partition("   (")[0].replace("…", "x")
        found = guess(give(example.encode()))
        assert (found.reader, found.reading.refusals) == (reader, 0)


def test_readers_that_give_the_same_rows_are_no_question_but_are_named(give: Callable[..., Path]) -> None:
    found = guess(give(CLASSES["a class"][0]))
    assert (found.reader, found.same) == ("classification", ["doccano", "jsonl", "label_studio"])


@pytest.mark.parametrize(
    ("name", "reader", "labels"),
    [
        ("cluener/train.jsonl", "cluener", 10),
        ("ccfbdci/ccfbdci.jsonl", "ccfbdci", 4),
        ("chinese_medical/medical_eval.txt", "bio", 10),
        ("resume/dev.char.bmes", "bio", 8),
    ],
)
def test_real_files_are_recognised(name: str, reader: str, labels: int) -> None:
    found = guess(real(name))
    assert (found.reader, len(found.reading.entities), found.reading.refusals) == (reader, labels, 0)


def test_the_real_news_are_recognised_and_without_answers_refused(checkout: Path, give: Callable[..., Path]) -> None:
    path = real("fudan_news/argonautz_notebook_10_rows.jsonl")
    before = everything(checkout)
    with pytest.raises(ToolError, match="no annotation to learn from:\n  classification: neither 'output' nor 'label'"):
        made(path)
    assert everything(checkout) == before
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert made(give(lines(*({**row, "output": row["category"][0]} for row in rows)))) in (0, 1)
    task = find_task("toy")
    assert (task.kind, task.reader, task.labels) == ("classification", "classification", [])
    assert "{options}" in task.prompt.read_text()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "It is empty."),
        (b"\n \n\r\n", "It is empty."),
        (bytes(range(256)) * 40, "a NUL character"),
        (gzip.compress(b"x"), "gunzip"),
        (b"PK\x03\x04" + bytes(30), "a zip archive, as .xlsx"),
        ("今天天气很好。\n".encode() * 20, "'今天天气很好。'"),
        ("标题,类别\n好看,电影\n".encode(), "It looks like CSV with the header '标题', '类别'"),
        ("标题\t类别\n好看\t电影\n".encode(), "It looks like tab-separated columns"),
        (json.dumps([CLUENER] * 2).encode(), "with one row a line the reader cluener reads it"),
        (json.dumps([{"instruction": "x", "input": "y", "output": "[]"}]).encode(), "the fields 'instruction', 'input', 'output'"),
        (b"[" * 5000, "no reader reads it"),
        (b"[1, 2", "no reader reads it"),
        (b"[{", "no reader reads it"),
        (lines({"text": "好看", "label": 1}), "'label' must be a string, it is 1."),
        (lines({"text": "长" * 2_000_000}), "no annotation to learn from"),
        (lines({"text": TEXT, "entities": []}), "no entity and no class in its 1 rows"),
        (lines(*({"text": f"{n}", "label": f"{n}"} for n in range(1001))), "1,001 labels"),
        (lines({"text": "好看", "label": " "}), "every label in it is empty"),
    ],
)
def test_a_file_that_nothing_can_be_made_of_is_described_and_nothing_is_written(
    checkout: Path, give: Callable[..., Path], data: bytes, said: str
) -> None:
    before = everything(checkout)
    with pytest.raises(ToolError) as error:
        made(give(data))
    assert said in str(error.value)
    assert (error.value.exit_code, len(str(error.value)) < 6000) == (1, True)
    assert everything(checkout) == before


def test_the_formats_are_shown_with_an_example_each_and_where_to_read_more(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError) as error:
        made(give("今天天气很好。\n".encode()))
    for form in FORMS.values():
        assert form.example in str(error.value)
    assert "docs/own-data.md" in str(error.value)


def test_the_commands_for_lists_and_tables_do_what_they_say(checkout: Path, give: Callable[..., Path]) -> None:
    table = give('标题,类别,n\n"好看, 真的",电影,1\n赢了,007,2\n'.encode(), "my table.csv")
    rows = give(json.dumps([CLUENER] * 2, ensure_ascii=False).encode(), "my list.json")
    for path in (table, rows):
        with pytest.raises(ToolError) as error:
            made(path)
        line = next(line for line in str(error.value).splitlines() if ".venv/train/bin/python" in line)
        command = line[line.index(".venv/train/bin/python") :].replace(".venv/train/bin/python", sys.executable)
        subprocess.run(command.replace("TEXT", "标题").replace("CLASS", "类别"), shell=True, check=True)
    assert guess(table.with_suffix(".jsonl")).reading.classes == {"电影": 1, "007": 1}
    assert guess(rows.with_suffix(".jsonl")).reading.entities == {"PER": 2, "GPE": 2}


def test_two_ways_to_read_a_file_are_a_question_that_the_reader_answers(checkout: Path, give: Callable[..., Path]) -> None:
    path = give(lines(*({"text": f"{TEXT}{n}", "output": f"类{n % 2}", "label": [[0, 2, "PER"], [3, 5, "GPE"]]} for n in range(12))))
    before = everything(checkout)
    with pytest.raises(ToolError, match="its 12 rows can be read in 2 ways") as error:
        made(path)
    assert error.value.exit_code == 2
    for said in (
        "classification: line 1 holds",
        "(0 entities, 12 rows with a class",
        "doccano: line 1 holds `label: ",
        "Choose one, such as --reader classification",
    ):
        assert said in str(error.value)
    assert everything(checkout) == before
    made(path, reader="doccano")
    assert (find_task("toy").kind, find_task("toy").labels) == ("ner", ["PER", "GPE"])


def test_a_reader_that_was_asked_for_and_reads_nothing_is_an_error(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match="no reader reads it"):
        made(give(lines(CLUENER)), reader="doccano")
    with pytest.raises(ToolError, match=r"unknown reader 'cluner'\. Did you mean 'cluener'"):
        made(give(lines(CLUENER)), reader="cluner")


def test_entities_beside_classes_are_a_question_that_the_kind_answers(checkout: Path, give: Callable[..., Path]) -> None:
    choice = {"type": "choices", "value": {"choices": ["好"]}}
    tasks = [{"data": {"text": f"{TEXT}{n}"}, "annotations": [{"result": [*STUDIO["annotations"][0]["result"], choice]}]} for n in range(20)]  # type: ignore[index]
    path = give(json.dumps(tasks).encode())
    with pytest.raises(ToolError, match="40 entities, and 20 rows with a class; what is the task about"):
        made(path)
    assert made(path, kind="ner") == 0
    assert made(path, name="two", kind="classification") == 0
    assert (find_task("toy").labels, find_task("two").labels) == (["PER", "GPE"], ["好"])
    with pytest.raises(ToolError, match="no row has a class"):
        made(give(different(CLUENER)), name="three", kind="classification")


def test_labels_come_most_frequent_first_or_as_they_appear(checkout: Path, give: Callable[..., Path]) -> None:
    path = give(lines(*({"text": f"文{n}", "label": label} for n, label in enumerate("乙甲甲丙丙丙丁"))))
    made(path)
    made(path, name="two", order="first")
    assert find_task("toy").labels == ["丙", "甲", "乙", "丁"]
    assert find_task("two").labels == ["乙", "甲", "丙", "丁"]


ODD = [
    "no",
    "on",
    "1",
    "1e-4",
    ".5",
    "0x1F",
    "inf",
    "~",
    "null",
    "a: b",
    "#h",
    "- x",
    "[x]",
    '"q"',
    "it's",
    "back\\slash",
    "with space",
    "人名",
    "😀",
    "\u3000宽",
]
TROUBLE = ["a,b", "{x}", "{text}", "${x}", "???", "new\nline", "<|im_end|>", " edge", "\ttab", "｛x｝", "edge"]


@pytest.mark.parametrize("kind", ["ner", "classification"])
def test_labels_of_any_kind_survive_the_task_file_the_prompt_and_the_conversion(checkout: Path, give: Callable[..., Path], kind: str) -> None:
    odd = [*ODD, *TROUBLE]
    texts = [(f"第{n}条里的张三", label) for n, label in enumerate(odd * 3)]
    entity = {"text": "张三"}
    rows = [
        {"text": text, "label": label}
        if kind == "classification"
        else {"text": text, "entities": [{**entity, "label": label, "start": len(text) - 2, "end": len(text)}]}
        for text, label in texts
    ]
    assert made(give(lines(*rows))) == 0, "the doctor finds nothing that would damage training"
    task = find_task("toy")
    assert task.labels == odd
    assert all(task.names[label] == label for label in ODD if label == label.strip())
    assert len(set(task.names.values())) == len(odd)
    listed = task.prompt.read_text()
    assert [line[2:] for line in listed.splitlines() if line.startswith("- ")][: len(odd)] == list(task.names.values())
    written = convert(task, checkout / "out")
    assert sum(split.rows for split in written) == len(texts)
    trained = json.loads((checkout / "out/alpaca/alpaca_toy_train.json").read_text())
    assert all(f"\n- {name}\n" in row["input"] for row in trained for name in task.names.values())


def test_what_can_be_no_label_is_left_out_and_said(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["", " ", "\\ud800", "长" * (LONGEST_LABEL + 1)]
    rows = [f'{{"text": "文{n}", "label": "{label}"}}\n' for n, label in enumerate(["好", "坏", *bad] * 4)]
    assert made(give("".join(rows).encode())) == 1, "the doctor lists the rows"
    assert find_task("toy").labels == ["好", "坏"]
    assert "remark: left out, since a label can't be empty" in capsys.readouterr().out


def test_many_labels_and_a_single_one_are_remarked(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    made(give(lines(*({"text": f"文{n}", "label": f"类{n % 101}"} for n in range(202)))))
    assert "remark: 101 labels make a long prompt" in capsys.readouterr().out
    made(give(lines(*({"text": f"文{n}", "label": "类"} for n in range(20)))), name="two")
    assert "remark: one label only: there is nothing to choose from." in capsys.readouterr().out


@pytest.mark.parametrize(
    "value", [*ODD, *TROUBLE, "y", "Yes", "e5", "1_000", "\x7f", "\u2028", "\ufeff", "&a", "*a", "!t", "%", "@", "`", "a #b", "|", ">", "=", "<<"]
)
def test_a_scalar_is_read_back_as_the_text_that_it_was(value: str) -> None:
    omegaconf = importlib.import_module("omegaconf")
    assert list(omegaconf.OmegaConf.create(f"{scalar(value)}: 1")) == [value]
    if "${" not in value and value != "???":
        assert omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(f"- {scalar(value)}")) == [value]
    assert readable(value).isprintable() or "\u3000" in readable(value)


def test_an_encoding_that_isnt_utf8_is_read_and_left_to_the_doctor(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = different(CLUENER).decode()
    for codec, code in (("gb18030", 1), ("utf-16", 1), ("utf-8-sig", 0)):
        assert made(give(text.encode(codec), f"{codec}.jsonl"), name=codec) == code
        assert (find_task(codec).reader, find_task(codec).labels) == ("cluener", ["PER", "GPE"])
        shown = capsys.readouterr().out
        assert (f'next: make check TASK={codec} CONF=conf/tiny-qwen2-{codec}-ner-lora-sft.yaml ARGS="--fix"' in shown) is bool(code)
        assert ("The written files stay" in shown) is bool(code)


def test_the_doctors_page_ends_in_the_commands_that_follow(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert made(give(different(CLUENER)), model="Qwen/Qwen2.5-7B-Instruct") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-3:] == [
        "next: make data TASK=toy",
        "then: make download ARGS=Qwen/Qwen2.5-7B-Instruct",
        "then: make train CONF=conf/Qwen2.5-7B-Instruct-toy-ner-lora-sft.yaml",
    ]
    assert "isn't here yet, so no row was measured" in shown
    assert (checkout / "data/dataset/check/toy/report.json").is_file()


@pytest.mark.parametrize("words", [[], ["toy"], ["--from", "x.jsonl"]])
def test_a_command_without_name_or_file_says_what_it_needs(tool: Callable, words: list[str]) -> None:
    done = tool("new", *words)
    assert (done.returncode, "./ner new NAME --from FILE" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["../x", "a b", "合同", "-x", "x.yaml", "a/b", "x" * 61, "", "a\n"])
def test_a_name_that_cant_be_a_file_everywhere_is_refused(checkout: Path, give: Callable[..., Path], name: str) -> None:
    with pytest.raises(ToolError, match="a task's name is letters, digits"):
        made(give(different(CLUENER)), name=name)


def test_nothing_that_is_there_is_overwritten_and_a_second_call_changes_nothing(checkout: Path, give: Callable[..., Path]) -> None:
    source = give(different(CLUENER))
    assert made(source) == 0
    after = everything(checkout)
    with pytest.raises(ToolError) as error:
        made(source)
    assert error.value.exit_code == 2
    for path in ("conf/task/toy.yaml", "data/prompts/toy_prompt.txt", "conf/tiny-qwen2-toy-ner-lora-sft.yaml", "there already, and kept"):
        assert path in str(error.value)
    assert everything(checkout) == after


@pytest.mark.parametrize(
    "path", ["conf/task/toy.yaml", "data/prompts/toy_prompt.txt", "conf/tiny-qwen2-toy-ner-lora-sft.yaml", "data/dataset/toy.data"]
)
def test_any_one_file_that_is_there_stops_all_of_them(checkout: Path, give: Callable[..., Path], path: str) -> None:
    (checkout / path).parent.mkdir(exist_ok=True)
    (checkout / path).write_text("mine")
    before = everything(checkout)
    with pytest.raises(ToolError, match=f"{path}: there already, and kept"):
        made(give(different(CLUENER)))
    assert everything(checkout) == before


def test_a_full_disk_leaves_nothing(checkout: Path, give: Callable[..., Path]) -> None:
    source = give(different(CLUENER, 2000))
    before = everything(checkout)
    done = subprocess.run(
        [sys.executable, "-m", "tools", "new", "toy", "--from", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr, done.stderr.startswith("error: ")) == (2, False, True), done.stderr
    assert everything(checkout) == before


def test_files_appear_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []

    def second_fails(old: Path, new: Path) -> None:
        moved.append(new)
        if len(moved) == 2:
            raise OSError(28, "No space left on device")
        Path(old).rename(new)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="No space left"):
        write_new({tmp_path / name: "x" for name in "abc"})
    assert len(moved) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_below_the_checkout_is_named_where_it_is_and_another_is_copied(checkout: Path, give: Callable[..., Path]) -> None:
    inside = checkout / "data/dataset/my data: [1:2]${x}.jsonl"
    inside.parent.mkdir()
    inside.write_bytes(different(CLUENER))
    made(inside)
    assert find_task("toy").raw == {"train": str(inside.relative_to(checkout))}
    outside = give(different(CLUENER), "x.jsonl")
    made(outside, name="two")
    assert find_task("two").raw == {"train": "data/dataset/two.jsonl"}
    assert (checkout / "data/dataset/two.jsonl").read_bytes() == outside.read_bytes()
    (checkout / "conf/task/two.yaml").unlink()
    (checkout / "data/prompts/two_prompt.txt").unlink()
    (checkout / "conf/tiny-qwen2-two-ner-lora-sft.yaml").unlink()
    assert made(outside, name="two") == 0, "the same copy is there already"


def test_one_file_is_split_and_two_are_not(checkout: Path, give: Callable[..., Path]) -> None:
    train, dev = give(different(CLUENER), "a.jsonl"), give(lines({"text": "李四", "label": {"PER": {"李四": [[0, 1]]}}}), "b.jsonl")
    made(train)
    task = find_task("toy")
    assert task.split
    assert all(split.rows for split in convert(task, checkout / "out"))
    made(train, name="two", dev=dev)
    assert find_task("two").split is None
    assert find_task("two").raw == {"train": "data/dataset/two.train.jsonl", "dev": "data/dataset/two.dev.jsonl"}
    with pytest.raises(ToolError, match="--from and --dev are one file"):
        made(train, name="three", dev=train)
    with pytest.raises(ToolError, match=r"b\.txt: no reader reads it"):
        made(train, name="three", dev=give(BIO.encode(), "b.txt"))
    with pytest.raises(ToolError, match="elsewhere: is a folder"):
        made(train.parent, name="three")
    assert not list(checkout.rglob("*three*"))


@pytest.mark.parametrize(("count", "share"), [(2, None), (5, None), (12, None), (300, 0.1)])
def test_a_small_file_gives_enough_of_itself_to_dev(checkout: Path, give: Callable[..., Path], count: int, share: float | None) -> None:
    made(give(different(CLUENER, count)))
    task = find_task("toy")
    assert task.split
    assert share in (None, task.split.of["dev"])
    assert sorted(split.name for split in convert(task, checkout / "out") if split.rows) == ["dev", "train"]


def test_a_base_model_is_a_folder_or_a_name_and_the_default_says_so(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source = give(different(CLUENER))
    made(source)
    assert "The run trains the embedded tiny-qwen2" in capsys.readouterr().out
    usual = checkout / "models/Qwen2.5-7B-Instruct"
    copytree(ROOT / "models/tiny-qwen2", usual)
    made(source, name="two")
    assert load_run(Path("conf/Qwen2.5-7B-Instruct-two-ner-lora-sft.yaml")).base_model == "models/Qwen2.5-7B-Instruct"
    for word in ("Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "models/Qwen2.5-7B-Instruct/", str(usual)):
        assert (new_run.base_model(word).name, new_run.base_model(word).hub) == ("Qwen2.5-7B-Instruct", "")
    for word in ("models/nope", "nope", "/", "a/b/c"):
        with pytest.raises(ToolError, match="nor owner/name on a hub"):
            new_run.base_model(word)


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Qwen2.5-7B-Instruct", "qwen"),
        ("Qwen1.5-14B-Chat", "qwen"),
        ("Qwen3-8B", "qwen3"),
        ("Qwen3-4B-Instruct-2507", "qwen3_nothink"),
        ("tiny-qwen2", "qwen"),
    ],
)
def test_the_chat_format_follows_from_the_name(name: str, template: str) -> None:
    assert new_run.template_of(new_run.Base(Path("models") / name), None) == template


@pytest.mark.parametrize("name", ["glm-4-9b-chat", "Qwen2-VL-7B-Instruct", "my-model"])
def test_a_chat_format_that_doesnt_follow_must_be_said(name: str) -> None:
    with pytest.raises(ToolError, match="which chat format"):
        new_run.template_of(new_run.Base(Path("models") / name), None)
    assert new_run.template_of(new_run.Base(Path("models") / name), "glm4") == "glm4"


def test_no_row_is_cut_and_none_is_let_grow_beyond_the_model(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    long = {"text": "长" * 900 + "张三", "entities": [{"label": "PER", "text": "张三", "start": 900, "end": 902}]}
    assert made(give(lines(*({**long, "text": f"{long['text']}{n}"} for n in range(12))))) == 0
    assert load_run(Path("conf/tiny-qwen2-toy-ner-lora-sft.yaml")).values["cutoff_len"] > 900
    assert "tokens, so cutoff_len is" in capsys.readouterr().out
    assert new_run.cutoff_of(673, new_run.base_model("tiny-qwen2")) == 896
    assert new_run.cutoff_of(1900, new_run.base_model("tiny-qwen2")) == 2048


@pytest.fixture(scope="module")
def parser() -> Any:
    return importlib.import_module("llamafactory.hparams.parser")


@pytest.mark.parametrize("model", ["tiny-qwen2", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen3-4B-Instruct-2507"])
@pytest.mark.parametrize("kind", ["ner", "classification"])
def test_llamafactorys_own_parser_takes_the_run_and_the_task_converts(
    checkout: Path, give: Callable[..., Path], parser: Any, kind: str, model: str
) -> None:
    data = different(CLUENER) if kind == "ner" else lines(*({"text": f"文{n}", "label": f"类{n % 3}"} for n in range(12)))
    assert made(give(data), model=model) == 0
    base, short = Path(model).name, "ner" if kind == "ner" else "cls"
    run = load_run(Path(f"conf/{base}-toy-{short}-lora-sft.yaml"))
    source = new_run.TINY_RUN if base == "tiny-qwen2" else new_run.LARGE_NER_RUN
    assert set(run.values) >= set(load_run(source).values) - {"eval_dataset"}, "every knob is stated"
    assert "max_samples" not in run.values
    assert (run.task, run.base_model, str(run.output_dir)) == ("toy", f"models/{base}", f"data/outputs/{base}-toy-{short}-lora-sft")
    parsed, dataset, training, _, _ = parser._parse_train_args({**run.values, "use_cpu": True})
    assert (parsed.model_name_or_path, dataset.dataset, dataset.template) == (run.base_model, ["alpaca_toy_train"], run.values["template"])
    assert Path(training.output_dir) == run.output_dir
    assert sum(split.rows for split in convert(find_task("toy"), checkout / "data/dataset")) == 12
    examples = list(read_examples(find_task("toy").examples("train", checkout / "data/dataset")))
    assert {entity.label for example in examples for entity in example.entities} == ({"PER", "GPE"} if kind == "ner" else set())
    text = run.path.read_text()
    assert not [word for word in ("medical", "ccfbdci", "fudan", "sample_", "2,000", "document", "11,605") if word in text.partition("### model")[2]]


def test_make_calls_it_with_what_was_said() -> None:
    shown = subprocess.run(
        ["make", "-n", "new", "TASK=x", "ARGS=--from 'my file.jsonl' --dev d.jsonl --model a/b --reader bio"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "./ner new x --from 'my file.jsonl' --dev d.jsonl --model a/b --reader bio" in shown


def test_no_reader_is_an_error_of_its_own_with_what_was_tried(give: Callable[..., Path]) -> None:
    with pytest.raises(NoReader) as error:
        guess(give(b"x\n"))
    assert {reading.reader for reading in error.value.readings} == set(FORMS)
