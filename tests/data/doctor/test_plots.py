"""Pictures exist, can be read in Chinese, and survive what labels can hold."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tools.conf.task import load_task
from tools.data.doctor import plots
from tools.data.doctor.plots import draw, font_file, readable
from tools.errors import ToolError
from tools.files import ROOT

CHINESE = ["西医诊断", "临床表现", "中药", "方剂", "中医证候", "中医治疗", "西医治疗", "中医治则", "中医诊断", "其他治疗"]


def stats(**values: Any) -> dict[str, Any]:
    split = {"rows": 30, "labels": dict.fromkeys(CHINESE, 7), "text_lengths": {3: 10, 40: 20}, **values}
    return {"train": split, "dev": {**split, "rows": 3, "labels": {"中药": 1}}}


@pytest.fixture(autouse=True)
def no_warning_is_allowed() -> Any:
    """matplotlib only warns where a glyph is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def glyphs() -> set[int]:
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(str(font_file())).get_charmap())


def size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the PNG's header (its first chunk)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def gb2312() -> str:
    """Every character of GB2312: 6,763 hanzi and 682 signs."""
    codes = (bytes([row, cell]) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    return "".join(code.decode("gb2312", "ignore") for code in codes)


def test_the_font_has_every_character_of_gb2312_and_of_the_medical_labels() -> None:
    known = glyphs()
    assert len(gb2312()) == 7445
    assert [char for char in gb2312() if ord(char) not in known] == []
    labels = load_task(Path("conf/task/medical.yaml")).labels
    assert labels == CHINESE
    assert [char for char in "".join(labels) if ord(char) not in known] == []


def test_each_picture_is_drawn_and_large_enough_to_read(tmp_path: Path) -> None:
    written = draw(stats(token_lengths={100: 29, 300: 1}), tmp_path / "new" / "folder", cutoff_len=256)
    assert [path.name for path in written] == ["labels.png", "text_lengths.png", "token_lengths.png"]
    for path in written:
        width, height = size(path)
        assert width == 1350 and 500 < height < 1200
        assert path.stat().st_size > 10_000
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {path.name for path in written}


def test_chinese_is_set_in_the_packaged_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.font_manager import FontProperties, findfont

    used = list[str]()
    monkeypatch.setattr(plots, "_draw_labels", lambda *words: used.append(findfont(FontProperties(), fallback_to_default=False)))
    draw(stats(), tmp_path)
    assert used == [str(font_file())]


def test_a_glyph_that_the_font_lacks_would_be_noticed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "readable", lambda name, known: name)
    with pytest.raises(UserWarning, match="Glyph 128512"):
        draw(stats(labels={"😀": 3}), tmp_path)


def test_a_label_can_be_any_text(tmp_path: Path) -> None:
    labels = ["", "a\nb\t", "$x", "$\\frac{$", "_internal", "😀", "\ud800", "\x00", "长" * 500, "e\u0301", "{}%s"]
    draw(stats(labels={label: i for i, label in enumerate(labels)}), tmp_path)
    assert size(tmp_path / "labels.png")[0] == 1350


def test_a_name_is_boxed_where_it_cannot_be_drawn_and_cut_where_it_is_long() -> None:
    known = glyphs()
    assert readable("中药😀\n", known) == "中药□□"
    assert readable("长" * 30, known) == "长" * 23 + "…"
    assert readable("长" * 24, known) == "长" * 24
    assert ord("□") in known and ord("…") in known


def test_a_thousand_labels_make_a_picture_of_the_most_frequent(tmp_path: Path) -> None:
    draw(stats(labels={f"label{i}": i for i in range(1000)}), tmp_path)
    assert size(tmp_path / "labels.png")[1] < 5000


def test_what_there_is_nothing_to_draw_for_is_not_drawn_and_an_older_picture_of_it_goes(tmp_path: Path) -> None:
    draw(stats(token_lengths={9: 3}), tmp_path)
    assert [path.name for path in draw(stats(labels={}, text_lengths={0: 1}), tmp_path)] == ["labels.png", "text_lengths.png"]
    assert not (tmp_path / "token_lengths.png").exists()
    nothing = {"train": {"rows": 0, "labels": {}, "text_lengths": {}}}
    assert draw(nothing, tmp_path) == []
    assert draw({}, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_crash_leaves_the_older_picture_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    draw(stats(), tmp_path)
    before = (tmp_path / "labels.png").read_bytes()

    def crash(self: Figure, path: Path, **words: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Figure, "savefig", crash)
    with pytest.raises(OSError, match="No space"):
        draw(stats(), tmp_path)
    assert (tmp_path / "labels.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.png", "text_lengths.png"]


def test_the_cutoff_is_drawn_and_says_how_many_rows_are_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr(plots, "_save", lambda figure, path: said.append(figure.axes[0].get_legend_handles_labels()[1][-1]))
    for cutoff, expected in (
        (256, "cutoff_len 256: 2 rows are longer"),
        (300, "cutoff_len 300: 0 rows are longer"),
        (9999, "cutoff_len 9,999: 0 rows are longer"),
    ):
        draw(stats(token_lengths={100: 29, 300: 1}), tmp_path, cutoff)
        assert said.pop() == expected


def test_the_lengths_are_drawn_in_bins_of_whole_numbers_that_hold_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: dict[str, Any] = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.update({path.name: figure}))
    for lengths, shares, edge in (({1: 1, 2: 1, 30: 2}, {1: 25.0, 2: 25.0, 30: 50.0}, 31), ({99: 3, 100: 1}, {33: 100.0}, 102)):
        draw({"train": {"rows": 4, "labels": {}, "text_lengths": lengths}}, tmp_path)
        axes = figures["text_lengths.png"].axes[0]
        outline = axes.patches[0].get_xy()
        assert {place: share for place, share in enumerate(outline[1:-1:2, 1]) if share} == pytest.approx(shares)
        assert outline[:, 0].max() == edge
    assert axes.get_legend_handles_labels()[1] == ["train: median 99, longest 100"]


def test_no_window_system_and_no_state_of_matplotlib_is_touched(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import matplotlib; from tools.data.doctor.plots import draw\n"
        "settings = lambda: {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != 'backend'}; before = settings()\n"
        f"draw({{'train': {{'rows': 1, 'labels': {{'中药': 1}}, 'text_lengths': {{3: 1}}}}}}, Path({str(tmp_path)!r}))\n"
        "print(before == settings(), 'matplotlib.pyplot' in sys.modules, 'zhplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
    assert (tmp_path / "labels.png").exists()


@pytest.mark.parametrize("package", ["matplotlib", "zhplot"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ToolError, match=f"{package} isn't in .*make setup"):
        draw(stats(), tmp_path)
