"""A run's learning curve: nested shares, each trained and asked once. Trainings and answers are toys here."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.chat.prompt import answer
from tools.conf.run import Run, load_run
from tools.conf.task import Task, find_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.evaluate import learning_curve as module
from tools.evaluate.learning_curve import LearningCurve, cost, curve, need_plottable, says, subset, table
from tools.example import Example, read_examples
from tools.files import write_text
from tools.predict.engines import Options
from tools.predict.predictions import FILE, Prediction
from tools.predict.questions import Asking
from tools.train import manifest
from tools.train.part import write_part
from tools.variant import FINISHED

NER, CLASSES = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml"), Path("conf/tiny-qwen2-topics-cls-lora-sft.yaml")
SKILL = {10.0: 0.5, 25.0: 0.7, 50.0: 0.8, 100.0: 0.87}  # the part of the rows that a model of so many per cent answers right


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for task in ("sample", "topics"):
        convert(find_task(task), folder)
    return folder


@pytest.fixture
def run_(dataset: Path, tmp_path: Path) -> Callable[..., Run]:
    def load(conf: Path, *words: str) -> Run:
        return load_run(conf, [f"dataset_dir={dataset / 'alpaca'}", f"output_dir={tmp_path / conf.stem}", *words])

    return load


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces trainings and answers by toys; returns the folder of each part that was trained, below the curve's."""
    done: list[str] = []

    def trained_part(run: Run, task: Task, folder: Path, splits: Mapping[str, Iterable[Example]], words: Iterable[str] = ()) -> Run:
        part = write_part(run, task, folder, splits, words)
        if not (part.output_dir / FINISHED).is_file():
            done.append(str(folder.relative_to(run.output_dir / "curve")))
            write_text(part.output_dir / FINISHED, "{}")
        return part

    def evaluated(asking: Asking, options: Options) -> None:
        examples = list(read_examples(asking.source))
        share, seed = float(asking.run.output_dir.parent.name), int(str(asking.run.values["seed"]))
        right = [number * 7919 % 1000 < 1000 * (SKILL[share] + 0.01 * (seed - 43)) for number in range(len(examples))]
        lines = [
            Prediction(row.id, answer(asking.task, row) if is_right else "none").to_json() for row, is_right in zip(examples, right, strict=True)
        ]
        write_text(asking.folder / FILE, "".join(f"{line}\n" for line in lines))

    monkeypatch.setattr(module, "trained_part", trained_part)
    monkeypatch.setattr(module, "evaluated", evaluated)
    monkeypatch.setattr(module, "find_ready", lambda url: None)
    return done


def drawn(run: Run, seeds: Sequence[int] = (42, 43, 44), shares: Sequence[float] = (10.0, 25.0, 50.0, 100.0)) -> LearningCurve:
    return curve(run, find_task(run.task), "dev", shares, seeds, Options())


def test_every_share_is_trained_with_every_seed_one_seed_after_the_other(
    run_: Callable[..., Run], trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = drawn(run_(NER), seeds=(42, 43))
    assert trained == [f"seed-{seed}/{share}" for seed in (42, 43) for share in (10, 25, 50, 100)]
    out = capsys.readouterr().out
    assert "8 trainings, together 3.70 times the run's own on 2,000 rows; a server is started for each." in out
    assert "6 of 8: seed 43, 25 % (500 rows)" in out
    assert [point["rows"] for point in result["points"]] == [200, 500, 1000, 2000]
    assert [*result["points"][0]["seeds"]] == ["42", "43"]
    assert result["points"][3]["entities"] == 3040


def test_twice_the_data_is_told_in_plain_words_and_kept(run_: Callable[..., Run], trained: list[str]) -> None:
    run = run_(NER)
    result = drawn(run)
    said, ahead = says(result).splitlines(), result["forecast"]
    assert said[0] == (
        f"Twice the data (4,000 rows): F1 {ahead['f1']['value']:.3f} ({ahead['f1']['low']:.3f}–{ahead['f1']['high']:.3f}), {ahead['gain']['value']:+.3f}"
        f" ({ahead['gain']['low']:+.3f} to {ahead['gain']['high']:+.3f}) over 2,000 rows."
    )
    assert said[1].startswith("That is an extrapolation")
    assert len(said) == 2
    assert 0.92 < ahead["f1"]["value"] < 0.97
    assert json.loads((run.output_dir / "curve/curve.json").read_text()) == result
    assert (run.output_dir / "curve/curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_has_a_line_for_each_share_with_the_spread_over_the_seeds(run_: Callable[..., Run], trained: list[str]) -> None:
    result = drawn(run_(NER))
    head, *lines = table(result).splitlines()
    assert head.split() == ["share", "rows", "entities", "micro", "F1", "95", "%", "interval", "over", "the", "seeds"]
    each = result["points"][3]["seeds"].values()
    assert lines[3].split()[:4] == ["100", "%", "2,000", "3,040"]
    assert lines[3].endswith(f"{min(each):.4f}–{max(each):.4f}") and min(each) < max(each)


def test_a_classification_has_a_curve_of_its_accuracy(run_: Callable[..., Run], trained: list[str]) -> None:
    result = drawn(run_(CLASSES), seeds=(43,))
    answered = {point["share"]: point["f1"]["value"] for point in result["points"]}
    for share, part in SKILL.items():
        assert answered[share] == pytest.approx(2 * part / (1 + part), abs=0.01)  # a row without an answer is missed, and nothing false
    assert [point["entities"] for point in result["points"]] == [point["rows"] for point in result["points"]]


def test_one_seed_says_what_its_intervals_leave_out(run_: Callable[..., Run], trained: list[str]) -> None:
    result = drawn(run_(NER), seeds=(43,))
    assert says(result).splitlines()[-1].endswith("isn't in the intervals. To see it: --seeds 43 44 45")
    assert table(result).splitlines()[-1].endswith(" -")


def test_what_is_done_is_not_trained_again_and_more_seeds_add_to_it(
    run_: Callable[..., Run], trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_(NER)
    first = drawn(run, seeds=(42,))
    trained.clear()
    capsys.readouterr()
    assert drawn(run, seeds=(42,)) == first
    assert trained == [] and "all 4 parts are trained already" in capsys.readouterr().out
    drawn(run, seeds=(42, 43))
    assert trained == ["seed-43/10", "seed-43/25", "seed-43/50", "seed-43/100"]
    assert "4 trainings" in (out := capsys.readouterr().out) and "4 are trained already" in out
    trained.clear()
    drawn(run, seeds=(42,), shares=(25.0, 50.0, 100.0))
    assert trained == []


def test_an_interrupt_keeps_the_curve_of_the_seeds_that_were_finished(
    run_: Callable[..., Run], trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = run_(NER), module.scored

    def interrupted(plotted: module.Plotted, seed: int, *rest: object) -> object:
        if seed == 43:
            raise KeyboardInterrupt
        return whole(plotted, seed, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "scored", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drawn(run, seeds=(42, 43))
    assert [*json.loads((run.output_dir / "curve/curve.json").read_text())["points"][0]["seeds"]] == ["42"]


def test_a_curve_without_a_forecast_says_why_and_what_to_leave_out(
    run_: Callable[..., Run], trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for share, part in ((10.0, 0.02), (25.0, 0.3), (50.0, 0.7), (100.0, 0.9)):
        monkeypatch.setitem(SKILL, share, part)
    first, second, *_ = says(drawn(run_(NER), seeds=(43,))).splitlines()
    assert first.startswith("No forecast: no power law runs through these points: at 500 rows it is off by -0.")
    assert second.endswith("To leave the first out, without training again: --shares 25 50 100")
    for share in SKILL:
        monkeypatch.setitem(SKILL, share, 0.8)
    assert says(drawn(run_(NER), seeds=(43,))).startswith("No forecast: the curve doesn't rise: F1 on 2,000 rows less that on 200 is ")


def test_two_shares_are_told_to_be_no_proof_of_a_law(run_: Callable[..., Run], trained: list[str]) -> None:
    assert "A power law runs through any two points" in says(drawn(run_(NER), shares=(50.0, 100.0)))


def test_smaller_subsets_are_part_of_larger_ones_and_equal_texts_are_neighbours() -> None:
    rows = [Example(f"a-{number}", f"第{number % 60}句", []) for number in range(120)]
    sizes = [subset(rows, size, 42) for size in (12, 30, 60, 120)]
    ids = [[row.id for row in some] for some in sizes]
    assert [len(some) for some in ids] == [12, 30, 60, 120]
    assert all({*small} < {*large} for small, large in pairwise(ids))
    assert ids[3] == [row.id for row in rows]
    assert all([row.text for row in some].count(row.text) == 2 for some in sizes for row in some)
    assert [*map(rows.index, sizes[1])] == sorted(map(rows.index, sizes[1]))


def test_another_seed_chooses_other_rows_and_new_rows_move_none() -> None:
    rows = [Example(f"a-{number}", f"第{number}句", []) for number in range(100)]
    chosen = [row.id for row in subset(rows, 50, 42)]
    assert chosen != [row.id for row in subset(rows, 50, 43)]
    more = [*rows, *(Example(f"b-{number}", f"新{number}句", []) for number in range(100))]
    assert [row.id for row in subset(more, 200, 42)] == [row.id for row in more]
    among = [row.id for row in subset(more, 100, 42) if row.id.startswith("a")]
    assert {*among} <= {*chosen} or {*chosen} <= {*among}


def test_a_run_that_takes_only_its_first_rows_has_a_curve_of_those(run_: Callable[..., Run]) -> None:
    run = run_(NER, "max_samples=400")
    plotted = need_plottable(run, find_task("sample"), "dev", (10.0, 100.0), (42,))
    assert [plotted.size(share) for share in (10, 100)] == [40, 400]
    assert plotted.rows[-1].id == "sample-train-000400"


@pytest.mark.parametrize(
    ("words", "split", "shares", "seeds", "message"),
    [
        ((), "dev", (50.0, 25.0), (42,), r"--shares 50 25: must rise"),
        ((), "dev", (50.0, 50.0), (42,), r"--shares 50 50: must rise"),
        ((), "dev", (100.0,), (42,), r"--shares 100: must rise, and be two at least"),
        ((), "dev", (0.5, 100.0), (42,), r"--shares 0\.5: 0\.5 % of 2,000 rows are 10, fewer than one batch of 16"),
        (("gradient_accumulation_steps=20",), "dev", (10.0, 100.0), (42,), r"10 % of 2,000 rows are 200, fewer than one batch of 320"),
        ((), "dev", (10.0, 100.0), (42, 42), r"--seeds 42 42: a seed stands twice"),
        ((), "train", (10.0, 100.0), (42,), r"--split train: .*Name a split that was held out"),
        ((), "test", (10.0, 100.0), (42,), r"sample_test\.jsonl: no such file.*make data TASK=sample"),
        (("dataset=alpaca_sample_dev",), "dev", (10.0, 100.0), (42,), r"Only a run that trains on alpaca_sample_train alone"),
        (("finetuning_type=full",), "dev", (10.0, 100.0), (42,), r"finetuning_type: full: leaves no adapter"),
    ],
)
def test_what_gives_no_curve_is_told_before_anything_is_trained(
    run_: Callable[..., Run], trained: list[str], words: tuple[str, ...], split: str, shares: tuple[float, ...], seeds: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        curve(run_(NER, *words), find_task("sample"), split, shares, seeds, Options())
    assert trained == []


def test_a_server_that_would_be_in_the_way_is_found_before_anything_is_trained(
    run_: Callable[..., Run], trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_ready", lambda url: url == "http://127.0.0.1:8000/v1")
    with pytest.raises(ToolError, match=r"8000/v1: a server runs there.*PORT="):
        drawn(run_(NER))
    assert trained == []


@pytest.mark.parametrize("word", ["0", "-5", "100.5", "all", "nan"])
def test_a_share_is_a_number_above_0_and_100_at_most(tool: Callable[..., SimpleNamespace], word: str) -> None:
    done = tool("curve", NER, f"--shares={word}")
    assert done.returncode == 2
    assert f"'{word}' is no share of the rows" in done.stderr


def test_the_cost_names_the_time_of_a_run_that_was_trained_in_one_go(run_: Callable[..., Run]) -> None:
    run = run_(NER)
    plotted = need_plottable(run, find_task("sample"), "dev", (10.0, 50.0), (42, 43))
    parts = [(seed, share) for seed in (42, 43) for share in (10.0, 50.0)]
    assert cost(plotted, parts).startswith("4 trainings, together 1.20 times the run's own on 2,000 rows; a server")
    record = manifest.start(run, "train")
    manifest.end(run, record, 0)
    path = run.output_dir / manifest.NAME
    times = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:40:00+00:00"}
    path.write_text(json.dumps({**json.loads(path.read_text()), **times}))
    assert "the run itself took 1 h 40 min, so about 2 h 0 min; a server" in cost(plotted, parts)
    path.write_text(json.dumps({**json.loads(path.read_text()), **times, "resumed_from": "checkpoint-4"}))
    assert "took" not in cost(plotted, parts)


def test_a_run_of_a_fixed_number_of_steps_costs_the_same_for_every_share(run_: Callable[..., Run]) -> None:
    plotted = need_plottable(run_(NER, "max_steps=10"), find_task("sample"), "dev", (10.0, 100.0), (42,))
    assert cost(plotted, [(42, 10.0), (42, 100.0)]).startswith("2 trainings, together 2.00 times the run's own")
