"""The report's page is looked at in a real browser: what it shows, what it does when it is clicked, and that nothing in it runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser, opened
from tests.report.conftest import GOLD, HOSTILE, Evaluate, answer, example, gold_of, made, noisy, train_of
from tools.conf.task import Task, find_task, load_task
from tools.example import Example
from tools.files import read_json, write_json
from tools.predict.predictions import FILE, META
from tools.report.evaluations import read_evaluation
from tools.score.score import evaluate

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # the fixture


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
