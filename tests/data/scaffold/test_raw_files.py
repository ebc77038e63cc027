"""The reader of a raw file is guessed from its rows. Files below the checkout stay where they are; others are copied; a single file is divided."""

import codecs
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import real
from tests.data.scaffold.conftest import BIO, BMES, CANONICAL, CCFBDCI, CLUENER, OFFSETS, SPANS, STUDIO, TEXT, different, everything, lines, made
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.data.offsets.evidence import Evidence
from tools.data.offsets.verdict import Verdict
from tools.data.readers import READERS
from tools.data.scaffold.raw_files import guess
from tools.data.scaffold.trials import FORMS, heads, read
from tools.errors import ToolError

PLACES = [(0, 2, "PER"), (3, 5, "GPE")]
# The bytes of a file, its reader, and the line of its first annotation.
SHAPES = {
    "cluener": (lines(CLUENER), "cluener", 1),
    "cluener, compressed": (gzip.compress(lines(CLUENER)), "cluener", 1),
    "Label Studio, compressed": (gzip.compress(json.dumps([STUDIO]).encode()), "label_studio", 1),
    "BIO, compressed": (gzip.compress(BIO.encode()), "bio", 1),
    "ccfbdci": (lines(CCFBDCI), "ccfbdci", 1),
    "doccano": (lines({"id": 1, "text": TEXT, "label": [[0, 2, "PER"], [3, 5, "GPE"]], "Comments": []}), "doccano", 1),
    "doccano, with relations": (lines({"id": 1, "text": TEXT, "entities": OFFSETS, "relations": []}), "doccano", 1),
    "doccano, of old": (lines({"data": TEXT, "labels": [[0, 2, "PER"], [3, 5, "GPE"]]}), "doccano", 1),
    "canonical": (lines(CANONICAL), "jsonl", 1),
    "Label Studio": (json.dumps([STUDIO]).encode(), "label_studio", 1),
    "Label Studio, over many lines": (json.dumps([STUDIO], indent=2).encode(), "label_studio", 1),
    "Label Studio, a task a line": (lines(STUDIO), "label_studio", 1),
    "JSON-MIN": (json.dumps([{"id": 1, "text": TEXT, "label": SPANS, "annotation_id": 3}]).encode(), "label_studio", 1),
    "doccano, a list under entities": (lines({"text": TEXT, "entities": [[0, 2, "PER"], [3, 5, "GPE"]]}), "spans", 1),
    "spaCy": (lines([TEXT, {"entities": [[0, 2, "PER"], [3, 5, "GPE"]]}]), "spans", 1),
    "spaCy, under a key": (json.dumps({"annotations": [[TEXT, {"entities": [[0, 2, "PER"], [3, 5, "GPE"]]}]]}, indent=1).encode(), "spans", 3),
    "Prodigy": (
        lines({"text": TEXT, "spans": [{"start": 0, "end": 2, "label": "PER"}, {"start": 3, "end": 5, "label": "GPE"}], "answer": "accept"}),
        "spans",
        1,
    ),
    "CMeEE": (
        json.dumps([{"text": TEXT, "entities": [{"start_idx": s, "end_idx": e - 1, "type": n, "entity": TEXT[s:e]} for s, e, n in PLACES]}]).encode(),
        "spans",
        1,
    ),
    "CCKS": (
        lines({"originalText": TEXT, "entities": [{"start_pos": s, "end_pos": e, "label_type": n, "overlap": 0} for s, e, n in PLACES]}),
        "spans",
        1,
    ),
    "own examples with ends inside": (
        lines({"text": TEXT, "entities": [{"start": s, "end": e - 1, "label": n, "text": TEXT[s:e]} for s, e, n in PLACES]}),
        "spans",
        1,
    ),
    "Hugging Face": (lines({"tokens": list(TEXT), "ner_tags": ["B-PER", "I-PER", "O", "B-GPE", "I-GPE"]}), "tokens", 1),
    "GLiNER": (lines({"tokenized_text": list(TEXT), "ner": [[0, 1, "PER"], [3, 4, "GPE"]]}), "tokens", 1),
    "BIO": (BIO.encode(), "bio", 1),
    "BIO, CRLF and a mark": (codecs.BOM_UTF8 + BIO.replace("\n", "\r\n").encode(), "bio", 1),
    "BIO that begins like a list": (f"[ O\n{BIO}".encode(), "bio", 1),
    "BIO that begins like a list of one": (f"[1] O\n{BIO}".encode(), "bio", 1),
    "BIO with a line that is JSON": (f"1\tO\n\n{BMES}".encode(), "bio", 3),
    "BMES": (BMES.encode(), "bio", 1),
    "CoNLL": (BIO.replace(" ", " NN _ ").encode(), "bio", 1),
    "rows without annotation first": (lines(*[{"text": "未标注"}] * 300, CLUENER), "cluener", 301),
    "rows without entities first": (lines({"text": "无", "label": {}}, CLUENER), "cluener", 2),
}
CLASSES = {
    "a class": (lines({"text": "好看", "label": "影"}, {"text": "赢了", "label": "体"}), "classification", 0),
    "an output": (lines({"text": "好看", "output": "影"}, {"text": "赢了", "output": "体"}), "classification", 0),
    "options": (lines({"text": "好看", "category": ["影", "体"], "output": "影"}), "classification", 2),
    "options and a label": (lines({"text": "好看", "category": ["影", "体"], "label": "影"}), "classification", 2),
    "canonical options": (lines({"text": "好看", "options": ["影", "体"], "label": "影"}), "jsonl", 2),
    "doccano's class": (lines({"text": "好看", "label": ["影"]}, {"text": "赢了", "label": ["体"]}), "doccano", 0),
    "a class, and no entities": (lines({"text": "好看", "label": "影", "entities": []}), "classification", 0),
    "choices": (json.dumps([{"text": "好看", "sentiment": "影", "annotation_id": 1}]).encode(), "label_studio", 0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_reader_of_entities_is_guessed_and_the_reason_is_an_annotation_as_it_read_it(shape: str, give: Callable[..., Path]) -> None:
    data, reader, line = SHAPES[shape]
    found = guess(give(data))
    assert (found.reader, found.entities) == (reader, {"PER": 1, "GPE": 1})
    assert found.sample == f"{'task' if 'Studio' in shape or 'JSON-MIN' in shape else 'line'} {line} holds '张三' (PER), '北京' (GPE)"


@pytest.mark.parametrize("shape", CLASSES)
def test_the_reader_of_classes_is_guessed_and_one_that_sees_the_options_wins(shape: str, give: Callable[..., Path]) -> None:
    data, reader, options = CLASSES[shape]
    found = guess(give(data))
    assert (found.reader, found.classes["影"], len(found.options)) == (reader, 1, options)
    assert found.sample == "line 1 holds the class '影'" + " of the options '影', '体'" * bool(options)


def test_every_reader_has_a_form_that_it_reads_itself(give: Callable[..., Path]) -> None:
    assert set(FORMS) == set(READERS)
    for reader, form in FORMS.items():
        if reader == "brat":  # of two files
            continue
        example, _, below = form.example.removesuffix(")").partition("   (")
        example = (example + "\n" + below.removeprefix("a header; below it: ") * below.startswith("a header")).replace("…", "x")
        found = guess(give(example.encode()))
        assert (found.reader, found.refusals) == (reader, 0)


def test_readers_that_give_the_same_rows_are_no_question(give: Callable[..., Path]) -> None:
    path = give(CLASSES["a class"][0])
    same = {trial.reader for trial in heads(path) if trial.digest == read(path, "classification").digest}
    assert same == {"classification", "doccano", "jsonl"}
    assert guess(path).reader == "classification"


@pytest.mark.parametrize(
    ("name", "reader", "labels"),
    [
        ("cluener/train.jsonl", "cluener", 10),
        ("ccfbdci/ccfbdci.jsonl", "ccfbdci", 4),
        ("chinese_medical/medical_eval.txt", "bio", 10),
        ("resume/dev.char.bmes", "bio", 8),
    ],
)
def test_real_files_are_recognised(name: str, reader: str, labels: int) -> None:
    found = guess(real(name))
    assert (found.reader, len(found.entities), found.refusals) == (reader, labels, 0)


def test_a_file_that_isnt_json_is_tried_with_every_reader(give: Callable[..., Path]) -> None:
    assert {trial.reader for trial in heads(give(b"x\n"))} == set(FORMS)


def test_two_ways_to_read_a_file_are_a_question_that_the_reader_answers(checkout: Path, give: Callable[..., Path]) -> None:
    path = give(lines(*({"text": f"{TEXT}{n}", "output": f"类{n % 2}", "label": [[0, 2, "PER"], [3, 5, "GPE"]]} for n in range(12))))
    before = everything(checkout)
    with pytest.raises(ToolError, match="two readers read its rows differently; line 1 as each reads it") as error:
        made(path)
    assert error.value.exit_code == 2
    for said in (
        f"  classification, {FORMS['classification'].name}: the class '类0' (0 entities, 12 rows with a class in all)",
        f"  doccano, {FORMS['doccano'].name}: '张三' (PER), '北京' (GPE) (24 entities, 0 rows with a class in all)",
        'Choose --reader doccano or --reader classification (make: ARGS="--reader doccano")',
    ):
        assert said in str(error.value)
    assert everything(checkout) == before
    made(path, reader="doccano")
    assert (find_task("toy").kind, find_task("toy").labels) == ("ner", ["PER", "GPE"])


def test_an_encoding_that_isnt_utf8_is_read_and_left_to_the_doctor(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = different(CLUENER).decode()
    for codec, code in (("gb18030", 1), ("utf-16", 1), ("utf-8-sig", 0)):
        assert made(give(text.encode(codec), f"{codec}.jsonl"), name=codec) == code
        assert (find_task(codec).reader, find_task(codec).labels) == ("cluener", ["PER", "GPE"])
        shown = capsys.readouterr().out
        assert (f'next: make check TASK={codec} CONF=conf/tiny-qwen2-{codec}-ner-lora-sft.yaml ARGS="--fix"' in shown) is bool(code)
        assert ("The written files stay" in shown) is bool(code)


def test_a_file_below_the_checkout_is_named_where_it_is_and_another_is_copied(checkout: Path, give: Callable[..., Path]) -> None:
    inside = checkout / "data/dataset/my data: [1:2]${x}.jsonl"
    inside.parent.mkdir()
    inside.write_bytes(different(CLUENER))
    made(inside)
    assert find_task("toy").raw == {"train": str(inside.relative_to(checkout))}
    outside = give(different(CLUENER), "x.jsonl")
    made(outside, name="two")
    assert find_task("two").raw == {"train": "data/dataset/two.jsonl"}
    assert (checkout / "data/dataset/two.jsonl").read_bytes() == outside.read_bytes()
    (checkout / "conf/task/two.yaml").unlink()
    (checkout / "data/prompts/two_prompt.txt").unlink()
    (checkout / "conf/tiny-qwen2-two-ner-lora-sft.yaml").unlink()
    assert made(outside, name="two") == 0, "the same copy is there already"


def test_one_file_is_split_and_two_are_not(checkout: Path, give: Callable[..., Path]) -> None:
    train, dev = give(different(CLUENER), "a.jsonl"), give(lines({"text": "李四", "label": {"PER": {"李四": [[0, 1]]}}}), "b.jsonl")
    made(train)
    task = find_task("toy")
    assert task.split
    assert all(split.rows for split in convert(task, checkout / "out"))
    made(train, name="two", dev=dev)
    assert find_task("two").split is None
    assert find_task("two").raw == {"train": "data/dataset/two.train.jsonl", "dev": "data/dataset/two.dev.jsonl"}
    with pytest.raises(ToolError, match="--from and --dev are one file"):
        made(train, name="three", dev=train)
    with pytest.raises(ToolError, match=r"b\.txt: the reader cluener reads no row of it"):
        made(train, name="three", dev=give(BIO.encode(), "b.txt"))
    with pytest.raises(ToolError, match="elsewhere: is a folder"):
        made(train.parent, name="three")
    assert not list(checkout.rglob("*three*"))


@pytest.mark.parametrize(("count", "share"), [(2, None), (5, None), (12, None), (300, 0.1)])
def test_a_small_file_gives_enough_of_itself_to_dev(checkout: Path, give: Callable[..., Path], count: int, share: float | None) -> None:
    made(give(different(CLUENER, count)))
    task = find_task("toy")
    assert task.split
    assert share in (None, task.split.of["dev"])
    assert sorted(split.name for split in convert(task, checkout / "out") if split.rows) == ["dev", "train"]


ANN, TXT = "T1\t人名 0 2\t张三\nT2\t地点 3 5\t北京\n", "张三在北京\n李四也在\n"


@pytest.fixture
def brat(tmp_path: Path) -> Path:
    """A folder of brat's pairs, in folders of its own, with another file beside them."""
    for number in range(30):
        folder = tmp_path / "corpus" / ("a" if number % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.ann").write_text(ANN)
        (folder / f"{number}.txt").write_text(TXT.replace("李四", f"李四{number}").replace("京\n", f"京{number}\n"))
    (tmp_path / "corpus/annotation.conf").write_text("[entities]\n人名\n")
    return tmp_path / "corpus"


def test_a_folder_of_brats_pairs_is_copied_as_a_folder_and_read_by_every_verb(checkout: Path, brat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(brat) in (0, 1)
    assert "corpus: reader brat, because 60 of 60 rows read as brat's standoff annotation" in capsys.readouterr().out
    task = find_task("toy")
    assert (task.reader, task.raw, task.labels) == ("brat", {"train": "data/dataset/toy"}, ["人名", "地点"])
    assert (checkout / "data/dataset/toy/a/1.txt").read_text() == (brat / "a/1.txt").read_text()
    assert len([*(checkout / "data/dataset/toy").rglob("*.*")]) == 60
    assert sum(split.rows for split in convert(task, checkout / "out")) == 60


def test_either_file_of_a_pair_stands_for_both(checkout: Path, brat: Path) -> None:
    made(brat / "a/1.txt")
    assert find_task("toy").raw == {"train": "data/dataset/toy.txt"}
    assert (checkout / "data/dataset/toy.ann").read_text() == ANN
    assert sum(split.pairs for split in convert(find_task("toy"), checkout / "out")) == 2


def test_a_folder_without_pairs_is_refused(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/x.json").write_text("{}")
    with pytest.raises(ToolError, match="plain: is a folder"):
        made(tmp_path / "plain")


def utf16(text: str, *strings: str) -> list[tuple[int, int, str]]:
    """The spans of strings, counted in UTF-16 units."""
    places = [(text.index(string), string) for string in strings]
    return [(len(text[:at].encode("utf-16-le")) // 2, len((text[:at] + string).encode("utf-16-le")) // 2, "LOC") for at, string in places]


def test_offsets_that_a_file_speaks_for_are_shown_and_written_into_the_task(
    checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"😀第{n}天，我们从北京出发，去了{city}。" for n, city in enumerate(["成都市", "重庆市", "西安市", "广州市"] * 4)]
    rows = [{"text": text, "label": utf16(text, "北京", text[-4:-1])} for text in texts]
    assert made(give(lines(*rows))) in (0, 1)
    shown = capsys.readouterr().out
    assert "so offsets are read as utf-16, which the task file says (offsets: utf-16)." in shown
    assert find_task("toy").offsets == "utf-16"
    assert "我们从【北京】出发" in shown
    assert all(split.rows for split in convert(find_task("toy"), checkout / "out"))


def test_a_file_of_cut_spans_is_to_be_corrected(checkout: Path, give: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match=r"Correct the file. Where its offsets are right all the same: --set offsets=code-points"):
        made(give(lines(*[{"text": f"第{n}天：，我们从北京出发", "label": [[3, 5, "LOC"]]} for n in range(9)])))


def test_two_files_that_count_offsets_in_different_ways_make_no_task(checkout: Path, give: Callable[..., Path], tmp_path: Path) -> None:
    texts = [f"😀第{n}天，我们从北京出发，去了{city}。" for n, city in enumerate(["成都市", "重庆市", "西安市", "广州市"] * 4)]
    wide = give(lines(*[{"text": text, "label": utf16(text, "北京", text[-4:-1])} for text in texts]))
    dev = tmp_path / "dev.jsonl"
    spans = [{"text": text, "label": [[text.index("我们"), text.index("从"), "LOC"]]} for text in texts]
    dev.write_bytes(lines(*spans))
    with pytest.raises(ToolError, match="The files count offsets in different ways"):
        made(wide, dev=dev)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"text": f"第{n}句", "label": ["体育", "财经"][: 1 + n % 2]} for n in range(12)], "6 of its rows have several classes"),
        ([{"text": f"{n}林晓", "label": [[1, 2, "B-PER"], [2, 3, "I-PER"]]} for n in range(12)], "its labels are tags of tokens"),
        ([{"text": f"林晓第{n}天", "label": [[0, 2, str(1 + n % 3)]]} for n in range(12)], "its labels are numbers"),
    ],
)
def test_several_classes_and_tags_as_labels_make_no_task_unasked(checkout: Path, give: Callable[..., Path], rows: list[dict], says: str) -> None:
    with pytest.raises(ToolError, match=says):
        made(give(lines(*rows)))


def test_offsets_that_a_file_leaves_open_are_a_question_that_set_answers(
    checkout: Path, give: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "verdict", lambda _: Verdict(readings=("utf-16",), sentences=("3 spans look cut",)))
    path = give(different({"text": TEXT, "label": [[0, 2, "PER"]]}))
    with pytest.raises(ToolError) as error:
        made(path)
    assert "mine.data: 3 spans look cut" in str(error.value)
    assert 'Choose --set offsets=utf-16 or --set offsets=code-points (make: ARGS="--set offsets=utf-16")' in str(error.value)
    monkeypatch.undo()
    monkeypatch.chdir(checkout)
    made(path, words=["offsets=code-points"])
    assert find_task("toy").offsets == "code-points"


def test_classes_that_their_own_reader_names_as_something_else_are_read_by_no_other(give: Callable[..., Path]) -> None:
    rows = [{"text": f"第{i}家店的汤很香，送餐太慢", "aspect": ["汤", "送餐"][i % 2], "label": ["好", "坏"][i % 2]} for i in range(20)]
    with pytest.raises(ToolError, match="two texts a row, of which 'aspect' is the second"):
        guess(give(lines(*rows)))
