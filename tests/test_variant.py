"""One of a run's models: its folder, names and commands, its source, and whether it is stale."""

import json
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.errors import ToolError
from tools.files import sha256
from tools.variant import QUANTIZATIONS, WORDS, Origin, Variant, is_pissa, variant_word

BASE = "models/Qwen2.5"


@pytest.fixture
def run(tmp_path: Path) -> "Models":
    return Models(tmp_path / "run")


class Models:
    """The folder of a trained run with two checkpoints, and ways to make the other models as the tools make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (".", "checkpoint-40", "checkpoint-80"):
            self.train(name, f"weights of {name}")
        (folder / "train_results.json").write_text("{}")

    def __call__(self, word: str) -> Variant:
        return Variant(word, "run", Path("conf/run.yaml"), self.folder, BASE)

    def train(self, name: str, weights: str) -> None:
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / name / "adapter_model.safetensors").write_text(weights)
        (self.folder / name / "adapter_config.json").write_text('{"init_lora_weights": true}')

    def best(self, checkpoint: str) -> None:
        self("best").write_best({"run": "run", "checkpoint": checkpoint})

    def make(self, word: str, source: str) -> Variant:
        """Writes a merged model made from an adapter, or a quantised one made from the merged model."""
        made = self(word)
        origin = self(source).origin_here() if word == "merged" else self(source).origin()
        assert origin
        self.record(word, {**origin.to_dict(), "more": 1})
        return made

    def record(self, word: str, values: object) -> Path:
        made = self(word)
        made.folder.mkdir(exist_ok=True)
        (made.folder / "config.json").write_text("{}")
        made.record.write_text(json.dumps(values))
        return made.record


@pytest.mark.parametrize(
    ("word", "folder", "served", "evaluation", "make_word", "made_by"),
    [
        ("adapter", ".", "run", "clue_dev", "", "make train CONF=conf/run.yaml"),
        ("best", "checkpoint-80", "run", "clue_dev-best", " WHICH=best", "make best CONF=conf/run.yaml"),
        ("checkpoint-40", "checkpoint-40", "run@40", "clue_dev-checkpoint-40", " WHICH=checkpoint-40", "make train CONF=conf/run.yaml"),
        ("merged", "merged", "run", "clue_dev-merged", " WHICH=merged", "make export CONF=conf/run.yaml"),
        ("merged-awq", "merged-awq", "run", "clue_dev-merged-awq", " WHICH=merged-awq", 'make quantize CONF=conf/run.yaml ARGS="--method awq"'),
        ("merged-gptq", "merged-gptq", "run", "clue_dev-merged-gptq", " WHICH=merged-gptq", 'make quantize CONF=conf/run.yaml ARGS="--method gptq"'),
        ("merged-fp8", "merged-fp8", "run", "clue_dev-merged-fp8", " WHICH=merged-fp8", 'make quantize CONF=conf/run.yaml ARGS="--method fp8"'),
    ],
)
def test_each_word_has_its_folder_names_and_commands(
    run: Models, word: str, folder: str, served: str, evaluation: str, make_word: str, made_by: str
) -> None:
    run.best("checkpoint-80")
    variant = run(word)
    assert (variant.folder, variant.served_name) == (run.folder / folder, served)
    assert variant.evaluation("clue", "dev") == run.folder / "eval" / evaluation
    assert variant.evaluation("clue", "dev", "schema") == run.folder / "eval" / f"{evaluation}-schema"
    assert (variant.make_word, variant.made_by) == (make_word, made_by)
    assert variant.command("eval") == f"make eval CONF=conf/run.yaml{make_word}"


def test_the_base_model_is_its_own_folder_and_goes_by_its_last_name(run: Models) -> None:
    base = run("base")
    assert (base.folder, base.served_name, base.weights) == (Path(BASE), "Qwen2.5", Path(BASE) / "config.json")
    assert base.evaluation("clue", "dev") == run.folder / "eval" / "clue_dev-base"
    assert base.need() is base


def test_every_word_is_one_of_three_kinds() -> None:
    for word in (*WORDS, "checkpoint-7"):
        variant = Variant(word, "run", Path("conf/run.yaml"), Path("out"), BASE)
        assert [variant.is_base, variant.is_adapter, variant.is_merged].count(True) == 1
        assert variant.quantization == (word.removeprefix("merged-") if word.removeprefix("merged-") in QUANTIZATIONS else None)


@pytest.mark.parametrize(
    ("typo", "guess"),
    [("adaptor", "adapter"), ("merged-awk", "merged-awq"), ("merged_awq", "merged-awq"), ("checkpoint40", "checkpoint-<step>"), ("bset", "best")],
)
def test_a_typo_is_an_error_with_the_nearest_word_and_all_words(typo: str, guess: str) -> None:
    with pytest.raises(ToolError, match=f"--which {typo}: .*Did you mean '{guess}'.*Available: .*checkpoint-<step>.*merged-fp8"):
        variant_word(typo)


@pytest.mark.parametrize("word", ["", "merged-", "checkpoint-", "checkpoint-x", "checkpoint-４０", "checkpoint-40/..", "../adapter", "Adapter"])
def test_a_word_that_is_nearly_a_variant_is_none(word: str) -> None:
    with pytest.raises(ToolError, match="a run has no such model"):
        variant_word(word)


def test_a_run_gives_its_variants_on_the_base_model_that_it_was_trained_on(tmp_path: Path) -> None:
    conf, out = tmp_path / "toy.yaml", tmp_path / "toy"
    conf.write_text(f"model_name_or_path: models/new\ndataset: alpaca_toy_train\noutput_dir: {out}\n")
    run = load_run(conf)
    assert run.variant("base").served_name == "new"
    out.mkdir()
    (out / "run.yaml").write_text("model_name_or_path: models/old\n")
    assert run.variant("merged") == Variant("merged", "toy", conf, out, "models/old")
    with pytest.raises(ToolError, match="Did you mean 'merged'"):
        run.variant("mergd")


def test_the_chain_of_sources_leads_from_quantised_to_merged_to_the_adapter_that_was_merged(run: Models) -> None:
    assert run("merged").source() == run("adapter")  # nothing is merged yet
    run.best("checkpoint-40")
    for adapter in ("adapter", "checkpoint-80"):
        merged = run.make("merged", adapter)
        quantised = run.make("merged-awq", "merged")
        assert (quantised.source(), merged.source()) == (merged, run(adapter))
    run.make("merged", "best")
    assert run("merged").source() == run("checkpoint-40")
    for word in ("adapter", "base", "best", "checkpoint-40"):
        assert (run(word).source(), run(word).origin()) == (run(word), None)


def test_a_model_that_is_as_new_as_its_source_is_not_stale(run: Models) -> None:
    run.best("checkpoint-40")
    for adapter in ("adapter", "best", "checkpoint-80"):
        run.make("merged", adapter)
        for method in QUANTIZATIONS:
            run.make(f"merged-{method}", "merged")
        for word in (*WORDS, "checkpoint-40"):
            assert run(word).stale() == ""
            assert run(word).need() == run(word)


@pytest.mark.parametrize("adapter", ["adapter", "best", "checkpoint-80"])
@pytest.mark.parametrize("word", ["merged", "merged-awq"])
def test_a_model_is_stale_when_the_adapter_that_it_was_made_from_has_changed(run: Models, adapter: str, word: str) -> None:
    run.best("checkpoint-40")
    folder = run(adapter).folder
    run.make("merged", adapter)
    run.make("merged-awq", "merged")
    run.train(str(folder.relative_to(run.folder)), "trained again")
    assert run(word).stale() == f"{run(word).folder}: made from an older adapter than the one in {folder}"
    with pytest.raises(ToolError, match=r"made from an older adapter.*make (export|quantize) CONF=conf/run.yaml"):
        run(word).need()


def test_a_quantised_model_is_stale_once_another_adapter_was_merged(run: Models) -> None:
    run.make("merged", "adapter")
    run.make("merged-awq", "merged")
    run.best("checkpoint-40")
    run.make("merged", "best")
    assert run("merged").stale() == ""
    assert run("merged-awq").stale() == f"{run.folder}/merged-awq: made from another merged model than the one in {run.folder}/merged"
    with pytest.raises(ToolError, match=r'make quantize CONF=conf/run\.yaml ARGS="--method awq"'):
        run("merged-awq").need()
    run.make("merged-awq", "merged")
    assert run("merged-awq").stale() == ""


def test_the_same_weights_in_another_folder_make_no_model_stale(run: Models) -> None:
    run.make("merged", "adapter")
    run.make("merged-fp8", "merged")
    run.train("checkpoint-80", (run.folder / "adapter_model.safetensors").read_text())
    run.make("merged", "checkpoint-80")
    assert run("merged-fp8").stale() == ""


def test_the_best_checkpoint_is_stale_when_its_weights_have_changed(run: Models) -> None:
    run.best("checkpoint-40")
    assert run("best").stale() == ""
    run.train("checkpoint-40", "trained again")
    assert run("best").stale() == f"{run.folder}/best.json: checkpoint-40 has changed since it was found best"
    with pytest.raises(ToolError, match=r"make best CONF=conf/run\.yaml"):
        run("best").need()


def test_another_best_checkpoint_leaves_the_merge_of_the_earlier_one_as_it_is(run: Models) -> None:
    run.best("checkpoint-40")
    merged = run.make("merged", "best")
    run.best("checkpoint-80")
    assert (merged.stale(), merged.source()) == ("", run("checkpoint-40"))


def test_a_source_that_is_gone_makes_no_model_stale(run: Models) -> None:
    run.make("merged", "checkpoint-40")
    run.make("merged-awq", "merged")
    (run.folder / "checkpoint-40" / "adapter_model.safetensors").unlink()
    (run.folder / "merged" / "export.json").unlink()
    assert run("merged-awq").stale() == ""


def test_a_stale_merge_of_a_checkpoint_is_made_again_from_that_checkpoint(run: Models) -> None:
    run.make("merged", "checkpoint-40")
    run.train("checkpoint-40", "trained again")
    with pytest.raises(ToolError, match=r"make export CONF=conf/run\.yaml WHICH=checkpoint-40"):
        run("merged").need()


@pytest.mark.parametrize(
    ("folder", "word"), [(".", "adapter"), ("checkpoint-40", "checkpoint-40"), ("pissa_checkpoints/checkpoint-40", "checkpoint-40")]
)
def test_records_of_earlier_releases_are_read(run: Models, folder: str, word: str) -> None:
    known = sha256(run(word).weights)
    old = {"run": "run", "base_model": BASE, "adapter": folder, "adapter_sha256": known}
    run.record("merged", {**old, "changed_tensors": 12})
    run.record("merged-awq", {**old, "method": "awq", "merged_sha256": {"model.safetensors": "0"}})
    assert run("merged").origin() == run("merged-awq").origin() == Origin("run", BASE, word, known)
    assert run("merged").source() == run(word)
    assert (run("merged").stale(), run("merged-awq").stale()) == ("", "")


def test_a_record_without_an_adapters_folder_is_about_the_last_adapter(run: Models) -> None:
    run.record("merged", {"run": "run", "base_model": BASE, "adapter_sha256": "0"})
    assert run("merged").origin() == Origin("run", BASE, "adapter", "0")


def test_a_best_record_without_a_hash_is_not_stale(run: Models) -> None:
    (run.folder / "best.json").write_text('{"checkpoint": "checkpoint-40"}')
    assert run("best").stale() == ""


@pytest.mark.parametrize(
    "values", [[], "text", None, {}, {"run": "run", "base_model": BASE, "adapter": "../other/x", "adapter_sha256": "0"}, {"adapter": 1}]
)
def test_a_record_that_names_no_adapter_is_an_error(run: Models, values: object) -> None:
    record = run.record("merged", values)
    with pytest.raises(ToolError, match=f"{record}: does not name the adapter"):
        run("merged").need()


@pytest.mark.parametrize("values", [[], {}, {"checkpoint": "../x"}, {"checkpoint": None}])
def test_a_best_record_that_names_no_checkpoint_is_an_error(run: Models, values: object) -> None:
    (run.folder / "best.json").write_text(json.dumps(values))
    with pytest.raises(ToolError, match=r"best\.json: names no checkpoint: make best"):
        run("best").need()


@pytest.mark.parametrize(
    ("word", "missing", "message"),
    [
        ("adapter", "train_results.json", "isn't trained yet, or its training didn't finish: make train CONF=conf/run.yaml"),
        ("adapter", "adapter_model.safetensors", "no such file. make train"),
        ("adapter", "adapter_config.json", "no such file. make train"),
        ("checkpoint-40", "checkpoint-40/adapter_model.safetensors", "no such file. make train"),
        ("best", "best.json", "Which checkpoint is best[?] make best CONF=conf/run.yaml"),
        ("best", "checkpoint-40/adapter_model.safetensors", "checkpoint-40, the best checkpoint, is gone: make best"),
        ("merged", "merged/config.json", "Not merged yet: make export CONF=conf/run.yaml"),
        ("merged", "merged/export.json", "no such file. make export"),
        ("merged-awq", "merged-awq/config.json", "Not quantised yet: make quantize"),
        ("merged-awq", "merged-awq/quantize.json", "no such file. make quantize"),
    ],
)
def test_a_missing_model_names_the_command_that_makes_it(run: Models, word: str, missing: str, message: str) -> None:
    run.best("checkpoint-40")
    run.make("merged", "adapter")
    run.make("merged-awq", "merged")
    (run.folder / missing).unlink()
    with pytest.raises(ToolError, match=message):
        run(word).need()


def test_a_missing_checkpoint_names_those_that_are_there(run: Models) -> None:
    run.train("checkpoint-120", "x")
    with pytest.raises(ToolError, match=r"checkpoint-50: no such checkpoint\. Available: checkpoint-40, checkpoint-80, checkpoint-120"):
        run("checkpoint-50").need()


@pytest.mark.parametrize("word", ["adapter", "checkpoint-40", "best"])
def test_an_adapter_in_pissas_own_form_is_refused(run: Models, word: str) -> None:
    run.best("checkpoint-40")
    (run(word).folder / "adapter_config.json").write_text('{"init_lora_weights": "pissa_niter_16"}')
    assert is_pissa(run(word).folder)
    with pytest.raises(
        ToolError, match=r"PiSSA's own form.*plain adapter of the run's last one: make train CONF=conf/run\.yaml; then leave WHICH out"
    ):
        run(word).need()
