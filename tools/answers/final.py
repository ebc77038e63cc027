"""Finds the final answer in what a model wrote: behind its thoughts, in its wrapper, before invented turns, after its drafts and examples.

In: the raw output. Out: the text that is to be read, and nothing else of the output is. It knows no task, so it serves entities and classes.

    .venv/train/bin/python -c "from tools.answers.final import final_answer; print(final_answer('<think>体育？</think>初稿：体育。更正：财经'))"
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from tools.answers.scan import scan

BLANK = " \t\r\n\u3000\u00a0\ufeff\u200b\u2028\u2029\x00"
FENCE = re.compile(r"```[A-Za-z0-9_+-]{0,20}|~~~[A-Za-z0-9_+-]{0,20}")
FENCED = re.compile(r"(?:```|~~~)[A-Za-z0-9_+-]{0,20}(.*?)(?:```|~~~)", re.DOTALL)
# A tag of any kind of thought: <think>, <seed:think>, <thinking_process>, ◁think▷, [THINK], <|begin_of_thought|>, <|START_THINKING|>. A tag in quotes is text.
_THOUGHT = re.compile(
    r"(?<![《“\"「『'`])[<\[【◁](?P<name>[/|]{0,2}[\w:. -]{0,24}?(?:think|thought|reasoning|rationale|analys|scratch|reflect|monologue|deliberat"
    r"|思考|推理|思维|思路|分析|反思|草稿)[\w:. -]{0,16}[|/]?)[>\]】▷](?![》”\"」』']|`(?!``))",
    re.IGNORECASE,
)
_ANY_TAG = re.compile(r"[<◁]|[\[【]/|assistantfinal|\A(?:analysis|commentary)")  # without one there is no thought
_CLOSES = re.compile(r"\|?/|\|?(?:end|stop)[_▁ ]|.*[_▁ ]end\|?\Z", re.IGNORECASE)
# Channels of the harmony format (github.com/openai/harmony), with its special tokens and without.
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final[^<>]{0,40}<\|message\|>|assistantfinal")
_OTHER_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?\s*<\|channel\|>|(?:analysis|commentary)(?=[A-Z\u4e00-\u9fff])")
_WRAPPER = re.compile(
    r"(?<![《“\"「『'`])<(?P<close>/?)\|?(?P<end>end_of_|begin_of_)?(?:final[_ -]?)?(?:answer|output|result|response|solution|final|答案|结果)\|?>(?![》”\"」』'`])",
    re.IGNORECASE,
)
_BRACE = re.compile(r"[{}]")
_BOXED = re.compile(r"\\boxed\s*\{")
_SPECIAL = re.compile(
    r"<\|[A-Za-z_][^|<>\n]{0,40}\|>|<｜(?:end|begin)▁of▁sentence｜>|<｜(?:User|Assistant)｜>|</?s>|<eos>|<bos>|<(?:end|start)_of_turn>|\[/?INST\]"
)
_ROLE = re.compile(r"\s*(?:assistant|user|system|human|model|助手|用户)\s*[:：]?\s*", re.IGNORECASE)
_TURN = re.compile(
    r"^[ \t#*]*(?:(?:user|human|assistant|用户|助手)[ \t*]*(?:[:：]|$)|#{2,}\s*(?:instruction|input|human|user|指令|输入|问题)\b|<(?:输入|句子|input|sentence)[^<>/\n]{0,12}>[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_ASKED = re.compile(
    r"^[ \t#*<]*(?:输入|句子|文本|问题|input|sentence|question|text)(?:文本|句子| text)?[ \t*]*(?:[:：>]|$)", re.IGNORECASE | re.MULTILINE
)
_ANSWERED = re.compile(r"^[ \t#*<]*(?:输出|答案|回答|结果|output|answer|response)[ \t*]*(?:[:：>]|$)", re.IGNORECASE | re.MULTILINE)
# What an answer doesn't say, but the prompt that it repeats.
_PROMPT = re.compile(r"请|要求|格式|指令|任务[:：]|你是|\b(?:instructions?|format|you are|extract all|task)\b", re.IGNORECASE)
# What an announced example holds is not asserted; it ends at a blank line, or where the answer begins.
_EXAMPLE = re.compile(
    r"(?:例如|比如|譬如|示例|举例|样例|例子|输出格式|格式要求|for example|for instance|\be\.g\.|\bexamples?)[^\n:：。]{0,12}[:：]\s*", re.IGNORECASE
)
_PARAGRAPH = re.compile(
    r"\n[ \t]*\n|\n(?=[ \t#*]*(?:正确|最终|实际|真正|以下|答案|回答|输出|结果|提取|识别|correct|final|actual|answer|output|result)[^\n:：]{0,16}[:：]|[ \t]*(?:但|不过|本句|该句|此句|这句|however|but ))",
    re.IGNORECASE,
)
_HERE = r"(?:(?<=[\n。；;!！?？.)）\]}`，,*#>\x00])|\A)[ \t*#>-]{0,8}+"  # where a sentence or a line begins
_WHAT = r"(?:答案|结果|输出|版本|列表|实体|提取|识别|抽取|分类|类别|标签|json)"
_WHAT_ENGLISH = r"(?:answer|result|output|response|list|version|entit|json|extraction|label|class|categor)"
# What stands behind these replaces all that stands before.
_STATED = re.compile(
    rf"(?:最终|最后|(?:修正|更正|修改|纠正|改正|订正|更新|复核|核对|检查|调整)(?:之)?后)(?:的|得到的?|确定的?)?[^\n:：。，,\[{{]{{0,8}}?{_WHAT}[^\n:：。，\[{{]{{0,8}}?"
    r"(?:(?:如下|是|为|应为|应该是)?[ \t*]*[:：]|(?:是|为|如下)(?=\s*[\[{`“\"])|[ \t*#]*\n)\**"
    rf"|{_HERE}(?:[^\n。:：\[{{]{{0,10}}后[，,]?)?(?:更正|修正|纠正|订正|改正|改为|修改为|更正为|修正为|定稿|终稿|最终|修正后|更正后|修改后|结论)(?:如下|为|是)?[ \t*]*[:：]\**"
    rf"|(?:final|corrected|revised|updated|definitive)\s+{_WHAT_ENGLISH}[^\n:.\[{{]{{0,24}}?(?:\bis\b\s*:?|[ \t*]*[:：]|[ \t*#]*\n)\**"
    rf"|{_HERE}(?:correction|corrected|revision|revised|final)[ \t*]*[:：]\**",
    re.IGNORECASE,
)
# A second thought, or a withdrawal: what stands before no longer holds.
_TAKEN_BACK = re.compile(
    rf"{_HERE}(?:等等|等一下|等下|稍等|不对|不，|错了|抱歉，我(?:弄|搞|写|说)错|我(?:弄|搞|写|说)错|重新(?:检查|考虑|审视|提取|识别|看|想|来)|再(?:想想|看看|检查|仔细))"
    r"|(?:以上|上述|前面|之前|上面|刚才|前述)[^。\n\[{如若]{0,14}(?:作废|无效|有误|错误|不对|不正确|忽略|撤回|收回|不算|都不是|均不是|并不是|取消|删除|不作数)"
    r"|(?:这|该|此)个?(?:结果|答案|输出|列表)?[^。，\n]{0,4}(?:不正确|不对|有误|错|无效|作废)"
    r"|(?:以上|上述|前面|上面)[^。\n\[{]{0,6}(?:仅|只)(?:为|是|作)?[^。\n\[{]{0,6}(?:示例|例子|举例|格式|占位)"
    r"|(?:忽略|撤回|收回|撤销|作废|取消)[^。\n\[{]{0,8}(?:以上|上述|前面|之前|上面|答案|结果|列表)[^。\n\[{]{0,12}"
    rf"|{_HERE}(?:wait\b|hold on|oops|on second thought|scratch that|hmm|my mistake|i (?:made|was) (?:a mistake|wrong))"
    r"|\b(?:ignore|disregard|discard|retract|withdraw)\b[^.\n\[{]{0,40}\b(?:above|previous|earlier|answer|list|that|this)\b"
    r"|\b(?:above|previous|earlier)\b[^.\n\[{]{0,30}\b(?:wrong|incorrect|invalid|mistaken?|withdrawn)\b",
    re.IGNORECASE,
)
_STANDS = re.compile(r"无误|没有问题|没问题|没有错|是正确的|都正确|looks? (?:good|right|correct)|is correct|are correct", re.IGNORECASE)
# What stands behind these is the answer if it can be read as one.
_THEREFORE = re.compile(
    rf"{_HERE}(?:因此|所以|综上所述|综上|总之|由此可见|由此|总结|总的来说|therefore|thus|hence|so|in conclusion|in summary|to sum up|overall)(?:[，,：:\s]|(?=[\u4e00-\u9fff]))"
    rf"|{_HERE}(?:提取|识别|抽取|输出|分类)?(?:的)?(?:答案|结果|输出|answer|result|output)(?:如下|是|为|\s+is)?[ \t*]*[:：]\**",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w")
# A word of one of the patterns above; most answers have none, which saves looking closer.
_HINT = re.compile(
    r"[最终后错]|[修更纠订改][正为]|定稿|结论|等等|等[一]?下|不对|不，|重新|再[想看检仔]|[以前]?上[述面]|以上|前[面述]|之前|刚才|忽略|撤[回销]|收回|作废|取消|[这该此]个?[结答输列]"
    r"|因此|所以|综上|总[之结的]|由此|答案|结果|输出"
    r"|final|correct|revis|updated|definitive|wait|hold on|oops|thought|scratch|hmm|mistake|\bI was\b|ignore|disregard|discard|retract|withdraw|above|previous|earlier"
    r"|therefore|thus|hence|\bso\b|conclusion|summary|sum up|overall|answer|result|output",
    re.IGNORECASE,
)
_MOST = 3  # parts that are tried; each costs a reading


@dataclass(frozen=True, slots=True)
class Final:
    """The final answer. `body`: the text to read; None where nothing stands before a thought that has no end. `cut`: the last thought has no end.

    `conclusions`: parts of `body` that are the answer if they can be read as one, the surest first. `rules`: the rules that this took (keys of
    tools.answers.parse.RULES): 'thinking', 'wrapping', 'conclusion'.
    """

    body: str | None
    conclusions: tuple[str, ...] = ()
    rules: frozenset[str] = frozenset()
    cut: bool = False


def final_answer(output: str, sentence: str | None = None) -> Final:
    """Returns the final answer in an output to a sentence, if that is known. Never raises; the time is linear in the output's length.

    Thoughts of every kind are left out; a closing tag without an opening one ends a thought that the prompt began. Of an `<answer>`, a `\\boxed{}` or a solution only the inside
    is kept. What follows an end-of-turn token or an invented turn is cut off, announced examples are left out. What is stated last (最终答案：, 更正：, "Final
    answer:") replaces what stands before; so does a withdrawal, which may leave nothing.
    """
    rules: set[str] = set()
    body, cut = _behind_thoughts(output.strip(BLANK), rules)
    if body is None:
        return Final(None, (), frozenset(rules), cut)
    unwrapped = _one_turn(_unwrapped(body), sentence)
    if unwrapped != body:
        rules.add("wrapping")
    asserted = _without_examples(unwrapped)
    if asserted != unwrapped.strip(BLANK):
        rules.add("conclusion")
    masked = _masked(asserted) if _HINT.search(asserted) else ""
    if not _WORD.search(FENCE.sub("", masked)):
        return Final(asserted, _conclusions(asserted, ""), frozenset(rules), cut)
    stated = [found.end() for found in deque(_STATED.finditer(masked), maxlen=2) if asserted[found.end() :].strip(BLANK + "*#`")]
    start = stated[-1] if stated else 0
    for found in deque(_TAKEN_BACK.finditer(masked, start), maxlen=1):
        start = start if _STANDS.search(masked, found.start()) else found.end()
    body = asserted[start:].strip(BLANK + "*").lstrip("，,：: ")
    if body != unwrapped.strip(BLANK + "*"):
        rules.add("conclusion")
    return Final(body, _conclusions(asserted[start:], masked[start:]), frozenset(rules), cut)


def _behind_thoughts(text: str, rules: set[str]) -> tuple[str | None, bool]:
    """Returns the last piece of text outside of thoughts, None where there is none before a thought without an end; and whether the last thought has no end."""
    if not _ANY_TAG.search(text):
        return text, False
    final = deque(_FINAL_CHANNEL.finditer(text), maxlen=1)
    if final or _OTHER_CHANNEL.match(text):
        rules.add("thinking")
        return (text[final[0].end() :].strip(BLANK), False) if final else (None, True)
    squares = "[/" in text or "【/" in text
    pieces, start, is_open = [], 0, False
    for tag in _THOUGHT.finditer(text):
        name = tag["name"]
        if (text[tag.start()] in "[【" and not squares) or name.endswith("/"):
            continue
        rules.add("thinking")
        if not _CLOSES.match(name):
            if not is_open:
                pieces.append(text[start : tag.start()])
            is_open = True
        else:
            is_open = False
            start = tag.end()
    if not is_open:
        pieces.append(text[start:])
    elif not any(bracket in piece for piece in pieces for bracket in "[{"):
        return None, True  # no answer stands before the thought without an end
    return next((piece for part in reversed(pieces) if (piece := part.strip(BLANK))), ""), is_open


def _unwrapped(text: str) -> str:
    """Returns the inside of the last <answer>…</answer>, <|begin_of_solution|>… or \\boxed{…}; the text itself where there is none."""
    if "<" not in text and "\\boxed" not in text:
        return text
    inside: str | None = None
    start: int | None = None
    for tag in _WRAPPER.finditer(text):
        if not (tag["close"] or (tag["end"] or "").casefold().startswith("end")):
            start = tag.end()
        elif start is None and inside is None:
            inside = text[: tag.start()]  # the opening tag stood in the prompt
        elif start is not None:
            inside, start = text[start : tag.start()], None
    if start is not None and text[start:].strip(BLANK):
        inside = text[start:]  # its end is missing
    text = inside.strip(BLANK) if inside and inside.strip(BLANK) else text
    boxes = deque(_BOXED.finditer(text), maxlen=1)
    return _in_braces(text, boxes[0].end()).strip(BLANK) if boxes else text


def _in_braces(text: str, start: int) -> str:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return text[start : brace.start()]
    return text[start:]


def _one_turn(text: str, sentence: str | None) -> str:
    """Returns the turn that answers the sentence, or the first that says something: without role names and special tokens, and without the turns that the model invented behind it."""
    pieces = [piece for piece in _SPECIAL.split(text) if piece.strip(BLANK) and not _ROLE.fullmatch(piece)]
    text = pieces[0].strip(BLANK) if pieces else ""
    if (role := re.match(r"(?:assistant|助手)[ \t]*(?:[:：]|\n)\s*", text, re.IGNORECASE)) and len(text) > role.end():
        text = text[role.end() :]
    if sentence and (place := text.rfind(sentence)) >= 0 and (own := _ANSWERED.search(text, place)):
        behind = _ASKED.search(text, own.end())
        return text[own.end() : behind.start() if behind else len(text)].strip(BLANK)
    asked = _ASKED.search(text)
    answered = deque(_ANSWERED.finditer(text, asked.end()), maxlen=1) if asked else None
    if asked and answered:
        before = text[: asked.start()].strip(BLANK)
        # Questions and answers before the answer are examples, those behind it are invented.
        is_prompt = not before or _EXAMPLE.search(before + ":") or _PROMPT.search(before)
        text = text[answered[0].end() :].strip(BLANK) if is_prompt else before
    for turn in _TURN.finditer(text):
        if text[: turn.start()].strip(BLANK):
            return text[: turn.start()].strip(BLANK)
    return text


def _without_examples(text: str) -> str:
    """Returns the text without what it announces as an example."""
    kept, position = [], 0
    while found := _EXAMPLE.search(text, position):
        kept.append(text[position : found.start()])
        end = _PARAGRAPH.search(text, found.end())
        position = end.start() if end else len(text)
    return "".join([*kept, text[position:]]).strip(BLANK)


def _masked(text: str) -> str:
    """Returns the text with its JSON-like values blanked, so that no word within one is taken for a turn of speech. Offsets stay."""
    parts, position = [], 0
    for start, end in scan(text).spans:
        parts += [text[position:start], "\x00" * (end - start)]
        position = end
    return "".join([*parts, text[position:]])


def _conclusions(text: str, masked: str) -> tuple[str, ...]:
    """Returns the parts that are the answer if they can be read: behind the last words of conclusion, and in code fences."""
    parts = [text[found.end() :].strip(BLANK + "*") for found in deque(_THEREFORE.finditer(masked), maxlen=_MOST)]
    if ("```" in text or "~~~" in text) and (fenced := [found[1] for found in FENCED.finditer(text)]):
        parts.insert(0, "\n".join(fenced).strip(BLANK))
    return tuple(part for part in reversed(parts) if part)
