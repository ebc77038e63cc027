"""Tables of texts and classes: the columns are found, or asked about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.table_rows import read_table

Read = Callable[..., list[RawRow | BadRow]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str, reading: FileReading | None = None, name: str = "raw.csv") -> list[RawRow | BadRow]:
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        return list(read_table(tmp_path / name, reading or FileReading()))

    return read_text


def pairs(rows: list[RawRow | BadRow]) -> list[tuple[int, str, str | None]]:
    return [(row.line, row.text, row.label) for row in rows if isinstance(row, RawRow)]


def question(rows: list[RawRow | BadRow]) -> str:
    (row,) = rows
    assert isinstance(row, BadRow)
    assert row.kind == "named"
    return row.reason


@pytest.mark.parametrize(
    "header", ["text,label", "内容,类别", "id,review,sentiment", ",sentence,class", "Unnamed: 0,Content,Category", "date,评论,情感"]
)
def test_columns_are_found_by_their_names(read: Read, header: str) -> None:
    extra = "7," * (header.count(",") - 1)
    assert pairs(read(f"{header}\n{extra}涨价了,财经\n{extra}赢了,体育\n")) == [(2, "涨价了", "财经"), (3, "赢了", "体育")]


def test_columns_of_other_names_are_found_by_what_stands_in_them(read: Read) -> None:
    reading = FileReading()
    rows = read("编码,顾客怎么说,好坏\n" + "".join(f"A{n},第{n}位顾客说的话,{'好差'[n % 2]}\n" for n in range(8)), reading)
    assert pairs(rows)[:2] == [(2, "第0位顾客说的话", "好"), (3, "第1位顾客说的话", "差")]
    assert [rule for rule in reading.applied if "'好坏' has few values" in rule]


def test_a_table_without_a_header_loses_no_row(read: Read) -> None:
    reading = FileReading()
    rows = read("体育\t昨天的比赛很好看\n财经\t今天的股市跌了\n体育\t明天没有比赛了\n财经\t后天再看股市吧\n", reading)
    assert pairs(rows)[0] == (1, "昨天的比赛很好看", "体育")
    assert "the first row is no header: its cells are values like those below" in reading.applied


def test_a_class_that_is_also_a_column_s_usual_name_makes_no_header(read: Read) -> None:
    assert pairs(read("news\t今天的新闻很长\nsports\t昨天的比赛好\nnews\t明天的新闻短\nsports\t后天没有比赛\n"))[0] == (1, "今天的新闻很长", "news")


def test_whether_the_first_row_is_a_header_is_asked_where_nothing_tells(read: Read) -> None:
    text = "甲\t栏目名\n今天股市大涨了\t财经\n昨天比赛赢了\t体育\n明天股市再看吧\t财经\n后天去看电影吧\t娱乐\n大后天股市再看\t财经\n今晚股市收盘了\t财经\n明晚股市收盘吗\t财经\n"
    assert "fields.header=yes or fields.header=no" in question(read(text))
    assert len(pairs(read(text, FileReading(fields={"header": "yes"})))) == 7
    assert len(pairs(read(text, FileReading(fields={"header": "no"})))) == 8


def test_two_columns_that_may_be_the_text_are_a_question_that_fields_answer_by_name_or_number(read: Read) -> None:
    text = "甲,乙,丙\n" + "".join(f"第{n}个甲方句子,第{n}个乙方句子,{'好差'[n % 2]}\n" for n in range(6))
    assert "甲='第0个甲方句子', 乙='第0个乙方句子', 丙='好'. Say it: fields.text=COLUMN fields.label=COLUMN" in question(read(text))
    for answer in ("乙", "2"):
        assert pairs(read(text, FileReading(fields={"text": answer})))[0] == (2, "第0个乙方句子", "好")
    assert "fields.text=丁: there is no such column" in question(read(text, FileReading(fields={"text": "丁"})))


def test_what_pandas_takes_for_missing_stays_a_class(read: Read) -> None:
    rows = read("text,label\n" + "".join(f"文{n},{label}\n" for n, label in enumerate(["None", "NA", "null", "N/A", "nan", "TRUE", "007x"])))
    assert [label for _, _, label in pairs(rows)] == ["None", "NA", "null", "N/A", "nan", "TRUE", "007x"]


def test_an_empty_class_is_a_row_without_annotation(read: Read) -> None:
    assert read("text,label\n好,体育\n坏,\n")[1:] == [
        BadRow(3, "the cell of 'label' is empty: the row isn't annotated (of merged cells only the first has the value).", "unannotated")
    ]


def test_a_row_with_more_cells_is_named_by_its_line_and_the_others_are_read(read: Read) -> None:
    rows = read('text,label\n"两\n行",体育\n好,真的,财经\n坏,财经\n' + "又,体育\n" * 12)
    assert pairs(rows)[:2] == [(2, "两\n行", "体育"), (5, "坏", "财经")]
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert (bad.line, "3 cells, but the table has 2 columns" in bad.reason) == (4, True)


@pytest.mark.parametrize("title", ["", "二月的标注,\n", "二月的标注,\n,\n"])
def test_a_title_above_the_header_is_passed_over(read: Read, title: str) -> None:
    assert [text for _, text, _ in pairs(read(f"{title}文本,标签\n好,体育\n坏,财经\n"))] == ["好", "坏"]


def test_columns_and_names_that_are_empty_are_no_rows(read: Read) -> None:
    rows = read("v1,v2,,\n" + "".join(f"{['ham', 'spam'][n % 2]},message number {n},,\n" for n in range(8)))
    assert pairs(rows)[0] == (2, "message number 0", "ham")


def test_a_column_that_tells_train_and_dev_apart_is_doubted(read: Read) -> None:
    reading = FileReading()
    assert len(pairs(read("text,label,split\n好,体育,train\n坏,财经,test\n", reading))) == 2
    assert "'split' tells rows of train and dev apart" in "".join(reading.doubts)


def test_a_header_of_two_rows_is_joined(read: Read) -> None:
    reading = FileReading()
    assert pairs(read("序号,标题,标注,\n,,类别,备注\n1,好,体育,\n2,坏,财经,\n", reading))[0] == (3, "好", "体育")
    assert "the header has two rows" in reading.applied


def test_half_of_the_rows_may_be_bad_below_a_known_header(read: Read) -> None:
    rows = read("text\tlabel\n" + "".join(f"文{n}\t{'多余' * (n % 3 == 0)}\t体育\n" if n % 3 == 0 else f"文{n}\t体育\n" for n in range(9)))
    assert [row.line for row in rows if isinstance(row, BadRow)] == [2, 5, 8]


def test_dates_are_no_classes(read: Read) -> None:
    rows = read("日期,顾客的话,好坏\n" + "".join(f"2024-01-0{n % 2 + 1},第{n}位顾客的话,{'好差'[n % 2]}\n" for n in range(8)))
    assert pairs(rows)[0] == (2, "第0位顾客的话", "好")


def test_a_header_that_stands_again_is_passed_over(read: Read) -> None:
    assert pairs(read("text,label\n好,体育\ntext,label\n坏,财经\n")) == [(2, "好", "体育"), (4, "坏", "财经")]


def test_a_header_without_a_name_for_the_rows_names_is_one_as_r_writes_it(read: Read) -> None:
    assert pairs(read("text\tlabel\n" + "".join(f"{n}\t文{n}\t体育\n" for n in range(1, 20))))[0] == (2, "文1", "体育")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("text,label\n好,体育#财经\n坏,财经\n中,体育#财经\n", "several classes in one cell of 'label', '体育#财经'"),
        ("text,label\n好,a|b\n坏,b|c\n中,a|c\n", "several classes in one cell"),
        ('text,label\n好,"a,b"\n坏,a\n', "several classes in one cell"),
        ("text,label\n好,0\n坏,1\n中,0\n", "numbers=[NAME0,NAME1]"),
        ("好评论一句话,坏,中\n好一点点,1,0\n差一点点,0,1\n又好又便宜,1,0\n", "hold 0 or 1, a column for each class"),
        ("text_a,text_b,label\n好,坏,是\n中,大,否\n", "two texts a row, of which 'text_b' is the second"),
        ("Word,Class\nLondon,city\nParis,city\nOslo,city\nRiver,thing\n", "'Word' seems to hold tokens, not texts"),
        ("text,entity,start,end,label\n李雷在家,李雷,0,2,PER\n李雷在家,家,3,4,LOC\n", "a row seems to be an entity, which has its place in 'start'"),
        ("sentence,entity_text,entity_type\n李雷在家,李雷,PER\n韩梅出门,韩梅,PER\n王芳在家,王芳,PER\n", "a row seems to be an entity"),
        ("text,人名,地名\n李雷在北京,李雷,北京\n韩梅在上海,韩梅,上海\n王芳在北京,王芳,北京\n张明在上海,张明,上海\n", "stands in the text"),
        ("| text | label |\n|------|:---:|\n| 好 | 体育 |\n| 坏 | 财经 |\n", "a table in Markdown. To convert it: grep"),
        ("text,label\n", "a header, ['text', 'label'], and no rows below it"),
        ("text,category,sentiment\n好球,体育,正\n涨了,财经,正\n输了,体育,负\n", "which column has the class? If none has it"),
        ("text,aspect,polarity\n好吃但贵,味道,正\n好吃但贵,价格,负\n还行,味道,正\n", "'aspect' is the second"),
        ('text,label\n"他说\\"好, 对\\"",正\n"她说\\"坏, 错\\"",负\n', "written with a backslash"),
        ("text,ner\n李雷在家,\"{'PER': ['李雷']}\"\n韩梅出门,\"{'PER': ['韩梅']}\"\n", "the cells of 'ner' hold JSON"),
        ("好球\t体育\n涨了\t财经\n输了\t体育\t足球\n", "but line 3 has 3: each must have as many"),
        ('text,spans\n好,"[{""start"": 0}]"\n坏,"[{""start"": 1}]"\n', "the cells of 'spans' hold JSON"),
        ("text,人名,地名\n" + "李雷在北京,李雷,北京\n韩梅在上海,韩梅,上海\n" * 4, "stands in the text"),
        ("INSERT INTO a (b, c) VALUES\n('好', '正'),\n('坏', '负'),\n", "the file is SQL"),
        ('id,text,label\n1,张三,"[{""start"":0,""end"":2,""labels"":[""PER""]}]"\n', "hold JSON"),
    ],
)
def test_what_is_no_column_of_classes_is_named(read: Read, text: str, said: str) -> None:
    assert said in question(read(text))


def test_a_slash_in_a_class_is_part_of_its_name_unless_both_sides_are_classes(read: Read) -> None:
    assert pairs(read("text,label\n一,新闻/体育\n二,娱乐\n"))[0] == (2, "一", "新闻/体育")
    assert "several classes" in question(read("text,label\n一,新闻/体育\n二,新闻\n三,体育\n"))


def test_a_mark_of_the_encoding_where_files_were_joined_is_no_text(read: Read) -> None:
    assert pairs(read("\ufefftext,label\n好,体育\n\ufefftext,label\n坏,财经\n")) == [(2, "好", "体育"), (4, "坏", "财经")]


def test_a_first_text_that_is_a_known_name_is_lost_by_no_header(read: Read) -> None:
    assert pairs(read("新闻\t体育\n" + "".join(f"又一条很长的新闻{n}\t{['体育', '财经'][n % 2]}\n" for n in range(9))))[0] == (1, "新闻", "体育")


def test_space_around_a_cell_is_no_part_of_it(read: Read) -> None:
    assert pairs(read("text,label\n好球\t, 体育\t\n涨了\t, 财经\t\n"))[0] == (2, "好球", "体育")


def test_commas_in_every_text_make_no_column_of_names(read: Read) -> None:
    rows = read("text,label\n" + "".join(f"又快,又好{n},{'正负'[n % 2]}\n" for n in range(9)))
    assert not any(isinstance(row, RawRow) for row in rows)


def test_a_few_rows_of_several_classes_among_many_are_named_one_by_one(read: Read) -> None:
    rows = read("text,label\n" + "".join(f"文{n},{'体育|财经' if n == 7 else ['体育', '财经'][n % 2]}\n" for n in range(30)))
    assert [row.line for row in rows if isinstance(row, BadRow)] == [9]


def test_whole_numbers_are_classes_by_their_names(read: Read) -> None:
    text = "label,review\n1,好\n0,坏\n2,怪\n"
    rows = read(text, FileReading(numbers=("差评", "好评")))
    assert pairs(rows) == [(2, "好", "好评"), (3, "坏", "差评")]
    assert rows[2] == BadRow(4, "the class '2' is no number from 0 to 1, which the task's `numbers` name.")


def test_numbers_that_pandas_made_fractions_are_whole(read: Read) -> None:
    text = "label,review\n1.0,好\n0.0,坏\n"
    assert "numbers 0, 1" in question(read(text))
    assert pairs(read(text, FileReading(numbers=("差评", "好评")))) == [(2, "好", "好评"), (3, "坏", "差评")]


def test_a_column_with_a_name_for_each_number_has_the_classes(read: Read) -> None:
    assert pairs(read("text,label,label_desc\n好,104,财经\n坏,102,体育\n中,104,财经\n"))[0] == (2, "好", "财经")
    assert pairs(read("label,category,text\n0,财经,好\n1,体育,坏\n0,财经,中\n"))[0] == (2, "好", "财经")


@pytest.mark.parametrize("data", ["", "今天天气很好。\n明天再说。\n", "张\tB-PER\n三\tI-PER\n\n李\tB-PER\n", '{"text": "好", "label": "a"}\n'])
def test_what_is_no_table_is_refused(read: Read, data: Any) -> None:
    (bad,) = read(data)
    assert isinstance(bad, BadRow)
    assert bad.kind == "type"
