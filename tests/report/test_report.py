"""The report's counts are the score's, and its page is looked at in a real browser: what it shows, and that nothing in it runs."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser, opened
from tests.report.conftest import Evaluate, answer, example, noisy, sentences
from tools.conf.run import Run
from tools.conf.task import Task, find_task, load_task
from tools.errors import ToolError
from tools.evaluate.evaluate import score as finish
from tools.example import Example
from tools.files import read_json, write_json
from tools.predict.predictions import FILE, META
from tools.predict.questions import Asking
from tools.report import report
from tools.report.evaluations import read_evaluation
from tools.score.score import evaluate

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # the fixture

GOLD = sentences(60)
HOSTILE = [
    "<script>alert('model')</script>",
    "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>",
    '"><img src="https://example.com/x.png" onerror="alert(3)"> {{data}} {{policy}} $& ${1}',
    "\u202eabc\u2066\u2028\u2029\ud800\x00\x07\x1b[31m\ufeff",
    "x" * 1_000_000,
    "[" * 100_000,
    json.dumps([{"label": "标" * 300_000, "text": "文"}, *({"label": f"x{k}", "text": "文" * (1 + k % 3)} for k in range(5000))]),
]


def gold_of(task: Task, folder: Path) -> Path:
    return task.examples("dev", folder.parents[3] / "dataset")


def made(task: Task, folder: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    """The report and the data in it."""
    path = report.write(task, gold_of(task, folder), folder, **options)
    return path, json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])  # type: ignore[index]


def train_of(folder: Path) -> Path:
    """A training split in which some of the strings are entities."""
    path = folder.parents[3] / "train.jsonl"
    path.write_text("".join(one.to_json() + "\n" for one in sentences(3, seed=9)))
    return path


def test_the_counts_of_all_parts_are_the_scores(task: Task, evaluation: Evaluate) -> None:
    folder = evaluation(task, GOLD, noisy(GOLD, 0.5, 1))
    evaluate(task, gold_of(task, folder), folder / FILE, folder, train_of(folder))
    _, data = made(task, folder)
    micro = read_json(folder / "score.json")["micro"]
    assert micro["fp"] > 20 and micro["fn"] > 20
    assert sum(fp for fp, _, _ in data["kinds"].values()) == micro["fp"]
    assert sum(fn for _, fn, _ in data["kinds"].values()) == micro["fn"]
    for parts in (data["lengths"], list(data["seen"].values())):
        assert [sum(part[key] for part in parts) for key in ("tp", "fp", "fn")] == [micro["tp"], micro["fp"], micro["fn"]]
    assert all(part["support"] for part in data["seen"].values())
    assert sum(part["rows"] for part in data["lengths"]) == len(GOLD) and len(data["lengths"]) > 1
    assert all(one["longest"] < other["shortest"] for one, other in zip(data["lengths"], data["lengths"][1:], strict=False))
    matrix = data["matrix"]
    for label, line in zip(matrix["gold"], matrix["counts"], strict=True):
        if label is not None:
            counts = data["score"]["labels"][label]
            column = [row[matrix["predicted"].index(label)] for row in matrix["counts"]]
            assert (sum(line), sum(column), line[matrix["predicted"].index(label)]) == (counts["support"], counts["tp"] + counts["fp"], counts["tp"])


def test_seen_and_unseen_strings_are_those_of_the_score(task: Task, evaluation: Evaluate) -> None:
    token = "<|im_end|>"
    gold = [example("1", f"在{token}工作", ("company", token)), example("2", "在远大工作", ("company", "远大"))]
    folder = evaluation(task, gold, [answer([("company", "<｜im_end｜>")]), answer([("company", "远大")])])
    train = folder.parents[3] / "train.jsonl"
    train.write_text(example("t", f"{token}很大", ("company", token)).to_json() + "\n")
    score = evaluate(task, gold_of(task, folder), folder / FILE, folder, train)
    seen = made(task, folder)[1]["seen"]
    assert seen["unseen"] == score["unseen"] and (seen["seen"]["tp"], seen["unseen"]["tp"]) == (1, 1)


def test_the_worst_rows_come_first_and_the_page_says_how_many_there_are(task: Task, evaluation: Evaluate) -> None:
    folder = evaluation(task, GOLD, noisy(GOLD, 0.5, 1))
    _, data = made(task, folder, keep=20)
    errors = [row["errors"] for row in data["rows"]]
    assert len(errors) == 20 and errors == sorted(errors, reverse=True) and errors[0] > errors[-1]
    assert data["total"] == 60 and 20 < data["wrong"] < 60


def test_thousands_of_rows_with_long_texts_and_answers_stay_a_few_megabytes(task: Task, evaluation: Evaluate) -> None:
    gold = [example(str(k), f"林晓{'在' * 3000}", ("name", "林晓")) for k in range(2000)]
    path, data = made(task, evaluation(task, gold, ["不知道" * 1000] * len(gold)))
    assert path.stat().st_size < 6_000_000
    assert len(data["rows"]) == report.ROWS and data["total"] == data["wrong"] == 2000
    assert data["rows"][0]["text_cut"] == 3002 - report.TEXT_CHARS and data["rows"][0]["output_cut"] == 3000 - report.OUTPUT_CHARS


def test_nothing_that_a_model_wrote_can_leave_the_data_element(task: Task, evaluation: Evaluate) -> None:
    gold = [example(str(k), f"文{text[:50]}") for k, text in enumerate(HOSTILE)]
    folder = evaluation(task, gold, HOSTILE, base_model="</script><script>alert(4)</script>")
    write_json(folder / META, {**read_json(folder / META), "run": "<b>run</b>"})
    path, data = made(task, folder)
    text, template = path.read_text(encoding="utf-8"), report.TEMPLATE.read_text()
    for markup in ("<script", "</script", "<img", "<!--", "<b>", "\u202e", "\u2028", "\x00", "\x1b"):
        assert text.count(markup) == template.count(markup), markup
    assert next(row for row in data["rows"] if row["id"] == "4")["output_cut"] == 1_000_000 - report.OUTPUT_CHARS
    assert path.stat().st_size < 500_000 and len(data["rows"]) == len(HOSTILE)
    assert any("⟨U+202E⟩" in (row["output"] or "") and "⟨U+D800⟩" in row["output"] for row in data["rows"])


def test_the_policy_lets_nothing_run_but_the_pages_own_script_and_style(task: Task, evaluation: Evaluate) -> None:
    text = made(task, evaluation(task, GOLD[:3], noisy(GOLD[:3], 0.5, 1)))[0].read_text()
    policy = dict(part.strip().split(" ", 1) for part in re.search(r'Policy" content="([^"]*)"', text)[1].split(";"))  # type: ignore[index]
    assert policy.keys() == {"default-src", "base-uri", "form-action", "script-src", "style-src"}
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for element in ("script", "style"):
        inside = re.search(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)[1]  # type: ignore[index]
        assert policy[f"{element}-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
    code = report.TEMPLATE.read_text()
    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|@import|url\(", code)


def test_every_word_of_the_page_is_in_both_languages() -> None:
    words = re.findall(r'(\w+): \["((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\]', report.TEMPLATE.read_text())
    assert len(words) > 100
    for key, english, chinese in words:
        assert english and chinese, key
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), key
        assert not re.search(r"[\u4e00-\u9fff]", english) or key == "switch", key


def test_free_and_schema_decoding_stand_side_by_side_when_both_were_run(task: Task, evaluation: Evaluate) -> None:
    free = evaluation(task, GOLD, noisy(GOLD, 0.6, 1))
    assert made(task, free)[1]["decodings"] is None
    schema = evaluation(task, GOLD, noisy(GOLD, 0.2, 2), decoding="schema")
    for folder in (free, schema):
        both = made(task, folder)[1]["decodings"]
        assert [one["micro"]["f1"] for one in both] == [read_json(one / "score.json")["micro"]["f1"] for one in (free, schema)]
    write_json(schema / META, {**read_json(schema / META), "prompt_sha256": "00"})
    assert made(task, free)[1]["decodings"].endswith("-schema: prompt")
    (schema / "score.json").write_text("{")
    assert "not JSON" in made(task, free)[1]["decodings"]


def test_an_evaluation_ends_with_its_report(evaluation: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = find_task("sample")
    folder = evaluation(sample, GOLD, noisy(GOLD, 0.5, 1))
    values = {"model_name_or_path": "models/toy", "output_dir": str(tmp_path / "outputs/a"), "dataset_dir": str(tmp_path / "dataset/alpaca")}
    run = Run(Path("conf/a.yaml"), values)
    finish(Asking(run, sample, "dev", run.variant("adapter")), folder / FILE)
    assert str(folder / "report.html") in capsys.readouterr().out
    assert "Content-Security-Policy" in (folder / "report.html").read_text()


def test_what_does_not_belong_together_is_refused(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    folder = evaluation(task, GOLD, noisy(GOLD, 0.5, 1))
    whole = (folder / FILE).read_text()
    (folder / FILE).write_text("".join(line + "\n" for line in whole.splitlines()[:30]))
    with pytest.raises(ToolError, match="of other predictions") as refused:
        made(task, folder)
    assert refused.value.exit_code == 1
    (folder / FILE).write_text(whole)
    whole_score = read_json(folder / "score.json")
    for broken in ([], {"micro": 1}, {**whole_score, "labels": None}, {**whole_score, "labels": {"name": 1}}, {**whole_score, "macro": {}}):
        write_json(folder / "score.json", broken)
        with pytest.raises(ToolError, match=r"score\.json"):
            made(task, folder)
    write_json(folder / "score.json", whole_score)
    gold = gold_of(task, folder)
    gold.write_text(gold.read_text().replace("昨天", "今天"))
    with pytest.raises(ToolError, match="from another"):
        made(task, folder)
    (folder / "score.json").unlink()
    with pytest.raises(ToolError, match="make eval") as missing:
        made(task, folder)
    assert missing.value.exit_code == 2
    assert not (folder / report.NAME).exists()


def test_the_command_writes_the_report_of_a_run_and_imports_nothing_heavy(
    tool: Callable[..., subprocess.CompletedProcess[str]], evaluation: Evaluate, tmp_path: Path
) -> None:
    run, sample = "tiny-qwen2-sample-ner-lora-sft", find_task("sample")
    folder = evaluation(sample, GOLD, noisy(GOLD, 0.5, 1), run, "merged")
    words = [f"conf/{run}.yaml", f"output_dir={tmp_path / 'outputs' / run}", f"dataset_dir={tmp_path / 'dataset/alpaca'}"]
    done = tool("report", *words, "--which", "merged", "--rows", 5)
    assert (done.returncode, done.stdout.strip()) == (0, str(folder / report.NAME)), done.stderr
    evaluation(sample, GOLD, noisy(GOLD, 0.6, 2), "other")
    assert tool("report", *words, "--which", "merged", "--against", "other").returncode == 0
    assert '"against":{"name":"other"' in (folder / report.NAME).read_text()
    wrong = tool("report", *words, "--which", "merged", "--against", "othr")
    assert wrong.returncode == 2 and "Did you mean 'other'?" in wrong.stderr
    lacking = tool("report", *words)
    assert lacking.returncode == 2 and "make eval" in lacking.stderr
    heavy = "import sys, tools.report.report; print({'torch', 'transformers', 'pandas', 'numpy', 'openai', 'httpx'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout.strip() == "set()"


# In the browser


def rich(task: Task, evaluation: Evaluate) -> Path:
    """A report that has every part: intervals, floor, published figures, protocols, rules, two decodings."""
    evaluation(task, GOLD, noisy(GOLD, 0.3, 2), decoding="schema")
    special = [
        example("nested", "远大科技大厦在北京", ("company", "远大科技"), ("address", "远大科技大厦"), ("address", "北京")),
        example("twice", "林晓对林晓说：😀林晓", ("name", "林晓")),
        example("hostile", "<img src=x onerror=alert(1)>在北京</script>", ("address", "北京")),
    ]
    pairs = [
        [("company", "远大科技"), ("company", "大厦"), ("address", "北京")],
        [("company", "林晓")],
        [("address", "<img src=x onerror=alert(1)>"), ("<script>alert(5)</script>", "北京")],
    ]
    gold = [*special, *GOLD]
    folder = evaluation(task, gold, [*map(answer, pairs), *noisy(GOLD, 0.5, 1)])
    score = evaluate(task, gold_of(task, folder), folder / FILE, folder, train_of(folder))
    ranges = {label: [0.25, 0.75] for label in score["labels"]}
    extra = {
        "intervals": {"method": "bootstrap", "level": 0.95, "samples": 1000, "seed": 0, "micro": [0.5, 0.75], "macro": [0.4, 0.8], "labels": ranges},
        "floor": {"method": "gazetteer", "micro": 0.3125, "macro": 0.25},
        "published": [{"model": "Someone's BERT", "split": "dev", "metric": "micro", "f1": 0.7, "source": "a paper"}],
        "protocols": {"partial": {"labels": {}, "micro": score["micro"], "macro": score["macro"]}},
        "parsing": {"code_fence": 3},
    }
    write_json(folder / "score.json", {**score, **extra})
    schema = read_json(folder.with_name("toy_dev-schema") / META)
    write_json(folder.with_name("toy_dev-schema") / META, {**schema, "examples_sha256": read_json(folder / META)["examples_sha256"]})
    return made(task, folder)[0]


def marks(page: Any, id: str) -> list[tuple[str, str]]:
    """(class, text) of the marks in a row, which is searched for by its id."""
    page.fill("#filter-search", id)
    return [(mark.get_attribute("class"), mark.inner_text()) for mark in page.locator(f"article[data-id='{id}'] mark").all()]


def test_the_page_shows_highlights_counts_and_folds_and_its_filters_work(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    path = rich(task, evaluation)
    with opened(browser, path, locale="en-US") as page:
        assert marks(page, "nested") == [("hit gold", "远大科技"), ("gold extra", "大厦"), ("hit", "北京")]
        assert page.locator("article[data-id=nested] .text").inner_text().startswith("远大科技✓company大厦−address+company在北京✓address")
        assert page.locator("article[data-id=nested] li").all_inner_texts() == ["wrong boundary and label 远大科技大厦 [address] → 大厦 [company]"]
        assert marks(page, "twice") == [("gold extra", "林晓")] * 3
        assert marks(page, "hostile") == [("extra", "<img src=x onerror=alert(1)>"), ("gold extra", "北京")]
        assert page.locator("article[data-id=hostile] .text").inner_text().startswith("<img src=x onerror=alert(1)>+address在北京")
        assert page.locator("article img").count() == 0
        fold = page.locator("article[data-id=hostile] details")
        assert not fold.locator("pre").is_visible()
        fold.locator("summary").click()
        assert json.loads(fold.locator("pre").inner_text())[1] == {"label": "<script>alert(5)</script>", "text": "北京"}
        sums = [int(cell) for cell in page.locator("#kinds tfoot td").all_inner_texts()[1:3]]
        score = read_json(path.parent / "score.json")
        assert sums == [score["micro"]["fp"], score["micro"]["fn"]]
        assert "0.5000 – 0.7500" in page.locator("#card-micro").inner_text() and "0.3125" in page.locator("#card-floor").inner_text()
        for part, text in (("published", "Someone's BERT"), ("reading", "code_fence"), ("decodings", "schema − free"), ("labels", "partial")):
            assert text in page.locator(f"#{part}").inner_text()

        def status() -> str:
            return page.locator("#status").inner_text()

        page.locator("#reset").click()
        assert status() == "63 of 63 rows match; 1–25"
        page.locator("[data-turn='1']").click()
        assert status() == "63 of 63 rows match; 26–50" and page.locator("article").count() == 25
        page.select_option("#filter-kind", "ungrounded")
        shown = page.locator("article")
        assert 0 < shown.count() < 63 and shown.count() == page.locator("article:has(li[data-kind=ungrounded])").count()
        assert int(page.locator("#kinds tr[data-kind=ungrounded] td").nth(3).inner_text()) == shown.count()
        page.locator("#reset").click()
        page.select_option("#filter-label", "<script>alert(5)</script>")
        assert status() == "1 of 63 rows match; 1–1" and shown.first.get_attribute("data-id") == "hostile"
        page.locator("#reset").click()
        page.fill("#filter-search", "😀")
        assert shown.count() == 1 and shown.first.get_attribute("data-id") == "twice"
        page.fill("#filter-search", "nowhere in it")
        assert status() == "0 of 63 rows match" and shown.count() == 0
        for wanted, count in (("-", 63 - sum(map(bool, json_rows(path)))), ("+", sum(map(bool, json_rows(path))))):
            page.locator("#reset").click()
            page.select_option("#filter-kind", wanted)
            assert status().startswith(f"{count} of 63 ") and 0 < count < 63
        page.locator("th[data-key=f1] button").click()
        f1 = [float(row.locator("td").nth(3).inner_text()) for row in page.locator("#labels tbody").first.locator("tr").all()]
        assert f1 == sorted(f1, reverse=True) and page.locator("th[data-key=f1]").get_attribute("aria-sort") == "descending"


def test_a_cell_of_the_matrix_and_a_wrong_string_show_their_rows(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    path, data = made(task, evaluation(task, GOLD, noisy(GOLD, 0.5, 1)))
    matrix = data["matrix"]
    number = matrix["gold"].index("address") * len(matrix["predicted"]) + matrix["predicted"].index("name")
    with_cell = [row["id"] for row in data["rows"] if number in row["cells"]]
    assert 0 < len(with_cell) <= matrix["counts"][matrix["gold"].index("address")][matrix["predicted"].index("name")] < len(GOLD)
    assert all(any(m[0] == "wrong_label" and m[1][0] == "address" for m in row["mistakes"]) for row in data["rows"] if row["id"] in with_cell)
    with opened(browser, path, locale="en-US") as page:
        assert not page.locator("#filter-cell").is_visible()
        page.fill("#filter-search", "nowhere in it")
        page.locator(f"[data-cell='{number}']").click()
        assert [one.get_attribute("data-id") for one in page.locator("article").all()] == with_cell
        assert page.locator("#filter-cell").inner_text() == "address → name ✕" and page.locator("#filter-search").input_value() == ""
        page.locator("#filter-cell").click()
        assert page.locator("#status").inner_text().startswith("60 of 60 ") and not page.locator("#filter-cell").is_visible()
        first = page.locator("#strings button").first
        string = first.locator("bdi").inner_text()
        first.click()
        assert page.locator("#filter-search").input_value() == string and 0 < page.locator("article").count() < 60


def test_labels_that_the_task_does_not_have_stand_with_their_number_and_input_for_aliases(
    write_task: Callable[..., Path], evaluation: Evaluate, browser: "Browser"
) -> None:
    task = load_task(write_task(labels={"name": "人名", "address": "地址", "company": "公司"}))
    outputs: list[str | None] = [answer([("姓名" if label == "name" else task.names[label], text) for label, text in one.pairs()]) for one in GOLD]
    path, data = made(task, evaluation(task, GOLD, outputs))
    assert data["unknown"]["labels"] == [{"label": "姓名", "count": 60, "gold": "name", "same": 60}]
    with opened(browser, path, locale="zh-CN") as page:
        assert page.locator("#unknown pre").inner_text() == 'aliases:\n  "name": ["姓名"]'
        assert page.locator("#unknown tbody td").all_inner_texts() == ["姓名", "60", "name 人名 (60)"]
        assert page.locator("#labels tbody td").first.inner_text() == "name 人名"
        assert page.locator("#matrix tbody th").first.inner_text() == "name 人名"


def test_the_words_about_the_trained_form_are_its_counts(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    right = [answer(one.pairs()) for one in GOLD[:20]]
    kinds: list[list[str | None]] = [
        [*right],
        [f"答案：{one}" for one in right],
        ["？"] * 20,
        [None] * 20,
        [right[0], f"答案：{right[1]}", "？", None] * 5,
    ]
    for outputs in kinds:
        folder = evaluation(task, GOLD[:20], outputs)
        score = read_json(folder / "score.json")
        with opened(browser, made(task, folder)[0], locale="en-US") as page:
            legend = page.locator("#answers .legend").inner_text()
            counts = [int(number) for number in re.findall(r"\d+", legend)]
            assert sum(counts) == 20 and counts[0] == score["answers"]["trained"]
            assert ("No rule" in page.locator("#reading").inner_text()) == (score["answers"]["tolerant"] == 0)
            strict = page.locator("#card-strictF1")
            assert f"{score['strict']['micro']['f1']:.4f}" in strict.inner_text() and f"{counts[0]} of 20 answers" in strict.inner_text()
            assert ("gap" in str(strict.get_attribute("class"))) == (score["strict"]["micro"]["f1"] != score["micro"]["f1"])
            assert "With 20 rows" in page.locator("#few").inner_text()


def test_another_run_stands_beside_this_one(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    other = read_evaluation(evaluation(task, GOLD, noisy(GOLD, 0.6, 2), "b"))
    folder = evaluation(task, GOLD, noisy(GOLD, 0.2, 1))
    path, data = made(task, folder, against=other)
    figures = data["against"]["figures"]
    outcomes = [outcome for outcome, _ in data["against"]["rows"].values()]
    assert (outcomes.count("won"), outcomes.count("lost")) == (figures["won"], figures["lost"]) and figures["won"] > figures["lost"] > 0
    assert figures["micro"]["a"] == pytest.approx(other.score["micro"]["f1"])
    with opened(browser, path, locale="en-US") as page:
        assert page.locator("#against h2").inner_text() == "Against b"
        assert page.locator("#against tbody tr").first.inner_text().split("\t")[:2] == ["Micro F1", f"{other.score['micro']['f1']:.4f}"]
        page.select_option("#filter-kind", "lost")
        assert page.locator("#status").inner_text().startswith(f"{figures['lost']} of 60 ")
        assert "worse than the other run. The other run:" in page.locator("article").first.inner_text()


def json_rows(path: Path) -> list[list[str]]:
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])  # type: ignore[index]
    return [row["kinds"] for row in data["rows"]]


def test_the_page_speaks_the_browsers_language_and_the_switch_changes_it(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    path = rich(task, evaluation)
    with opened(browser, path, locale="zh-CN") as page:
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert page.locator("#kinds h2").inner_text() == "错误类别" and "置信区间" in page.locator("#card-micro").inner_text()
        page.select_option("#filter-kind", "missed")
        count = page.locator("article").count()
        page.locator("#language").click()
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("#kinds h2").inner_text() == "Where the score is lost"
        assert page.locator("#filter-kind").input_value() == "missed" and page.locator("article").count() == count > 0
    with opened(browser, path, locale="de-DE") as page:
        assert page.locator("#rows h2").inner_text() == "Rows, the worst first"


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1200)])
def test_the_page_is_readable_on_a_phone_and_in_the_dark(task: Task, evaluation: Evaluate, browser: "Browser", scheme: str, width: int) -> None:
    from io import BytesIO

    from PIL import Image

    path = rich(task, evaluation)
    with opened(browser, path, locale="zh-CN", color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CONTRAST) == []
        picture = Image.open(BytesIO(page.screenshot())).convert("L")
        histogram = picture.histogram()
        dark = sum(histogram[:128]) / sum(histogram)
        assert picture.size == (width, 800) and (dark > 0.8 if scheme == "dark" else dark < 0.2)
        assert picture.getextrema()[0] < 60 and picture.getextrema()[1] > 200  # there is something written on it
        page.emulate_media(media="print")
        assert not page.locator("#language").is_visible() and page.locator("article").first.is_visible()


# Texts whose contrast with what is behind them is below 4.5:1 (WCAG 2.2, 1.4.3); colours that can't be mixed here (gradients, color-mix) are left out.
CONTRAST = """() => {
  const parse = text => { const n = (text.match(/^rgba?\\(([^)]+)\\)/) || [])[1]; return n ? n.split(",").map(Number) : null; };
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = node => { for (; node; node = node.parentElement) {
    const style = getComputedStyle(node), colour = parse(style.backgroundColor);
    if (style.backgroundImage !== "none" || !colour) return null;
    if (colour.length < 4 || colour[3] === 1) return colour.slice(0, 3);
    if (colour[3] > 0) return null;
  } return null; };
  const poor = [];
  for (const node of document.querySelectorAll("h1, h2, h3, p, b, mark, sup, bdi, dt, dd, th, td:not(.cell), summary, li, .soft")) {
    const front = parse(getComputedStyle(node).color), back = behind(node);
    if (!front || !back || !node.textContent.trim()) continue;
    const [low, high] = [light(front), light(back)].sort((a, b) => a - b), ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(node.tagName + "." + node.className + " " + ratio.toFixed(2) + " " + node.textContent.slice(0, 20));
  }
  return [...new Set(poor)];
}"""


def test_hostile_texts_and_answers_stay_text(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    gold = [example(str(k), f"文{text[:50]}") for k, text in enumerate(HOSTILE)]
    folder = evaluation(task, gold, HOSTILE, base_model='"><script>alert(7)</script>', engine=HOSTILE[0], sampling={"a": [HOSTILE[0]]})
    write_json(folder / META, {**read_json(folder / META), "run": "</title><script>alert(6)</script>x"})
    with opened(browser, made(task, folder)[0], locale="en-US") as page:
        assert page.locator("article").count() == len(HOSTILE)
        for number, text in enumerate(HOSTILE[:3]):
            page.locator(f"article[data-id='{number}'] summary").click()
            assert page.locator(f"article[data-id='{number}'] pre").inner_text() == text
        page.locator("article[data-id='3'] summary").click()
        assert page.locator("article[data-id='3'] pre").inner_text().startswith("⟨U+202E⟩abc⟨U+2066⟩⟨U+2028⟩⟨U+2029⟩⟨U+D800⟩⟨U+0000⟩")
        assert "Only the first 200 places are marked." in page.locator("article[data-id='6']").inner_text()
        assert page.locator("article[data-id='6'] li").last.inner_text() == "and 4,961 more"
        page.locator("article[data-id='4'] summary").click()
        assert "998,000 more characters are not shown" in page.locator("article[data-id='4'] details").inner_text()
        assert page.locator("img, iframe, object, link, form").count() == 0 and page.locator("script").count() == 2


def test_reports_with_nothing_in_them_open(task: Task, evaluation: Evaluate, browser: "Browser") -> None:
    right = [answer(one.pairs()) for one in GOLD]
    for outputs, says in ((right, "No mistakes"), ([None] * 60, "missing answer"), (["？"] * 60, "unparsable answer"), (["[]"] * 60, "missed")):
        with opened(browser, made(task, evaluation(task, GOLD, outputs))[0], locale="en-US") as page:
            assert says in page.locator("#kinds").inner_text()
            assert page.locator("article").count() == 25
    empty = [example("only", "没有实体")]
    with opened(browser, made(task, evaluation(task, empty, ["？"]))[0], locale="en-US") as page:  # no entity is lost, and still the row failed
        assert page.locator("#status").inner_text() == "1 of 1 rows match; 1–1" and page.locator("article li").inner_text() == "unparsable answer"
    with opened(browser, made(task, evaluation(task, empty, ["[]"]))[0], locale="en-US") as page:
        assert page.locator("#status").inner_text() == "1 of 1 rows match; 1–1"


def test_a_classification_report_shows_classes_and_answers_outside_the_options(evaluation: Evaluate, browser: "Browser") -> None:
    fudan, options = find_task("fudan"), ["Economy", "Art", "Sport"]
    gold = [Example(str(k), f"新闻{k}", [], options[k % 3], options) for k in range(12)]
    outputs = [*(options[k % 3] for k in range(8)), "Art", "经济", "", None]
    folder = evaluation(fudan, gold, outputs)
    score = read_json(folder / "score.json")
    write_json(folder / "score.json", {**score, "accuracy": 8 / 12, "outside_options": 1})
    with opened(browser, made(fudan, folder)[0], locale="en-US") as page:
        kinds = {row.get_attribute("data-kind"): row.locator("td").all_inner_texts()[:3] for row in page.locator("#kinds tbody tr").all()}
        assert kinds == {
            "wrong_label": ["wrong class", "1", "1"],
            "unknown_label": ["outside the options", "1", "1"],
            "missing": ["missing answer", "0", "1"],
            "unparsable": ["unparsable answer", "0", "1"],
        }
        low, high = score["intervals"]["accuracy"]
        assert f"{low:.4f} – {high:.4f}" in page.locator("#card-accuracy").inner_text()
        assert page.locator("#unknown tbody td").all_inner_texts() == ["经济", "1", "Economy (1)"] and page.locator("#strings").count() == 0
        assert "0.6667" in page.locator("#card-accuracy").inner_text() and page.locator("#card-span, #seen").count() == 0
        assert "Answers outside the options: 1" in page.locator("#kinds").inner_text()
        assert page.locator("#matrix tbody tr").count() == 4
        assert "gold Economy · predicted 经济" in page.locator("article[data-id='9']").inner_text()
    bare = [Example("1", "新闻", [], "Art", ["Art"])]
    with opened(browser, made(fudan, evaluation(fudan, bare, ["?"]))[0], locale="zh-CN") as page:
        assert page.locator("article").count() == 1
