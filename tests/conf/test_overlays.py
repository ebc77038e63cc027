"""Overlays and YAML: what LLaMA-Factory reads is read, and nothing ends in a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.overlays import RUNS, load_yaml
from tools.conf.run import load_run, origins
from tools.conf.task import load_task
from tools.errors import ToolError


def test_every_overlay_is_a_mapping() -> None:
    paths = sorted((RUNS / "overlay").rglob("*.yaml"))
    assert paths
    for path in paths:
        assert load_yaml(path)


RUN = "model_name_or_path: models/x\ndataset: alpaca_toy_train\noutput_dir: data/outputs/run\nlora_rank: 8\n"


def powers_of_ten(levels: int) -> str:
    """YAML whose aliases stand for ten to the power of `levels` values."""
    lines = ["a0: &a0 [" + ",".join("x" * 10) + "]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: ${x}", "refers to itself"),
        ("a: {x: '${b}'}\nb: {y: '${a}'}", r"an interpolation \(\$\{…\}\) refers to itself"),
        ("a: ['${b}', '${b}']\nb: ['${a}', '${a}']", "refers to itself"),
        ("a: ['${a}']", "refers to itself"),
        ("\n".join(["a0: [x, x]", *(f"a{n}: ['${{a{n - 1}}}', '${{a{n - 1}}}']" for n in range(1, 40))]), "fill in more than 100,000 values"),
        ("\n".join(["a0: x", *(f"a{n}: '${{a{n - 1}}}${{a{n - 1}}}'" for n in range(1, 40))]), "fill in more than 100,000 values"),
        ("a: {b: [x, x]}\nc: ['${a.b[0]}', '${a.b[7]}']", "not found"),
        ("x: ${nowhere}", "nowhere"),
        ("x: ${", "no viable alternative"),
        ("x: " + "[" * 5000 + "]" * 5000, "values are nested too deeply"),
        ("x: " + "{a: " * 3000 + "1" + "}" * 3000, "values are nested too deeply"),
        ("x: " + "${" * 500 + "a" + "}" * 500, "values are nested too deeply"),
        (powers_of_ten(9), "expansion exceeds"),
        ("a: &a [*a]", "recursive aliases"),
        ("x: " + "1" * 6000, "4300 digits"),
        ("x: !!python/object:os.system a", "could not determine a constructor"),
        ("[1]: 2", "unhashable key"),
        ("~: 1", "Incompatible key"),
        ("---\na: 1", "another document"),
        ("x: ???", "Missing mandatory value"),
    ],
)
def test_a_file_that_no_value_can_be_made_of_is_a_message(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(RUN + text + "\n")
    with pytest.raises(ToolError, match=message) as error:
        load_run(path)
    assert len(str(error.value).splitlines()) == 1
    assert ".." not in str(error.value).replace("...", "")


def test_a_task_whose_lists_refer_to_each_other_is_a_message(write_task: Callable[..., Path]) -> None:
    path = write_task(aliases={"name": ["${nothing}"]}, nothing=["${aliases}"])
    with pytest.raises(ToolError, match="refers to itself"):
        load_task(path)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "=1",
            "a[0]=1",
            "~=1",
            "",
            "--fresh",
            "a=*x",
            "a=[",
            "a={",
            "a='",
            "a=@x",
            "a=`x",
            "a=\udce4",
            "a=\x00",
            "x=${x}",
            "lora_rank=${lora_rank}",
        ),
        *("a=!!python/object:os.system x", "lora_rank=" + "1" * 6000, "a=" + "[" * 3000, "a=" + "[" * 3000 + "]" * 3000, "missing.yaml"),
    ],
)
def test_an_odd_word_is_a_short_message(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    with pytest.raises(ToolError) as error:
        load_run(path, [word])
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize(
    "word", ["a=", "a.b.c=1", "..=1", "-=1", "a=~", "a=x: y", "x.yaml=1", "a=b.yaml", "lora_rank=" + "1" * 25, "dataset.0=x", "a=1\nb=2"]
)
def test_a_word_that_yaml_takes_is_taken_whatever_it_looks_like(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    run = load_run(path, [word])
    assert origins(run)[word.partition("=")[0].split(".")[0]] == "command line"


def test_a_file_in_another_encoding_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("# 训练\n".encode("gb18030") + RUN.encode())
    with pytest.raises(ToolError, match="not UTF-8") as error:
        load_run(path)
    assert str(error.value).count("run.yaml") == 1
