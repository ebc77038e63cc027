"""What all other rows say about a place."""

import os
import subprocess
import sys

from tests.labelling.toy_town import marked, rows
from tools.example import Example
from tools.labelling.string_evidence import NOTHING, Marking, ModelAnswer, StringEvidence


def evidence(*examples: Example) -> StringEvidence:
    return StringEvidence(lambda: iter(examples))


def test_a_strings_places_are_counted_by_how_they_are_annotated() -> None:
    found = evidence(
        marked("a", "《三国》好看", ("book", "《三国》")),
        marked("b", "他读《三国》", ("book", "三国")),
        marked("c", "看《三国》电影", ("movie", "《三国》")),
        marked("d", "没有《三国》"),
    )
    assert dict(found.markings("《三国》")) == {Marking("book"): 1, Marking("book", 1, -1): 1, Marking("movie"): 1, NOTHING: 1}
    # 三国 within a longer entity says nothing about 三国.
    assert dict(found.markings("三国")) == {Marking("book"): 1, NOTHING: 1}


def test_a_place_in_the_middle_of_a_latin_word_or_number_is_no_place_of_the_string() -> None:
    found = evidence(marked("a", "玩DOTA吧", ("game", "DOTA")), marked("b", "DOTA2好玩"), marked("c", "007比2007年好", ("movie", "007")))
    assert dict(found.markings("DOTA")) == {Marking("game"): 1}
    assert [marking for marking, _ in found.markings("007")] == [Marking("movie")]


def test_what_a_row_says_is_no_evidence_about_itself() -> None:
    own = marked("a", "记者采访他", ("name", "记者"))
    others = [marked(str(number), "记者采访他", ("position", "记者")) for number in range(9)]
    [one] = evidence(own, *others).candidates(own, own)
    assert one.now == ("name", 0, 2) and one.doubt is not None
    assert (one.doubt.marking, one.doubt.others, one.doubt.same, one.doubt.share) == (Marking("position"), 9, 0, 0.9)
    [alone] = evidence(own).candidates(own, own)
    assert alone.doubt is None


def test_an_unmarked_place_of_an_entity_and_a_models_answer_are_candidates_that_may_be_missing() -> None:
    bare = Example("a", "林晓去了云岭县", [])
    found = evidence(bare, marked("b", "林晓来了", ("name", "林晓"))).candidates(bare, bare, ModelAnswer({("address", 4, 7): 0.9}))
    assert {(one.key, one.now) for one in found} == {(("name", 0, 2), None), (("address", 4, 7), None)}


def test_a_place_has_one_candidate_and_the_models_comes_before_a_strings() -> None:
    bare = Example("a", "云岭县城", [])
    found = evidence(bare, marked("b", "云岭县好", ("address", "云岭县"))).candidates(bare, bare, ModelAnswer({("name", 0, 4): 0.9}))
    assert [one.key for one in found] == [("name", 0, 4)]


def test_every_candidate_has_as_many_numbers_whatever_is_known() -> None:
    examples = [*rows(20), Example("x", "字", []), marked("y", "林", ("name", "林")), marked("z", "😀\r\n林晓\0", ("name", "林晓\0"))]
    found = evidence(*examples)
    said = ModelAnswer({("name", 0, 1): 0.5})
    lengths = {len(one.vector) for own in examples for answer in (None, said) for one in found.candidates(own, own, answer)}
    assert len(lengths) == 1


def test_the_order_of_the_candidates_doesnt_depend_on_the_process() -> None:
    program = (
        "from tests.labelling.toy_town import rows; from tools.labelling.string_evidence import StringEvidence as E;"
        "examples = rows(60); from dataclasses import replace;"
        "print([one.key for row in examples for one in E(lambda: iter(examples)).candidates(replace(row, entities=[]), row)])"
    )
    said = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in "123"
    }
    assert len(said) == 1 and "address" in said.pop()
