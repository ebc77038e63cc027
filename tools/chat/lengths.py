"""Finds what the texts were like that a run was trained on: a longer text is asked in windows that look so.

In: a run as it was trained, and the examples of its datasets. Out: a Reach, which leaves out the texts that training cut off.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --out DIR
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from tools.chat import prompt
from tools.chat.token_ids import is_quick, token_counter
from tools.chat.windows import Reach, has_lines, reach_of
from tools.conf.run import DATASET_NAME, Run, dataset_names
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.example import Example, as_example
from tools.files import read_jsonl


def trained_reach(trained: Run) -> Reach | None:
    """Returns what the texts were like that a run was trained on; None where the examples of its datasets aren't here, or training cut them all off.

    Where tokens can't be counted in seconds, no text counts as cut off.
    """
    counts, with_lines, examples = Counter[int](), Counter[int](), dict[int, tuple[str, Example]]()
    for name in dataset_names(trained.values.get("dataset")):
        match = DATASET_NAME.fullmatch(name)
        path = match and trained.dataset / "examples" / f"{match['task']}_{match['split']}.jsonl"
        for number, row in read_jsonl(path) if match and path and path.is_file() else ():
            text = row["text"] if isinstance(row.get("text"), str) else ""
            length = len(text)
            counts[length] += 1
            with_lines[length] += has_lines(text)
            if length not in examples and match:
                examples[length] = match["task"], as_example(row, f"{path}:{number}")
    lengths = sorted(examples)
    if fits := _fitting(trained):
        cut = bisect_left(lengths, True, key=lambda length: not fits(*examples[length]))
        lengths = lengths if lengths and fits(*examples[lengths[-1]]) else lengths[:cut]
    return reach_of({length: counts[length] for length in lengths}, sum(with_lines[length] for length in lengths))


def _fitting(trained: Run) -> Callable[[str, Example], bool] | None:
    """Returns the function that tells whether a task's example fits into `cutoff_len`; None where tokens can't be counted here in seconds."""
    try:
        if not is_quick(trained):
            return None
        count = token_counter(trained)
    except ToolError:
        return None
    cutoff = int(trained.values.get("cutoff_len", 2048))

    def fits(name: str, example: Example) -> bool:
        task = find_task(name)
        return count([prompt.alpaca(task, example, prompt.renderer(task))])[0] <= cutoff

    return fits
