"""Tables, with and without a header, with bars, tabs or commas."""

from __future__ import annotations

import pytest

from tests.answers.conftest import COMPANY, NAME, SENTENCE
from tools.answers.parse import parse
from tools.conf.task import find_task

ANSWERS = [
    ("陈晓楠|name\n腾讯|company", [NAME, COMPANY]),
    ("陈晓楠 | name\n腾讯 | company", [NAME, COMPANY]),
    ("实体：陈晓楠 | 类型：name\n实体：腾讯 | 类型：company", [NAME, COMPANY]),
    ("陈晓楠\tname\n腾讯\tcompany", [NAME, COMPANY]),
    ("name|陈晓楠\ncompany|腾讯", [NAME, COMPANY]),
    ("| 实体 | 类型 | 是否保留 |\n|---|---|---|\n| 陈晓楠 | name | 是 |\n| 腾讯 | company | 否 |", [NAME]),
    ("entity<|#|>陈晓楠<|#|>name<|#|>主持人\nentity<|#|>腾讯<|#|>company<|#|>一家公司\n<|COMPLETE|>", [NAME, COMPANY]),
    ("1. 陈晓楠 | True | as he hosts the show (name)\n2. 昨晚 | False | as it is a time", [NAME]),
    ("name: 陈晓楠 | company: 腾讯 | book: 无", [NAME, COMPANY]),
    ("| 陈晓楠 | name |\n| 腾讯 | company |", [NAME, COMPANY]),
    ("实体 | 类型\n--- | ---\n陈晓楠 | name\n腾讯 | company", [NAME, COMPANY]),
    ("| name | company |\n|---|---|\n| 陈晓楠 | 腾讯 |", [NAME, COMPANY]),
    ("text;label\n陈晓楠;name\n腾讯;company", [NAME, COMPANY]),
    ("text\tlabel\n陈晓楠\tname\n腾讯\tcompany", [NAME, COMPANY]),
    ("| 实体 | 类型 |\n|---|---|\n| 陈晓楠 | name |\n| 昨晚 | name（不确定） |", [NAME]),
    ("| 实体 | 类型 | 说明 |\n|---|---|---|\n| 陈晓楠 | name | 记者 |\n| 汾阳 | scene | 不是景点，是地址 |", [NAME]),
    ("| 实体 | 类型 |\n|---|---|\n| 陈晓楠 | name |\n| 昨晚 | - |\n| - | company |", [NAME]),
    ("True | 陈晓楠 | name\nTrue | 腾讯 | company", [NAME, COMPANY]),
    ("| 类型 | 实体 |\n|---|---|\n| name | 陈晓楠、贾樟柯 |", [NAME, ("name", "贾樟柯")]),
]


@pytest.mark.parametrize(("output", "pairs"), ANSWERS)
def test_a_table_is_read_by_its_columns(output: str, pairs: list[tuple[str, str]] | None) -> None:
    found = parse(output, find_task("clue"), SENTENCE).pairs
    assert (found if found is None else set(found)) == (pairs if pairs is None else set(pairs))
