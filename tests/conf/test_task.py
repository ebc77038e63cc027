"""Tasks: every problem at once, in words, and what follows from a task's labels."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.task import TASKS, load_task
from tools.errors import ToolError


def test_all_problems_of_a_task_are_shown_at_once(write_task: Callable[..., Path]) -> None:
    path = write_task(labls=["x"], system=None, version="one")
    with pytest.raises(ToolError) as error:
        load_task(path)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "unknown key 'labls'. Did you mean 'labels'?" in lines[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "nre"}, "unknown kind 'nre'. Did you mean 'ner'"),
        ({"offsets": "utf16"}, "unknown offsets 'utf16'. Did you mean 'utf-16'"),
        ({"labels": ["a", "a"]}, "labels stand twice: a"),
        ({"labels": ["a", False]}, "quote what YAML would read"),
        ({"answer": {"lable": "x"}}, "unknown key 'answer.lable'. Did you mean 'label'"),
        ({"answer": {"order": "random"}}, "unknown answer.order 'random'"),
        ({"answer": {"format": "liens"}}, "unknown answer.format 'liens'. Did you mean 'lines'"),
        ({"answer": {"format": "inline"}, "labels": {"PER": "a|b"}}, "`answer.format`: inline can't write the label name 'a|b': a name has no"),
        ({"answer": {"label": "x", "text": "x"}}, "must be different names"),
        ({"raw": "train.jsonl"}, "`raw` must be a mapping"),
    ],
)
def test_a_broken_task_is_one_clear_message(write_task: Callable[..., Path], values: dict, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        load_task(write_task(**values))


def test_a_split_can_be_left_out_by_an_override(write_task: Callable[..., Path]) -> None:
    path = write_task(raw={"train": "a.jsonl", "dev": "b.jsonl"})
    assert load_task(path, ["raw.dev=null"]).raw == {"train": "a.jsonl"}


def test_every_task_loads() -> None:
    paths = sorted(TASKS.rglob("*.yaml"))
    assert {path.stem for path in paths} >= {"clue", "sample"}
    for path in paths:
        assert load_task(path).name == path.stem


def test_labels_may_have_other_names_in_answers(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(labels={"PER": "人名", "ORG": "组织"}))
    assert (task.labels, task.names) == (["PER", "ORG"], {"PER": "人名", "ORG": "组织"})
    assert load_task(write_task(labels=["PER"])).names == {"PER": "PER"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": {"PER": "人名", "NAME": "人名"}}, "names of labels stand twice: 人名"),
        ({"labels": {"PER": 1}}, "every label must be text"),
        ({"labels": "PER"}, "`labels` must be a list, or a mapping"),
        ({"answer": {"label": 1}}, "`answer.label` must be text, this is 1; quote"),
        ({"kind": "cls"}, "unknown kind 'cls'"),
        ({"labels": []}, "`labels` is missing"),
    ],
)
def test_a_task_that_cant_be_meant_is_refused(write_task: Callable[..., Path], values: dict, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        load_task(write_task(**values))


def test_the_answers_first_field_is_the_one_that_the_file_lists_first(write_task: Callable[..., Path]) -> None:
    assert load_task(write_task(answer={"text": "t", "label": "l"})).answer.text_first
    assert not load_task(write_task(answer={"label": "l", "text": "t"})).answer.text_first
    assert not load_task(write_task(answer={"text": "t"})).answer.text_first
    assert not load_task(write_task()).answer.text_first


def test_aliases_and_words_for_nothing_are_read(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(labels={"PER": "人名", "ORG": "组织"}, aliases={"PER": ["姓名", "Person"]}, nothing=["查无实体"]))
    assert (task.aliases, task.nothing) == ({"PER": ["姓名", "Person"]}, ["查无实体"])
    assert {word: task.spellings[word] for word in ("人名", "PER", "姓名", "person")} == {
        "人名": ("PER", ""),
        "PER": ("PER", "file_label"),
        "姓名": ("PER", "label_alias"),
        "person": ("PER", "label_spelling"),
    }
    assert {"查无实体", "无", "none"} <= task.sentinels
    assert load_task(write_task(kind="classification", reader="classification", labels=[], aliases={"Art": ["艺术"]})).aliases == {"Art": ["艺术"]}


def test_a_folded_spelling_of_two_labels_means_neither(write_task: Callable[..., Path]) -> None:
    spellings = load_task(write_task(labels=["IT", "It"])).spellings
    assert (spellings["IT"][0], spellings["It"][0], "it" in spellings) == ("IT", "It", False)


def test_all_problems_of_aliases_are_shown_at_once(write_task: Callable[..., Path]) -> None:
    aliases = {"nmae": ["人名"], "name": ["公司名", "Address"], "company": ["公司名"], "book": "书", "movie": [False]}
    with pytest.raises(ToolError) as error:
        load_task(write_task(aliases=aliases, nothing=["", 3]))
    for message in (
        "`aliases`: unknown label 'nmae'. Did you mean 'name'? Available: address,",
        "`aliases`: 'address' of 'name' is the label 'address' itself.",
        "`aliases`: '公司名' stands twice: for 'name' and for 'company'.",
        "`aliases`: 'book' must have a list of names, this is '书'",
        "`aliases`: 'movie' must have a list of names, this is [False]; quote",
        "`nothing` (entry 1) must be text, and not empty.",
        "`nothing` (entry 2) must be text, this is 3; quote",
    ):
        assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 7
    with pytest.raises(ToolError, match="`aliases` must be a mapping"):
        load_task(write_task(aliases=["x"]))
    with pytest.raises(ToolError, match="`nothing` must be a list"):
        load_task(write_task(nothing="无"))


PUBLISHED = {"model": "m", "split": "dev", "metric": "micro", "f1": 0.5, "source": "a page"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": True}, "`version` must be a whole number, this is True."),
        ({"version": 1.0}, "`version` must be a whole number, this is 1.0."),
        ({"published": [PUBLISHED, {**PUBLISHED, "f1": True}]}, "`published.f1` (entry 2) must be a number, this is True."),
        ({"published": [{**PUBLISHED, "f1": 1.5}]}, "`published.f1` (entry 1) must be less than or equal to 1, this is 1.5."),
        ({"published": [{**PUBLISHED, "f1": float("nan")}]}, "`published.f1` (entry 1) must be a number, this is"),
        ({"published": [{**PUBLISHED, "modle": "m"}]}, "unknown key 'published.modle' (entry 1). Did you mean 'model'?"),
        ({"published": ["x"]}, "`published` (entry 1) must be a mapping, this is 'x'."),
        ({"raw": {"train": None}}, "`raw` names no file; write e.g. `raw: {train: data/dataset/train.jsonl}`."),
        ({"raw": {"train": None, "dev": None}}, "`raw` names no file"),
        ({"raw": {}}, "`raw` is missing."),
        ({"raw": {"train": ""}}, "`raw.train` must be text, and not empty."),
        ({"raw": {"train set": "x"}}, "`raw`: 'train set': a split's name is letters, digits and '-'"),
        ({"raw": {"dev-merged": "x"}}, "`raw`: 'dev-merged': a split's name can't end in '-merged'"),
        ({"raw": {"dev-checkpoint-40": "x"}}, "can't end in '-checkpoint-40'"),
        ({"split": {"dev": True}}, "`split.dev` must be a number, this is True."),
        ({"split": {"dev": 1}}, "`split.dev` must be less than 1, this is 1."),
        ({"split": {"dev": 0.5, "test": 0.5}}, "the shares of `split` add up to 1; less than 1 must be left for the rest."),
        ({"split": {"seed": 1}}, "`split` names no share; write e.g. `split: {dev: 0.1, seed: 42}`."),
        ({"split": {"dev": 0.1, "seed": "x"}}, "`split.seed` must be a whole number, this is 'x'."),
        ({"split": {"train": 0.1}}, "`split`: raw and split both name 'train'."),
        (
            {"split": {"test": 0.1}, "raw": {"train": "a", "dev": "b"}},
            "`split`: divides one raw file, and raw names 2 (train, dev); keep one of the two.",
        ),
        ({"split": {"de v": 0.1}}, "`split`: 'de v': a split's name is letters"),
        ({"path": "x"}, "unknown key 'path'."),
        ({"names": {"a": "b"}}, "unknown key 'names'."),
        ({"system": True}, "`system` must be text, this is True; quote what YAML would read as something else (no, on, 1)."),
        ({"system": ""}, "`system` is missing."),
        ({"kind": ["ner"]}, "unknown kind '['ner']'."),
        ({"prompt": 3}, "`prompt` must be a file's path, this is 3."),
    ],
)
def test_a_value_of_another_kind_is_refused(write_task: Callable[..., Path], values: dict, message: str) -> None:
    with pytest.raises(ToolError) as error:
        load_task(write_task(**values))
    assert message in str(error.value)
    assert str(error.value).startswith(str(write_task()))


@pytest.mark.parametrize(("part", "key"), [("raw", "the key 1"), ("split", "the key 1")])
def test_a_key_that_is_a_number_is_refused(write_task: Callable[..., Path], part: str, key: str) -> None:
    path = write_task()
    path.write_text(path.read_text().replace('"raw": {', f'"{part}": {{1: 0.1}}, "unused": {{' if part == "split" else '"raw": {1: "x", '))
    with pytest.raises(ToolError, match=f"`{part}`: {key} must be text"):
        load_task(path)


def test_problems_of_every_key_are_shown_at_once(write_task: Callable[..., Path]) -> None:
    values = {
        "kind": "nre",
        "raw": {"train": None},
        "version": True,
        "split": {"dev": 2},
        "aliases": {"nmae": ["x"]},
        "answer": {"order": "txt"},
        "lables": 1,
    }
    with pytest.raises(ToolError) as error:
        load_task(write_task(**values))
    lines = str(error.value).splitlines()
    assert len(lines) == 7
    for word in ("lables", "nre", "raw", "version", "split.dev", "nmae", "answer.order"):
        assert sum(word in line for line in lines) >= 1


def test_a_key_that_an_override_takes_away_counts_as_not_given(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(split={"dev": 0.1, "seed": 7}, aliases={"name": ["x"]}), ["split=null", "aliases=null", "on_error=skip"])
    assert (task.split, task.aliases, task.on_error) == (None, {}, "skip")


def test_the_shares_of_a_split_are_all_its_keys_but_the_seed(write_task: Callable[..., Path]) -> None:
    shares = load_task(write_task(split={"dev": 0.1, "seed": 7, "test": 0.2})).split
    assert shares and (shares.of, shares.seed) == ({"dev": 0.1, "test": 0.2}, 7)


def test_a_changed_task_has_labels_and_spellings_of_its_own(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(labels=["PER"]))
    assert (task.labels, "PER" in task.spellings, "查无" in task.sentinels) == (["PER"], True, False)
    changed = task.changed(names={"ORG": "组织"}, nothing=["查无"])
    assert (changed.labels, "PER" in changed.spellings, "组织" in changed.spellings, "查无" in changed.sentinels) == (["ORG"], False, True, True)
    assert task.labels == ["PER"]


def test_a_task_cannot_be_written_to(write_task: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_task(write_task()).version = 2  # type: ignore[misc]


def test_a_field_may_be_a_number(write_task: Callable[..., Path]) -> None:
    assert load_task(write_task(), ["fields.annotator=2", "fields.text=正文"]).fields == {"annotator": "2", "text": "正文"}


def test_a_role_that_no_reader_looks_for_is_named() -> None:
    task = Path("conf/task/sample.yaml")
    assert load_task(task, ["fields.text=正文", "fields.tags=3"]).fields == {"text": "正文", "tags": "3"}
    with pytest.raises(ToolError, match=r"`fields`: no reader looks for 'tekst'. Did you mean 'text'\?"):
        load_task(task, ["fields.tekst=正文"])


def test_only_an_inline_answer_copies_its_text_and_classes_have_any_name(write_task: Callable[..., Path]) -> None:
    assert [load_task(write_task(), [f"answer.format={form}"]).answer.copies_text for form in ("json", "grouped", "lines", "inline")] == [
        False
    ] * 3 + [True]
    path = write_task(kind="classification", reader="classification", labels=["a|b", "c: d"], answer={"format": "inline"})
    assert load_task(path).labels == ["a|b", "c: d"]
