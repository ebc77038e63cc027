from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.overlays import RUNS, SERVE, load_yaml
from tools.conf.run import load_run
from tools.conf.task import TASKS, load_task
from tools.errors import ToolError

RUN = "model_name_or_path: models/x\ndataset: alpaca_toy_train\noutput_dir: data/outputs/run\nlora_rank: 8\nlearning_rate: 1.0e-4\n"


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def test_run_then_overlays_in_order_then_words(run_file: Path, tmp_path: Path) -> None:
    for name, rank in (("one", 16), ("two", 32)):
        (tmp_path / f"{name}.yaml").write_text(f"lora_rank: {rank}\nfrom_{name}: true\n")
    one, two = str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")
    assert load_run(run_file, [one, two]).values["lora_rank"] == 32
    assert load_run(run_file, [two, one]).values["lora_rank"] == 16
    values = load_run(run_file, ["lora_rank=64", one, two]).values
    assert (values["lora_rank"], values["from_one"], values["from_two"]) == (64, True, True)


def test_numbers_are_read_as_llamafactory_reads_them(run_file: Path) -> None:
    assert load_run(run_file, ["learning_rate=5e-5"]).values["learning_rate"] == 5e-5


def test_the_task_of_a_run_is_read_from_its_dataset(run_file: Path) -> None:
    assert load_run(run_file).task == "toy"
    assert load_run(run_file, ["dataset=alpaca_my_task_train"]).task == "my_task"
    with pytest.raises(ToolError, match="doesn't tell the task"):
        _ = load_run(run_file, ["dataset='alpaca_a_train,alpaca_b_train'"]).task


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (RUN + "lora_rank: 9\n", [], r"run\.yaml:6: found duplicate key lora_rank"),
        (RUN + "x: [1\n", [], r"run\.yaml:\d+: "),
        ("- 1\n", [], "must hold `key: value` lines"),
        ("lora_rank: 8\n", [], "`model_name_or_path` is missing"),
        (RUN + "hf_hub_token: abc\n", [], "`hf_hub_token` is a secret"),
        (RUN, ["output_dir=elsewhere/other"], "must end in the run's name"),
        (RUN, ["lora_rank"], "neither key=value nor an overlay"),
        (RUN, ["missing.yaml"], "missing.yaml: no such file"),
        (RUN, ["a=[1"], "not readable as YAML|can't lay"),
        (RUN + "x: ${nowhere}\n", [], "nowhere"),
    ],
)
def test_a_broken_run_is_one_clear_message(tmp_path: Path, text: str, words: list[str], message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        load_run(path, words)


def test_a_missing_run_lists_the_runs_that_are_there_and_no_server_defaults() -> None:
    with pytest.raises(ToolError, match="no such file") as error:
        load_run(Path("conf/nope.yaml"))
    assert "tiny-qwen2-sample-ner-lora-sft.yaml" in str(error.value)
    assert "serve" not in str(error.value)


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
        ({"labels": ["a", "a"]}, "labels stand twice: a"),
        ({"labels": ["a", False]}, "quote what YAML would read"),
        ({"answer": {"lable": "x"}}, "unknown key 'answer.lable'. Did you mean 'label'"),
        ({"answer": {"order": "random"}}, "unknown answer.order 'random'"),
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


def test_every_run_is_named_after_its_file_and_runs_natively() -> None:
    paths = [path for path in RUNS.glob("*.yaml") if not path.name.startswith(SERVE)]
    assert len(paths) >= 4
    for path in paths:
        assert load_run(path).output_dir == Path("data/outputs") / path.stem
        assert "${" not in path.read_text(), "LLaMA-Factory doesn't resolve interpolations"
        sections = [line for line in path.read_text().splitlines() if line.startswith("### ")]
        assert sections == ["### model", "### method", "### dataset", "### output", "### train", "### eval"]


def test_every_task_loads() -> None:
    paths = sorted(TASKS.rglob("*.yaml"))
    assert {path.stem for path in paths} >= {"clue", "sample"}
    for path in paths:
        assert load_task(path).name == path.stem


def test_every_overlay_is_a_mapping() -> None:
    paths = sorted((RUNS / "overlay").rglob("*.yaml"))
    assert paths
    for path in paths:
        assert load_yaml(path)


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
