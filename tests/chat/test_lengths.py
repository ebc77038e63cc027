"""The lengths of text that a run was trained on."""

from dataclasses import replace
from pathlib import Path

from tools.chat import prompt
from tools.chat.lengths import trained_reach
from tools.chat.token_ids import token_counter
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.data.convert import convert
from tools.example import read_examples


def test_texts_that_training_cut_off_do_not_count(tmp_path: Path) -> None:
    task = find_task("sample")
    run = load_run(Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml"))
    run = replace(run, values=run.values | {"dataset_dir": str(tmp_path / "alpaca"), "cutoff_len": 4096})
    assert trained_reach(run) is None  # the examples aren't there
    convert(task, tmp_path)
    examples = list(read_examples(task.examples("train", tmp_path)))
    whole = trained_reach(run)
    assert whole and whole.longest == max(len(one.text) for one in examples) and whole.usual <= whole.longest
    render, count = prompt.renderer(task), token_counter(run)
    tokens = {one.id: count([prompt.alpaca(task, one, render)])[0] for one in examples}
    cutoff = sorted(tokens.values())[len(tokens) // 2]
    cut = trained_reach(replace(run, values=run.values | {"cutoff_len": cutoff}))
    assert cut and cut.longest < whole.longest
    assert max(len(one.text) for one in examples if tokens[one.id] <= cutoff) >= cut.longest
    assert trained_reach(replace(run, values=run.values | {"cutoff_len": 8})) is None
