"""The doctor as a whole: each kind of finding on a toy file, the real files' known faults, exit codes, and what is written and printed."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import CELTIC, CELTIC_TEXT, real
from tools.conf.run import load_run
from tools.conf.task import load_task
from tools.data.doctor import findings
from tools.data.doctor.diagnosis import diagnose, open_sources
from tools.data.readers import READERS
from tools.errors import ToolError

LINE = json.dumps(CELTIC, ensure_ascii=False)
OTHER = {"text": "叶老桂去过长滩岛。", "label": {"name": {"叶老桂": [[0, 2]]}, "scene": {"长滩岛": [[5, 7]]}}}


def row(text: str, **labels: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "label": labels}


def rows_in(report: Any) -> dict[str, int]:
    return {name: split["rows"] for name, split in report["splits"].items()}


@pytest.fixture
def task_of(write_task: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A task whose splits have these rows (objects, or bytes as they are)."""

    def write(train: Any, dev: Any = None, **values: Any) -> Path:
        raw = {}
        for split, content in (("train", train), ("dev", dev)):
            if content is not None:
                raw[split] = str(tmp_path / f"{split}.raw")
                lines = b"".join(json.dumps(one).encode() + b"\n" for one in content) if isinstance(content, list) else content
                Path(raw[split]).write_bytes(lines)
        return write_task(**{"raw": raw, **values})

    return write


# ---- files


def test_a_good_file_has_no_errors(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([CELTIC, OTHER]))
    assert (report.code, report["errors"], report.kinds("error")) == (0, 0, set())
    assert report["splits"]["train"] == {
        "rows": 2,
        "bad_rows": 0,
        "entities": 6,
        "pairs": 5,
        "empty_rows": 0,
        "labels": {"organization": 4, "name": 1, "scene": 1},
        "text_lengths": {"9": 1, str(len(CELTIC_TEXT)): 1},
    }


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (LINE.encode("gb18030"), "file-encoding", "GB18030"),
        (LINE.encode("utf-16"), "file-encoding", "UTF-16"),
        (LINE.encode("utf-16-be"), "file-encoding", "UTF-16BE"),
        (LINE.encode("utf-32"), "file-encoding", "UTF-32"),
        (LINE.encode()[:-9], "truncated", "ends in the middle"),
        (LINE.encode() + b"\n" + LINE.encode()[:30], "truncated", "ends in the middle"),
        (LINE.encode() + b"\n" + LINE.encode().replace("凯".encode(), b"\xff\xfe", 1) + b"\n", "encoding", "not UTF-8 at byte"),
        (LINE.encode() + b'\n{"text": }\n', "json", "not JSON"),
        (LINE.encode() + b'\n{"text": 1}\n', "type", "must be a string"),
        (LINE.encode() + '\n{"text": "甲"}\n'.encode(), "unannotated", "isn't annotated"),
        (LINE.encode() + '\n{"text": "甲", "accept": ["乙", "丙"], "answer": "accept"}\n'.encode(), "several", "several classes in 'accept'"),
        (LINE.encode() + '\n{"text": "甲", "spans": [1], "answer": "accept", "_view_id": "ner"}\n'.encode(), "named", "ner.manual"),
        (b"", "no-rows", "no readable row"),
    ],
)
def test_a_file_that_conversion_refuses_is_named_for_what_it_is(task_of: Callable, examine: Callable, content: bytes, kind: str, says: str) -> None:
    report = examine(task_of(content))
    assert report.code == 1
    assert kind in report.kinds("error")
    assert says in report.finding(kind)["examples"][0]["message"]


@pytest.mark.parametrize("codec", ["gb18030", "utf-16", "utf-16-le"])
def test_a_file_in_another_encoding_is_examined_all_the_same(task_of: Callable, examine: Callable, codec: str) -> None:
    report = examine(task_of((LINE + "\n" + json.dumps(row("甲", nmae={"甲": [[0, 0]]}), ensure_ascii=False)).encode(codec)))
    assert rows_in(report) == {"train": 2}
    assert report.lines("unknown-label") == [2]


def test_a_byte_order_mark_is_a_warning(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of(b"\xef\xbb\xbf" + LINE.encode()))
    assert (report.code, report.finding("bom")["count"], rows_in(report)) == (0, 1, {"train": 1})


# ---- rows


@pytest.mark.parametrize(
    ("bad", "kind", "severity", "count"),
    [
        (row("甲乙", name={"丙": [[0, 0]]}), "offsets", "error", 1),
        (row("甲乙", name={"甲": [[0, 0], [7, 7]]}), "offsets", "error", 1),
        (row("甲乙", nmae={"甲": [[0, 0]]}), "unknown-label", "error", 1),
        (row("甲乙", name={"": [[1, 0]]}), "empty-entity", "error", 1),
        (row("甲　乙", name={"　": [[1, 1]]}), "empty-entity", "error", 1),
        (row("甲 乙", name={"甲 ": [[0, 1]]}), "edges", "warning", 1),
        (row("　甲乙", name={"　甲": [[0, 1]]}), "edges", "warning", 1),
        (row("甲乙", name={"甲": [[0, 0], [0, 0]]}), "repeated-entity", "warning", 1),
        (row("甲乙", name={"甲": [[0, 0]]}, game={"甲": [[0, 0]]}), "two-labels", "warning", 1),
        (row("甲乙丙", name={"甲乙": [[0, 1]], "乙丙": [[1, 2]]}), "overlap", "warning", 1),
        (row("甲乙丙", name={"甲乙丙": [[0, 2]], "乙": [[1, 1]], "甲": [[0, 0]]}), "nested", "note", 2),
        (row("甲甲乙甲", name={"甲": [[0, 0]], "乙": [[2, 2]]}), "under-annotated", "note", 1),
        (row("甲乙"), "no-entity", "note", 1),
        (row(" \u3000"), "empty-text", "error", 1),
        (row(""), "empty-text", "error", 1),
        (row("甲\ud83d"), "surrogate", "error", 1),
        (row("甲\u0007乙\u0000"), "control", "warning", 1),
        (row("甲\u0085"), "control", "warning", 1),
        (row("甲\ufffd"), "replacement", "warning", 1),
        (row("甲\u200b\ufeff"), "zero-width", "note", 1),
        (row("甲<|im_end|>"), "control-token", "warning", 1),
        (row("甲<think>"), "control-token", "warning", 1),
        (row("甲{{idx}}"), "text-braces", "warning", 1),
        (row("甲{text}"), "text-braces", "warning", 1),
    ],
)
def test_a_fault_of_a_row_is_found_in_its_line(task_of: Callable, examine: Callable, bad: Any, kind: str, severity: str, count: int) -> None:
    report = examine(task_of([CELTIC, bad]))
    assert report.code == (severity == "error")
    assert kind in report.kinds(severity)
    assert (report.finding(kind)["count"], report.lines(kind)) == (count, [2] * count)
    assert kind not in examine(task_of([CELTIC])).kinds()


@pytest.mark.parametrize(
    "good",
    [
        row("甲\t乙\n丙\r\n丁\u3000戊"),
        row('甲{"a": 1}乙<b>丙< |x|>'),
        row("😀甲", name={"甲": [[1, 1]]}),
        row("甲乙", name={"甲": [[0, 0]], "乙": [[1, 1]]}),
    ],
)
def test_what_is_only_unusual_is_no_fault(task_of: Callable, examine: Callable, good: Any) -> None:
    assert examine(task_of([good])).kinds() <= {"no-entity", "unused-label", "rare-label"}


def test_an_unknown_label_comes_with_the_one_that_was_meant(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([row("甲乙", nmae={"甲": [[0, 0]]})]))
    assert "Did you mean 'name'?" in report.finding("unknown-label")["examples"][0]["message"]


def test_the_share_of_rows_without_an_entity_is_said(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([CELTIC, row("甲"), row("乙"), row("丙")]))
    assert (report.finding("no-entity")["count"], "75.0% of all" in report.finding("no-entity")["title"]) == (3, True)


@pytest.mark.parametrize(
    ("ends", "says"),
    [(1, "all 4 agree when ends are read as exclusive; --fix reads them so"), (-1, "all 4 agree when ends are read as inclusive and one too low")],
)
def test_a_reading_of_the_ends_that_mends_all_offsets_is_said_with_the_count(task_of: Callable, examine: Callable, ends: int, says: str) -> None:
    spans = {text: [[start, end + ends] for start, end in found] for text, found in CELTIC["label"]["organization"].items()}  # type: ignore[index]
    report = examine(task_of([row(CELTIC_TEXT, organization=spans)]))
    assert report.finding("offsets")["count"] == 4
    assert says in report.finding("offsets")["advice"]


def test_inclusive_ends_in_a_format_with_exclusive_ones_are_told(task_of: Callable, examine: Callable) -> None:
    entities = [{"start_idx": s, "end_idx": e, "entity_text": CELTIC_TEXT[s : e + 1], "entity_label": "name"} for s, e in ((0, 3), (5, 7), (12, 12))]
    report = examine(task_of([{"text": CELTIC_TEXT, "entities": entities}], reader="ccfbdci"))
    assert "all 3 agree when ends are read as inclusive;" in report.finding("offsets")["advice"]
    assert "empty-entity" not in report.kinds()


def test_a_reading_that_mends_some_is_said_to_mend_some(task_of: Callable, examine: Callable) -> None:
    shifted = row("甲乙丙丁", name={"甲乙": [[1, 2]], "丙丁": [[3, 4]], "戊": [[0, 0]]})
    assert "2 of 3 agree when 1 is taken" not in examine(task_of([shifted])).finding("offsets")["advice"]
    assert (
        "2 of 3 agree when offsets are counted from 1; 0 others are right as they are; --fix looks for each string"
        in examine(task_of([shifted])).finding("offsets")["advice"]
    )


def test_repairs_of_a_reader_are_warnings(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of("甲 B-name\n乙 I-game\n丙 O\n".encode(), reader="bio"))
    assert (report.code, report.finding("repaired")["count"]) == (0, 1)
    assert "line 2: I-game continues name" in report.finding("repaired")["examples"][0]["message"]


# ---- classification


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"text": "甲", "category": ["Art", "Law"], "output": "Sport"}, "class"),
        ({"text": "甲", "output": "Art"}, "class"),
        ({"text": "甲", "category": ["Art", "Art"], "output": "Art"}, "options-repeat"),
        ({"text": "甲", "category": ["Art", "Law"], "output": "Art"}, "unused-label"),
        ({"text": "甲", "category": ["\ud800", "Law"], "output": "Law"}, "surrogate"),
    ],
)
def test_a_fault_of_a_class_is_found(task_of: Callable, examine: Callable, bad: Any, kind: str) -> None:
    good = {"text": "乙", "category": ["Art"], "output": "Art"}
    values = {"kind": "classification", "reader": "classification", "labels": []}
    assert kind in examine(task_of([good, bad], **values)).kinds()
    assert kind not in examine(task_of([good], **values)).kinds()


def test_classes_are_held_against_the_tasks_labels(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([{"text": "乙", "output": "art"}], kind="classification", reader="classification", labels=["Art", "Law"]))
    assert report.finding("unknown-label")["count"] == 1
    assert {example["message"].split(":")[0] for example in report.finding("unused-label")["examples"]} == {"Art", "Law"}


def test_a_row_of_the_other_kind_of_task_is_an_error(task_of: Callable, examine: Callable) -> None:
    assert examine(task_of([{"text": "乙", "label": "Art"}], reader="jsonl")).finding("wrong-kind")["count"] == 1
    entities = {"text": "乙", "entities": []}
    assert examine(task_of([entities], reader="jsonl", kind="classification")).finding("wrong-kind")["count"] == 1


# ---- all rows together


def test_labels_that_training_lacks_are_told(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([row(f"甲{n}", name={"甲": [[0, 0]]}) for n in range(10)] + [OTHER], [row("乙", game={"乙": [[0, 0]]})]))
    assert report.finding("unused-label")["count"] == 7
    assert [example["message"] for example in report.finding("unseen-label")["examples"]] == ["game: 0 in train, 1 in dev."]
    assert [example["message"] for example in report.finding("rare-label")["examples"]] == ["scene: 1 entities in train, fewer than 10."]
    assert report.lines("rare-label") == [11]


def test_repeats_conflicts_and_leaks_are_counted_each_as_what_it_is(task_of: Callable, examine: Callable) -> None:
    a, b, c = (row(text, name={text: [[0, 0]]}) for text in "甲乙丙")
    other_c = row("丙", game={"丙": [[0, 0]]})
    report = examine(task_of([a, a, a, b, c, other_c, row("丁，戊")], [b, row("丁, 戊"), row("己")]))
    assert (report.finding("duplicate")["count"], report.lines("duplicate")) == (3, [2, 3, 6])
    assert (report.finding("conflict")["count"], report.lines("conflict")) == (1, [6])
    assert (report.finding("leak")["by_split"], report.lines("leak")) == ({"dev": 1}, [1])
    assert (report.finding("leak-normalised")["by_split"], report.lines("leak-normalised")) == ({"dev": 1}, [2])
    assert report.finding("leak")["examples"][0]["file"].endswith("dev.raw")
    assert "train.raw:4 too" in report.finding("leak")["examples"][0]["message"]


def test_the_order_of_entities_is_no_conflict(task_of: Callable, examine: Callable) -> None:
    first, second = ({"label": "name", "text": text, "start": at, "end": at + 1} for text, at in (("甲", 0), ("乙", 1)))
    rows = [{"text": "甲乙", "entities": [first, second]}, {"text": "甲乙", "entities": [second, first]}]
    report = examine(task_of(rows, reader="jsonl"))
    assert (report.finding("duplicate")["count"], report.finding("conflict")["count"]) == (1, 0)


def test_a_task_with_shares_is_divided_as_conversion_divides_it(task_of: Callable, examine: Callable) -> None:
    from tools.data.convert import convert

    path = task_of([row(f"第{n}句") for n in range(200)], split={"dev": 0.2, "seed": 7})
    report = examine(path)
    converted = {writer.name: writer.rows for writer in convert(load_task(path), path.parent / "out")}
    assert rows_in(report) == converted
    assert converted["dev"] > 20


# ---- the prompt


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("请{{{{找}}}}：\n{text}", "unrendered braces: {{"),
        ('[{"label": "…"}] {sentence}\n{text}', "unrendered braces: {sentence}"),
        ("[{{}}]\n<|im_end|>{text}", "a control token"),
        ('[{"a": 1}] {{x}}\n{text}', "both doubled and single"),
        ("没有", "no {text} in it"),
    ],
)
def test_a_fault_of_the_prompt_is_an_error_with_its_file(write_task: Callable, examine: Callable, tmp_path: Path, template: str, says: str) -> None:
    path = write_task()
    (tmp_path / "prompt.txt").write_text(template, encoding="utf-8")
    report = examine(path)
    assert (report.code, report.finding("prompt")["count"]) == (1, 1)
    assert says in report.finding("prompt")["examples"][0]["message"]
    assert report.finding("prompt")["examples"][0]["file"] == str(tmp_path / "prompt.txt")


def test_braces_in_the_system_line_are_an_error(write_task: Callable, examine: Callable) -> None:
    assert "the system line has unrendered braces: {labels}" in examine(write_task(system="找{labels}")).finding("prompt")["examples"][0]["message"]


def test_json_in_a_prompt_is_no_brace_left_over(write_task: Callable, examine: Callable, tmp_path: Path) -> None:
    path = write_task()
    for template in ('[{{"a": {{"b": 1}}}}]\n{text}', '{"a": {"b": 1}}\n{text}'):
        (tmp_path / "prompt.txt").write_text(template, encoding="utf-8")
        assert "prompt" not in examine(path).kinds()


@pytest.mark.parametrize("conf", sorted(Path("conf/task").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_prompts_of_this_repository_have_no_fault(conf: Path) -> None:
    from tools.data.doctor.prompt_faults import prompt_faults

    render, found = prompt_faults(load_task(conf))
    assert (render is not None, found) == (True, [])


# ---- token lengths


TINY = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")


def test_rows_longer_than_cutoff_len_are_errors_and_a_value_that_holds_them_is_suggested(
    task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0] * len(row["input"]), [0] * len(row["output"])))
    path = task_of([OTHER, CELTIC, row("甲")])
    assert "cutoff" not in examine(path, run=load_run(TINY, ["cutoff_len=300"])).kinds()
    report = examine(path, run=load_run(TINY, ["cutoff_len=200"]))
    longest = max(map(int, report["splits"]["train"]["token_lengths"]))
    assert (report.code, report.finding("cutoff")["count"], report.lines("cutoff")) == (1, 1, [2])
    assert f"cutoff_len: {-(-longest // 8) * 8}" in report.finding("cutoff")["advice"]
    assert (report["cutoff_len"], report["longest"]) == (200, longest)


def test_packing_holds_one_token_less(task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0] * 150, [0] * 50))
    path = task_of([CELTIC])
    assert "cutoff" not in examine(path, run=load_run(TINY, ["cutoff_len=200"])).kinds()
    report = examine(path, run=load_run(TINY, ["cutoff_len=200", "neat_packing=true"]))
    assert "cutoff_len: 208" in report.finding("cutoff")["advice"]


def test_a_row_that_no_tokenizer_takes_is_not_measured(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([row("第一句"), row("\ud800")]), run=load_run(TINY))
    assert sum(report["splits"]["train"]["token_lengths"].values()) == 1


def test_an_answer_that_evaluation_would_cut_is_a_warning(task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0], [0] * (513 if "长" in row["input"] else 512)))
    report = examine(task_of([row("短"), row("长")]), run=load_run(TINY, ["cutoff_len=600"]))
    assert (report.lines("long-answer"), report.kinds("error")) == ([2], set())


def test_an_answer_that_copies_its_text_may_be_as_long_as_a_row(task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0], [0] * 513))
    for form, lines in (("lines", [1]), ("inline", [])):
        assert examine(task_of([row("长")], answer={"format": form}), run=load_run(TINY, ["cutoff_len=600"])).lines("long-answer") == lines


def test_entities_that_cross_are_an_error_where_answers_mark_the_text(task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0], [0]))
    rows = [row("甲乙丙", name={"甲乙": [[0, 1]], "乙丙": [[1, 2]]}), row("丁戊己", name={"丁戊己": [[0, 2]]}, game={"戊": [[1, 1]]})]
    report = examine(task_of(rows, answer={"format": "inline"}), run=load_run(TINY), fix=True)
    assert (report.code, report.kinds("error"), report.lines("crossing"), report.finding("crossing")["count"]) == (1, {"crossing"}, [1], 1)
    assert examine(task_of(rows)).kinds("error") == set()


def test_a_row_longer_than_the_base_model_reads_is_no_matter_of_cutoff_len(
    task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 100}')
    monkeypatch.setattr("tools.chat.token_ids.trained_ids", lambda run: lambda row: ([0] * (200 if "长" in row["input"] else 90), [0] * 10))
    report = examine(task_of([row("短"), row("长")]), run=load_run(TINY, ["cutoff_len=128", f"model_name_or_path={tmp_path}"]))
    assert (report.lines("positions"), report.lines("cutoff")) == ([2], [2])
    assert "reads 100 at most" in report.finding("cutoff")["advice"]
    assert "cutoff_len: " not in report.finding("cutoff")["advice"]


def test_a_missing_tokenizer_is_a_wrong_command(tool: Callable, write_task: Callable, tmp_path: Path) -> None:
    words = ["--conf", TINY, "--args", f"model_name_or_path={tmp_path}/nowhere"]
    done = tool("check", write_task(), *words, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert not (tmp_path / "out").exists()


def test_with_a_run_alone_its_own_task_is_checked(tool: Callable, tmp_path: Path) -> None:
    done = tool("check", "--conf", TINY, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "out/sample/report.json").read_text())
    assert (report["task"], report["run"], rows_in(report)) == ("sample", TINY.stem, {"train": 2000, "dev": 300})
    assert sum(report["splits"]["train"]["token_lengths"].values()) == 2000


# ---- the rest of the project


def prompt_file(folder: Path, text: str) -> str:
    (folder / "own_prompt.txt").write_text(text, encoding="utf-8")
    return str(folder / "own_prompt.txt")


def test_a_label_that_the_prompt_does_not_show_is_a_warning(task_of: Callable, examine: Callable, tmp_path: Path) -> None:
    stale = prompt_file(tmp_path, "找出 name：\n{text}")
    report = examine(task_of([CELTIC], labels=["name", "organization"], prompt=stale))
    assert [example["message"].split(":")[0] for example in report.finding("unshown-label")["examples"]] == ["organization"]
    assert "unshown-label" not in examine(task_of([CELTIC], labels=["name", "organization"], prompt=stale, system="也找 organization")).kinds()
    assert "unshown-label" not in examine(task_of([CELTIC])).kinds()


@pytest.mark.parametrize(
    ("prompt", "kinds"),
    [("{text}", {"unshown-option"}), ("{options}\n{text}", {"option-separator"}), ("甲, 乙丙\n{text}", set())],
)
def test_options_are_compared_with_the_prompt(task_of: Callable, examine: Callable, tmp_path: Path, prompt: str, kinds: set[str]) -> None:
    rows = [{"text": "第一句", "category": ["甲, 乙", "丙"], "output": "丙"}]
    path = task_of(rows, kind="classification", reader="classification", labels=[], prompt=prompt_file(tmp_path, prompt))
    assert examine(path).kinds() & {"unshown-option", "option-separator", "unshown-label"} == kinds


def test_a_label_with_the_separator_in_it_looks_like_two_where_labels_are_listed(task_of: Callable, examine: Callable, tmp_path: Path) -> None:
    labels = ["name", "organization, club"]
    assert "option-separator" in examine(task_of([row("甲")], labels=labels)).kinds("warning")
    written = prompt_file(tmp_path, "- name\n- organization, club\n{text}")
    assert "option-separator" not in examine(task_of([row("甲")], labels=labels, prompt=written)).kinds()


def test_labels_that_differ_only_in_case_width_or_spaces_are_a_warning(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([row("甲乙", name={"甲": [[0, 0]]}, Name={"乙": [[1, 1]]})], labels=["name", "Name", "game"]))
    assert [example["message"] for example in report.finding("similar-labels")["examples"]] == ["'name' 1 times, 'Name' 1 times."]


def test_files_of_a_split_that_is_gone_are_an_error_where_their_texts_are_trained_on(
    task_of: Callable, examine: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.data.doctor.split_faults.DATASET", tmp_path)
    (tmp_path / "examples").mkdir()
    old = tmp_path / "examples/toy_test.jsonl"
    old.write_text(
        '{"id": "toy-test-000001", "text": "甲", "entities": []}\n{"id": "toy-test-000002", "text": "乙", "entities": []}\n', encoding="utf-8"
    )
    report = examine(task_of([row("甲"), row("丙")]))
    assert report.finding("left-over-leak")["examples"][0]["message"] == "test: 1 of its 2 texts stand in the training split now."
    assert f"rm {old}" in report.finding("left-over-leak")["advice"]
    assert examine(task_of([row("丙")])).kinds("warning") >= {"left-over"}
    assert not {"left-over", "left-over-leak"} & examine(task_of([row("甲")], raw={"train": str(tmp_path / "train.raw"), "test": str(old)})).kinds()


def test_the_same_answer_at_another_place_is_a_repeat_and_no_conflict(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([row("甲乙甲", name={"甲": [[0, 0]]}), row("甲乙甲", name={"甲": [[2, 2]]})]))
    assert ("conflict" in report.kinds(), report.finding("duplicate")["count"]) == (False, 1)


def test_a_file_that_speaks_against_its_offsets_is_an_error_with_the_answer(
    task_of: Callable, examine: Callable, capsys: pytest.CaptureFixture
) -> None:
    rows = [{"text": f"😀，{name}，来了", "label": [[3, 5, "name"]]} for name in ("林晓", "何远", "方舟")]
    report = examine(path := task_of(rows, reader="doccano"))
    found = report.finding("offset-reading")
    assert (report.code, report.lines("offset-reading")) == (1, [1, 1, 2])
    assert "'晓，' as code-points, '林晓' as utf-16" in found["examples"][1]["message"]
    assert f"Write offsets: utf-16 in {path}" in found["advice"]
    assert capsys.readouterr().out.splitlines()[-1] == f"next: write offsets: utf-16 in {path}, then ./ner check {path}"
    assert "offset-reading" not in examine(path, "offsets=utf-16").kinds()


def test_what_a_reader_doubts_is_a_warning_with_its_place(task_of: Callable, examine: Callable) -> None:
    report = examine(task_of([{"text": "😀我和林晓去玩", "label": [[3, 5, "name"]]}], reader="doccano"))
    assert "nothing in the file tells" in report.finding("doubt")["examples"][0]["message"]
    assert (report.code, "doubt" in report.kinds("warning")) == (0, True)


# ---- the command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["raw.train=/nowhere/x.jsonl"], "/nowhere/x.jsonl: no such file"),
        (["reader=cluner"], "unknown reader 'cluner'. Did you mean 'cluener'?"),
        (["prompt=nowhere.txt"], "nowhere.txt: no such file"),
        (["--conf", "conf/nowhere.yaml"], "conf/nowhere.yaml: no such file"),
        (["--conf", str(TINY), "--args", "cutoff_len=abc"], "cutoff_len must be a whole number above 0"),
    ],
)
def test_a_wrong_command_is_exit_code_2_and_writes_nothing(
    tool: Callable, write_task: Callable, tmp_path: Path, words: list[str], message: str
) -> None:
    done = tool("check", write_task(), *words, "--out", tmp_path / "out")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_command_without_a_task_lists_the_tasks(tool: Callable) -> None:
    done = tool("check")
    assert (done.returncode, "conf/task/clue.yaml" in done.stderr) == (2, True)


def test_the_table_shows_the_worst_first_with_place_and_next_command(tool: Callable, task_of: Callable, tmp_path: Path) -> None:
    path = task_of([CELTIC, row("甲甲", name={"甲": [[0, 0]]}), row("乙", name={"丙": [[0, 0]]})])
    done = tool("check", path, "--out", tmp_path / "out")
    lines = done.stdout.splitlines()
    severities = [line.split()[0] for line in lines if line.startswith(("error", "warning", "note"))]
    assert done.returncode == 1
    assert lines[0].startswith("toy train: 3 rows, 6 entities, 5 unique (label, string) pairs, 0 rows without an entity")
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert set(severities) == {"error", "warning", "note"}
    assert any(line.startswith("error") and line.endswith("train.raw:3") for line in lines)
    assert f"1 errors, 10 warnings → {tmp_path / 'out/toy/report.json'}" in lines
    assert lines[-1].startswith(f"next: ./ner check {path} --fix")


def test_without_errors_conversion_is_next(tool: Callable, tmp_path: Path) -> None:
    done = tool("check", "conf/task/sample.yaml", "raw.dev=null", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == 'next: make data TASK=sample ARGS="raw.dev=null"'


def test_messages_show_no_character_that_a_terminal_would_obey(tool: Callable, task_of: Callable, tmp_path: Path) -> None:
    path = task_of([row("甲\u001b[2J\u202e\ud800", **{"\u001b\ud800": {"甲": [[0, 0]]}})])
    done = tool("check", path, "--out", tmp_path / "out", env={"PYTHONUTF8": "1"})
    assert (done.returncode, "\u001b" in done.stdout, "\u202e" in done.stdout) == (1, False, False)
    assert json.loads((tmp_path / "out/toy/report.json").read_text())["errors"] > 0


def test_pictures_are_drawn_from_the_reports_counts(task_of: Callable, examine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    plots = pytest.importorskip("tools.data.doctor.plots")
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "draw", lambda *words: drawn.append(words) or [])  # type: ignore[func-returns-value]
    report = examine(task_of([CELTIC]), plots=True)
    stats, out, cutoff_len = drawn[0]
    assert json.loads(json.dumps(stats)) == report["splits"]
    assert (out.name, cutoff_len) == ("toy", None)


def test_the_raw_files_are_left_as_they_are(task_of: Callable, examine: Callable, tmp_path: Path) -> None:
    path = task_of(LINE.encode("gb18030"))
    examine(path, fix=True)
    assert (tmp_path / "train.raw").read_bytes() == LINE.encode("gb18030")


# ---- any number of rows, any bytes


def test_what_is_kept_does_not_grow_with_the_faults(task_of: Callable, tmp_path: Path) -> None:
    def kept(rows: int) -> tuple[int, int]:
        bad = [row(f"甲{n}", **{f"label{n}": {"乙": [[0, 0]]}}) for n in range(rows)]
        task = load_task(task_of(bad))
        diagnosis = diagnose(task, *open_sources(task, tmp_path))
        counts = diagnosis.splits.counts["train"]
        assert diagnosis.findings.count("offsets") == diagnosis.findings.count("unknown-label") == counts.labels.total() == rows
        examples = max(len(finding["examples"]) for finding in diagnosis.findings.report())
        return examples, max(len(counts.labels), len(diagnosis.splits.first), len(diagnosis.splits.offered))

    assert kept(1200) == kept(2400)
    assert kept(1200)[0] == findings.EXAMPLES


@pytest.mark.parametrize("reader", sorted(READERS))
@settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_end_in_a_report_or_in_a_message(task_of: Callable, examine: Callable, reader: str, data: st.DataObject) -> None:
    pieces = ['{"text": "', "甲乙", "\\ud800", '"', ', "label": ', '{"name": {"', ": [[0, 0]]", "}", "[0, 1, ", "]", "\n", "甲 B-name", "\0"]
    piece = st.sampled_from([one.encode() for one in pieces])
    content = b"".join(data.draw(st.lists(st.one_of(piece, st.binary(max_size=8)), max_size=30)))
    try:
        report = examine(task_of(content, reader=reader), fix=True)
    except ToolError as fault:
        assert re.search("its encoding isn't clear|the compressed file is damaged", str(fault))
    else:
        assert report.code in (0, 1)


# ---- the real files


def test_cluener_has_the_known_faults(examine: Callable) -> None:
    report = examine(Path("conf/task/clue.yaml"), f"raw.train={real('cluener/train.jsonl')}", "raw.dev=null")
    split = report["splits"]["train"]
    assert (split["rows"], split["entities"], split["pairs"], split["empty_rows"]) == (10748, 23971, 23338, 0)
    assert (min(map(int, split["text_lengths"])), max(map(int, split["text_lengths"]))) == (2, 50)
    assert (report.code, report.kinds()) == (0, {"two-labels", "nested", "under-annotated"})
    assert report.lines("two-labels") == [202, 2794, 5615, 7042]
    assert set(report.lines("nested")) == {1507}
    assert report.finding("under-annotated")["count"] == 504


def test_cluener_with_exclusive_ends_is_told_so(examine: Callable, tmp_path: Path) -> None:
    shifted = tmp_path / "exclusive.jsonl"
    with open(real("cluener/train.jsonl"), encoding="utf-8") as lines, open(shifted, "w", encoding="utf-8", newline="\r\n") as out:
        for _, line in zip(range(300), lines, strict=False):
            one = json.loads(line)
            one["label"] = {k: {s: [[a, b + 1] for a, b in spans] for s, spans in v.items()} for k, v in one["label"].items()}
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
    report = examine(Path("conf/task/clue.yaml"), f"raw.train={shifted}", "raw.dev=null", fix=True)
    count = report.finding("offsets")["count"]
    assert count == report["splits"]["train"]["entities"] > 300
    assert f"all {count} agree when ends are read as exclusive" in report.finding("offsets")["advice"]
    mended = [json.loads(line) for line in (tmp_path / "check/clue/train.mended.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(mended) == 300
    assert all(one["text"][e["start"] : e["end"]] == e["text"] for one in mended for e in one["entities"])


def test_chinese_medical_has_the_known_repeats_and_leaks(examine: Callable) -> None:
    raw = [f"raw.train={real('chinese_medical/medical_train.txt')}", f"raw.dev={real('chinese_medical/medical_eval.txt')}"]
    report = examine(Path("conf/task/medical.yaml"), *raw)
    assert rows_in(report) == {"train": 5259, "dev": 657}
    assert [split["entities"] for split in report["splits"].values()] == [12634, 1620]
    assert report.finding("duplicate")["by_split"] == {"train": 58, "dev": 2}
    assert report.finding("leak")["by_split"] == {"dev": 9}
    assert report.finding("conflict")["by_split"] == {"train": 13, "dev": 1}
    # U+3000 is text, and so are full-width digits.
    assert report.kinds() == {"conflict", "leak", "duplicate", "under-annotated"}


def test_ccfbdci_has_the_known_repeats_and_conflicts(examine: Callable) -> None:
    report = examine(Path("conf/task/ccfbdci.yaml"), f"raw.train={real('ccfbdci/ccfbdci.jsonl')}")
    assert (sum(rows_in(report).values()), report.finding("duplicate")["count"], report.finding("conflict")["count"]) == (15724, 1237, 4)
    assert "161 texts" in report.finding("duplicate")["title"]
    assert (report.finding("no-entity")["count"], "63.2%" in report.finding("no-entity")["title"]) == (9943, True)
    assert report.finding("leak")["count"] == 0
    labels = [report["splits"][split]["labels"] for split in ("train", "dev")]
    assert {label: sum(one[label] for one in labels) for label in labels[0]} == {"GPE": 4586, "PER": 3995, "ORG": 3085, "LOC": 915}


def test_resume_is_clean_but_for_its_rows_without_an_entity(examine: Callable, write_task: Callable) -> None:
    path = write_task(
        raw={"train": str(real("resume/dev.char.bmes"))}, reader="bio", labels=["NAME", "CONT", "RACE", "TITLE", "EDU", "ORG", "PRO", "LOC"]
    )
    report = examine(path)
    assert (rows_in(report), report["splits"]["train"]["entities"], report.finding("repaired")["count"]) == ({"train": 463}, 1497, 0)
    assert (report.code, report.finding("no-entity")["count"]) == (0, 25)


def test_fudan_rows_without_an_answer_are_unannotated(examine: Callable) -> None:
    raw = real("fudan_news/argonautz_notebook_10_rows.jsonl")
    report = examine(Path("conf/task/fudan.yaml"), f"raw.train={raw}", "raw.dev=null")
    assert (report.code, report.finding("unannotated")["count"], report.kinds("error")) == (1, 10, {"unannotated", "no-rows"})


def test_python_reprs_in_json_are_said_not_to_be_what_the_reader_reads(examine: Callable, write_task: Callable) -> None:
    report = examine(write_task(raw={"train": str(real("chinese_medical/eval_dataset.json"))}, reader="label_studio"))
    assert (report.code, rows_in(report)) == (1, {"train": 0})
