from tools.data.offsets.margins import MANY, Margins
from tools.data.raw.row import RawRow

NAMES, VERBS = ["林晓", "何远", "方舟", "秦川"], ["来到", "离开", "住在", "喜欢"]
SURNAMES = "林何方秦赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许"


def watched(spans: list[tuple[str, int, int]]) -> Margins:
    found = Margins()
    for line, (text, start, end) in enumerate(spans, 1):
        found.add(RawRow(line, text, [], sliced=True), start, end)
    return found


def test_a_character_that_follows_each_time_and_then_anything_belongs_to_the_string() -> None:
    found = watched([(f"{name}{verb}杭州", 0, 1) for name in NAMES for verb in VERBS])
    assert [case.strings for case in found.cases] == [(name, name[0]) for name in NAMES]
    assert found.free == 0


def test_anything_behind_a_string_speaks_for_an_exclusive_end() -> None:
    found = watched([(f"{name}{verb}杭州", 0, 2) for name in NAMES for verb in VERBS])
    assert (found.cases, found.free) == ([], 4)


def test_behind_a_single_character_anything_may_follow() -> None:
    assert watched([(f"林{name}去了", 0, 1) for name in "晓川远舟"]).free == 0


def test_one_character_behind_all_strings_completes_none() -> None:
    assert watched([(f"{name}的{thing}", 0, 2) for name in NAMES for thing in "书车家"]).cases == []


def test_strings_that_are_annotated_with_and_without_their_last_character_are_halves() -> None:
    mixed = [(f"见{name}来了", 1, 3 - number % 2) for number in range(2) for name in NAMES]
    assert [case.strings for case in watched(mixed).halves] == [(name, name[0]) for name in NAMES]
    assert watched([(text, 1, 3) for text, *_ in mixed]).halves == []


def test_few_halves_among_many_strings_are_an_annotators_choice() -> None:
    assert watched([("见杭州市长", 1, 3), ("见杭州市长", 1, 4), *((f"见{name}来了", 1, 3) for name in SURNAMES)]).halves == []


def test_spans_that_lost_their_first_character_never_begin_at_a_break_and_often_one_behind_it() -> None:
    lost = watched([(f"{surname}晓来到杭州", 1, 2) for surname in SURNAMES])
    assert lost.before.is_cut
    assert not watched([(f"{surname}晓来到杭州", 0, 2) for surname in SURNAMES]).before.is_odd


def test_one_verb_before_each_span_is_no_lost_character() -> None:
    requests = watched([(f"放{surname}晓的歌", 1, 3) for surname in SURNAMES] * 2)
    assert not requests.before.is_cut


def test_a_side_with_few_spans_says_nothing() -> None:
    few = watched([(f"{surname}晓来到杭州", 1, 2) for surname in SURNAMES[: MANY - 1]])
    assert not few.before.is_odd
