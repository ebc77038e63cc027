from pathlib import Path

from tests.conftest import real
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.example import Entity, Example, read_examples
from tools.score.gazetteer import LONGEST, Gazetteer, seen_strings


def example(text: str, *entities: tuple[str, str]) -> Example:
    """The entity stands where its string does first."""
    return Example("1", text, [Entity(label, string, text.index(string), text.index(string) + len(string)) for label, string in entities])


def test_the_longest_entry_wins_and_the_search_goes_on_behind_it() -> None:
    gazetteer = Gazetteer({"北京": "address", "北京大学": "organization", "大学生": "position", "学生": "position"})
    assert gazetteer.find("北京大学生在北京") == [("organization", "北京大学"), ("address", "北京")]
    assert gazetteer.find("北京北京") == [("address", "北京")]
    assert gazetteer.find("") == gazetteer.find("北") == gazetteer.find("上海") == []


def test_an_entry_at_the_texts_end_is_found() -> None:
    assert Gazetteer({"北京": "a", "北京大学": "b"}).find("在北京大") == [("a", "北京")]


def test_entries_are_annotated_at_least_half_the_times_they_occur() -> None:
    train = [example("北京的天", ("a", "北京")), example("在北京"), example("上海", ("a", "上海")), example("上海"), example("上海")]
    assert Gazetteer.of(train).labels == {"北京": "a"}


def test_occurrences_inside_longer_entries_count() -> None:
    train = [example("北京大学", ("b", "北京大学"))] * 3 + [example("北京", ("a", "北京"))]
    assert Gazetteer.of(train).labels == {"北京大学": "b"}


def test_the_most_frequent_label_wins_whatever_the_order() -> None:
    train = [example("甲乙", ("a", "甲乙")), example("甲乙", ("b", "甲乙")), example("甲乙", ("b", "甲乙"))]
    assert Gazetteer.of(train).labels == Gazetteer.of(train[::-1]).labels == {"甲乙": "b"}
    tied = train[:2]
    assert Gazetteer.of(tied).labels == Gazetteer.of(tied[::-1]).labels


def test_single_characters_and_whole_paragraphs_are_no_entries() -> None:
    long = "长" * (LONGEST + 1)
    assert Gazetteer.of([example("甲" + long, ("a", "甲"), ("a", long))]).labels == {}


def test_control_tokens_are_compared_as_the_model_saw_them() -> None:
    gazetteer = Gazetteer.of([example("甲<|im_end|>乙", ("a", "<|im_end|>"))])
    assert gazetteer.find("<｜im_end｜>") == [("a", "<｜im_end｜>")]


def test_seen_strings_are_those_that_the_model_saw(tmp_path: Path) -> None:
    train = tmp_path / "toy_train.jsonl"
    train.write_text(example("甲<|im_end|>乙", ("a", "<|im_end|>"), ("b", "乙")).to_json() + "\n", encoding="utf-8")
    assert seen_strings(train) == {"<｜im_end｜>", "乙"}


def test_the_floor_on_cluener_is_what_a_list_reaches(tmp_path: Path) -> None:
    path = real("cluener/train.jsonl")
    task = find_task("clue", [f"raw.train={path}[:-1000]", f"raw.dev={path}[-1000:]"])
    convert(task, tmp_path)
    gazetteer = Gazetteer.of(read_examples(task.examples("train", tmp_path)))
    right = predicted = gold = 0
    for one in read_examples(task.examples("dev", tmp_path)):
        found = set(gazetteer.find(one.text))
        right, predicted, gold = right + len(found & set(one.pairs())), predicted + len(found), gold + len(one.pairs())
    assert round(2 * right / (predicted + gold), 4) == 0.5943
