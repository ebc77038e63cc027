"""The pages say the same in both languages: README.md ↔ README_zh.md and so CONTRIBUTING.md, docs/**/*.md ↔ docs/zh/**/*.md, section by section. Each complaint names page and line.

.venv/train/bin/python -m pytest tests/test_translations.py
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from os.path import normpath, relpath
from pathlib import Path

import pytest

from tools.files import ROOT

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
PICTURE = re.compile(r"<picture>.*?<img\b[^>]*?\balt=\"([^\"]*)\".*?</picture>", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"\[([^\]\[]+)\]\(([^)\s]+)\)")
FIGURE = re.compile(r"(?<![A-Za-z0-9_.])(\d+(?:,\d{3})*(?:\.\d+)*)(?: ?(M(?![A-Za-z])|million|billion|万|亿))?")
TIMES = {"M": 10**6, "million": 10**6, "billion": 10**9, "万": 10**4, "亿": 10**8}
NAMES = {"NER Factory", "CLUENER2020", "ChatGLM3", "Docker", "LLaMA-Factory", "Ray", "vLLM"}  # headings that are the same in every language
LEAST_HAN = 0.5  # of a page's letters outside code; names and abbreviations are the rest


@dataclass(frozen=True)
class Block:
    """A heading, a fenced block, a table, a list item or a paragraph: its kind as it must be in both languages, its first line, its lines."""

    kind: str
    line: int
    lines: tuple[str, ...]

    @property
    def prose(self) -> str:
        """The text that a reader sees, or hears of a picture: without code, comments and the targets of links."""
        seen = PICTURE.sub(r"\1", COMMENT.sub(" ", "\n".join(self.lines)))
        return "" if self.kind.startswith("fence") else LINK.sub(r"\1", CODE.sub(" ", seen))


@dataclass(frozen=True)
class Page:
    """A page, from its text; `name` is its path in the repository."""

    name: str
    text: str = field(repr=False)

    @property
    def blocks(self) -> list[Block]:
        return list(_blocks(self.text))

    @property
    def sections(self) -> list[list[Block]]:
        """The blocks under each heading, the heading first."""
        found: list[list[Block]] = []
        for block in self.blocks:
            if block.kind.startswith("heading") or not found:
                found.append([])
            found[-1].append(block)
        return found

    @property
    def anchors(self) -> list[str]:
        """The headings, as GitHub makes fragments of them."""
        titles = [LINK.sub(r"\1", block.lines[0].lstrip("# ")) for block in self.blocks if block.kind.startswith("heading")]
        return [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]

    def at(self, block: Block) -> str:
        return f"{self.name}:{block.line}"


def _blocks(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    start = 0
    while start < len(lines):
        end = start + 1
        line = lines[start].strip()
        if line.startswith("```"):
            while end < len(lines) and lines[end].strip() != "```":
                end += 1
            yield Block(f"fence {line[3:]}".strip(), start + 1, tuple(lines[start + 1 : end]))
            end += 1
        elif heading := re.match(r"(#{1,6}) ", line):
            yield Block(f"heading {len(heading[1])}", start + 1, (lines[start],))
        elif line.startswith("|"):
            while end < len(lines) and lines[end].strip().startswith("|"):
                end += 1
            widths = "+".join(str(len(_cells(row))) for row in lines[start:end])
            yield Block(f"table of rows of {widths} cells", start + 1, tuple(lines[start:end]))
        elif line:
            while end < len(lines) and lines[end].strip() and not re.match(r"\s*(```|#{1,6} |\||[-*+] |\d+\. )", lines[end]):
                end += 1
            item = re.match(r"([-*+]|\d+\.) ", line)
            yield Block(f"item {item[1]}" if item else "paragraph", start + 1, tuple(lines[start:end]))
        start = end


def _cells(row: str) -> list[str]:
    return CODE.sub("code", row).strip().strip("|").split("|")


def of_the_repository(name: str) -> Page:
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def in_chinese(name: str) -> str:
    """The path of an English page's twin."""
    return name.removesuffix(".md") + "_zh.md" if "/" not in name else name.replace("docs/", "docs/zh/", 1)


DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
ENGLISH = ["README.md", "CONTRIBUTING.md", *(name for name in DOCS if not name.startswith("docs/zh/"))]
CHINESE = ["README_zh.md", "CONTRIBUTING_zh.md", *(name for name in DOCS if name.startswith("docs/zh/"))]
both = pytest.mark.parametrize("name", [name for name in ENGLISH if in_chinese(name) in CHINESE])
chinese_pages = pytest.mark.parametrize("name", CHINESE)
every_page = pytest.mark.parametrize("name", [*ENGLISH, *CHINESE])


def other_shape(english: Page, chinese: Page) -> list[str]:
    """Headings of another level, and blocks that one page has and the other hasn't; only the first of a section, for the rest follows from it."""
    problems = []
    if len(english.sections) != len(chinese.sections):
        problems.append(f"{english.name} has {len(english.sections)} headings, {chinese.name} {len(chinese.sections)}")
    for one, other in zip(english.sections, chinese.sections, strict=False):
        for left, right in zip(one, other, strict=False):
            if left.kind != right.kind:
                problems.append(f"{english.at(left)} is a {left.kind}, {chinese.at(right)} a {right.kind}")
                break
        else:
            if len(one) != len(other):
                problems.append(f"the section at {english.at(one[0])} has {len(one)} blocks, the one at {chinese.at(other[0])} {len(other)}")
    return problems


def other_code(english: Page, chinese: Page) -> list[str]:
    """Fenced blocks whose language or lines differ but in comments; of a file map only the paths count."""
    problems = []
    pairs = zip(_fences(english), _fences(chinese), strict=False)
    for left, right in pairs:
        if left.kind != right.kind:
            problems.append(f"{english.at(left)} is a {left.kind}, {chinese.at(right)} a {right.kind}")
        mine, theirs = _essence(left), _essence(right)
        if len(mine) != len(theirs):
            problems.append(f"{english.at(left)} has {len(mine)} lines of code, {chinese.at(right)} {len(theirs)}")
        for (number, line), (twin, translated) in zip(mine, theirs, strict=False):
            if line != translated:
                problems.append(f"{english.name}:{number} {line!r} is {translated!r} at {chinese.name}:{twin}")
                break
    if len(_fences(english)) != len(_fences(chinese)):
        problems.append(f"{english.name} has {len(_fences(english))} fenced blocks, {chinese.name} {len(_fences(chinese))}")
    return problems


def _fences(page: Page) -> list[Block]:
    return [block for block in page.blocks if block.kind.startswith("fence")]


def _essence(block: Block) -> list[tuple[int, str]]:
    """(line number, what must be equal) of a block's lines that hold more than a comment."""
    is_map = any(line.startswith("conf/ ") for line in block.lines)
    bare = [
        (block.line + number, line.split("  ")[0] if is_map else re.sub(r"(^|\s+)# .*", "", line))
        for number, line in enumerate(block.lines, 1)
        if line
    ]
    return [(number, line.rstrip()) for number, line in bare if line]


def _compared(what: str, english: Page, chinese: Page, found: Callable[[Page, Block], list[str]], once: bool = False) -> list[str]:
    """What a section holds more often than its twin; with `once`, what it holds and its twin doesn't."""
    problems = []
    for one, other in zip(english.sections, chinese.sections, strict=False):
        for here, blocks, there, twins in ((english, one, chinese, other), (chinese, other, english, one)):
            mine, theirs = _where(here, blocks, found), _where(there, twins, found)
            for item, lines in mine.items():
                times, others = len(lines), len(theirs.get(item, []))
                if times > others and not (once and others):
                    at = ", ".join(str(line) for line in sorted(set(lines)))
                    problems.append(f"{here.name}:{at} has the {what} {item!r} ({times} times), the section at {there.at(twins[0])} {others} times")
    return problems


def _where(page: Page, blocks: list[Block], found: Callable[[Page, Block], list[str]]) -> dict[str, list[int]]:
    """Each item → the lines that it stands in."""
    places: dict[str, list[int]] = {}
    for block in blocks:
        if block.kind.startswith("table"):
            rows = [replace(block, line=block.line + number, lines=(row,)) for number, row in enumerate(block.lines)]
        else:
            rows = [block]
        for row in rows:
            for item in found(page, row):
                places.setdefault(item, []).append(row.line)
    return places


def other_commands(english: Page, chinese: Page) -> list[str]:
    return _compared("command", english, chinese, lambda _, block: [code for code in _codes(block) if re.search(r"make [a-z]|python -m ", code)])


def other_names(english: Page, chinese: Page) -> list[str]:
    """Code within the text: what a section names, its twin names too, if not as often. Words of one's own language may be quoted as code."""
    return _compared("code", english, chinese, lambda _, block: [code for code in _codes(block) if not re.search(f"[{HAN}]", code)], once=True)


def _codes(block: Block) -> list[str]:
    text = "" if block.kind.startswith("fence") else "\n".join(block.lines)
    return [" ".join(found[2].split()) for found in CODE.finditer(text)]


def other_figures(english: Page, chinese: Page) -> list[str]:
    """Numbers of three digits and more, and those with a point, wherever they stand outside code."""
    return _compared("figure", english, chinese, lambda _, block: _figures(block.prose))


def _figures(text: str) -> list[str]:
    """The figures, without separators, in full: 1.61 亿 and 161 M are one."""
    figures = []
    for digits, times in FIGURE.findall(unicodedata.normalize("NFKC", text)):
        plain = digits.replace(",", "")
        if times:
            figures.append(str(int(Decimal(plain) * TIMES[times])))
        elif "." in plain or len(plain) > 2:
            figures.append(plain)
    return figures


def other_links(english: Page, chinese: Page) -> list[str]:
    return _compared("link", english, chinese, lambda page, block: _links(page, block) if block.line > 3 else [])


def _links(page: Page, block: Block) -> list[str]:
    """A block's targets: addresses as they are, pages by their English path, fragments by the number of their heading."""
    if block.kind.startswith("fence"):
        return []
    targets = []
    for target in (found[2] for found in LINK.finditer(CODE.sub(" ", "\n".join(block.lines)))):
        if "://" in target:
            targets.append(target)
            continue
        path, fragment = _resolved(page, target)
        number = ""
        if fragment:
            to = page if path == page.name else of_the_repository(path)
            number = f"#{to.anchors.index(fragment)}" if fragment in to.anchors else f"#{fragment}"
        targets.append(path.replace("docs/zh/", "docs/").replace("_zh.md", ".md") + number)
    return targets


def _resolved(page: Page, target: str) -> tuple[str, str]:
    path, _, fragment = target.partition("#")
    return (normpath(Path(page.name).parent / path) if path else page.name), fragment


def dead_links(page: Page) -> list[str]:
    problems = []
    for block in page.blocks:
        if block.kind.startswith("fence"):
            continue
        for target in (found[2] for found in LINK.finditer(CODE.sub(" ", "\n".join(block.lines)))):
            if "://" in target:
                continue
            path, fragment = _resolved(page, target)
            if path != page.name and not (ROOT / path).exists():
                problems.append(f"{page.at(block)} links to {target}, which doesn't exist")
            elif fragment and fragment not in (page if path == page.name else of_the_repository(path)).anchors:
                problems.append(f"{page.at(block)} links to {target}, but {path} has no such heading")
    return problems


def not_chinese(page: Page) -> list[str]:
    """Text that was left in English, half-width punctuation, and line breaks that would be shown as a space within a sentence."""
    problems = []
    for block in page.blocks:
        for text in [cell for row in block.lines for cell in _cells(row)] if block.kind.startswith("table") else [block.prose]:
            if len(text.strip()) > 60 and not re.search(f"[{HAN}]", text):
                problems.append(f"{page.at(block)} isn't in Chinese: {text.strip()[:60]!r}")
            elif english := re.search(r"(?:\b[a-z']+,? ){5,}[a-z']+", text):
                problems.append(f"{page.at(block)} has a piece in English: {english[0]!r}")
        title = block.prose.lstrip("# ") if block.kind.startswith("heading") else ""  # without code: a heading may quote a message
        if re.search("[A-Za-z]{2}", title) and not re.search(f"[{HAN}]", title) and title not in NAMES:
            problems.append(f"{page.at(block)}: the heading isn't in Chinese")
        if found := re.search(rf"[{HAN}](?:[,;:?!]|\.(?![A-Za-z0-9]))", block.prose):
            problems.append(f"{page.at(block)} has half-width punctuation after {found[0]!r}")
        if block.kind.startswith(("item", "paragraph")) and (found := re.search(rf"[{HAN}]\n *[{HAN}]", "\n".join(block.lines))):
            problems.append(f"{page.at(block)} has a line break in {found[0]!r}, which shows as a space within the sentence")
    return problems


def share_of_han(page: Page) -> float:
    prose = "".join(block.prose for block in page.blocks)
    han, latin = len(re.findall(f"[{HAN}]", prose)), len(re.findall("[A-Za-z]", prose))
    return han / (han + latin)


CHECKS = [other_shape, other_code, other_commands, other_names, other_figures, other_links]


def told(problems: list[str]) -> str:
    return "\n" + "\n".join(problems)


def test_no_page_is_without_its_twin() -> None:
    assert len(ENGLISH) > 6 and len(CHINESE) > 6
    assert "docs/recipes/cluener.md" in ENGLISH and "docs/zh/recipes/cluener.md" in CHINESE, "pages in folders of their own are among them"
    alone = sorted({in_chinese(name) for name in ENGLISH} ^ set(CHINESE))
    assert not alone, f"one of the two languages lacks what stands at or would stand at {', '.join(alone)}"


@both
def test_the_first_line_under_the_title_leads_to_the_other_language(name: str) -> None:
    here, there = name, in_chinese(name)
    assert of_the_repository(here).text.splitlines()[1:4:2] == ["", ""] and of_the_repository(there).text.splitlines()[1:4:2] == ["", ""]
    assert of_the_repository(here).text.splitlines()[2] == f"English | [中文]({relpath(there, Path(here).parent)})", f"{here}:3"
    assert of_the_repository(there).text.splitlines()[2] == f"[English]({relpath(here, Path(there).parent)}) | 中文", f"{there}:3"


@both
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_both_languages_say_the_same(name: str, check: Callable[[Page, Page], list[str]]) -> None:
    problems = check(of_the_repository(name), of_the_repository(in_chinese(name)))
    assert not problems, told(problems)


@every_page
def test_links_lead_to_files_and_headings_that_exist(name: str) -> None:
    problems = dead_links(of_the_repository(name))
    assert not problems, told(problems)


@every_page
def test_no_text_is_taken_for_html_and_vanishes(name: str) -> None:
    page = of_the_repository(name)
    problems = [f"{page.at(block)}: {found}" for block in page.blocks for found in re.findall(r"</?[a-z][^>\n]*>", block.prose)]
    assert not problems, told(problems)


@chinese_pages
def test_a_chinese_page_is_in_chinese(name: str) -> None:
    problems = not_chinese(of_the_repository(name))
    assert not problems, told(problems)
    assert share_of_han(of_the_repository(name)) >= LEAST_HAN, f"{name}: too little of it is Chinese"


SAYS = """# NER Factory

English | [中文](x_zh.md)

Ten thousand rows, 10,748 of them, and 3.8 M parameters reach 0.5 with `make eval` and `score.json` ([more](README.md#where-things-are)).

## Steps

- one
- two

| a | b |
|---|---|
| 1,343 | `x` |

```
make eval CONF=a   # the adapter
```
"""
SAYS_IN_CHINESE = """# NER Factory

[English](x.md) | 中文

一万行左右，确切地说是 10748 行，加上 380 万参数，用 `make eval` 和 `score.json` 达到 ０.5（[详见](README_zh.md#目录结构)）。

## 步骤

- 一
- 二

| 甲 | 乙 |
|---|---|
| 1,343 | `x` |

```
make eval CONF=a   # 适配器
```
"""


def test_pages_that_say_the_same_pass_every_check() -> None:
    english, chinese = Page("x.md", SAYS), Page("x_zh.md", SAYS_IN_CHINESE)
    assert [check(english, chinese) for check in CHECKS] == [[]] * len(CHECKS)
    assert not_chinese(chinese) == [] and share_of_han(chinese) > LEAST_HAN


@pytest.mark.parametrize(
    ("check", "old", "new", "complaint"),
    [
        (other_shape, "## 步骤", "### 步骤", "x.md:7 is a heading 2, x_zh.md:7 a heading 3"),
        (other_shape, "- 二\n", "", "x.md:10 is a item -, x_zh.md:11 a table of rows of 2+2+2 cells"),
        (other_shape, "| 甲 | 乙 |", "| 甲 |", "x.md:12 is a table of rows of 2+2+2 cells, x_zh.md:12 a table of rows of 1+2+2 cells"),
        (other_code, "CONF=a ", "CONF=b ", "x.md:17 'make eval CONF=a' is 'make eval CONF=b' at x_zh.md:17"),
        (other_code, "```\nmake", "```yaml\nmake", "x.md:16 is a fence, x_zh.md:16 a fence yaml"),
        (
            other_commands,
            "`make eval`",
            "`make eval` `make eval`",
            "x_zh.md:5 has the command 'make eval' (2 times), the section at x.md:1 1 times",
        ),
        (other_names, "`x`", "x", "x.md:14 has the code 'x' (1 times), the section at x_zh.md:7 0 times"),
        (other_figures, "10748", "10747", "x.md:5 has the figure '10748' (1 times), the section at x_zh.md:1 0 times"),
        (other_figures, "380 万", "38 万", "x_zh.md:5 has the figure '380000' (1 times), the section at x.md:1 0 times"),
        (other_figures, "1,343", "1,344", "x_zh.md:14 has the figure '1344' (1 times), the section at x.md:7 0 times"),
        (other_links, "目录结构", "分数的含义", "x.md:5 has the link"),
    ],
)
def test_a_translation_that_says_something_else_is_told_with_page_and_line(
    check: Callable[[Page, Page], list[str]], old: str, new: str, complaint: str
) -> None:
    assert old in SAYS_IN_CHINESE
    problems = check(Page("x.md", SAYS), Page("x_zh.md", SAYS_IN_CHINESE.replace(old, new)))
    assert any(complaint in problem for problem in problems), told(problems)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("- 二", "- This item was forgotten by whoever translated the page, and so it is still in English.", "x_zh.md:10 isn't in Chinese"),
        ("- 二", "- 二。but this half of it was forgotten", "x_zh.md:10 has a piece in English: 'but this half of it was forgotten'"),
        ("左右，", "左右,", "x_zh.md:5 has half-width punctuation after '右,'"),
        ("左右，", "左\n右，", "x_zh.md:5 has a line break in '左\\n右'"),
        ("## 步骤", "## Steps", "x_zh.md:7: the heading isn't in Chinese"),
    ],
)
def test_what_is_not_chinese_is_told_with_page_and_line(old: str, new: str, complaint: str) -> None:
    assert old in SAYS_IN_CHINESE
    problems = not_chinese(Page("x_zh.md", SAYS_IN_CHINESE.replace(old, new)))
    assert any(complaint in problem for problem in problems), told(problems)


def test_a_link_to_a_missing_file_or_heading_is_told() -> None:
    page = Page("docs/x.md", "# X\n\n[a](nowhere.md) [b](../README.md#nothing) [c](../README.md#where-things-are) [d](#x)\n")
    assert dead_links(page) == [
        "docs/x.md:3 links to nowhere.md, which doesn't exist",
        "docs/x.md:3 links to ../README.md#nothing, but README.md has no such heading",
    ]
