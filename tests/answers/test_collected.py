"""Words for nothing beside names that hold them, marks that separate strings or stand within one, and what is denied beside what is asserted."""

import pytest

from tools.answers.parse import parse
from tools.conf.task import find_task


@pytest.mark.parametrize(
    ("sentence", "output", "pairs"),
    [
        ("从无棣去往无极的班车停运。", "地址：无棣、无极\n人名：无", [("address", "无棣"), ("address", "无极")]),
        ("从无棣去往无极的班车停运。", '[{"label": "name", "text": "无"}]', []),
        ("新人“无”登台。", '[{"label": "name", "text": "无"}]', [("name", "无")]),
        ("战队None赢了。", "人名：None", [("name", "None")]),
        ("Nonesuch唱片成立。", '{"company": ["Nonesuch唱片"], "name": ["None"]}', [("company", "Nonesuch唱片")]),
        ("《未知海域》热映，未知数很多。", '{"movie": ["《未知海域》"], "game": ["未知"]}', [("movie", "《未知海域》")]),
        ("他写的《山、水、人》再版。", "书名：《山、水、人》", [("book", "《山、水、人》")]),
        ("他写的《山、水、人》再版。", "书名：《山、水、人》、《云》", [("book", "《山、水、人》"), ("book", "《云》")]),
        ("Ada Wong与赵丹到场。", "The entities are: Ada Wong (name), and 赵丹 (name).", [("name", "Ada Wong"), ("name", "赵丹")]),
        ("孔繁森去了阿里，没去日喀则。", "地址：阿里、日喀则（排除）", [("address", "阿里")]),
        ("孔繁森去了阿里，没去日喀则。", '{"address": ["阿里", "日喀则（不是地址）"]}', [("address", "阿里")]),
        ("住房和城乡建设部发文。", "政府：住房和城乡建设部", [("government", "住房和城乡建设部")]),
        ("孔繁森和周立波到场。", "人名：孔繁森和周立波", [("name", "孔繁森"), ("name", "周立波")]),
    ],
)
def test_strings_are_what_the_sentence_has(sentence: str, output: str, pairs: list[tuple[str, str]]) -> None:
    assert parse(output, find_task("clue"), sentence).pairs == pairs


@pytest.mark.parametrize(
    ("output", "pairs"),
    [
        ("“海城大桥”不是公司，而是景点。", [("scene", "海城大桥")]),
        ("海城大桥并非公司，而应标注为景点。", [("scene", "海城大桥")]),
        ('"海城大桥" is not a company but a scene.', [("scene", "海城大桥")]),
        ("海城大桥：景点（而非公司）", [("scene", "海城大桥")]),
        ("海城大桥（景点，不是公司）", [("scene", "海城大桥")]),
        ("海城大桥是景点，不属于公司。", [("scene", "海城大桥")]),
        ("海城大桥是景点，宋家庄也许是地址。", [("scene", "海城大桥")]),
        ("海城大桥不是景点。", None),
        ("1）景点：海城大桥；2）地址：宋家庄", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("景点为海城大桥；没有电影、书名和游戏。", [("scene", "海城大桥")]),
        ("在这句话里，“海城大桥”是一个景点，“宋家庄”不是公司。", [("scene", "海城大桥")]),
        ("海城大桥: scene\n宋家庄: 先标为 company，后改为 address", [("scene", "海城大桥")]),
        ('{"海城大桥": "scene", "宋家庄": "不是实体"}', [("scene", "海城大桥")]),
        ('["海城大桥", "桥梁"]', None),
        ('[["海城大桥", "scene", true], ["宋家庄", "address", false]]', [("scene", "海城大桥")]),
        ('{"label": "scene", "text": null}', []),
        ("海城大桥\n类型：景点\n宋家庄\n类型：地址", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("❌ 宋家庄：地址\n✅ 海城大桥：景点", [("scene", "海城大桥")]),
        ('[]  # 不含 {"label": "scene", "text": "海城大桥"}', []),
        ("剔除：\nscene：海城大桥", None),
        ("排除：\n- 宋家庄（address）\n景点：海城大桥", [("scene", "海城大桥")]),
        ("scene：海城大桥（否）\n地址：宋家庄（泛指，不计）", None),
        ("如果从宽，海城大桥是景点；从严则没有实体。", None),
        ("景点：海城大桥\n宋家庄是泛称", [("scene", "海城大桥")]),
        (
            '句子：李晓去了泉州。\n答案：[{"label": "name", "text": "李晓"}]\n\n句子：宋家庄的海城大桥通车。\n'
            '答案：[{"label": "scene", "text": "海城大桥"}]\n\n句子：周通在家。\n答案：[{"label": "name", "text": "周通"}]',
            [("scene", "海城大桥")],
        ),
        ("景点：海城大桥\n景点：2个", [("scene", "海城大桥")]),
        ("1. 海城大桥: scene (a bridge)\n2. 宋家庄: address", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("海城大桥 - scene - 主语\n宋家庄 - address - 地点", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("【景点】海城大桥【地址】宋家庄", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("scene: 海城大桥<br><del>company: 海城</del><br>address: 宋家庄", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("<s>公司：海城</s>\n景点：海城大桥", [("scene", "海城大桥")]),
        ('```toml\n[[entities]]\nlabel = "scene"\ntext = "海城大桥"\n```', [("scene", "海城大桥")]),
        ("Scenes: 海城大桥\nAddresses: 宋家庄\nCompanies: None", [("scene", "海城大桥"), ("address", "宋家庄")]),
        ("名胜：海城大桥\n没有其他实体", None),
        ("［｛＂label＂：＂scene＂，＂text＂：＂海城大桥＂｝］", [("scene", "海城大桥")]),
        ('{"type": "tool_use", "name": "extract", "input": {"entities": [{"label": "scene", "text": "海城大桥"}]}}', [("scene", "海城大桥")]),
        ("<function=f><parameter=scene>海城大桥</parameter></function>", [("scene", "海城大桥")]),
        ('{"scene": {"海城大桥": "桥梁"}}', [("scene", "海城大桥")]),
        ('[["scene", ["海城大桥"]], ["address", ["宋家庄"]]]', [("scene", "海城大桥"), ("address", "宋家庄")]),
        (
            '[{"label": "scene", "text": "海城大桥", "confidence": 0.2}, {"label": "address", "text": "宋家庄", "confidence": 0.9}]',
            [("address", "宋家庄")],
        ),
        ('如果“海城”是公司，则 [{"label": "company", "text": "海城"}]', None),
        ('{"scene": ["海城大桥"]}\n以上仅为示例格式，实际没有实体', []),
        ('[{"label": "scene", "text": "海城大桥"}] ← 这个不对。应为空：[]', []),
        ('{"scene": ["..."], "address": ["..."]}', None),
        (
            '<输出格式要求>\n[{"label": "标签", "text": "实体"}]\n\n<输入文本>\n宋家庄的海城大桥通车。\n\n<输出>\n[{"label": "scene", "text": "海城大桥"}]',
            [("scene", "海城大桥")],
        ),
        ('请抽取实体。\n句子：宋家庄的海城大桥通车。\n答案：[{"label": "scene", "text": "海城大桥"}]', [("scene", "海城大桥")]),
        ('<think>也许</think>```json\n[{"label": "scene", "text": "海城大桥"}]\n```', [("scene", "海城大桥")]),
    ],
)
def test_what_is_asserted_is_read_and_nothing_that_is_mentioned(output: str, pairs: list[tuple[str, str]] | None) -> None:
    assert parse(output, find_task("clue"), "宋家庄的海城大桥通车。").pairs == pairs
