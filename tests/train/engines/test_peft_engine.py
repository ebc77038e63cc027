"""The PEFT engine on the embedded model: its rows against LLaMA-Factory's own, what it leaves, how it goes on, what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import load_run
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.files import read_json, sha256
from tools.train import arguments
from tools.train.engines import peft_engine
from tools.train.engines.engine_table import ENGINES

CONFS = sorted(Path("conf/peft").rglob("*.yaml"))
ADAPTER = "adapter_model.safetensors"
METHODS = {
    "lora": {"finetuning_type": "lora", "lora_rank": 4},
    "prefix": {"finetuning_type": "prefix", "num_virtual_tokens": 4},
    "projected prefix": {"finetuning_type": "prefix", "num_virtual_tokens": 4, "prefix_projection": True, "encoder_hidden_size": 16},
    "p_tuning": {"finetuning_type": "p_tuning", "num_virtual_tokens": 4, "encoder_hidden_size": 16},
    "p_tuning, LSTM": {
        "finetuning_type": "p_tuning",
        "num_virtual_tokens": 4,
        "encoder_hidden_size": 16,
        "encoder_reparameterization_type": "LSTM",
    },
}


@pytest.fixture(scope="module")
def alpaca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample task's Alpaca files: its first 60 rows and 20 more."""
    folder = tmp_path_factory.mktemp("dataset")
    words = ["raw.train=data/dataset/sample.train.jsonl[:60]", "raw.dev=data/dataset/sample.dev.jsonl[:20]"]
    convert(load_task(Path("conf/task/sample.yaml"), words), folder)
    return folder / "alpaca"


@pytest.fixture
def write_run(alpaca: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a run file of four steps; keywords replace its values, None drops one."""

    def write(name: str = "run", **values: Any) -> Path:
        run = {
            "model_name_or_path": "models/tiny-qwen2",
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "prefix",
            "dataset_dir": str(alpaca),
            "dataset": "alpaca_sample_train",
            "template": "qwen",
            "cutoff_len": 512,
            "overwrite_cache": True,
            "output_dir": str(tmp_path / name),
            "overwrite_output_dir": True,
            "max_steps": 4,
            "per_device_train_batch_size": 2,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "seed": 7,
            "use_cpu": True,
            **values,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps({key: value for key, value in run.items() if value is not None}, ensure_ascii=False))
        return path

    return write


def of_llamafactory(path: Path) -> Any:
    """The same run's rows as `llamafactory-cli train` makes them, parser and all (the method, which it doesn't have, set to LoRA)."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    values = {**json.loads(path.read_text()), "finetuning_type": "lora"}
    model, data, training, _, _ = get_train_args(values)
    loaded = load_tokenizer(model)
    return get_dataset(get_template_and_fix_tokenizer(loaded["tokenizer"], data), model, data, training, stage="sft", **loaded)


def columns(rows: Any) -> list[tuple[list[int], list[int], list[int]]]:
    return [(row["input_ids"], row["attention_mask"], row["labels"]) for row in rows]


@pytest.mark.parametrize(
    "values",
    [
        {"eval_dataset": "alpaca_sample_dev"},
        {"cutoff_len": 80},
        {"dataset": "alpaca_sample_train, alpaca_sample_dev", "val_size": 0.1, "max_samples": 17},
        {"eval_dataset": "alpaca_sample_train,alpaca_sample_dev", "eval_on_each_dataset": True},
    ],
    ids=["train and eval", "rows over cutoff_len", "two datasets, a share held out", "each evaluated apart"],
)
def test_token_ids_and_labels_are_llamafactorys_own(write_run: Callable[..., Path], values: dict[str, Any]) -> None:
    path = write_run(**values)
    parsed = peft_engine.parse(path)
    tokenizer, train, test = peft_engine.encoded(parsed)
    theirs = of_llamafactory(path)
    assert columns(train) == columns(theirs["train_dataset"])
    if "eval_dataset" not in theirs:
        assert test is None
    elif isinstance(test, dict):
        assert {name: columns(rows) for name, rows in test.items()} == {name: columns(rows) for name, rows in theirs["eval_dataset"].items()}
    else:
        assert columns(test) == columns(theirs["eval_dataset"])
        assert len(test) > 0
    lengths = [len(row["input_ids"]) for row in train]
    if "cutoff_len" in values:
        assert max(lengths) == 80, "some rows are longer, and are cut"
        return
    sources = {row["output"]: row for file in Path(parsed.data.dataset_dir).glob("alpaca_sample_*.json") for row in read_json(file)}
    for row in train:
        answer = [id for id in row["labels"] if id != -100]
        assert row["input_ids"][-len(answer) :] == answer, "the prompt is masked, the answer isn't"
        text = tokenizer.decode(answer)
        assert text.endswith("<|im_end|>\n")
        assert text.removesuffix("<|im_end|>\n") in sources


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(write_run: Callable[..., Path], tmp_path: Path, method: str) -> None:
    whole = peft_engine.train(write_run("whole", **METHODS[method], save_strategy="steps", save_steps=2))
    shutil.copytree(whole / "checkpoint-2", tmp_path / "kept")
    resumed = peft_engine.train(write_run("resumed", **METHODS[method], resume_from_checkpoint=str(tmp_path / "kept")))
    assert sha256(resumed / ADAPTER) == sha256(whole / ADAPTER)
    assert sha256(whole / "checkpoint-2" / ADAPTER) != sha256(whole / ADAPTER), "two more steps change it"
    assert [json.loads(line)["current_steps"] for line in (resumed / "trainer_log.jsonl").read_text().splitlines()] == [3, 4, 4]


def test_a_run_that_keeps_its_folder_goes_on_from_the_newest_checkpoint(write_run: Callable[..., Path]) -> None:
    values = {"save_strategy": "steps", "save_steps": 2, "overwrite_output_dir": False}
    output = peft_engine.train(write_run("kept", **values))
    first = sha256(output / ADAPTER)
    peft_engine.train(write_run("kept", **values))
    log = [json.loads(line)["current_steps"] for line in (output / "trainer_log.jsonl").read_text().splitlines()]
    assert log.count(1) == 1, "no step is trained twice"
    assert sha256(output / ADAPTER) == first


def test_it_leaves_what_llamafactory_leaves(write_run: Callable[..., Path]) -> None:
    values = {"eval_dataset": "alpaca_sample_dev", "eval_strategy": "steps", "eval_steps": 2, "plot_loss": True}
    output = peft_engine.train(write_run(**METHODS["prefix"], **values))
    for name in (
        "adapter_config.json",
        ADAPTER,
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "training_loss.png",
        "eval_results.json",
    ):
        assert (output / name).is_file(), name
    log = [json.loads(line) for line in (output / "trainer_log.jsonl").read_text().splitlines()]
    assert {"current_steps", "total_steps", "loss", "lr", "epoch", "percentage", "elapsed_time", "remaining_time"} <= log[0].keys()
    assert [row["current_steps"] for row in log if "eval_loss" in row] == [2, 4]
    assert read_json(output / "train_results.json")["train_loss"] > 0
    newest = max(path.stat().st_mtime_ns for path in output.iterdir() if path.name not in ("train_results.json", "all_results.json"))
    assert (output / "train_results.json").stat().st_mtime_ns >= newest
    config = read_json(output / "adapter_config.json")
    assert (config["peft_type"], config["num_virtual_tokens"], config["num_attention_heads"]) == ("PREFIX_TUNING", 4, 2)


def test_a_run_that_fails_leaves_no_mark_of_an_older_one(write_run: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/train_results.json").write_text("{}")
    with pytest.raises(ToolError, match=r"PEFT can't add the adapter: .*nosuch_proj"):
        peft_engine.train(write_run(finetuning_type="lora", lora_target="nosuch_proj"))
    assert not (tmp_path / "run/train_results.json").exists()


@pytest.mark.parametrize("method", ["lora", "p_tuning"])
def test_the_best_checkpoint_is_what_is_kept(write_run: Callable[..., Path], method: str) -> None:
    # "Best" is here the highest loss, which is the first checkpoint's.
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": True}
    steps = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "eval_dataset": "alpaca_sample_dev"}
    output = peft_engine.train(write_run(**METHODS[method], **best, **steps))
    losses = [row["eval_loss"] for row in read_json(output / "trainer_state.json")["log_history"] if "eval_loss" in row]
    assert losses[0] > losses[1]
    assert sha256(output / ADAPTER) == sha256(output / "checkpoint-2" / ADAPTER) != sha256(output / "checkpoint-4" / ADAPTER)


def test_lora_trains_the_same_adapter_with_and_without_checkpointed_activations(write_run: Callable[..., Path]) -> None:
    from safetensors.torch import load_file

    kept, twice = (
        load_file(peft_engine.train(write_run(f"run-{disable}", **METHODS["lora"], disable_gradient_checkpointing=disable)) / ADAPTER)
        for disable in (True, False)
    )
    assert kept.keys() == twice.keys()
    assert all((kept[key] - twice[key]).abs().max() < 1e-4 for key in kept)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"finetuning_type": "prefx"},
            "`finetuning_type: \"prefx\"`: not one of its choices. Did you mean 'prefix'? Available: lora, p_tuning, prefix.",
        ),
        ({"num_virtual_token": 8}, "unknown key 'num_virtual_token'. Did you mean 'num_virtual_tokens'?"),
        ({"quantization_bit": 4}, "unknown key 'quantization_bit'"),
        ({"num_virtual_tokens": "many"}, '`num_virtual_tokens: "many"`: must be int, this is str.'),
        ({"packing": True}, "`packing: true`: the PEFT engine doesn't pack rows"),
        ({"neat_packing": True}, "`neat_packing: true`: the PEFT engine doesn't pack rows"),
        ({"gradient_checkpointing": True}, "prefix tuning can't recompute activations"),
        ({"model_name_or_path": "models/tiny-qwen3"}, "base model models/tiny-qwen3: no such folder. Did you mean 'models/tiny-qwen2'?"),
        ({"dataset": "alpaca_sample_tran"}, "no dataset 'alpaca_sample_tran' in .* Did you mean 'alpaca_sample_train'?"),
        ({"dataset": None}, "`dataset` is missing"),
        ({"dataset_dir": "/nonexistent"}, "dataset_info.json: no such file.* make data"),
        ({"template": "qwem"}, "`template: \"qwem\"`: not one of its choices. Did you mean 'qwen'?"),
        ({"do_train": False}, "`do_train: true` is missing"),
        ({"eval_strategy": "steps"}, "`eval_strategy: steps` needs `eval_dataset` or `val_size`"),
        ({"eval_dataset": "alpaca_sample_dev", "val_size": 0.1}, "Cannot specify `val_size` if `eval_dataset` is not None"),
        (
            {"resume_from_checkpoint": "/nonexistent"},
            "trainer_state.json: no such file. `resume_from_checkpoint` must name a whole checkpoint's folder",
        ),
    ],
)
def test_a_wrong_run_is_refused_in_words(write_run: Callable[..., Path], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolError, match=message.replace("?", r"\?")) as error:
        peft_engine.train(write_run(**values))
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "alpaca_x_train.json: no rows in it"),
        ([{"instruction": "s", "input": "u", "output": ""}], "1 rows without an answer in 'output'.*: row 1"),
        (
            [{"instruction": "s", "input": "u", "output": "[]"}, {"instruction": "s", "input": "u", "output": None}],
            "without an answer in 'output'.*: row 2",
        ),
        ([{"instruction": "s", "input": " ", "output": "[]"}], "1 rows without a question in 'input': row 1"),
        ([{"instruction": "s", "output": "[]"}] * 7, "which no row has"),
        ({"rows": []}, "must be a list of objects"),
    ],
)
def test_rows_that_llamafactory_would_drop_are_an_error(write_run: Callable[..., Path], tmp_path: Path, rows: Any, message: str) -> None:
    (tmp_path / "alpaca_x_train.json").write_text(json.dumps(rows))
    info = {"file_name": "alpaca_x_train.json", "columns": {"prompt": "input", "system": "instruction", "response": "output"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"alpaca_x_train": info}))
    with pytest.raises(ToolError, match=message) as error:
        peft_engine.train(write_run(dataset_dir=str(tmp_path), dataset="alpaca_x_train"))
    assert error.value.exit_code == 2


def test_there_are_runs_of_both_kinds_of_adapter() -> None:
    assert {load_run(path).values["finetuning_type"] for path in CONFS} == {"lora", "prefix"}


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.stem)
def test_our_own_runs_have_no_problems(path: Path) -> None:
    from transformers import HfArgumentParser

    from tools.train.engines.peft_arguments import ARGUMENTS

    values = load_run(path).values
    assert [*arguments.problems(load_run(path)), *ENGINES["peft"].problems(load_run(path))] == []
    # transformers refuses bf16 where there is neither a GPU nor use_cpu: the one thing about this machine that isn't about the run.
    parsed = peft_engine.ParsedRun(*HfArgumentParser(ARGUMENTS).parse_dict({**values, "use_cpu": True}))
    assert (parsed.method.finetuning_type, parsed.training.learning_rate) == (values["finetuning_type"], values["learning_rate"])
    for words in ("`make train` trains it with transformers' Trainer and PEFT", f"make train CONF={path}"):
        assert words.lower() in path.read_text().lower()


def test_every_key_says_what_it_is_for() -> None:
    from dataclasses import fields

    from tools.train.engines.peft_arguments import ARGUMENTS

    assert all(
        field.metadata.get("help")
        for kind in ARGUMENTS
        for field in fields(kind)
        if kind.__module__ == "tools.train.engines.peft_arguments" and field.init
    )
