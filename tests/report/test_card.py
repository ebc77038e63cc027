"""The card shows the scores and records in both languages, no text or name can break out of it, and the hub's own library reads its head back."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.report.conftest import LABELS, ROWS, Evaluate, Trained, card_of
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.files import ROOT, read_json, sha256, write_json
from tools.predict.predictions import META
from tools.report.card import MARK, NAME, TEMPLATE, cell, code, fence, metadata, write
from tools.report.card_facts import gather

HOSTILE = ["a|b", "--- # 标题", "`code` ```", "<script>alert(1)</script>", "**粗** [x](http://x)", "行\n\n# 断", "{{ run }} {% x %}", "\u202e反|"]


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task(ROWS, labels=LABELS, source="made up; Apache-2.0"))


def parsed(text: str) -> list[Any]:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


def tables(text: str) -> list[list[list[str]]]:
    """Each table's rows of cells, as a Markdown reader shows them: escapes resolved."""
    found: list[list[list[str]]] = []
    for token in parsed(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level and found and "table_close" not in token.type and token.level >= 4:
            found[-1][-1].append("".join(child.content for child in token.children))
    return found


def halves(text: str) -> tuple[str, str]:
    english, chinese = text.split("\n## 中文\n")
    return english.split("\n## English\n")[1], chinese


def test_the_cards_figures_are_the_scores_and_the_records(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    run = trained(task)
    score = read_json(scored(run, task) / "score.json")
    for half in halves(card_of(run, task)):
        for name, protocol in score["protocols"].items():
            assert f"\n- `{name}`, micro F1: {protocol['micro']['f1']:.4f}\n" in half
        by_first = {row[0]: row[1:] for table in tables(half) for row in table}
        for label, counts in score["labels"].items():
            low, high = score["intervals"]["labels"][label]
            f1 = f"{counts['f1']:.4f} [{low:.4f}, {high:.4f}]"
            expected = [f"{counts['precision']:.4f}", f"{counts['recall']:.4f}", f1, str(counts["support"])]
            assert by_first[label] == expected
        assert f"{score['micro']['f1']:.4f} [" in next(row[2] for name, row in by_first.items() if name in ("micro average", "微平均"))
        strict = score["strict"]["micro"]
        assert any(
            row[:3] == [f"{strict[key]:.4f}" for key in ("precision", "recall", "f1")] and "alone" in name + "alone" * ("仅计" in name)
            for name, row in by_first.items()
        )
        assert f"{score['answers']['trained']}" in next(line for line in half.splitlines() if line.startswith(("- answers:", "- 回答：")))
        values = yaml.safe_load(half.split("```yaml\n")[1].split("\n```")[0])
        assert (values["lora_rank"], values["learning_rate"], values["bf16"]) == (12, 0.0001, True)
        results = {name: row[0] for name, row in by_first.items() if len(row) == 1}
        assert {"0.2500", "0.1250", "0.3125", "10", "100"} <= set(results.values())
        assert "12.0" in results.values()  # rows a step: 1.2 rows a second, 100 seconds, 10 steps
        assert by_first["alpaca_toy_train.json"][1:] == ["40", sha256(run.dataset / "alpaca/alpaca_toy_train.json")]
        assert (
            by_first["adapter"][0] == "free" and by_first["adapter"][-1] == read_json(run.output_dir / "eval/toy_dev" / META)["examples_sha256"][:12]
        )
        assert by_first["labels, and their names in answers" if "Label" in by_first else "标签及其在回答中的名称"] == ["name, address, company"]


def test_the_english_and_the_chinese_part_have_the_same_headings_tables_and_code(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    run = trained(task)
    scored(run, task)
    english, chinese = halves(card_of(run, task))
    assert len(re.findall("^### ", english, re.MULTILINE)) == len(re.findall("^### ", chinese, re.MULTILINE)) == 7
    assert [[len(row) for row in table] for table in tables(english)] == [[len(row) for row in table] for table in tables(chinese)]
    assert not re.search(r"\|\n[^|\n]", english + chinese), "a line right below a table would be a row of it"
    numbers = [sorted(re.findall(r"\d+\.\d{4}", half)) for half in (english, chinese)]
    assert numbers[0] == numbers[1] and len(numbers[0]) > 25
    shown = [child.content for half in (english, chinese) for token in parsed(half) for child in (token.children or []) if child.type == "text"]
    assert not [one for one in shown if "**" in one], "between Chinese punctuation and a letter, ** is no emphasis"
    blocks = [[token.content for token in parsed(half) if token.type == "fence"] for half in (english, chinese)]
    assert blocks[0] == blocks[1] and len(blocks[0]) == 7
    pairs = re.findall(r't\("((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\)', TEMPLATE.read_text())
    assert len(pairs) > 50
    for first, second in pairs:
        assert len(re.findall(r"%s", first)) == len(re.findall(r"%s", second)), first
        assert not re.search(r"[\u4e00-\u9fff]", first) and (re.search(r"[\u3000-\u9fff\uff00-\uffef]", second) or first == second), first


def test_the_prompt_stands_word_for_word_in_text_request_and_code(task: Task, trained: Trained) -> None:
    task.prompt.write_text('找出 {labels}：\n```json\n[{{"label": "\'…"}}]\n```\n{text}\n尾 $HOME `id` JSON\nJSON\n')
    run = trained(task)
    user = '找出 name, address, company：\n```json\n[{"label": "\'…"}]\n```\n{text}\n尾 $HOME `id` JSON\nJSON'
    text = card_of(run, task)
    assert "The first training row was made with exactly this prompt." in text
    for half in halves(text):
        blocks = [token for token in parsed(half) if token.type == "fence"]
        assert user + "\n" in [block.content for block in blocks] and "你是专家。\n" in [block.content for block in blocks]
        wanted = [{"role": "system", "content": "你是专家。"}, {"role": "user", "content": user.replace("{text}", "请把这里换成要处理的文本。")}]
        for block in blocks:
            if block.info == "python":
                lines = [line for line in block.content.splitlines() if re.match(r"SYSTEM|PROMPT|text|user|messages", line)]
                names: dict[str, Any] = {}
                exec("\n".join(lines), names)
                assert names["messages"] == wanted
                compile(block.content, "card", "exec")


def test_names_that_labels_have_in_answers_stand_beside_them(write_task: Callable[..., Path], trained: Trained, scored: Callable[..., Path]) -> None:
    task = load_task(write_task(ROWS, labels={"name": "人名", "address": "地点", "company": "公司"}))
    run = trained(task)
    score = read_json(scored(run, task) / "score.json")
    text = card_of(run, task)
    assert '[{"label": "人名", "text": "…"}]' in text
    assert text.count("name = 人名, address = 地点, company = 公司 |") == 2 and f"{score['micro']['f1']:.4f}" in text


def test_a_classification_has_its_accuracy_and_the_options_in_the_prompt(
    write_task: Callable[..., Path], trained: Trained, evaluation: Evaluate
) -> None:

    rows = [{"text": f"第{n}条新闻", "category": ["Art", "Eco|nomy"], "output": ["Art", "Eco|nomy"][n % 2]} for n in range(6)]
    path = write_task(rows, kind="classification", reader="classification", labels=None)
    Path(json.loads(path.read_text())["prompt"]).write_text("文本：{text}\n选项：{options}\n")
    task = load_task(path)
    run = trained(task)
    gold = [Example(f"toy-dev-{n}", f"文{n}", [], ["Art", "Eco|nomy"][n % 2], ["Art", "Eco|nomy"]) for n in range(6)]
    meta = {
        "prompt_sha256": sha256(task.prompt),
        "base_model": run.base_model,
        "adapter_sha256": sha256(run.output_dir / "adapter_model.safetensors"),
    }
    evaluation(task, gold, ["Art", "Art", "Art", "Eco|nomy", "我不知道", "Eco|nomy"], **meta)
    text = card_of(run, task)
    assert "accuracy: 0.6667" in text and "text-classification" in text and "名实体" not in halves(text)[1].split("###")[1]
    assert ["Eco|nomy", "1.0000", "0.6667"] in [row[:3] for table in tables(text) for row in table]
    assert "文本：{text}\n选项：{options}" in text and '.replace("{options}", ", ".join(options)).replace("{text}", text)' in text
    from huggingface_hub import ModelCard

    assert {result.metric_type for result in ModelCard(text).data.eval_results} == {"accuracy", "f1", "precision", "recall"}


def test_hostile_labels_and_texts_stay_text(write_task: Callable[..., Path], trained: Trained, evaluation: Evaluate) -> None:
    source = "a | b\n\n---\n# <b>x</b> <!-- `sha` --> {{ run }} </details>"
    task = load_task(
        write_task(
            [{"text": "林晓", "label": {HOSTILE[0]: {"林晓": [[0, 1]]}}}],
            labels=HOSTILE,
            source=source,
            system="系统 ``` <script> ~~~\n# 不是标题\n---",
        )
    )
    run = trained(task)

    gold = [Example(f"t-{n}", "林晓", [Entity(label, "林晓", 0, 2)]) for n, label in enumerate(HOSTILE)]
    outputs = [json.dumps([{"label": label, "text": "林晓"}], ensure_ascii=False) for label in HOSTILE]
    meta = {
        "prompt_sha256": sha256(task.prompt),
        "base_model": run.base_model,
        "adapter_sha256": sha256(run.output_dir / "adapter_model.safetensors"),
    }
    evaluation(task, gold, outputs, **meta, engine="vllm | <i>1</i>")
    text = card_of(run, task)
    assert yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))["model-index"][0]["name"] == "a"
    tokens = parsed(text.split("\n---\n", 1)[1])
    html = [token.content for token in tokens if token.type.startswith("html")] + [
        c.content for t in tokens for c in (t.children or []) if c.type.startswith("html")
    ]
    assert {re.sub(r"\s.*", "", one.strip(), flags=re.DOTALL) for one in html} == {"<!--", "<details>", "</details>"}
    assert not [child for token in tokens for child in (token.children or []) if child.type in ("image",)]
    links = {child.attrs["href"] for token in tokens for child in (token.children or []) if child.type == "link_open"}
    assert links == {"#english", "#%E4%B8%AD%E6%96%87"}
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[:3] == ["a", "English", "What it is"] and len(headings) == 3 + 14
    rows = [row for table in tables(text) for row in table]
    for label in HOSTILE:
        shown = label.replace("\n", " ").replace("\u202e", "⟨U+202E⟩")
        assert [row[1] for row in rows if row[0] == shown].count("1.0000") == 2, label
    assert next(row[1] for row in rows if row[0] == "data").startswith("a | b  --- # <b>x</b> <!-- `sha` --> {{ run }}")
    assert "系统 ``` <script> ~~~\n# 不是标题\n---\n" in [token.content for token in tokens if token.type == "fence"]


@pytest.mark.parametrize("text", ["a|b", "``x``", "\\", "a\\|b", "\n", "", "*", "_x_", "x_y", "<!--", "&amp;", "$x$", "~~a~~"])
def test_a_cell_reads_back_as_the_text(text: str) -> None:
    for made in (cell(text), code(text)):
        row = tables(f"| h | i |\n|---|---|\n| {made} | end |\n")[0][1]
        assert row == [" ".join(text.split()) if text.strip() or not text else "", "end"], made


def test_no_backticks_end_a_block() -> None:
    text = "a\n```\n`````` b\n~~~"
    assert [token.content for token in parsed(fence(text, "text"))] == [text + "\n"]


def test_the_same_run_gives_the_same_bytes_and_a_card_of_somebody_elses_is_kept(task: Task, trained: Trained) -> None:
    run = trained(task)
    path = write(run, task, "adapter", "dev")
    first = path.read_bytes()
    assert write(run, task, "adapter", "dev") == path and path.read_bytes() == first
    for edited in (first.decode().replace(f"{MARK}\n", "").replace("license: unknown", "license: mit"), "# 我的\n", ""):
        path.write_text(edited)
        with pytest.raises(ToolError, match=r"README\.md: somebody wrote it, so it stays.*: make card CONF=conf/a\.yaml ARGS=--fresh"):
            write(run, task, "adapter", "dev")
        assert path.read_text() == edited
        write(run, task, "adapter", "dev", fresh=True)
        assert path.read_bytes() == first


def test_the_cards_that_the_libraries_leave_are_written_over_unless_somebody_filled_them_in(task: Task, trained: Trained, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modelcard import TrainingSummary

    summary = {"model_name": "a", "license": "other", "tags": ["llama-factory", "lora"], "finetuned_from": "models/x", "dataset": "alpaca_toy_train"}
    trainers = TrainingSummary(**summary, hyperparameters={"learning_rate": 0.001, "seed": 42}, source="trainer").to_model_card()
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(ROOT / "models/tiny-qwen2"))
    adapter = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapter.create_or_update_model_card(str(tmp_path))  # PEFT's own, as in a checkpoint's folder
    pefts = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(trainers)
    adapter.create_or_update_model_card(str(tmp_path))  # PEFT's versions laid over the Trainer's, as LLaMA-Factory leaves it
    both = (tmp_path / NAME).read_text()
    assert "PEFT" in both and both != trainers
    run = trained(task)
    for filled in (
        trainers.replace("More information needed", "它做什么", 1),
        pefts.replace("is/does. -->\n", "is/does. -->\n\n它做什么", 1),
        both.replace("More information needed", "它做什么", 1),
    ):
        (run.output_dir / NAME).write_text(filled)
        with pytest.raises(ToolError, match="somebody wrote it"):
            write(run, task, "adapter", "dev")
    for left in (trainers, pefts, both):
        (run.output_dir / NAME).write_text(left)
        assert MARK in write(run, task, "adapter", "dev").read_text()


def test_the_command_writes_the_card_of_a_run_and_imports_nothing_heavy(
    tool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    conf = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"
    lacking = tool("card", conf, f"output_dir={tmp_path}/{Path(conf).stem}")
    assert lacking.returncode == 2 and "make train" in lacking.stderr and not list(tmp_path.iterdir())
    base = tool("card", conf, "--which", "base")
    assert base.returncode == 2 and "--which base: the base model has a card of its own" in base.stderr
    heavy = "import sys, tools.report.card; print({'torch', 'transformers', 'peft', 'pandas', 'huggingface_hub', 'jinja2'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_the_docs_upload_commands_take_the_weights_and_leave_what_is_private() -> None:
    from huggingface_hub.utils import filter_repo_objects

    private = [
        *(
            "training_args.bin",
            "train.log",
            "trainer_log.jsonl",
            "trainer_state.json",
            "serve-8000.log",
            "serve-8000.yaml",
            "run.yaml",
            "export.yaml",
        ),
        *(
            "manifest.json",
            "export.json",
            "quantize.json",
            "Modelfile",
            "README.md.previous",
            "eval/toy_dev/predictions.jsonl",
            "eval/toy_dev/report.html",
        ),
        *("checkpoint-5/training_args.bin", "checkpoint-5/adapter_model.safetensors", "merged/model.safetensors", "parity.json", "all_results.json"),
    ]
    commands = re.findall(r"hf upload .*?(?=\n\n|\n```)", (ROOT / "docs/model-card.md").read_text(), re.DOTALL)
    assert len(commands) == 2
    for command, weights in zip(
        commands, (["adapter_model.safetensors", "adapter_config.json"], ["model-00001-of-00002.safetensors", "config.json"]), strict=True
    ):
        patterns = [word.strip('"') for word in re.findall(r"--include (\S+)", command)]
        wanted = ["README.md", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt", *weights]
        assert list(filter_repo_objects([*wanted, *private], allow_patterns=patterns)) == wanted


def test_the_hubs_library_reads_back_what_was_written(task: Task, trained: Trained, scored: Callable[..., Path]) -> None:
    from huggingface_hub import ModelCard, metadata_load
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    run = trained(task)
    for decoding in ("free", "schema"):
        scored(run, task, decoding=decoding, errors=0.3 if decoding == "free" else 0.1)
    options = {"base_model": "Qwen/Qwen2.5-7B-Instruct", "license": "apache-2.0", "datasets": ["owner/data"]}
    path = write(run, task, "adapter", "dev", **options)
    said = metadata(gather(run, task, "adapter", "dev", options["base_model"]), options["license"], options["datasets"])
    loaded = ModelCard.load(path)
    assert loaded.data.to_dict() == said.to_dict() and loaded.data.eval_results == said.eval_results and len(said.eval_results) == 8
    assert str(loaded).replace("\r\n", "\n") == path.read_text()
    raw = metadata_load(path)
    assert raw == yaml.safe_load(path.read_text().split("\n---\n")[0].removeprefix("---\n"))
    name, results = model_index_to_eval_results(raw["model-index"])
    assert (name, eval_results_to_model_index(name, results)) == ("a", raw["model-index"])
    assert {(one.dataset_split, one.dataset_type) for one in results} == {("dev", "owner/data")}
    assert results[0].dataset_revision == sha256(task.examples("dev", run.dataset))
    assert {key: raw[key] for key in ("base_model", "base_model_relation", "license", "library_name", "pipeline_tag", "language", "datasets")} == {
        **{"base_model": "Qwen/Qwen2.5-7B-Instruct", "base_model_relation": "adapter", "license": "apache-2.0", "library_name": "peft"},
        **{"pipeline_tag": "text-generation", "language": ["zh"], "datasets": ["owner/data"]},
    }


def test_a_base_model_stands_in_the_head_only_where_its_name_on_a_hub_is_known(task: Task, trained: Trained, tmp_path: Path) -> None:
    def head(run: Run) -> Any:
        return yaml.safe_load(card_of(run, task).split("---")[1])

    local = trained(task)
    assert "base_model" not in head(local) and "its name on a hub isn't known" in card_of(local, task) and "`base-7B`" in card_of(local, task)
    write_json(tmp_path / "models/base-7B/download.json", {"hub": "modelscope", "model": "Qwen/Base-7B"})
    assert head(local)["base_model"] == "Qwen/Base-7B" and "its name on ModelScope" in card_of(local, task)
    assert head(trained(task, "b", model_name_or_path="Qwen/Qwen2.5-7B-Instruct"))["base_model"] == "Qwen/Qwen2.5-7B-Instruct"
    assert "base_model" not in head(trained(task, "c", model_name_or_path="models/Gone-7B"))
    cached = "/home/bob/.cache/huggingface/hub/models--Qwen--Qwen2.5-0.5B/snapshots/0123abcd"
    assert head(trained(task, "d", model_name_or_path=cached))["base_model"] == "Qwen/Qwen2.5-0.5B"
    for options, said in (
        ({"license": "apache2"}, "apache-2.0"),
        ({"base_model": "a b/c"}, "not a name on the hub"),
        ({"datasets": ["a//b"]}, "not a name"),
    ):
        with pytest.raises(ToolError, match=said):
            write(local, task, "adapter", "dev", **options)


def test_a_licence_is_named_only_where_base_model_and_data_agree(task: Task, trained: Trained, tmp_path: Path) -> None:
    def licence(run: Run) -> str:
        return str(yaml.safe_load(card_of(run, task).split("---")[1])["license"])

    run = trained(task)
    assert licence(run) == "unknown"
    card = tmp_path / "models/base-7B/README.md"
    card.parent.mkdir(parents=True)
    for text, expected in (
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: mit\n---\n", "unknown"),
        ("---\n: {[\n---\n", "unknown"),
    ):
        card.write_text(text)
        assert licence(run) == expected


@pytest.mark.parametrize(
    ("values", "request_", "call", "end"),
    [
        ({"template": "qwen3_nothink"}, None, "add_generation_prompt=True, return_dict=True", "skip_special_tokens=True))"),
        (
            {"template": "qwen3_5", "enable_thinking": False},
            {"chat_template_kwargs": {"enable_thinking": False}},
            "add_generation_prompt=True, enable_thinking=False, return_dict=True",
            "skip_special_tokens=True))",
        ),
        (
            {"template": "qwen3"},
            None,
            "add_generation_prompt=True, return_dict=True",
            '.removeprefix("<think>\\n\\n</think>\\n\\n"))',
        ),
    ],
    ids=["no thought", "in the prompt", "in the answer"],
)
def test_a_card_says_what_requests_carry_and_answers_begin_with(
    task: Task, trained: Trained, values: dict[str, Any], request_: dict[str, Any] | None, call: str, end: str
) -> None:
    for half in halves(card_of(trained(task, **values), task)):
        blocks = {token.info: token.content for token in parsed(half) if token.type == "fence"}
        assert call in blocks["python"] and blocks["python"].rstrip().endswith(end)
        compile(blocks["python"], "card", "exec")
        carried = [
            token.content for token in parsed(half) if token.type == "fence" and "chat_template_kwargs" in token.content and token.info == "json"
        ]
        assert [json.loads(f"{{{one}}}") for one in carried] == ([request_] if request_ else [])
        assert ("<think>" in half.replace(blocks["python"], "")) == (values == {"template": "qwen3"})
