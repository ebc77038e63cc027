"""What --set says changes how the file is read, and stands in the task file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.scaffold.conftest import CLUENER, different, made
from tools.cli import parser_of
from tools.conf.task import find_task
from tools.data.scaffold import new
from tools.data.scaffold.said import NOTHING, Said, option, said
from tools.errors import ToolError


def test_words_are_read_as_the_task_file_reads_them() -> None:
    words = ["fields.text=正文", "fields.label=类 别", "numbers=[O,B-PER,I-PER]", "offsets=utf-16"]
    assert said(words) == Said({"text": "正文", "label": "类 别"}, ("O", "B-PER", "I-PER"), "utf-16")
    assert said([]) == NOTHING
    assert said(["numbers=[0, 1,2]"]).numbers == ("0", "1", "2")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("labels=[x]", "--set labels=[x]: only fields.ROLE=NAME, numbers=[…] and offsets=… change how the file is read"),
        ("numbers", "only fields.ROLE=NAME"),
        ("offsets=utf16", "unknown offsets 'utf16'"),
        ("numbers=[{a: 1}]", "`numbers` (entry 1) must be text"),
        ("numbers=[yes,no]", "`numbers` (entry 1) must be text"),
        ("numbers=x", "`numbers` must be a list"),
        ("fields=x", "`fields` must be a mapping"),
    ],
)
def test_other_words_are_refused_by_name(word: str, message: str) -> None:
    with pytest.raises(ToolError) as error:
        said([word])
    assert message in str(error.value)
    assert "/tmp" not in str(error.value)


def test_what_was_said_stands_in_the_task_file_as_it_was_said(checkout: Path, give: Callable[..., Path]) -> None:
    made(give(different(CLUENER)), words=[r"fields.text='no, {x} \${y}: #z'", "fields.label=类别", "numbers=[O,'是, 否']", "offsets=code-points"])
    task = find_task("toy")
    assert (task.fields, task.numbers, task.offsets) == ({"text": "no, {x} ${y}: #z", "label": "类别"}, ["O", "是, 否"], "code-points")


def test_an_option_is_shown_as_both_commands_take_it() -> None:
    assert option("--kind", "ner", "classification") == '--kind ner or --kind classification (make: ARGS="--kind ner")'
    assert option("--set", "numbers=[A,B]") == "--set 'numbers=[A,B]' (make: ARGS=\"--set 'numbers=[A,B]'\")"


def test_the_command_takes_several_words_before_and_after_other_options() -> None:
    given = ["toy", "--set", "offsets=code-points", "fields.x=y", "--from", "f", "--set", "numbers=[O]", "--kind", "ner"]
    args = parser_of("new", new).parse_intermixed_args(given)
    assert (args.words, args.name, args.kind) == (["offsets=code-points", "fields.x=y", "numbers=[O]"], "toy", "ner")
