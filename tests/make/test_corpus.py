"""The pre-training tasks: correct answers, every common character, and nothing of the NER task."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from make.corpus import COMMON_HANZI, LABEL_WORDS, SYSTEMS, TASKS, make_sample, passage

REPO = Path(__file__).parents[2]


def test_the_same_seed_makes_the_same_samples() -> None:
    assert [make_sample(random.Random(3), 40) for _ in range(3)] == [make_sample(random.Random(3), 40) for _ in range(3)]


def test_what_an_answer_copies_stands_in_the_prompt() -> None:
    rng = random.Random(1)
    for name in set(TASKS) - {"repeat"}:
        for _ in range(100):
            sample = make_sample(rng, 40, only=name)
            for item in json.loads(sample.answer):
                assert (item if isinstance(item, str) else item["text"]) in sample.prompt


def test_the_corpus_has_neither_the_sample_prompt_nor_a_task_label_as_an_answers_label() -> None:
    rng = random.Random(2)
    prompt = (REPO / "data" / "prompts" / "sample_prompt.txt").read_text(encoding="utf-8")
    constant = [line for line in re.split(r"\{\w+\}|\n", prompt) if len(line) > 3]
    task = (REPO / "conf" / "task" / "sample.yaml").read_text(encoding="utf-8")
    assert len(constant) == 2
    assert all(f"system: {line}\n" not in task for line in SYSTEMS)
    for _ in range(2000):
        sample = make_sample(rng, 40)
        assert not any(line in sample.prompt for line in constant)
        assert not set(re.findall(r'"label": "([^"]*)"', sample.answer)) & set(LABEL_WORDS)


def test_the_corpus_has_nearly_all_common_characters_and_json_escapes() -> None:
    rng = random.Random(4)
    samples = [make_sample(rng, 60) for _ in range(4000)]
    text = "".join(sample.prompt + sample.answer for sample in samples)
    assert len(set(COMMON_HANZI) & set(text)) / len(COMMON_HANZI) > 0.9
    assert '\\"' in text
    assert "\\\\" in text
    assert any(sample.answer == "[]" for sample in samples)


def test_plain_text_is_learned_whole_and_a_conversation_only_from_its_answer_on() -> None:
    text = passage(random.Random(5), 80)
    assert (text.given, text.learned) == ("<|endoftext|>", text.answer + "<|endoftext|>")
    assert len(text.answer) >= 80
    sample = make_sample(random.Random(5), 40)
    assert sample.given.endswith(f"{sample.prompt}<|im_end|>\n<|im_start|>assistant\n")
    assert sample.learned == sample.answer + "<|im_end|>\n"


def test_listed_words_are_answered_in_the_order_in_which_they_stand_and_absent_ones_are_not() -> None:
    rng = random.Random(6)
    for _ in range(300):
        sample = make_sample(rng, 40, only="glossary")
        found = [item if isinstance(item, str) else item["text"] for item in json.loads(sample.answer)]
        sentence = sample.prompt.rpartition("\n")[2]
        places = [sentence.index(word) for word in found]
        assert places == sorted(places)
