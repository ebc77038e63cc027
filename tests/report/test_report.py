"""The report's counts are the score's, and nothing that a model wrote can leave the data of its page."""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.conftest import GOLD, HOSTILE, Evaluate, answer, example, gold_of, made, noisy, train_of
from tools.conf.run import Run
from tools.conf.task import Task, find_task
from tools.errors import ToolError
from tools.evaluate.evaluate import score as finish
from tools.files import read_json, write_json
from tools.predict.predictions import FILE, META
from tools.predict.questions import Asking
from tools.report import report
from tools.score.score import evaluate


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


def test_a_label_has_its_name_in_answers_or_a_chinese_alias_beside_it(task: Task, evaluation: Evaluate) -> None:
    folder = evaluation(task, GOLD, noisy(GOLD, 0.5, 1))
    evaluate(task, gold_of(task, folder), folder / FILE, folder, train_of(folder))
    label = next(iter(task.names))
    named = task.changed(aliases={label: ["person", "人物"]})
    _, data = made(named, folder)
    assert data["names"][label] == (task.names[label] if task.names[label] != label else "人物")
    clue = find_task("clue")
    assert report._names_beside(clue) == {label: words[0] for label, words in clue.aliases.items()}
