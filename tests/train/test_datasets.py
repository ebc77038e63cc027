"""What LLaMA-Factory would do to rows in silence is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.errors import ToolError
from tools.train.datasets import _objects, datasets

GOOD = {"instruction": "你是专家。", "input": "找出：叶老桂", "output": "[]"}
OURS = {"prompt": "input", "system": "instruction", "response": "output"}


def read(folder: Path, rows: Any, entry: dict | None = None, **values: Any) -> Any:
    """The one training dataset of a run, with `rows` (a value, or the file's text) in its file."""
    (folder / "rows.json").write_text(rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False))
    (folder / "dataset_info.json").write_text(json.dumps({"mine": entry or {"file_name": "rows.json", "columns": OURS}}))
    [dataset], _ = datasets(Run(Path("conf/x.yaml"), {"dataset_dir": str(folder), "dataset": "mine", **values}))
    return dataset


def test_rows_are_the_turns_that_llamafactory_makes(tmp_path: Path) -> None:
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from llamafactory.model import load_tokenizer
    from transformers import Seq2SeqTrainingArguments

    rows = [GOOD, {**GOOD, "input": "只有\n两行"}, {**GOOD, "instruction": ""}]
    for columns in (OURS, {"prompt": "instruction", "query": "input", "response": "output"}, None):
        entry = {"file_name": "rows.json", **({"columns": columns} if columns else {})}
        found = read(tmp_path, rows, entry).rows
        model = ModelArguments(model_name_or_path="models/tiny-qwen2")
        data = DataArguments(template="qwen", dataset="mine", dataset_dir=str(tmp_path), overwrite_cache=True)
        loaded = load_tokenizer(model)
        template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
        arguments = Seq2SeqTrainingArguments(str(tmp_path / "out"), use_cpu=True, do_train=True)
        theirs = get_dataset(template, model, data, arguments, stage="sft", **loaded)["train_dataset"]
        for row, encoded in zip(found, theirs, strict=True):
            turns = [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]
            prompt, answer = template.encode_oneturn(loaded["tokenizer"], turns, row["instruction"])
            assert encoded["input_ids"] == prompt + answer


@pytest.mark.parametrize(
    ("rows", "entry", "message"),
    [
        ([GOOD, {**GOOD, "output": None}], None, "1 rows without an answer in 'output', which LLaMA-Factory drops or trains to say nothing: row 2."),
        ([GOOD, {"input": "x"}], None, "1 rows without an answer"),
        (
            [{**GOOD, "output": ""}] * 9,
            None,
            "9 rows without an answer in 'output', which LLaMA-Factory drops or trains to say nothing: rows 1, 2, 3, 4, 5 …",
        ),
        ([GOOD, {**GOOD, "input": ""}], None, "1 rows without a question in 'input': row 2."),
        ([GOOD, {**GOOD, "input": 3}], None, "1 rows with a value that isn't text: row 2."),
        ([GOOD], {"file_name": "rows.json", "columns": {"prompt": "instruction", "response": "output"}}, "maps nothing to the rows' 'input'"),
        (
            [GOOD],
            {"file_name": "rows.json", "columns": {**OURS, "prompt": "inptu"}},
            "maps prompt to 'inptu', which no row has. Did you mean 'input'?",
        ),
        ([GOOD], {"file_name": "rows.json", "columns": {"prompt": "input", "system": "instruction"}}, "maps no column to response"),
        ([GOOD], {"file_name": "../rows.json"}, "names ../rows.json, which is outside"),
        ([GOOD], {"file_name": "gone.json"}, "gone.json: no such file"),
        ([GOOD], {"nothing": 1}, "'mine' names no file_name"),
        ('[{"input": "x",\n "output": ]', None, "rows.json:2: not JSON"),
        ({"input": "x"}, None, "must be a list of objects"),
        ([], None, "no rows in it"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(tmp_path: Path, rows: Any, entry: dict | None, message: str) -> None:
    dataset = read(tmp_path, rows, entry)
    assert any(message in problem for problem in dataset.problems), dataset.problems
    assert not dataset.read


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_byte_order_mark_that_llamafactory_cannot_read_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b'\xef\xbb\xbf[{"instruction": "s", "input": "i", "output": "o"}]')
    with pytest.raises(ToolError, match="begins with a byte-order mark"):
        _objects(path)


def test_json_lines_are_read_and_max_samples_cuts(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(GOOD) for _ in range(9)) + "\n")
    dataset = read(tmp_path, [], {"file_name": "rows.jsonl", "columns": OURS}, max_samples=4)
    assert (len(dataset.rows), dataset.problems) == (4, [])


def test_what_isnt_here_is_left_to_llamafactory(tmp_path: Path) -> None:
    for entry in ({"hf_hub_url": "a/b"}, {"file_name": "rows.json", "formatting": "sharegpt"}):
        dataset = read(tmp_path, [GOOD], entry)
        assert (dataset.read, dataset.problems) == (False, [])
