"""Words that are labels of a task, as answers write them."""

import pytest

from tools.answers.label_names import LabelNames

NAMES = LabelNames({"人名": ("PER", ""), "PER": ("PER", "file_label"), "company": ("ORG", ""), "per": ("PER", "label_spelling"), "职位": ("JOB", "")})


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("人名", "PER"),
        ("PER", "PER"),
        ("Company", "ORG"),
        ("companies", "ORG"),
        ("company name", "ORG"),
        ("company_2", "ORG"),
        ("人名实体", "PER"),
        ("人名类实体", "PER"),
        ("人名3", "PER"),
        ("人名（PER）", "PER"),
        ("職位", "JOB"),
        ("職位名称", "JOB"),
        ("人", None),
        ("人名录", None),
        ("人名（company）", None),
        ("人名（不是PER）", None),
        ("实体", None),
        ("3", None),
        ("", None),
        ("人名" * 100, None),
    ],
)
def test_a_label_is_known_with_more_around_its_name(word: str, label: str | None) -> None:
    found = NAMES.look_up(word)
    assert (found and found[0]) == label
    assert NAMES.look_up(word) == found


def test_only_the_trained_name_needs_no_rule() -> None:
    assert [NAMES.look_up(word) for word in ("人名", "PER", "人名实体")] == [("PER", ""), ("PER", "file_label"), ("PER", "label_spelling")]
