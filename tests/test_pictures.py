"""The pages' pictures: each is there, small, described, light and dark, and made by docs/pictures/make.py; and what makes them, on toy numbers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from os.path import normpath
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from docs.pictures import chain, pages, plots, terminal
from docs.pictures.make import HERE, LIMIT, PICTURES
from tests.test_docs import PAGES
from tools.conf.run import Run
from tools.errors import ToolError
from tools.extract import calibrate
from tools.extract.confidence import Calibration
from tools.files import ROOT, write_json

KINDS = (".png", ".svg")
MADE = {file for picture in PICTURES.values() for file in picture.files}
TAG = re.compile(r"<(picture|/picture|source|img)\b([^>]*)>|!\[([^\]]*)\]\(([^)\s]+)\)")


def shown(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yields the alt text, the light file and the dark file of each picture of a page; one that is the same on both is named twice."""
    dark = ""
    for tag, words, alt, target in TAG.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        values = dict(re.findall(r'(\w+)="([^"]*)"', words))
        if tag == "source":
            assert values["media"] == "(prefers-color-scheme: dark)", page
            dark = values["srcset"]
        elif tag == "img" or not tag:
            light = values.get("src", target)
            yield values.get("alt", alt), *(normpath(page.parent / one) for one in (light, dark or light))
            dark = ""


SHOWN = [(page, *one) for page in PAGES for one in shown(page)]


def test_every_picture_of_a_page_is_there_and_described_and_made_by_the_script() -> None:
    assert SHOWN
    for page, alt, light, dark in SHOWN:
        assert len(alt) > 20, f"{page}: {light} has no alt text that says what it shows"
        for file in map(Path, (light, dark)):
            assert file.is_file(), f"{page}: {file} isn't there; to make it: docs/pictures/make.py"
            assert file.parent == HERE and file.name in MADE, f"{page}: docs/pictures/make.py doesn't make {file}"


def test_a_picture_with_a_dark_twin_is_shown_with_it() -> None:
    for page, _, light, dark in SHOWN:
        twin = Path(light).with_stem(f"{Path(light).stem}-dark")
        assert Path(dark) == (twin if twin.name in MADE else Path(light)), page


def test_a_chinese_page_shows_the_chinese_picture_where_there_is_one() -> None:
    for page, _, light, _ in SHOWN:
        name = Path(light).stem.removesuffix("-zh")
        is_chinese = page.parent.name == "zh" or page.name.endswith("_zh.md")
        assert Path(light).name == next(
            (file for file in MADE if is_chinese and file == f"{name}-zh{Path(light).suffix}"), f"{name}{Path(light).suffix}"
        )


def test_no_picture_is_large_or_left_over() -> None:
    there = {path.name: path.stat().st_size for path in HERE.iterdir() if path.suffix in KINDS}
    assert set(there) <= MADE
    assert {name: size for name, size in there.items() if size > LIMIT} == {}
    for picture in PICTURES.values():
        assert {file in there for file in picture.files} in ({True}, {False}), f"of {picture.files} only some are there"


def test_every_picture_has_its_maker() -> None:
    assert all(callable(picture.maker()) for picture in PICTURES.values())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(
        tmp_path / "toy-run.yaml", {"model_name_or_path": "models/base", "output_dir": str(tmp_path / "toy-run"), "dataset": "alpaca_sample_train"}
    )


@pytest.mark.parametrize("maker", [plots.training, plots.reliability, plots.curve, pages.report, pages.web])
def test_what_a_run_lacks_is_named_with_its_command(run: Run, maker: Any, tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text("")
    with pytest.raises(ToolError, match=r"make (train|calibrate|curve|eval|data)"):
        maker(run, tmp_path)


@pytest.mark.parametrize("panels", [1, 2])
def test_loss_is_drawn_alone_unless_checkpoints_were_scored(run: Run, tmp_path: Path, panels: int) -> None:
    run.output_dir.mkdir()
    log = [{"current_steps": step, "loss": 2.0 / step} for step in (10, 20, 30)]
    (run.output_dir / "trainer_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*log, {"current_steps": 30}]))
    if panels == 2:
        write_json(run.output_dir / "best.json", {"steps": [{"step": 10, "micro": 0.1, "macro": 0.2}, {"step": 20, "micro": 0.5, "macro": 0.4}]})
    plots.training(run, tmp_path)
    light, dark = ((tmp_path / f"training{scheme}.svg").read_text() for scheme in ("", "-dark"))
    assert [len(re.findall(r'<g id="axes_\d+">', svg)) for svg in (light, dark)] == [panels, panels]
    assert "#2457d6" in light and "#8cb0ff" in dark and "#2457d6" not in dark
    plots.training(run, tmp_path)
    assert (tmp_path / "training.svg").read_text() == light


def colours_of(path: Path) -> tuple[str, set[str]]:
    """The colour in a picture's corner, and all its colours."""
    from PIL import Image

    with Image.open(path) as picture:
        image = picture.convert("RGB")
        counted: Any = image.getcolors(10**6)
        return "#{:02x}{:02x}{:02x}".format(*image.getpixel((2, 2))), {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in counted}


def test_the_learning_curve_is_drawn_with_the_tools_own_code_on_both_pages(run: Run, tmp_path: Path) -> None:
    bounded = {"value": 0.6, "low": 0.5, "high": 0.7}
    points = [{"share": share, "rows": rows, "entities": rows, "f1": bounded, "seeds": {"42": 0.6}} for share, rows in ((50, 10), (100, 20))]
    forecast = {"refusal": "", "rows": 40, "f1": bounded, "band": [[10, 0.6, 0.5, 0.7], [40, 0.6, 0.5, 0.7]]}
    file = run.output_dir / "curve" / "curve.json"
    write_json(file, {"run": "toy-run", "task": "sample", "split": "dev", "asked": 3, "points": points, "forecast": forecast})
    plots.curve(run, tmp_path)
    for scheme, colours in plots.COLOURS.items():
        corner, found = colours_of(tmp_path / f"curve{scheme}.png")
        assert corner == colours["card"]
        assert ("#0072b2" in found, "#ffffff" in found) == (not scheme, not scheme)


def test_the_reliability_diagram_is_drawn_with_the_tools_own_code_on_both_pages(tmp_path: Path) -> None:
    before = [calibrate.Bin(44, 0.1 * number + 0.05, 0.08 * number) for number in range(10)]
    after = [calibrate.Bin(44, 0.1 * number, 0.1 * number) for number in range(10)]
    error = (0.1, 0.05, 0.15)
    result = Calibration((0.0, 1.0), (0.0, 1.0), (), "dev", {}, rows=9, gold=9, entities=440, right=400, unsure=0, ece_before=error, ece_after=error)
    plots.on_both_pages(tmp_path, "reliability", lambda path: calibrate.draw(before, after, result, path))
    for scheme, colours in plots.COLOURS.items():
        corner, found = colours_of(tmp_path / f"reliability{scheme}.png")
        assert corner == colours["card"] and (tmp_path / f"reliability{scheme}.png").stat().st_size < LIMIT
        assert ("#0072b2" in found, "#56b4e9" in found) == (not scheme, bool(scheme))


@pytest.mark.parametrize("language", [0, 1])
def test_the_chain_is_drawn_in_both_languages(language: int) -> None:
    for colours in chain.COLOURS.values():
        texts = [one.text for one in ElementTree.fromstring(chain.svg(language, colours)).iter("{http://www.w3.org/2000/svg}text")]
        assert set(texts) >= {words[language] for key, words in chain.WORDS.items() if key != "title"}
        assert {"make data", "make train", "make export", "make serve", "make predict", "make score"} <= set(texts)


def test_a_terminal_is_recorded_with_its_times(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import time; print('step 1', end='', flush=True); time.sleep(.3); print('\\rstep 22', flush=True); print('\\x1b[1m中文<&>\\x1b[0m')"
    rows = terminal.screen(terminal.shortened(terminal.record((sys.executable, "-c", code))))
    assert [(row.line, row.text) for row in sorted(rows, key=lambda row: (row.line, row.start))] == [(0, "step 1"), (0, "step 22"), (1, "中文<&>")]
    first, second = (row for row in rows if row.line == 0)
    assert first.end == second.start and second.end is None and 0.2 < second.start - first.start < 5
    with pytest.raises(ToolError, match="exit code 3"):
        terminal.record((sys.executable, "-c", "raise SystemExit(3)"))
    assert "step 22" in capfd.readouterr().out


def test_a_recording_plays_as_long_as_it_may_and_ends_on_its_last_lines() -> None:
    pieces = [(60.0 * number, f"line {number}\r\n") for number in range(100)]
    played = terminal.shortened(pieces)
    assert played[-1][0] == pytest.approx(terminal.LONGEST_S, abs=terminal.TICK_S)
    svg = terminal.animated(terminal.screen(played))
    ElementTree.fromstring(svg)
    assert f"translateY({-(100 - terminal.ROWS) * terminal.LINE}px)" in svg and "prefers-reduced-motion" in svg


def test_a_still_picture_is_the_end_of_a_log_cut_into_columns() -> None:
    log = f"{ROOT}/data/outputs/x\n" + "".join(f"line {number}\n" for number in range(50)) + "宽" * 70 + "\n"
    texts = ["".join(one.itertext()) for one in ElementTree.fromstring(terminal.still(log)).iter("{http://www.w3.org/2000/svg}text")]
    assert len(texts) == terminal.ROWS and texts[-2:] == ["宽" * 60, "宽" * 10] and texts[0] == "line 22"
    assert "".join(terminal._parts(f"{ROOT}/data/outputs/x")) == "data/outputs/x"


def test_recorded_answers_are_given_back_as_they_were() -> None:
    from tools.predict.predictions import Prediction

    toy = pages.Recorded([], {"a": {"turn": Prediction("1", "[]", "stop", None, 3, 2, 0.1, (("[]", -0.5),))}})
    try:
        status, body = toy.answer({"model": "a", "messages": [{"content": "turn"}]})
        assert (status, body["usage"]) == (200, {"prompt_tokens": 3, "completion_tokens": 2})
        assert body["choices"][0]["logprobs"] == {"content": [{"token": "[]", "logprob": -0.5}]}
        assert toy.answer({"model": "a", "messages": [{"content": "another"}]})[0] == 404
    finally:
        toy.server_close()
