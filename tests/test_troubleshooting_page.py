"""A message that a page quotes as ours (a line of a ```text block that begins with `error: `) is one that the source can print."""

import ast
import re
from pathlib import Path

from tools.files import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "zh").glob("*.md"))]
TELLING = 10  # letters that a template has at least, to say anything
ENOUGH = 0.7  # of a message's plain words; the others are values: a run's name, a choice
# Other programs' words within our messages.
FOREIGN = ("Cannot specify `val_size` if `eval_dataset` is not None.", "Address already in use", "Unterminated string starting at")


def templates() -> list[list[str]]:
    """The literal pieces of each line of each string in tools/, in order; between two pieces stands a value."""
    found = []
    for path in sorted((ROOT / "tools").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values if isinstance(part, ast.Constant)}
        inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                text = node.value
            else:
                continue
            for line in text.split("\n"):
                pieces = [squeezed(piece) for piece in line.split("\0") if piece.strip()]
                if sum(map(str.isalpha, "".join(pieces))) >= TELLING:
                    found.append(pieces)
    return found


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


TEMPLATES = templates()


def covered(message: str) -> set[int]:
    """The positions of a message that literal pieces of our templates stand at."""
    places: set[int] = set()
    for pieces in TEMPLATES:
        if all(piece in message for piece in pieces) and (found := re.search(".*?".join(f"({re.escape(piece)})" for piece in pieces), message)):
            for group in range(1, len(pieces) + 1):
                places |= set(range(*found.span(group)))
    return places


def plain_words(message: str) -> list[tuple[int, str]]:
    """(place, word) of the words that no value is likely to be: lower-case letters, not quoted, no part of a path, of key=value or of a list of choices."""
    for words in FOREIGN:
        message = message.replace(words, " " * len(words))
    bare = re.sub(r"(?<=Available: )[^.]*|`[^`]*`|'[^' ]*'|\"[^\"]*\"|\S*[/_=@]\S*", lambda value: " " * len(value[0]), message)
    return [(word.start(), word[0]) for word in re.finditer(r"(?<![\w.-])[a-z]{2,}(?:'[a-z]+)?(?![\w-])", bare)]


def is_ours(message: str) -> bool:
    words, places = plain_words(message), covered(message)
    return bool(words) and sum(place in places for place, _ in words) >= ENOUGH * len(words)


def quoted(page: Path) -> list[str]:
    blocks = re.findall(r"^```text\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("error: ")]
    return [squeezed(line.removeprefix("error: ")) for line in lines]


def test_every_message_that_is_quoted_as_ours_is_in_the_source() -> None:
    found = {page: quoted(page) for page in PAGES}
    assert len(found[ROOT / "docs" / "troubleshooting.md"]) > 25
    assert [(page.name, message) for page, messages in found.items() for message in messages if not is_ours(message)] == []


def test_a_message_with_a_word_changed_is_not_ours() -> None:
    for message in quoted(ROOT / "docs" / "troubleshooting.md"):
        places = covered(message)
        place, word = max(((place, word) for place, word in plain_words(message) if place in places), key=lambda one: len(one[1]))
        # The word's own template no longer fits; what is left to others must be less than was there.
        changed = message[:place] + word[::-1] + message[place + len(word) :]
        assert len(covered(changed)) < len(places) - len(word), message
    assert not is_ours("conf/x.yaml: the flux compensator is missing and nobody knows why it went away.")
    assert not is_ours("data/outputs/a: this run was finished. To score it: make eval CONF=a. To begin anew: make train CONF=a FRESH=1.")


def test_the_languages_have_the_same_headings_code_and_links() -> None:
    for name in ("keys", "serving", "troubleshooting"):
        texts = [(ROOT / "docs" / folder / f"{name}.md").read_text(encoding="utf-8") for folder in ("", "zh")]
        blocks = [re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL) for text in texts]
        assert blocks[0] == blocks[1], name
        english, chinese = (
            re.findall(r"^(#+) (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE) for text in texts
        )
        assert [level for level, _ in english] == [level for level, _ in chinese], name
        messages = [[words for _, title in titles for words in re.findall(r"`[^`]+`", title)] for titles in (english, chinese)]
        assert messages[0] == messages[1], name
        targets = [[re.sub(r"#.*", "", target).rpartition("/")[2] for target in re.findall(r"\]\(([^)]+)\)", text)] for text in texts]
        assert sorted(targets[0]) == sorted(targets[1]), name


def test_every_link_of_these_pages_leads_to_a_file_and_a_heading() -> None:
    links = 0
    for page in (ROOT / "docs" / folder / f"{name}.md" for folder in ("", "zh") for name in ("keys", "serving", "troubleshooting")):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith("http"):
                continue
            file, _, anchor = target.partition("#")
            there = (page.parent / file).resolve() if file else page
            assert there.exists(), (page, target)
            if anchor:
                assert anchor in anchors(there), (page, target)
            links += 1
    assert links > 20


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings: lower case, no punctuation, spaces as dashes."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
