from pathlib import Path

import pytest

from tests.conftest import real
from tools.data.doctor import encodings
from tools.data.doctor.encodings import encoding_of, write_as_utf8

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
