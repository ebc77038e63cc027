"""Answers in values of any arrangement: what they assert is read, what they list as rejected is not."""

from __future__ import annotations

import pytest

from tests.answers.conftest import COMPANY, MOVIE, NAME, OTHER, PLACE, SENTENCE
from tools.answers.parse import parse
from tools.conf.task import find_task

ANSWERS = [
    ("{name: [陈晓楠, 贾樟柯], movie: [《山河故人》]}", [NAME, OTHER, MOVIE]),
    ('{"spans": [{"start": 2, "end": 5, "label": "name"}], "text": "{S}"}'.replace("{S}", SENTENCE), [NAME]),
    ('{"text": "{S}", "entities": [[2, 5, "name"], [6, 8, "company"]]}'.replace("{S}", SENTENCE), [NAME, COMPANY]),
    ("('{S}', {'entities': [(2, 5, 'name'), (6, 8, 'company')]})".replace("{S}", SENTENCE), [NAME, COMPANY]),
    ('{"人名": {"陈晓楠": {"start": 2}}, "公司": {"腾讯": {}}}', [NAME, COMPANY]),
    ('{"陈晓楠": ["name"], "腾讯": ["company"]}', [NAME, COMPANY]),
    ('[{"name": ["陈晓楠", "贾樟柯"]}, {"company": ["腾讯"]}]', [NAME, OTHER, COMPANY]),
    ('{"name": "陈晓楠、贾樟柯", "company": "腾讯", "book": null}', [NAME, OTHER, COMPANY]),
    ('{"results": [{"entity": "陈晓楠", "label": {"name": 0.98}}]}', [NAME]),
    ('[["陈晓楠", "name", 0.99], ["腾讯", "company", 0.4]]', [NAME, COMPANY]),
    ('("陈晓楠", "name")\n("腾讯", "company")', [NAME, COMPANY]),
    ('{"entity_list": [{"entity_text": "陈晓楠", "entity_type": "name", "start_pos": 2}]}', [NAME]),
    ('"陈晓楠" is a name; "腾讯" is a company.', [NAME, COMPANY]),
    ("[('昨','O'),('晚','O'),('陈','B-name'),('晓','I-name'),('楠','I-name'),('在','O')]", [NAME]),
    ('{"tokens": ["陈","晓","楠"], "tags": ["B-name","I-name","I-name"]}', [NAME]),
    ('[{"token": "陈", "tag": "B-name"}, {"token": "晓", "tag": "I-name"}, {"token": "楠", "tag": "I-name"}]', [NAME]),
    ('extract_entities(name=["陈晓楠"], company=["腾讯"])', [NAME, COMPANY]),
    (
        '{"type": "function", "function": {"name": "extract", "arguments": "{\\"entities\\": [{\\"label\\": \\"name\\", \\"text\\": \\"陈晓楠\\"}]}"}}',
        [NAME],
    ),
    ('{"name": ["陈晓楠"], "uncertain": {"company": ["腾讯"]}}', [NAME]),
    ('[{"label": "name", "text": "陈晓楠", "is_valid": true}, {"label": "company", "text": "腾讯", "is_valid": false}]', [NAME]),
    ('[{"text": "陈晓楠", "label": "name", "keep": "是"}, {"text": "腾讯", "label": "company", "keep": "否"}]', [NAME]),
    ('[{"text": "陈晓楠", "label": "name", "decision": "accept"}, {"text": "腾讯", "label": "company", "decision": "reject"}]', [NAME]),
    ('{"name": "string", "company": "string"}', None),
    ('[{"label": "company", "text": "汾阳"}]\nWait, 汾阳 is an address.\n[{"label": "address", "text": "汾阳"}]', [PLACE]),
    ('[{"label": "name", "text": "陈晓楠"}]\n\nuser\n请识别：马云\nassistant\n[{"label": "name", "text": "马云"}]', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}]\n更正：没有实体。', []),
    ('[{"label": "name", "text": "陈晓楠"}] 这个结果不正确，请忽略。', None),
    ('result = [\n Name(span="陈晓楠"),\n Company(span="腾讯"),\n]', [NAME, COMPANY]),
    ('("entity"<|>"陈晓楠"<|>"name"<|>"主持人")##\n("entity"<|>"腾讯"<|>"company"<|>"公司")<|COMPLETE|>', [NAME, COMPANY]),
    ('[{"text": "{S}", "label": [[2, 5, "name"], [6, 8, "company"]]}]'.replace("{S}", SENTENCE), [NAME, COMPANY]),
    ('{"id": 1, "text": "{S}", "label": [[2, 5, "name"]]}'.replace("{S}", SENTENCE), [NAME]),
    ("[{'name': [{'text': '陈晓楠', 'start': 2, 'end': 5, 'probability': 0.98}]}]", [NAME]),
    ("[['陈晓楠', 'name', 2, 5], ['腾讯', 'company', 6, 8]]", [NAME, COMPANY]),
    ("[{'entity_group': 'name', 'score': 0.99, 'word': '陈晓楠', 'start': 2, 'end': 5}]", [NAME]),
    ("[{'entity': 'B-name', 'word': '陈', 'index': 3}, {'entity': 'I-name', 'word': '晓'}, {'entity': 'I-name', 'word': '楠'}]", [NAME]),
    ('{"result":[{"value":{"start":2,"end":5,"text":"陈晓楠","labels":["name"]},"from_name":"label","to_name":"text","type":"labels"}]}', [NAME]),
    ('{"entities":[{"type":"name","mentions":[{"text":"陈晓楠"},{"text":"贾樟柯"}]}]}', [NAME, OTHER]),
    ('{"entities":{"name":["陈晓楠"],"company":["腾讯"]},"count":2}', [NAME, COMPANY]),
    ('{"entities":[{"name":"陈晓楠","category":"name"}],"total":1,"success":true}', [NAME]),
    ('{"data":{"list":[{"label":"name","text":"陈晓楠"}]},"code":0}', [NAME]),
    ('["陈晓楠（name）", "腾讯（company）"]', [NAME, COMPANY]),
    ('["陈晓楠-name", "腾讯-company"]', [NAME, COMPANY]),
    ('["陈晓楠", "腾讯"]', None),
    ('{"name": {"text": "陈晓楠", "confidence": "high"}, "company": {"text": "腾讯", "confidence": "low"}}', [NAME, COMPANY]),
    ("(1) 人名: 陈晓楠\n(2) 公司: 腾讯", [NAME, COMPANY]),
    ('"陈晓楠","name"\n"腾讯","company"', [NAME, COMPANY]),
    ('{"entities": [{"label": "name", "text": "陈晓楠"}], "dropped": [{"label": "company", "text": "腾讯"}], "reasoning": "…"}', [NAME]),
    ('{"positive": [["陈晓楠","name"]], "negative": [["腾讯","company"]]}', [NAME]),
    ('{"name": "陈晓楠", "not_company": "腾讯"}', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}, {"label": "非实体", "text": "昨晚"}]', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}, {"label": "O", "text": "昨晚"}, {"label": "none", "text": "在"}]', [NAME]),
    ('[{"label": "name", "text": "陈晓楠", "confidence": 0.9}, {"label": null, "text": "昨晚"}]', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}, {"label": "company", "text": null}]', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}]\n\n以上即为结果，如有错误请指正。', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}]\n\nNote: I ignored 腾讯 since it is not the answer.', [NAME]),
    ('[{"label": "name", "text": "陈晓楠"}]\n不过，我无法保证正确。', [NAME]),
    ('{"error": "无法识别"}', None),
    ('{"entities": "none"}', []),
    ('{"entities": null}', []),
    ('{"message": "没有找到任何实体"}', []),
    ("[]\n\n说明：句子中没有相关实体。", []),
]


@pytest.mark.parametrize(("output", "pairs"), ANSWERS)
def test_values_are_what_they_assert(output: str, pairs: list[tuple[str, str]] | None) -> None:
    found = parse(output, find_task("clue"), SENTENCE).pairs
    assert (found if found is None else set(found)) == (pairs if pairs is None else set(pairs))
