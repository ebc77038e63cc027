from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import real
from tools.data.raw import encodings
from tools.data.raw.encodings import encoding_of, write_as_utf8
from tools.errors import ToolError

TEXT = '{"text": "凯尔特人在苏格兰赛场连胜7场，《招商银行》。"}\n菲 B-GPE\n'


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8-sig"),
        (TEXT.encode("gbk"), "gb18030"),
        (TEXT.replace("凯", "𠮷").encode("gb18030"), "gb18030"),
        (TEXT.encode("gbk")[:-12], "gb18030"),  # cut
        (TEXT.encode("utf-16"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32"),
        (TEXT.encode()[:-8] + "菲".encode()[:2], "utf-8"),  # cut within a character: the readers say so
        (TEXT.encode() + TEXT.encode("gbk"), "utf-8"),  # mixed: the readers say where
        (TEXT.encode().replace("尔".encode(), b"\xff\xff"), "utf-8"),  # damaged
        (b"", "utf-8"),
        (b"plain", "utf-8"),
    ],
)
def test_an_encoding_is_told_from_the_whole_file(tmp_path: Path, data: bytes, encoding: str) -> None:
    file = tmp_path / "raw"
    file.write_bytes(data)
    assert encoding_of(file) == encoding


SIMPLIFIED = '{"text": "李雪梅下周去无锡的分公司，见两位客户。"}\n'
TRADITIONAL = '{"text": "陳經理今天從臺中回來，會議改到週五舉行。"}\n'
JAPANESE = '{"text": "鈴木さんは来週、大阪の本社へ行きます。"}\n'
KOREAN = '{"text": "이영희는 다음 주 화요일에 부산에 있는 회사에 갑니다."}\n'


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize(
    ("text", "codec", "told"),
    [
        (SIMPLIFIED, "gbk", "gb18030"),
        (TRADITIONAL, "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5hkscs"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc-jp", "euc-jp"),
        (KOREAN, "euc-kr", "cp949"),
        ("Word,Tag\n“Zoë’s café”,O\n", "cp1252", "cp1252"),
    ],
)
def test_encodings_that_decode_alike_are_told_by_what_the_file_would_say(tmp_path: Path, text: str, codec: str, told: str, times: int) -> None:
    file = tmp_path / "raw"
    file.write_bytes((text * times).encode(codec))
    assert encoding_of(file) == told


def test_too_few_characters_to_tell_are_a_question_with_what_each_encoding_says(tmp_path: Path) -> None:
    file = tmp_path / "raw"
    file.write_bytes('{"text": "가다"}\n'.encode("euc-kr"))
    with pytest.raises(ToolError, match=r"as GB18030: '啊促'; .*as CP949: '가다'.*iconv -f GB18030 -t UTF-8"):
        encoding_of(file)


def test_a_file_that_is_not_text_has_no_encoding_to_convert(tmp_path: Path) -> None:
    file = tmp_path / "raw"
    with ZipFile(file, "w") as archive:
        archive.writestr("a.txt", SIMPLIFIED.encode("gbk"))
    assert encoding_of(file) == "utf-8"


@pytest.mark.parametrize("codec", ["gb18030", "utf-16", "utf-16-le", "utf-32"])
def test_a_copy_has_the_same_text_whatever_the_chunks_cut(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "CHUNK", 7)
    file, copy = tmp_path / "raw", tmp_path / "copy"
    text = (TEXT * 20).replace("\n", "\r\n")
    file.write_bytes(text.encode(codec))
    write_as_utf8(file, codec, copy)
    assert copy.read_bytes().decode() == text


@pytest.mark.parametrize("name", ["cluener/train.jsonl", "chinese_medical/medical_train.txt", "ccfbdci/ccfbdci.jsonl", "resume/dev.char.bmes"])
def test_real_files_are_known_in_utf_8_and_in_gbk(tmp_path: Path, name: str) -> None:
    path = real(name)
    assert encoding_of(path) == "utf-8"
    (tmp_path / "gbk").write_bytes(path.read_bytes().decode().encode("gb18030"))
    assert encoding_of(tmp_path / "gbk") == "gb18030"
