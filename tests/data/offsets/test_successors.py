from tools.data.offsets.successors import MANY, SETTLED, Successors
from tools.data.raw.row import RawRow

NAMES, VERBS = ["林晓", "何远", "方舟", "秦川"], ["来到", "离开", "住在", "喜欢"]


def counted(spans: list[tuple[str, int, int]]) -> Successors:
    found = Successors()
    for line, (text, start, end) in enumerate(spans, 1):
        found.add(RawRow(line, text, [], sliced=True), start, end)
    return found


def test_a_character_that_follows_each_time_and_then_anything_belongs_to_the_string() -> None:
    found = counted([(f"{name}{verb}杭州", 0, 1) for name in NAMES for verb in VERBS])
    assert found.votes() == (4, 0)
    assert [case.strings for case in found.cases] == [(name, name[0]) for name in NAMES]


def test_anything_behind_a_string_speaks_for_an_exclusive_end() -> None:
    assert counted([(f"{name}{verb}杭州", 0, 2) for name in NAMES for verb in VERBS]).votes() == (0, 4)


def test_behind_a_single_character_anything_may_follow() -> None:
    assert counted([(f"林{name}去了", 0, 1) for name in "晓川远舟"]).votes() == (0, 0)


def test_one_character_behind_all_strings_completes_none() -> None:
    assert counted([(f"{name}的{thing}", 0, 2) for name in NAMES for thing in "书车家"]).votes() == (0, 0)


def test_spans_that_are_whole_in_one_reading_only_speak_for_it() -> None:
    found = counted([("我和林", 2, 2), ("看《围城》", 1, 4), ("见林晓，", 1, 3), ("见林晓", 1, 3)])
    assert (found.gaining, found.losing, found.broken) == (2, 2, 0)


def test_a_span_that_is_cut_either_way_is_broken() -> None:
    assert counted([("见：林晓", 1, 3)]).broken == 1


def test_it_stops_where_the_answer_is_clear() -> None:
    assert counted([("见林晓，", 1, 3)] * (SETTLED + 2)).settled
    assert not counted([("见林晓，", 1, 3)] * SETTLED).settled


def test_a_file_in_which_no_span_begins_behind_a_break_is_odd() -> None:
    spans = [(f"{name}{verb}杭州，{place}也好", start, start + 1) for name in NAMES for verb in VERBS for place, start in (("苏州", 1), ("温州", 8))]
    assert counted(spans).never_first
    assert not counted([*spans, ("林晓，", 0, 2)]).never_first
    assert not counted([(text, start - 1, end) for text, start, end in spans]).never_first
    assert not counted([("我在杭州，", 2, 4)] * 50).never_first  # behind one character only, as in a template


def test_a_file_in_which_no_span_ends_before_punctuation_is_odd() -> None:
    texts = [f"{name}{verb}杭州" for name in NAMES for verb in VERBS[:2]]
    spans = [(text, 0, 1) for text in texts for _ in range(MANY // len(texts) + 1)]
    assert counted(spans).never_free
    assert not counted([*spans, ("见林晓，", 1, 3)]).never_free
