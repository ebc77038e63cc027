"""Entities that are marked in the text, tagged word by word, or given by their places."""

from __future__ import annotations

import pytest

from tests.answers.conftest import COMPANY, NAME, OTHER, SENTENCE
from tools.answers.parse import parse
from tools.conf.task import find_task

ANSWERS = [
    ("```xml\n<entities><name>陈晓楠</name><company>腾讯</company></entities>\n```", [NAME, COMPANY]),
    ("<ner><entity><type>name</type><value>陈晓楠</value></entity></ner>", [NAME]),
    ("昨晚{陈晓楠|name}在{腾讯|company}总部采访了导演{贾樟柯|name}", [NAME, COMPANY, OTHER]),
    ("昨晚<陈晓楠:name>在<腾讯:company>总部", [NAME, COMPANY]),
    ("昨晚[name 陈晓楠]在[company 腾讯]总部采访", [NAME, COMPANY]),
    ("昨晚**陈晓楠**(name)在**腾讯**(company)总部", [NAME, COMPANY]),
    ("B-name I-name I-name", None),
    ("昨 O\n晚 O\n陈 B-name\n晓 I-name\n楠 E-name\n在 O\n腾 B-company\n讯 E-company", [NAME, COMPANY]),
    ("昨/O 晚/O 陈/B-name 晓/M-name 楠/E-name 在/O 腾/B-company 讯/E-company", [NAME, COMPANY]),
    ("T1\tname 2 5\t陈晓楠\nT2\tcompany 6 8\t腾讯", [NAME, COMPANY]),
    ("<name>陈晓楠</name>\n<company>腾讯</company>\n<book></book>", [NAME, COMPANY]),
    ("<name>无</name>\n<company>腾讯</company>", [COMPANY]),
    ('<entity name="陈晓楠" type="name" />', [NAME]),
    ("<e label='name'>陈晓楠</e>", [NAME]),
    ("昨晚<name>陈晓楠</name>在<company>腾讯</company>总部采访了导演贾樟柯。", [NAME, COMPANY]),
    ("昨晚【陈晓楠】(name)在【腾讯】(company)总部", [NAME, COMPANY]),
    ("昨晚/O 陈晓楠/name 在/O 腾讯/company 总部/O", [NAME, COMPANY]),
]


@pytest.mark.parametrize(("output", "pairs"), ANSWERS)
def test_marks_in_a_text_are_read(output: str, pairs: list[tuple[str, str]] | None) -> None:
    found = parse(output, find_task("clue"), SENTENCE).pairs
    assert (found if found is None else set(found)) == (pairs if pairs is None else set(pairs))
