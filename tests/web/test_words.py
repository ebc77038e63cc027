"""The page's words."""

import re

import pytest

from tools.conf.task import KINDS
from tools.files import ROOT
from tools.variant import WORDS
from tools.web import words


def test_every_word_stands_in_both_languages_with_the_same_facts() -> None:
    for key, both in words.WORDS.items():
        facts = [set(re.findall(r"\{(\w+)", text)) for text in both]
        assert facts[0] == facts[1] and all(both), key
    used = "".join(path.read_text() for room in ("web", "extract") for path in (ROOT / "tools" / room).glob("*.py") if path.stem != "words")
    assert [key for key in words.WORDS if not re.search(rf'["\x27]{key}["\x27]', used) and key not in KINDS] == []
    assert [words.language_of(accepted) for accepted in ("zh-CN,zh;q=0.9,en", "en-US,zh", "", "de")] == ["zh", "en", "en", "en"]


@pytest.mark.parametrize("variant", [*WORDS, "checkpoint-40"])
def test_every_model_of_a_run_has_words_in_both_languages(variant: str) -> None:
    english, chinese = words.model(variant)
    rest = variant.partition("-")[2]
    assert rest in english and rest in chinese and english != chinese


def test_every_fault_of_a_file_has_words_with_its_values() -> None:
    source = (ROOT / "tools/extract/annotated_file.py").read_text()
    faults = re.findall(r'raise Fault\("(\w+)"(.*)\)', source)
    assert len(faults) > 8
    for key, values in faults:
        wanted = set(re.findall(r"\{(\w+)", words.WORDS[key][0]))
        assert wanted == set(re.findall(r"(\w+)=", values)), key
