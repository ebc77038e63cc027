"""A run is trained on a part of its rows, with its own settings; that LLaMA-Factory trains one is shown by ./ner curve."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.run import Run, load_run
from tools.conf.task import Task, find_task
from tools.errors import ToolError
from tools.example import Entity, Example, read_examples
from tools.files import read_json, write_text
from tools.predict.questions import need_examples
from tools.train import manifest
from tools.train import part as module
from tools.train.distributed import ALONE, Processes
from tools.train.part import fold_of, need_own_data, trained_part, write_part
from tools.train.train import move_away, resolved_values, to_yaml
from tools.variant import FINISHED

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
ROWS = [Example(f"other-{number}", f"第{number}位是叶老桂。", [Entity("name", "叶老桂", 4, 7)]) for number in range(4)]


@pytest.fixture
def task() -> Task:
    return find_task("sample")


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    return load_run(CONF, [f"output_dir={tmp_path / CONF.stem}", "lora_rank=8"])


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Replaces the training by its records; returns each one's output folder, and whether it was to start over."""
    done: list[tuple[Path, bool]] = []

    def train(part: Run, fresh: bool, how: Processes) -> None:
        assert how == ALONE
        done.append((part.output_dir, fresh))
        if fresh:
            move_away(part.output_dir)
        write_text(part.resolved, to_yaml(resolved_values(part, None)))
        manifest.end(part, manifest.start(part, "train"), 0)
        write_text(part.output_dir / FINISHED, "{}")

    monkeypatch.setattr(module, "train", train)
    return done


def test_a_part_has_the_runs_own_settings_and_folders_of_its_own(run_: Run, task: Task, tmp_path: Path) -> None:
    part = write_part(run_, task, tmp_path / "part", {"train": ROWS, "dev": ROWS[:1]}, ["seed=7"])
    assert part.name == run_.name
    assert part.output_dir == tmp_path / "part" / run_.name
    assert part.dataset == tmp_path / "part" / "dataset"
    others = {key: (run_.values.get(key), value) for key, value in part.values.items() if run_.values.get(key) != value}
    assert {key: after for key, (_, after) in others.items() if key not in ("output_dir", "dataset_dir")} == {
        "eval_dataset": None,
        "val_size": 0.0,
        "seed": 7,
        "load_best_model_at_end": False,
    }
    assert load_run(part.path, part.overrides).values == part.values  # a server that is started for it reads these words


def test_nothing_is_evaluated_while_a_part_trains(run_: Run, task: Task, tmp_path: Path) -> None:
    watched = load_run(
        CONF, [*run_.overrides, "eval_strategy=steps", "eval_steps=5", "load_best_model_at_end=true", "early_stopping_steps=2", "val_size=0.1"]
    )
    part = write_part(watched, task, tmp_path / "part", {"train": ROWS})
    told = {key: part.values[key] for key in ("eval_strategy", "eval_dataset", "load_best_model_at_end", "early_stopping_steps", "val_size")}
    assert told == {"eval_strategy": "no", "eval_dataset": None, "load_best_model_at_end": False, "early_stopping_steps": None, "val_size": 0.0}


def test_a_part_of_a_run_passes_the_checks_of_a_training(run_: Run, task: Task, tmp_path: Path, quick: None) -> None:
    from tools.train.examination import examine

    assert examine(write_part(run_, task, tmp_path / "part", {"train": ROWS, "dev": ROWS})).problems == []


def test_every_split_is_written_and_can_be_asked(run_: Run, task: Task, tmp_path: Path) -> None:
    part = write_part(run_, task, tmp_path / "part", {"train": ROWS, "dev": ROWS[1:]})
    written = read_json(part.dataset / "alpaca/alpaca_sample_train.json")
    assert [row["input"].endswith(example.text) for row, example in zip(written, ROWS, strict=True)] == [True] * len(ROWS)
    asked = list(read_examples(need_examples(part, task, "dev")))
    assert [(row.id, row.text, row.entities) for row in asked] == [
        (f"sample-dev-{number:06d}", row.text, row.entities) for number, row in enumerate(ROWS[1:], 1)
    ]


def test_a_task_with_names_for_its_labels_and_a_split_by_hash_is_written_row_by_row(
    write_task: Callable[..., Path], tmp_path: Path, run_: Run
) -> None:
    from tools.conf.task import load_task

    toy = load_task(write_task(labels={"name": "人名"}, split={"dev": 0.5, "seed": 1}, reader="spans", fields={"text": "text"}))
    part = write_part(run_, toy, tmp_path / "part", {"train": [*ROWS, *ROWS]})
    rows = read_json(part.dataset / "alpaca/alpaca_toy_train.json")
    assert len(rows) == 2 * len(ROWS)
    assert {row["output"] for row in rows} == {'[{"label": "人名", "text": "叶老桂"}]'}


def test_what_is_trained_is_not_trained_again(run_: Run, task: Task, tmp_path: Path, trained: list[tuple[Path, bool]]) -> None:
    first = trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    assert trained_part(run_, task, tmp_path / "part", {"train": ROWS}) == first
    assert trained == [(first.output_dir, False)]
    trained_part(run_, task, tmp_path / "other", {"train": ROWS})
    assert len(trained) == 2


@pytest.mark.parametrize(("gpus", "words", "nproc"), [(2, (), "gpu"), (1, (), ""), (0, (), ""), (1, ("deepspeed=conf/deepspeed/zero2.json",), "gpu")])
def test_a_part_is_trained_by_as_many_processes_as_the_run_without_options(
    run_: Run, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, words: tuple[str, ...], nproc: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("tools.train.distributed.visible_gpus", lambda: gpus)
    monkeypatch.setattr(module, "train", lambda part, fresh, how: asked.append(how.nproc))
    trained_part(run_, task, tmp_path / "part", {"train": ROWS}, words)
    assert asked == [nproc]


def test_an_interrupted_training_goes_on_and_does_not_start_over(run_: Run, task: Task, tmp_path: Path, trained: list[tuple[Path, bool]]) -> None:
    part = trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    (part.output_dir / FINISHED).unlink()
    trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    assert trained == [(part.output_dir, False)] * 2


def test_a_training_that_ended_before_its_adapter_was_converted_is_finished(
    run_: Run, task: Task, tmp_path: Path, trained: list[tuple[Path, bool]]
) -> None:
    part = trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    write_text(part.output_dir / "adapter_config.json", '{"init_lora_weights": "pissa_niter_16"}')
    trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    assert trained == [(part.output_dir, False)] * 2


@pytest.mark.parametrize(("rows", "words"), [(ROWS[:3], ()), (ROWS, ("learning_rate=1.0e-4",)), ([*reversed(ROWS)], ())])
def test_other_rows_or_settings_train_afresh(
    run_: Run, task: Task, tmp_path: Path, trained: list[tuple[Path, bool]], rows: list[Example], words: tuple[str, ...]
) -> None:
    part = trained_part(run_, task, tmp_path / "part", {"train": ROWS})
    trained_part(run_, task, tmp_path / "part", {"train": rows}, words)
    assert trained == [(part.output_dir, False), (part.output_dir, True)]
    trained_part(run_, task, tmp_path / "part", {"train": rows}, words)
    assert len(trained) == 2


def test_other_held_out_rows_train_nothing(run_: Run, task: Task, tmp_path: Path, trained: list[tuple[Path, bool]]) -> None:
    for held_out in (ROWS[:1], ROWS[:2]):
        trained_part(run_, task, tmp_path / "part", {"train": ROWS, "dev": held_out})
    assert len(trained) == 1


@pytest.mark.parametrize("dataset", ["alpaca_sample_dev", "'alpaca_sample_train,alpaca_clue_train'", "mine"])
def test_a_run_that_trains_anything_but_its_tasks_train_split_is_refused(run_: Run, task: Task, dataset: str) -> None:
    need_own_data(run_, task)
    with pytest.raises(ToolError, match=r"trains on .*Only a run that trains on alpaca_sample_train alone"):
        need_own_data(load_run(CONF, [f"dataset={dataset}"]), task)


def test_equal_texts_are_in_one_fold_and_every_fold_has_rows() -> None:
    folds = [fold_of(Example(f"a-{number}", f"第{number % 50}句", []), 5) for number in range(100)]
    assert folds[:50] == folds[50:]
    assert {*folds} == {*range(5)}
