"""Raw files stay where they are below the checkout; others are copied; a single file is divided."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.scaffold.conftest import BIO, CLUENER, TEXT, different, everything, lines, made
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.errors import ToolError


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
