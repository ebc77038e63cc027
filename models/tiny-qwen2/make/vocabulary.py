"""Builds the tiny model's vocabulary: byte-level BPE in Qwen2's own form, with merges that follow from word lists instead of a corpus.

In: the word lists below. Out: a `Qwen2Tokenizer` with Qwen2.5's special tokens and chat template. Every Chinese character has one token (frequent ones) or two (a two-byte head
and a tail byte), wherever it stands, so that a span has the same tokens in a sentence and in an answer. Only the constant parts of prompts and of the JSON answer have
tokens longer than a character.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.pretrain --out /tmp/untrained --steps 0
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tools.chat.qwen import PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Qwen2.5's added tokens in Qwen2.5's order; the second part is not "special" there, so that a decoder keeps it in the text.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PLAIN_ADDED_TOKENS = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)

# The characters of everyday Chinese, most frequent first, and the ones that names, places and firms are made of.
FREQUENT = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里"
    "如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比"
    "或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较"
    "将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证"
    "改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且"
    "究观越织装影算低持音众书布复容儿须际商非验连断深难近千周委素技备半办青省列习响约支般史感劳便团往历市克何除消构府称太准精值号率族维划选标写存候亲快效斯院查"
    "江型王按格养易置派层片始却专状育厂京识适属包火住调满县局照参红细引听该铁价严龙飞游戏球赛季员星银店城网络司经理首席裁董览馆桥湖河岛街巷村镇站园寺塔剧片导演"
    "作品杂志读评委谈签售乐玩版款服英雄冠杯胜负俱"
)
# The other characters of the made-up sentences and names.
MADE_UP = (
    "师昨云医副告客房景票练编航远雨佳卖友夜排推田篮续财费举停助双古台启嘉围夺奇州故旅早映晚末棋森汽源环男监纪署职股获营觉讲谁谷足软钟防阳限险雪丰乡介份假兴击判券"
    "协博卡叶吧士夏失女字宁守宋官审宣察居岁峰庆德恋恒息投拍招授控摄救春智暴望松析枫架桂案梁检植歌永沉泉泽洋测浦润涨漫澜燕疑破神秘绍缘罗聘船范荐蓝警讯诉词译豆货购"
    "超辑迷透递途野销陆降静顶餐丁临丽久乒乓乱乳亚亿付仙伊伟伤佑余佛侧促俊俗修借免兔兰兵典册冒冬冯冰冷净凡凤凭凯刃刘刚创剑努勇匠午卢卫卿另召右吉吕吗否吴呢味咸哪哭"
    "哲唐唯唱善喝圣址块坛坝坪培堵塘境央奏契奖奥妙姆姚姜娜娟婉媒嫌孙孟孤孩宇宏宜室宾寂密寿封射尔尹尼屋屿岚岩岭岸峡崔崛川帆希帝幕幻底庚座庭廖归录彤彭征径待徐念怡急"
    "怨恩悉悔悬愿慈慕慢托执抓折抢护抱拓拖拷拿挤捐换捷掌探搜操攻敏旁旧昌昕昱晓晨普暗曦曲曹曾朋木朱杉李材杜杨杰柏柔柳校框桐档梅梓梧梯械楠概橙欠欣欧止武母毕毛汇汉汪"
    "沈沙沧泰泳洞洲浩涛涵渊渔渡港湾湿溪溶滑滩潘潭瀑灯灾炊烈烟烧焰熊燃爱牌牧独猎玉珂班琪琳瑞瑶璐瓣瓷甲申番登盗盟眠睡睿码砚碎磊福秀私秋秦移税稳穹窗窟章童笑笔筑筝筹"
    "简篇索纳继绩缝罚羽翔翻肖胡腐腾致舒舟艳艺芯芳苍苏若苹茶草荒药莱菜菲萨落葛蒋蒸蔡薪虚衡袁视订让训访试诚诸诺谜谢谭贝责败贷贾赤赵趣跃跌跟跳踢轩轻辆辉辞辰迅迟迪迹"
    "追送逻逼遍遥邓邦邱邹邻郑郭配酒醒钢钱锋错镜闷闻阴阵阿陈陵随隐雷霞露霸靠韦韩顾预颖额食饮饰驾魂魏魔鱼鲁鲸鸣鹏鹤鹭鹿麦黄黑默鼎鼓"
)

# Texts that should cost few tokens: the two NER prompts' constant parts, chat roles, and the skeleton of a JSON answer.
CONSTANT = (
    "system\nuser\nassistant\n",
    "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。",
    "name, organization, scene, company, movie, book, government, position, address, game\n",
    "name\norganization\nscene\ncompany\nmovie\nbook\ngovernment\nposition\naddress\ngame\n",
    '[{"label": "name", "text": "用"}, {"label": "name", "text": "用"}]',
    '["用", "用"]\n[]',
    '```json\n[{"label": "实体类别", "text": "实体名称"}]\n```\n\n',
    "请从给定的句子中识别并提取出以下指定类别的实体。\n\n<实体类别集合>\n",
    "\n\n<任务说明>\n1. 仅提取属于上述类别的实体，忽略其他类型的实体。\n",
    "2. 以json格式输出，对于每个识别出的实体，请提供：\n   - label: 实体类型，必须严格使用原始类型标识（不可更改）\n",
    "   - text: 实体在原文中的中文内容\n\n<输出格式要求>\n\n<输入文本>\n",
    "请找出句子中的实体，类别有：\n用JSON列表回答，每项有label和text。\n句子：",
)

# Heads (the first two of three UTF-8 bytes) of punctuation: general, CJK, full-width forms. Hanzi U+4E00–U+9FFF have heads of their own.
PUNCTUATION = "“”‘’…—·、。《》【】「」『』〈〉！（），：；？～％＂＼０Ａａ￥"

CHAT_TEMPLATE = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def words(text: str) -> tuple[str, ...]:
    """Returns the words of a list that is written as running text."""
    return tuple(text.split())


def byte_characters() -> dict[int, str]:
    """Returns GPT-2's table from a byte to the printable character that stands for it in a byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


class Merges:
    """A growing list of BPE merges. `spell` cuts a pre-token with them; `join` adds the merges that make it one token."""

    def __init__(self) -> None:
        self.table = byte_characters()
        self.rank: dict[tuple[str, str], int] = {}

    def spell(self, word: str) -> list[str]:
        """Returns the tokens of one pre-token under the merges so far."""
        parts = [self.table[byte] for byte in word.encode("utf-8")]
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: self.rank.get(pair, len(self.rank)))
            if best not in self.rank:
                break
            place = pairs.index(best)
            parts[place : place + 2] = ["".join(best)]
        return parts

    def join(self, word: str, limit: int = 1) -> None:
        """Merges from the left until the word has at most `limit` tokens."""
        while len(parts := self.spell(word)) > limit:
            self.rank[(parts[0], parts[1])] = len(self.rank)

    def head(self, character: str) -> None:
        """Merges the first two bytes of a three-byte character, which then has two tokens."""
        self.join(character, limit=2)


def pretokens(texts: Iterable[str]) -> Iterator[str]:
    """Yields the pieces of the texts, which merges never cross."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
    for text in texts:
        yield from (piece for piece, _ in split.pre_tokenize_str(text))


def build_merges() -> Merges:
    """Returns the merges: heads of all hanzi and of full-width punctuation, then frequent characters, then the constant parts, short ones first."""
    merges = Merges()
    for code in range(0x4E00, 0xA000, 64):
        merges.head(chr(code))
    for character in PUNCTUATION:
        merges.join(character, limit=2 if character in "＂＼０Ａａ￥～％〈〉" else 1)
    constant = sorted(set(pretokens(CONSTANT)), key=lambda word: (len(word), word))
    for character in FREQUENT + MADE_UP + "".join(constant):
        if character > "\u2000":
            merges.join(character)
    for word in constant:
        merges.join(word)
    return merges


def build_tokenizer() -> Any:
    """Returns a transformers `Qwen2Tokenizer` over the merges, with Qwen2.5's added tokens and chat template."""
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    merges = build_merges()
    vocabulary = {character: number for number, character in enumerate(sorted(merges.table.values()))}
    for left, right in merges.rank:
        vocabulary[left + right] = len(vocabulary)
    end = "<|endoftext|>"
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=list(merges.rank), unk_token=None, eos_token=end, pad_token=end, model_max_length=2048)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS], special_tokens=True)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN_ADDED_TOKENS])
    # Set last, so that the ids of the added tokens keep Qwen2.5's order.
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
