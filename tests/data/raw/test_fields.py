import pytest

from tools.data.raw.fields import in_string


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('[[0, 2, "人名"]]', [[0, 2, "人名"]]),
        ("[(0, 2, '人名')]", [[0, 2, "人名"]]),
        ('[{"start": 0}]', [{"start": 0}]),
        ("{'人名': ['张三']}", {"人名": ["张三"]}),
        ("[]", []),
    ],
)
def test_a_list_or_object_in_a_string_is_taken_out(value: str, found: object) -> None:
    assert in_string(value) == found


@pytest.mark.parametrize("value", ["体育", "[体育]", "[公告] {一}", "{", "[[", "{'a': {1, 2}}", "[[1e5000]] x", 7, None, ["a"], "[[" * 5000])
def test_anything_else_stays_as_it_is(value: object) -> None:
    assert in_string(value) is value
