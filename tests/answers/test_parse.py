"""The parser of answers: what models really write, what they could write, and what nobody should."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import real
from tools.answers import parse as module
from tools.answers.classes import parse_class
from tools.answers.parse import RULES, parse
from tools.answers.scan import scan
from tools.chat.prompt import answer
from tools.conf.task import Answer, Task, find_task, load_task
from tools.example import Entity, Example
from tools.predict.predictions import Prediction
from tools.score.rows import rows

SENTENCE = "张三在北京大学读书，李四去了腾讯。"
TWO = [("PER", "张三"), ("ORG", "北京大学")]


@pytest.fixture(scope="module")
def task() -> Task:
    names = {"PER": "人名", "LOC": "地点", "ORG": "组织"}
    return find_task("clue").changed(names=names, aliases={"PER": ["姓名", "person"], "ORG": ["机构"]})


@pytest.mark.parametrize(
    ("output", "pairs"),
    [
        ("[]", []),
        ('[{"label": "name", "text": "叶老桂"}]', [("name", "叶老桂")]),
        ('[{"label":"a","text":"\\"x\\\\"},{"label":"a","text":"\\"x\\\\"}]', [("a", '"x\\')]),
        ('```json\n[{"label": "a", "text": "b"}]\n```', [("a", "b")]),
        ('```[{"label": "a", "text": "b"}]```', [("a", "b")]),
        ('  {"label": "a", "text": "b", "extra": 1}\n', [("a", "b")]),
        ('[{"label": "a", "text": "b"}, "x"]', [("a", "b")]),
        ('[{"label": "a", "text": "b"}', [("a", "b")]),
        ("", None),
        ("我不知道", None),
        ("3", None),
        ("true", None),
        ('"x"', None),
        ('[{"label": "a"}]', None),
        ('[{"label": "name"}]', None),
        ('[{"label": "a", "text": 3}]', None),
        ('[{"label": "name", "text": 3}]', None),
        ('[{"label": "name", "te', None),
        ('["张三", "李四"]', None),
        ('{"msg": "好"}', None),
        ("[", None),
        ("```json\n```", None),
        ("<think>嗯，先看", None),
        ("__import__('os').system('touch /tmp/x')", None),
        ("[" * 100_000, None),
        ("9" * 100_000, None),
        ("<script>alert(1)</script>", None),
        ("<html><body><p>name</p></body></html>", None),
        ("2023年，张三：主席", None),
        ("I like this game.", None),
    ],
)
def test_an_answer_is_pairs_or_unparsable(write_task: Callable[..., Path], output: str, pairs: list[tuple[str, str]] | None) -> None:
    assert parse(output, load_task(write_task())).pairs == pairs


def test_the_tasks_own_field_names_are_read(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(answer={"label": "entity_label", "text": "entity_text"}))
    assert parse('[{"entity_text": "中国", "entity_label": "GPE"}]', task).pairs == [("GPE", "中国")]


# Each says that 张三 is a 人名 and 北京大学 an 组织, as one model or another writes it, and the rules that it takes to see that.
WILD = [
    ('```json\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\n```', "wrapping"),
    ("```python\n[{'label': '人名', 'text': '张三'}, {'label': '组织', 'text': '北京大学'}]", "syntax wrapping"),
    ('~~~\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\n~~~', "wrapping"),
    (
        '好的，以下是结果：\n```json\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\n```\n希望对您有帮助！',
        "chatter wrapping",
    ),
    ('{"label": "人名", "text": "张三"}\n{"label": "组织", "text": "北京大学"}', "layout"),
    ('{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}', "layout"),
    ('{"label": "人名", "text": "张三"}{"label": "组织", "text": "北京大学"}', "layout"),
    ('[{"label": "人名", "text": "张三"}]\n[{"label": "组织", "text": "北京大学"}]', "layout"),
    ("[{'label': '人名', 'text': '张三'}, {'label': '组织', 'text': '北京大学'},]", "syntax"),
    (
        "[{u'label': u'人名', u'text': u'张三'}, {u'label': u'组织', u'text': u'北京大学', 'x': None, 'y': True}]",
        "fields syntax",
    ),
    ("[('张三', '人名'), ('北京大学', '组织')]", "layout syntax"),
    ("(('人名', '张三'), ('组织', '北京大学'))", "layout syntax"),
    ('[["张三", "人名"], ["北京大学", "组织", 3, 7]]', "layout"),
    ("【｛“label”：“人名”，“text”：“张三”｝，｛“label”：“组织”，“text”：“北京大学”｝】", "syntax"),
    ("[{“label”：“人名”，“text”：“张三”}，{“label”：“组织”，“text”：“北京大学”}]", "syntax"),
    ('[{"张三": "人名"}, {"北京大学": "组织"}]', "layout"),
    ('{"张三": "人名", "北京大学": "组织"}', "layout"),
    ('{"人名": ["张三"], "地点": [], "组织": ["北京大学"]}', "layout"),
    ('{"人名": "张三", "组织": "北京大学", "地点": "无"}', "layout nothing"),
    ('{"人名": "张三", "组织": "北京大学", "地点": null}', "layout"),
    ('{"entities": [{"text": "张三", "type": "人名"}, {"text": "北京大学", "type": "组织"}]}', "fields layout"),
    ('{"result": {"entities": {"人名": [{"text": "张三", "start": 0}], "组织": ["北京大学"]}}}', "fields layout"),
    ('[{"实体": "张三", "标签": "人名"}, {"实体": "北京大学", "标签": "组织"}]', "fields"),
    ('[{"entity": "张三", "type": "PER"}, {"entity": "北京大学", "type": "ORG"}]', "fields label_name"),
    ('[{"name": "张三", "label": "person"}, {"name": "北京大学", "label": "机构"}]', "fields label_name"),
    (
        '[{"word": "张三", "entity": "PER", "score": 0.9}, {"word": "北京大学", "entity": "org", "score": 0.9}]',
        "fields label_name",
    ),
    ('[{"foo": "张三", "bar": "人名"}, {"foo": "北京大学", "bar": "组织"}]', "fields"),
    ('{"label": {"人名": {"张三": [[0, 1]]}, "组织": {"北京大学": [[3, 6]]}}, "text": "张三在北京大学读书"}', "layout"),
    ("{label: 人名, text: 张三}, {label: 组织, text: 北京大学}", "layout syntax"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}', "cut_off"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}, {"label": "地点", "te', "cut_off"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}, {"label"', "cut_off"),
    ('[{"label": "人名", "text": "张三"} {"label": "组织", "text": "北京大学"}]', "repaired"),
    ('[{"label": "人名" "text": "张三"}, {"label": "组织", "text": "北京大学"}]', "repaired"),
    ('[{"label": "人名", "text": "张三", {"label": "组织", "text": "北京大学"}]', "layout repaired"),
    ('[{"label": "人名", "text": "张三"], [{"label": "组织", "text": "北京大学"}]', "layout repaired"),
    ('{"label": "人名", "text": "张三", "label": "组织", "text": "北京大学"}', "layout"),
    ('"[{\\"label\\": \\"人名\\", \\"text\\": \\"张三\\"}, {\\"label\\": \\"组织\\", \\"text\\": \\"北京大学\\"}]"', "wrapping"),
    ('[{\\"label\\": \\"人名\\", \\"text\\": \\"张三\\"}, {\\"label\\": \\"组织\\", \\"text\\": \\"北京大学\\"}]', "wrapping"),
    ('[{{"label": "人名", "text": "张三"}}, {{"label": "组织", "text": "北京大学"}}]', "layout repaired"),
    (
        '<think>\n先看[{"label": "地点", "text": "北京"}]，不对。\n</think>\n\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]',
        "thinking",
    ),
    ('先看文本。</think>[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]', "thinking"),
    (
        '[\n  {\n    "label": "人名",  // 姓名\n    "text": "张三"\n  },\n  {\n    "label": "组织",\n    "text": "北京大学"\n  },\n  ...\n]',
        "syntax",
    ),
    ("- 人名：张三\n- 组织：北京大学\n- 地点：无", "lines nothing"),
    ("1. 张三 - 人名\n2. 北京大学 - 组织", "lines"),
    ("| 实体 | 标签 |\n| --- | --- |\n| 张三 | 人名 |\n| 北京大学 | 组织 |", "lines"),
    ("实体：张三，类别：人名\n实体：北京大学，类别：组织", "lines"),
    ("实体：张三\n类别：人名\n\n实体：北京大学\n类别：组织", "lines"),
    ("**人名**：\n- 张三\n\n**组织**：\n- 北京大学", "lines"),
    ("张三（人名）、北京大学（组织）", "lines"),
    ("人名：张三；组织：北京大学", "lines"),
    ("人名: 张三, 组织: 北京大学", "lines"),
    ("根据文本，实体如下：\n* **张三** (人名)\n* **北京大学** (组织)", "marks"),
    ("张三\t人名\n北京大学\t组织", "lines"),
    ("张三: 人名\n北京大学: 组织", "lines"),
    ('{"人名": ["张三"], "组织": ["北京大学"], "法律": ["无"]}', "layout nothing"),
    ('[{"label": "人名", "text": ["张三"]}, {"label": "组织", "text": ["北京大学"]}]', "layout"),
    ('[{"label": " 人名 ", "text": "张三"}, {"label": "Org", "text": "北京大学"}]', "label_name"),
    ('输出：[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]。注意[1]和{这里}。', "chatter"),
    ('[1] 参考：[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]', "chatter"),
    ('[{"label": "人名", "text": "张三", "start": 0, "end": 2}, {"label": "组织", "text": "北京大学", "start": 3}]', "fields"),
    ('\ufeff[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\x00', ""),
    ('[{"type": "人名", "value": "张三"}, {"type": "组织", "value": "北京大学"}, 3]', "fields partial_items"),
    ('{"人名": "张三", "组织": ["北京大学"]}', "layout"),
    ('{"entities": {"张三": "人名", "北京大学": "组织"}}', "layout"),
    ('{"PER": ["张三"], "ORG": ["北京大学"], "LOC": []}', "label_name layout"),
    ('{"实体1": {"text": "张三", "label": "人名"}, "实体2": {"text": "北京大学", "label": "组织"}}', "layout"),
    ("{'entities': [('张三', '人名'), ('北京大学', '组织')]}", "layout syntax"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]]', "repaired"),
    ('[[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]]', "layout"),
    ("识别结果：人名=张三；组织=北京大学", "lines"),
    ('<answer>[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]</answer>', "wrapping"),
    ('人名：["张三"]\n组织：["北京大学"]', "lines"),
    ("人名：张三\n组织：北京大学\n\n以上就是所有的实体。", "lines"),
    ("实体：张三 标签：人名\n实体：北京大学 标签：组织", "lines"),
    ('("张三", "人名"), ("北京大学", "组织")', "layout syntax"),
    ('entities = [{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]', "chatter"),
    ('[{"text": "张三", "label": "人名"},\n{"text": "北京大学", "label": "组织"}\n\n以上是提取的实体，希望有帮助', "repaired"),
    ('["人名: 张三", "组织: 北京大学"]', "lines"),
    ('["张三": "人名", "北京大学": "组织"]', "layout repaired"),
    ("当然可以！以下是从文本中提取的实体：\n\n1. **张三** - 人名\n2. **北京大学** - 组织\n\n如有其他问题，请随时告诉我。", "lines"),
    ("根据您提供的文本，我提取到以下实体：\n\n- 人名：张三\n- 组织：北京大学\n\n注：以上实体均来自原文。", "lines"),
    ('提取结果：\n{"人名": ["张三"], "组织": ["北京大学"]}', "chatter layout"),
    ('{\n"人名": "张三",\n"组织": "北京大学",\n}', "layout syntax"),
    ('[{"label": "人名", "text": "张三"},\n{"label": "组织", "text": "北京大学"},\n', "cut_off"),
    (
        '```\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\n```\n\n解释：\n- "张三"是人名，因为{姓}。',
        "chatter wrapping",
    ),
    ('```json\n{"label": "人名", "text": "张三"}\n```\n```json\n{"label": "组织", "text": "北京大学"}\n```', "layout wrapping"),
    ('1. {"label": "人名", "text": "张三"}\n2. {"label": "组织", "text": "北京大学"}', "chatter layout"),
    ('- {"label": "人名", "text": "张三"}\n- {"label": "组织", "text": "北京大学"}', "chatter layout"),
    ('[\n  {"label": "人名", "text": "张三"},\n  {"label": "组织", "text": "北京大学"},\n]', "syntax"),
    (
        '{"result": "[{\\"label\\": \\"人名\\", \\"text\\": \\"张三\\"}, {\\"label\\": \\"组织\\", \\"text\\": \\"北京大学\\"}]"}',
        "layout wrapping",
    ),
    ("实体类别：人名，实体名称：张三\n实体类别：组织，实体名称：北京大学", "lines"),
    ("实体类别: 人名\n实体名称: 张三\n\n实体类别: 组织\n实体名称: 北京大学", "lines"),
    ("[人名] 张三\n[组织] 北京大学", "lines"),
    ("人名-张三\n组织-北京大学", "lines"),
    ("<人名>张三</人名>在<组织>北京大学</组织>读书", "marks"),
    ("(张三, 人名), (北京大学, 组织)", "lines"),
    ("[(张三, 人名), (北京大学, 组织)]", "lines"),
    ("[张三:人名, 北京大学:组织]", "lines"),
    ("{张三: 人名, 北京大学: 组织}", "layout syntax"),
    ("{'人名': {'张三'}, '组织': {'北京大学'}}", "layout repaired syntax"),
    ('{"人名":["张三"],"组织":["北京大学"]}<|im_end|>', "layout wrapping"),
    ('{"entities": [["张三", "人名"], ["北京大学", "组织"]]}', "layout"),
    ('[{"label": "人名", "text": "张三"}、{"label": "组织", "text": "北京大学"}]', "syntax"),
    ('[{"label": "人名", "text": "张三"}；{"label": "组织", "text": "北京大学"}]', "syntax"),
    ('[{"label": 人名, "text": 张三}, {"label": 组织, "text": 北京大学}]', "syntax"),
    ('[{"label": "人名", "text": "张三",}, {"label": "组织", "text": "北京大学",}]', "syntax"),
    ('[{"label"="人名", "text"="张三"}, {"label"="组织", "text"="北京大学"}]', "repaired"),
    ('[{"label" => "人名", "text" => "张三"}, {"label" => "组织", "text" => "北京大学"}]', "repaired"),
    ('{"label": "人名", "text": "张三"} 和 {"label": "组织", "text": "北京大学"}', "chatter layout"),
    ('[{"label": "人名", "text": "张三"} , , {"label": "组织", "text": "北京大学"}]', "repaired"),
    (
        '[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]\n\n[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]',
        "conclusion layout",
    ),
    ('[{"label":"人名","text":"张三"},{"label":"组织","text":"北京大学"}] [{"label":"人名","tex', "cut_off layout"),
    (
        '[{"entity_text": "张三", "entity_label": "人名", "entity_names": ["人名", "姓名"]}, {"entity_text": "北京大学", "entity_label": "组织", "entity_names": ["组织"]}]',
        "fields",
    ),
    (
        '[{"start_idx": 0, "end_idx": 2, "entity_text": "张三", "entity_label": "PER"}, {"start_idx": 3, "end_idx": 7, "entity_text": "北京大学", "entity_label": "ORG"}]',
        "fields label_name",
    ),
    (
        '{"entities": [{"entity": "张三", "entity_type": "人名", "position": [0, 2]}, {"entity": "北京大学", "entity_type": "组织", "position": [3, 7]}]}',
        "fields layout",
    ),
    ('{"person": ["张三"], "organization": [], "机构": ["北京大学"]}', "label_name layout"),
    ('{"人名": [["张三", 0, 2]], "组织": [["北京大学", 3, 7]]}', "layout"),
    ('{"人名": [{"name": "张三"}], "组织": [{"name": "北京大学"}]}', "fields layout"),
    ('{"人名": {"name": "张三"}, "组织": {"name": "北京大学"}}', "fields layout"),
    ('{"人名": "[\'张三\']", "组织": "[\'北京大学\']"}', "wrapping"),
    ('{"人名（PER）": ["张三"], "组织（ORG）": ["北京大学"]}', "label_name layout"),
    ('[{"label": "人名(PER)", "text": "张三"}, {"label": "组织(ORG)", "text": "北京大学"}]', "label_name"),
    ("| 序号 | 实体 | 类别 | 说明 |\n|:--|:--|:--|:--|\n| 1 | 张三 | 人名 | 人 |\n| 2 | 北京大学 | 组织 | 学校 |", "lines"),
    ("实体\t类别\n张三\t人名\n北京大学\t组织", "lines"),
    ("实体,类别\n张三,人名\n北京大学,组织", "lines"),
    ("张三 -> 人名\n北京大学 -> 组织", "lines"),
    ("“张三”：人名\n“北京大学”：组织", "lines"),
    ("“张三”是人名；“北京大学”是组织。", "lines"),
    ("张三 属于 人名\n北京大学 属于 组织", "lines"),
    ("### 人名\n- 张三\n### 组织\n- 北京大学", "lines"),
    ("人名：\n1. 张三\n\n组织：\n1. 北京大学\n\n地点：\n无", "lines nothing"),
    ("- **人名**: 张三\n- **组织**: 北京大学\n- **地点**: 无", "lines nothing"),
    ("人名 (PER): 张三\n组织 (ORG): 北京大学", "label_name lines"),
    ("Answer: [{'label': '人名', 'text': '张三'}, {'label': '组织', 'text': '北京大学'}]", "chatter syntax"),
    ('{"name": "extract", "arguments": {"entities": [{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]}}', "layout"),
    ('[{"label": "人名", "text": "张三", "reason": "他说\\"好\\""}, {"label": "组织", "text": "北京大学", "reason": null}]', "fields"),
    ('[{"text": "张三", "labels": ["人名"]}, {"text": "北京大学", "labels": ["组织"]}]', "fields"),
    ('[{"value": {"text": "张三", "labels": ["人名"]}}, {"value": {"text": "北京大学", "labels": ["组织"]}}]', "fields layout"),
    (
        "[{&quot;label&quot;: &quot;人名&quot;, &quot;text&quot;: &quot;张三&quot;}, {&quot;label&quot;: &quot;组织&quot;, &quot;text&quot;: &quot;北京大学&quot;}]",
        "wrapping",
    ),
    ('{"label": "人名", "text": "张三"};{"label": "组织", "text": "北京大学"}', "layout"),
    ('[\'{"label": "人名", "text": "张三"}\', \'{"label": "组织", "text": "北京大学"}\']', "syntax wrapping"),
    ('["{\\"label\\": \\"人名\\", \\"text\\": \\"张三\\"}", "{\\"label\\": \\"组织\\", \\"text\\": \\"北京大学\\"}"]', "wrapping"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}] [] []', "layout"),
    ("label: 人名, text: 张三\nlabel: 组织, text: 北京大学", "lines"),
    ('{"0": {"label": "人名", "text": "张三"}, "1": {"label": "组织", "text": "北京大学"}}', "layout"),
    ('[{"Label": "人名", "Text": "张三"}, {"Label": "组织", "Text": "北京大学"}]', "fields"),
    ('[{" label": "人名", "text ": "张三"}, {"label ": "组织", "text": "北京大学"}]', "fields"),
    ('[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学", "text": "北京大学"}]', "layout partial_items"),
    ('[{"label": "人名", "text": "张三"}, null, {"label": "组织", "text": "北京大学"}]', "nothing"),
    ("[{“label”: “人名”, “text”: “张三”}, {“label”: “组织”, “text”: “北京大学”}]", "syntax"),
    ('[{"label":"人名","text":"张三"},{"label":"组织","text":"北京大学"}]```', "wrapping"),
    ('[{"label": "人名", \'text\': "张三"}, {\'label\': "组织", "text": \'北京大学\'}]', "syntax"),
    ('{"人名": "张三"}\n{"组织": "北京大学"}', "layout"),
    ('{"人名": ["张三"]}, {"组织": ["北京大学"]}', "layout"),
    ('人名:["张三"],组织:["北京大学"]', "lines"),
    ('"人名": ["张三"], "组织": ["北京大学"]', "lines"),
    ('"张三": "人名", "北京大学": "组织"', "lines"),
    ('"label": "人名", "text": "张三"\n"label": "组织", "text": "北京大学"', "lines"),
    ('{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]', "layout repaired"),
]


@pytest.mark.parametrize(("output", "rules"), WILD)
def test_what_models_write_is_read_under_named_rules(task: Task, output: str, rules: str) -> None:
    parsed = parse(output, task, SENTENCE)
    assert (parsed.pairs, " ".join(parsed.rules)) == (TWO, rules)
    assert parse(output, task).pairs == TWO, "without the sentence too"
    assert parsed.cut == ("cut_off" in parsed.rules)


def test_every_rule_is_needed_by_some_answer(task: Task) -> None:
    classes = set(parse_class("类别是 Law。", task, OPTIONS).rules)
    assert classes == {"lead_in"}
    needed = (
        {rule for _, rules in WILD for rule in rules.split()} | {rule for output, _ in SAYS for rule in parse(output, task, SENTENCE).rules} | classes
    )
    assert needed == set(RULES)


def test_the_page_has_the_rules() -> None:
    page = Path("docs/answers.md").read_text(encoding="utf-8")
    assert [rule for rule, phrase in RULES.items() if f"| `{rule}` | {phrase} |\n" not in page] == []


SAYS: list[tuple[str, list[tuple[str, str]] | None]] = [
    # Strings and what stands in them.
    ('[{"label": "人名", "text": "他说"你好"，走"}]', [("PER", '他说"你好"，走')]),
    ("[{'label': '人名', 'text': 'O'Brien'}]", [("PER", "O'Brien")]),
    ("[{'label': '人名', 'text': 'a\\'b\\\\'}]", [("PER", "a'b\\")]),
    ('好：[{"label": "人名", "text": "a]b{c}[\\"d"}]', [("PER", 'a]b{c}["d')]),
    ("[{'label': '人名', 'text': '\\u5f20\\u4e09'}]", [("PER", "张三")]),
    ("[{'label': '人名', 'text': '\\ud83d\\ude00'}]", [("PER", "😀")]),
    ('好：[{"label": "人名", "text": "\\ud800x"}]', [("PER", "\ud800x")]),
    ('[{"label": "人名", "text": "张\n三"}]', [("PER", "张\n三")]),
    ('[{"label": "人名", "text": "张\u2028三\x00"}]', [("PER", "张\u2028三\x00")]),
    ('[{"label": "人名", "text": "C:\\dir"}]', [("PER", "C:\\dir")]),
    ('[{"label": "人名", "text": "张三}, {"label": "组织", "text": "腾讯"}]', [("PER", "张三"), ("ORG", "腾讯")]),
    ('[{"label": "人名, "text": "张三"}, {"label": "组织", "text": "腾讯"}]', [("PER", "张三"), ("ORG", "腾讯")]),
    ('[{"label": "人名,\n "text": "张三"}, {"label": "组织", "text": "腾讯"}]', [("ORG", "腾讯")]),
    # Which side is the label.
    ('{"人名": "张三", "组织": "北京大学", "人名": "李四"}', [("PER", "张三"), ("ORG", "北京大学"), ("PER", "李四")]),
    ('[{"张三": "人名"}, {"腾讯": "公司"}]', [("PER", "张三"), ("公司", "腾讯")]),
    ('{"人名": "张三", "公司": "腾讯"}', [("PER", "张三"), ("公司", "腾讯")]),
    ('[{"张三": "主角"}]', [("主角", "张三")]),
    ('{"人名": "地点"}', None),
    ('{"sentence": "张三在北京大学读书，李四去了腾讯。", "人名": ["张三"]}', [("PER", "张三")]),
    ('{"label": "张三", "entity": "人名"}', [("PER", "张三")]),
    ('{"label": ["人名", "组织"], "text": ["张三", "腾讯"]}', [("PER", "张三"), ("ORG", "腾讯")]),
    ('{"人名": "张三、李四", "组织": "无"}', [("PER", "张三"), ("PER", "李四")]),
    ('[{"label": "组织实体", "text": "腾讯"}]', [("ORG", "腾讯")]),
    ('[{"label": " 公司 ", "text": "腾讯"}]', [("公司", "腾讯")]),
    ("实体：张三，类别：主角", [("主角", "张三")]),
    # The prompt's own example is an echo, unless it stands within the answer.
    ('[{"label": "实体类别", "text": "实体名称"}]\n[{"label": "人名", "text": "张三"}]', [("PER", "张三")]),
    ('[{"label": "实体类别", "text": "实体名称"}, {"label": "人名", "text": "张三"}]', [("实体类别", "实体名称"), ("PER", "张三")]),
    ('[{"label": "实体类别", "text": "实体名称"}]', None),
    # Asserted, not mentioned.
    ('{"entities": [], "excluded": [{"label": "人名", "text": "张三"}]}', []),
    ('{"candidates": {"人名": ["李四"]}, "人名": ["张三"]}', [("PER", "张三")]),
    ('[{"label": "人名", "text": "张三", "is_entity": false}, {"label": "人名", "text": "李四", "is_entity": true}]', [("PER", "李四")]),
    ('[{"label": "人名", "text": "张三", "decision": "rejected"}, {"label": "组织", "text": "腾讯", "保留": "是"}]', [("ORG", "腾讯")]),
    ('{"thought": {"李四": "人名"}, "answer": {"张三": "人名"}}', [("PER", "张三")]),
    ('{"草稿": [["李四", "人名"]], "最终": [["张三", "人名"]]}', [("PER", "张三")]),
    ('[{"label": "人名", "text": "张三"}]\n~~[{"label": "人名", "text": "李四"}]~~', [("PER", "张三")]),
    ('[{"label": "人名", "text": "腾讯"}]\n[{"label": "组织", "text": "腾讯"}]', [("ORG", "腾讯")]),
    ('排除的：[{"label": "人名", "text": "李四"}]\n提取的：[{"label": "人名", "text": "张三"}]', [("PER", "张三")]),
    ('{"type": "array", "items": {"type": "object", "properties": {"label": {"type": "string", "enum": ["人名", "组织"]}}}}', None),
    ('[{"label": "<label>", "text": "<text>"}]', None),
    ('{"人名": "string", "组织": "string"}', None),
    ('{"张三": {"人名": 0.7, "组织": 0.3}, "腾讯": {"组织": 0.9}}', [("PER", "张三"), ("ORG", "腾讯")]),
    ('{"人名": {"张三": 0.8, "腾讯": 0.1}}', [("PER", "张三")]),
    # Places, tags and calls.
    ('[{"start": 0, "end": 2, "label": "人名"}, {"start": 3, "end": 7, "label": "组织"}]', TWO),
    ('[[0, 2, "人名"], [3, 7, "组织"]]', TWO),
    ('[{"start": 0, "end": 99, "label": "人名"}]', None),
    (json.dumps(["B-人名", "I-人名", "O", "B-组织", "I-组织", "I-组织", "I-组织", *"OOOOOOOOOO"]), TWO),
    ('{"tokens": ["张", "三", "在"], "tags": ["B-人名", "I-人名", "O"]}', [("PER", "张三")]),
    ('[["张", "B-人名"], ["三", "I-人名"], ["在", "O"]]', [("PER", "张三")]),
    ('{"function": {"name": "f", "arguments": "{\\"人名\\": [\\"张三\\"]}"}}', [("PER", "张三")]),
    ('dict(人名=["张三"], 组织=["北京大学"])', TWO),
    ('{"labels": ["人名", "组织"], "texts": ["张三", "北京大学"]}', TWO),
    # An empty value beside others says nothing about these.
    ('人名：["张三"]\n地点：[]', [("PER", "张三")]),
    ("- 人名：[]\n- 组织：腾讯", [("ORG", "腾讯")]),
    ('{"人名": ["张三"]}\n{"地点": []}', [("PER", "张三")]),
    # Cut off.
    ('```json\n{"人名": ["张三", "李四"], "组织": ["北京大', [("PER", "张三"), ("PER", "李四")]),
    ('[{"label": "人名", "text": "张三"}, {"label": "人名", "text": "李四"', [("PER", "张三"), ("PER", "李四")]),
    ('[{"label": "人名", "text": "张三"}, {"label": "人名", "text": "李', [("PER", "张三")]),
    # Nothing.
    ("无", []),
    ("None", []),
    ("null", []),
    ('"无"', []),
    ("[无]", []),
    ("{}", []),
    ("[{}]", []),
    ("答案是：[]。", []),
    ("```json\n[]\n```", []),
    ('{"entities": []}', []),
    ("没有找到任何实体。", []),
    ("该句子中没有实体", []),
    ("抱歉，我没有找到任何实体。", []),
    ("根据给定的文本，没有发现任何实体", []),
    ("There are no named entities in the text.", []),
    ("识别结果：无", []),
    ("地点：无\n人名：无", []),
    ('{"人名": [], "地点": null, "组织": "无"}', []),
    ('[{"label": "人名", "text": "无"}]', []),
    ('[{"label": "没有实体", "text": "没有找到任何实体"}]', []),
    ('[{"label": "", "text": ""}]', []),
    ('[{"label": "没有实体", "text": "张三"}]', []),
    ('{"人名": "未在文本中发现", "组织": "no company mentioned", "地点": "-"}', []),
    ('{"人名": ["N/A"], "组织": ["未提及"], "地点": ["（空）"]}', []),
    ('[{"label": "人名", "text": "文中没有人名"}, {"label": "组织", "text": "腾讯"}]', [("ORG", "腾讯")]),
    ("人名：未知\n组织：不详\n地点：None found", []),
    ("句子中未提及任何指定类别的实体，因此输出为空列表：[]", []),
    ("抱歉，我无法从这句话中识别出任何实体。", []),
    ("No entities of the specified types were found.", []),
    ("抱歉，我不能回答这个问题。", None),
    ("I'm sorry, I can't share a person's name: it is private.", None),
    ("除了张三，没有任何实体", None),
    ("没有人名实体，但有地点", None),
]


@pytest.mark.parametrize(("output", "pairs"), SAYS)
def test_what_an_answer_says_and_no_more(task: Task, output: str, pairs: list[tuple[str, str]] | None) -> None:
    parsed = parse(output, task, SENTENCE)
    assert parsed.pairs == pairs
    assert set(parsed.rules) <= set(RULES)


def test_a_word_for_nothing_that_stands_in_the_sentence_is_an_entity(task: Task) -> None:
    output = '[{"label": "人名", "text": "无"}]'
    assert parse(output, task, "“无”之间").pairs == [("PER", "无")]
    assert parse(output, task, "“无”之间").rules == ()
    assert parse('[{"label": "人名", "text": "啥也没有"}]', task.changed(nothing=["啥也没有"])).pairs == []


def test_a_cut_answer_is_truncated_once(task: Task) -> None:
    example = Example("0", SENTENCE, [Entity("PER", "张三", 0, 2)])
    for reason in ("stop", "length"):
        (row,) = rows(task, [example], {"0": Prediction("0", '[{"label": "人名", "text": "张三"}, {"la', finish_reason=reason)})
        assert (row.predicted, row.failures, row.rules) == ([("PER", "张三")], ("truncated",), ("cut_off",))
    (row,) = rows(task, [example], {"0": Prediction("0", "[{")})
    assert (row.predicted, row.failures) == ([], ("truncated", "unparsable"))


# Properties.

some = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "'", "[", "{", "},", '"}, {"', "无", "\u2028", "\n", "“", "：", "//"]
)
pairs_of = st.lists(st.tuples(st.sampled_from(["PER", "LOC", "ORG", "没人知道"]), some), max_size=5)


def trained(task: Task, pairs: list[tuple[str, str]], text_first: bool = False) -> tuple[str, str]:
    """A sentence that holds all strings between commas, and the answer that training teaches for it."""
    text, entities = "", []
    for label, string in pairs:
        entities.append(Entity(label, string, len(text), len(text) + len(string)))
        text += string + "，"
    task = task.changed(answer=Answer(**({"text": "text", "label": "label"} if text_first else {})))
    return text, answer(task, Example("x", text, entities))


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(pairs=pairs_of, text_first=st.booleans())
def test_the_trained_format_needs_no_rule(task: Task, pairs: list[tuple[str, str]], text_first: bool) -> None:
    pairs = [(label, string) for label, string in pairs if string]
    text, output = trained(task, pairs, text_first)
    parsed = parse(output, task, text)
    assert (parsed.pairs, parsed.rules, parsed.cut) == (list(dict.fromkeys(pairs)), (), False)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(pairs=pairs_of, before=st.text("好的，以下是结果：。\n abc*#'", max_size=20), after=st.text("希望有帮助！\n*'", max_size=20))
def test_chatter_around_an_answer_changes_nothing(task: Task, pairs: list[tuple[str, str]], before: str, after: str) -> None:
    text, output = trained(task, pairs)
    assert parse(before + output + after, task, text).pairs == parse(output, task, text).pairs


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(pairs=pairs_of)
@example(pairs=[("PER", '0"')])  # cut behind the backslash and the quote, it must not become another string
def test_a_cut_at_any_place_keeps_a_prefix_of_the_pairs(task: Task, pairs: list[tuple[str, str]]) -> None:
    text, output = trained(task, pairs)
    whole = parse(output, task, text).pairs or []
    kept = 0
    for end in range(len(output)):
        parsed = parse(output[:end], task, text)
        part = parsed.pairs or []
        assert part == whole[: len(part)]
        assert len(part) >= kept, "a longer answer never says less"
        assert parsed.cut or end == 0
        kept = len(part)


@settings(max_examples=500, deadline=None, database=None, derandomize=True)
@given(
    output=st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [*"[]{}()【】“”\"'`,，:：\\|-\n 1", "人名", "张三", '"label"', '"text"', "<think>", "</think>", "```", "无", "None", "\ud800"]
        ),
        max_size=25,
    ).map("".join),
    sentence=st.none() | st.just(SENTENCE),
)
def test_no_text_at_all_raises(task: Task, output: str, sentence: str | None) -> None:
    parsed = parse(output, task, sentence)
    assert set(parsed.rules) <= set(RULES)
    assert all(isinstance(part, str) for pair in parsed.pairs or [] for part in pair)
    parse_class(output, task, OPTIONS)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | some,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(some, inner, max_size=4),
    max_leaves=12,
)


def plain(value: object) -> object:
    """A value as the scanner gives it: objects as tuples of pairs."""
    if isinstance(value, dict):
        return tuple((key, plain(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(value=st.lists(values, max_size=4) | st.dictionaries(some, values, max_size=4), indent=st.sampled_from([None, 2]), ascii=st.booleans())
def test_the_scanner_reads_json_as_json(value: object, indent: int | None, ascii: bool) -> None:
    first = value[0] if isinstance(value, list) and value else ""
    if first is None or isinstance(first, int):
        value = {"x": value}  # a bracket before a bare number is prose to it
    found = scan(f"看 {json.dumps(value, ensure_ascii=ascii, indent=indent)} 好")
    assert (found.values, found.rules, found.cut) == ([plain(value)], set(), False)


# Hostile answers. Time is not measured; a parser that is slower than linear would run into the test's limit.

SIZE = 2 << 20
HOSTILE = {
    "brackets": "[" * SIZE,
    "keys": '{"a":' * (SIZE // 5),
    "quotes": '"' * SIZE,
    "quotes in a list": '["' + '"' * (SIZE // 4),
    "single quotes": "'" * SIZE,
    "backslashes": '["' + "\\" * SIZE,
    "fences": "```" * (SIZE // 3),
    "thoughts": "<think>" * (SIZE // 7),
    "white space": '["a"' + " " * SIZE + "x",
    "line ends": '["a' + "\n b" * (SIZE // 12),
    "a loop that was cut": "[" + '{"label": "人名", "text": "张三"}, ' * (SIZE // 62) + '{"label": "人',
    "lists that never close": '[{"label": "人名", "text": "张三"}, ' * (SIZE // 32),
    "one object that never ends": "{" + '"人名": "张三", ' * (SIZE // 48),
    "words in brackets": "[" + "[张三" * (SIZE // 12),
    "many lists": "[] " * (SIZE // 12),
    "marks that change place when folded": "\u0316\u0301" * (SIZE // 2),
    "lines": "- 人名：张三\n" * (SIZE // 9),
    "lead-ins": "答案是" * (SIZE // 3),
    "conclusions": "最终答案：" * (SIZE // 15),
    "second thoughts": "等等，" * (SIZE // 9),
    "examples": "例如：" * (SIZE // 9),
    "tags": "<a " * (SIZE // 3),
    "elements": "<人名>李" * (SIZE // 12),
    "marks": "[张三|" * (SIZE // 9),
    "slashes": "张三/人" * (SIZE // 12),
    "boxes": "\\boxed{" * (SIZE // 7),
    "calls": "f(a=1," * (SIZE // 6),
    "a long line": "甲" * SIZE,
    "spaces in a line": "人名：" + " " * SIZE + "x",
    "commas": "人名：甲，" * (SIZE // 15),
    "struck": "~~甲" * (SIZE // 5),
    "label and bracket": "人名：[" * (SIZE // 12),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_megabytes_of_anything_take_linear_time(task: Task, name: str) -> None:
    pairs = parse(HOSTILE[name], task, SENTENCE).pairs
    assert pairs in (None, [], [("PER", "张三")])
    if name in ("a loop that was cut", "lists that never close", "one object that never ends", "lines"):
        assert pairs == [("PER", "张三")]
    parse_class(HOSTILE[name], task, OPTIONS)


PIECES = [
    *(
        "“",
        "（",
        "人名（",
        "(人名）",
        "人名：",
        "张三（人名）、",
        "张三是人名",
        "| 张三 | 人名 |",
        "[张三|人名]",
        "**张三**(人名)",
        '<a b="c">',
        "</a>",
        "张/B-人名 ",
    ),
    *(
        "~~张三~~",
        "&quot;",
        "f(a=1)",
        "f(a=[",
        "人名=[]",
        "人名: [张",
        "以上",
        "ignore ",
        "例如：",
        "输入：",
        "user\n",
        "<think>a</think>",
        "<|#|>",
        "text,label\n",
        "《",
        "a,b\n",
    ),
    *("人名\n张三\n", "没有", "no entities ", "不是", "[THINK]", "</answer>", "T1 人名 0 2 张三\n", "实体：张三\n", "一、"),
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_repeated_without_end_takes_linear_time(task: Task, piece: str) -> None:
    parsed = parse(piece * (60_000 // len(piece)), task, SENTENCE)
    assert set(parsed.rules) <= set(RULES)
    assert all(pair in [("PER", "张三"), ("PER", "张")] for pair in parsed.pairs or [])


def test_deep_nesting_is_given_up_and_what_was_whole_is_kept(task: Task) -> None:
    deep = '[{"label": "人名", "text": "张三"}, ' + "[" * 50_000 + "]" * 50_000 + "]"
    assert parse(deep, task).pairs == [("PER", "张三")]
    assert parse("[" * 900 + "]" * 900, task).pairs is None, "valid JSON, but no answer"
    assert parse('{"entities":' * 30 + '[{"label": "人名", "text": "张三"}]' + "}" * 30, task).pairs == [("PER", "张三")]


# What models really wrote.


def test_the_answers_of_a_fine_tuned_qwen_are_read() -> None:
    task = find_task("ccfbdci")
    lines = [json.loads(line) for line in real("llm_outputs/argonautz_qwen2.5-1.5b_ccfbdci_notebook.jsonl").read_text(encoding="utf-8").splitlines()]
    parsed = [parse(line["raw"], task, line["text"]) for line in lines]
    assert [(one.pairs, one.rules) for one, line in zip(parsed, lines, strict=True) if line["kind"] != "single_json_object"] == [
        ([("ORG", "东莞台商子弟学校"), ("PER", "国小一年二班陈伊玲")], ("cut_off",))
    ]
    single = [(one, json.loads(line["raw"])) for one, line in zip(parsed, lines, strict=True) if line["kind"] == "single_json_object"]
    canonical = {name: label for label, name in task.names.items()}
    nothing = 0
    for one, row in single:
        assert "layout" in one.rules
        if row["entity_text"] == "没有找到任何实体":
            nothing += 1
            assert (one.pairs, "nothing" in one.rules) == ([], True)
        else:
            label = row["entity_label"]
            assert one.pairs == [(canonical.get(label) or canonical.get(label.removesuffix("实体"), label), row["entity_text"])]
    assert (len(single), nothing) == (19, 3)
    assert all(label in task.labels for one in parsed for label, _ in one.pairs or [])


def test_the_answers_of_chatgpt_are_read() -> None:
    names = {label: label for label in ("人物", "地点", "机构")}
    task = find_task("clue").changed(names=names)
    agree = 0
    lines = [json.loads(line) for line in real("llm_outputs/chatgpt_msra5.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        parsed = parse(line["raw"], task, line["text"])
        # Every answer has its maps in brackets or braces, alone or among words; what Python itself reads of them is what was meant.
        found = [ast.literal_eval(one) for one in re.findall(r"\[(?:\{[^{}]*\}(?:, )?)*\]|\{[^{}]*\}", line["raw"])]
        maps = [one for some in found for one in (some if isinstance(some, list) else [some])]
        meant = dict.fromkeys((label, text) for one in maps for text, label in one.items() if label != "无")
        assert parsed.pairs == list(meant), line["raw"]
        assert set(parsed.rules) <= {"nothing", "layout", "chatter", "syntax", "partial_items", "conclusion", "rejected"}
        assert bool({"chatter", "conclusion"} & set(parsed.rules)) == line["kind"].startswith("chatter")
        agree += {text: label for label, text in parsed.pairs} == line["parsed_by_authors"]
    # Theirs is a vote over several answers to one sentence: in the other rows it names entities that this answer doesn't, or other labels.
    assert (agree, len(lines)) == (31, 85)


# Classes.

OPTIONS = ["Art", "Economy", "Law", "体育", "财经", "体育产业", "PER"]


def test_the_trained_class_needs_no_rule_and_control_tokens_in_it_are_neutral(task: Task) -> None:
    assert parse_class("体育\n", task, OPTIONS).rules == ()
    assert parse_class("<｜im_end｜>", task, ["<|im_end|>", "Art"]) == module.Parsed([("<|im_end|>", "")])
