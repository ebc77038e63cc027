"""No secret, address, account or local path is in a card."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.report.conftest import LABELS, ROWS, Trained, card_of
from tools.conf.task import Task, load_task
from tools.report.card_public import public, public_text


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task(ROWS, labels=LABELS, source="made up; Apache-2.0"))


def test_no_secret_address_account_or_local_path_is_in_a_card(task: Task, trained: Trained, scored: Callable[..., Path], tmp_path: Path) -> None:
    secrets = {
        **{
            "hub_token": "hf_" + "x" * 30,
            "swanlab_api_key": "QQ1",
            "swanlab_lark_webhook_url": "https://open.example/QQ2",
            "hub_model_id": "bob-on-the-hub/x",
        },
        **{
            "master_addr": "gpu7.example.lan",
            "ray_init_kwargs": {"address": "ray://gpu8.example.lan", "runtime_env": {"env_vars": {"K": "QQ3"}}, "num_cpus": 2},
        },
        **{"cache_dir": "/home/bob/cache dir/hf", "deepspeed": "~bob/ds/zero2.json", "adapter_name_or_path": "/home/bob/x/old, ../../bob/y/older"},
        **{"run_name": "hf_" + "y" * 30, "media_dir": "https://bob:QQ4@example.com/m", "num_virtual_tokens": 7, "split_special_tokens": False},
    }
    run = trained(task, **secrets)
    scored(run, task, engine=f"toy {tmp_path}/vllm")
    text = card_of(run, task)
    for word in ("QQ", "hf_x", "hf_y", "bob", "gpu7", "gpu8", str(tmp_path), "/home", str(Path.home()) + "/"):
        assert word not in text, word
    values = yaml.safe_load(re.search(r"```yaml\n(.*?)\n```", text, re.DOTALL)[1])  # type: ignore[index]
    assert values["ray_init_kwargs"] == {"num_cpus": 2} and values["num_virtual_tokens"] == 7 and values["split_special_tokens"] is False
    assert (values["cache_dir"], values["deepspeed"], values["adapter_name_or_path"]) == ("hf", "zero2.json", "old, older")
    assert values["model_name_or_path"] == "base-7B" and values["media_dir"] == "https://example.com/m"
    assert public_text("see https://github.com/a/b, owner/name, 10/20 and 人/物") == "see https://github.com/a/b, owner/name, 10/20 and 人/物"
    assert public_text("from file:///srv/bob/x.json (and /data/bob/y)") == "from x.json (and y)" and public_text("models/../../bob/z") == "z"
    assert public({"resume_from_checkpoint": None, "lora_rank": 8}) == {"resume_from_checkpoint": None, "lora_rank": 8}
