"""vLLM's own grammar engine reads each format's grammar as it is meant."""

import json
import subprocess

import pytest

from tests.chat.test_answer_formats import NEAR, example, task_of
from tools.chat.answer_formats import FORMATS
from tools.chat.decoding import constraint
from tools.chat.prompt import answer
from tools.serve.installed import PYTHON

ASKED = """
import json, sys
import xgrammar
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([]), max_threads=1, cache_enabled=False)
found = []
for grammar, strings in json.load(sys.stdin):
    compiled = compiler.compile_grammar(grammar)
    matchers = [xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True) for _ in strings]
    found.append([matcher.accept_string(one) and matcher.is_terminated() for matcher, one in zip(matchers, strings)])
json.dump(found, sys.stdout)
"""
TEXTS = ["他在北京。", "[甲]\\ | 乙", '"甲"\t乙', "甲\r\n乙\u2028", "\x01\x1f\x7f", "e\u0301😀", "甲: 乙"]
THOUGHT = "<think>\n\n</think>\n\n"


@pytest.mark.skipif(not PYTHON.exists(), reason="vLLM's environment isn't here: make setup-serve")
def test_xgrammar_accepts_what_training_writes_and_nothing_near_it() -> None:
    asked, wanted = [], []
    for form in FORMATS:
        task = task_of(form)
        for text in TEXTS:
            rows = [example(text), example(text, ("LOC", 0, 2), ("ORG", 0, 2), ("PER", 1, 2)), example(text, ("PER", 0, len(text)))]
            written = [THOUGHT + answer(task, row) for row in rows]
            asked.append((constraint(task, text, [], THOUGHT)["grammar"], [*written, written[0][1:], written[1] + "\n"]))
            wanted.append([*[True] * len(written), False, False])
        near = [one for one in NEAR[form] if one and one != '{"address": ["北京"], "address": ["上海"]}']
        asked.append((constraint(task, "他在北京。", [])["grammar"], near))
        wanted.append([False] * len(near))
    done = subprocess.run([str(PYTHON), "-c", ASKED], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    wrong = [
        (grammar[:200], one)
        for (grammar, strings), right, found in zip(asked, wanted, json.loads(done.stdout), strict=True)
        for one, want, got in zip(strings, right, found, strict=True)
        if want != got
    ]
    assert wrong == []
