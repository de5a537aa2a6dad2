"""Fine-tuning of narrow random models, shortly, to a merged model and its export (requirements-sft.txt)."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import RECIPES

import comparator
import sft

torch = pytest.importorskip("torch", reason="tuning needs requirements-sft.txt")
for package in ("transformers", "peft"):
    pytest.importorskip(package, reason="tuning needs requirements-sft.txt")

from geolocated_recipes.errors import RecipeError  # noqa: E402
from geolocated_recipes.sft import adapter, records  # noqa: E402
from geolocated_recipes.sft.examples import Examples  # noqa: E402
from geolocated_recipes.sft.merge import merge  # noqa: E402
from geolocated_recipes.sft.plan import Plan  # noqa: E402
from geolocated_recipes.sft.training import CHECKPOINT, Tuning  # noqa: E402
from geolocated_recipes.vlm import randoms  # noqa: E402
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint  # noqa: E402

PICTURES = RECIPES / "pictures"
ANSWERS = {"road.jpg": '{"latitude": 1.5}', "street.png": "-20", "yard.jpg": "3.25"}
# A few steps must say something: far more than the published rate.
PLAN = {"rate": 1e-2, "epochs": 6, "batch": 2, "accumulate": 1}


@dataclass(frozen=True)
class Run:
    """A narrow model and what tuning made of it."""

    base: Path
    records: Path
    out: Path
    side: int | None

    @property
    def checkpoint(self) -> VlmCheckpoint:
        return VlmCheckpoint(self.base, self.side)

    def sided(self, *arguments: object) -> list[str]:
        return [str(part) for part in (*arguments, *(("--side", self.side) if self.side else ()))]

    def tuning(self, folder: Path, **changes: object) -> Tuning:
        folder.mkdir(exist_ok=True)
        plan = Plan(**{**PLAN, "side": self.side, **changes})
        return Tuning(plan, self.checkpoint, records.read(self.records, PICTURES), PICTURES, folder)


def called(recipe, *arguments: object) -> int:
    """A recipe's command line, without a process of its own: torch takes seconds to import."""
    found = recipe.parser().parse_args([str(part) for part in arguments])
    return found.run(found)


@pytest.fixture(scope="module", params=["narrow-gemma-3", "narrow-qwen2-vl"])
def run(request, tmp_path_factory) -> Run:
    """A finished run, by the command line."""
    root = tmp_path_factory.mktemp(request.param)
    randoms.write(request.param, root / "base", 1)
    told = [
        {
            "conversations": [{"from": "human", "value": "<image>\nWhere?"}, {"from": "gpt", "value": answer}],
            "images": [name],
        }
        for name, answer in ANSWERS.items()
    ]
    (root / "sft.json").write_text(json.dumps(told))
    made = Run(root / "base", root / "sft.json", root / "run", 56 if "qwen2" in request.param else None)
    options = [part for name, value in PLAN.items() for part in (f"--{name}", value)]
    common = ("train", "--base", made.base, "--records", made.records, "--images", PICTURES, "--out", made.out)
    assert called(sft, *made.sided(*common, *options, "--keep-every", 3)) == 0
    return made


@pytest.fixture(scope="module")
def merged(run) -> Path:
    """The run's model, by the command line."""
    out = run.out.parent / "merged"
    assert called(sft, "merge", "--base", run.base, "--from", run.out, "--out", out) == 0
    return out


def test_training_lowers_the_loss(run):
    log = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [3, 6, 9] and log[-1]["epoch"] == 6
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]


def test_a_killed_run_goes_on_as_if_it_had_not_been(run, tmp_path):
    killed = run.tuning(tmp_path)
    for step in range(3):
        killed.advance()
        if step == 1:
            killed.keep()
    # A kill while the next checkpoint was written; the third step is lost.
    (tmp_path / f"{CHECKPOINT}.part").write_bytes(b"cut")
    resumed = run.tuning(tmp_path)
    resumed.resume()
    assert resumed.step == 2
    resumed.run()
    made = [folder / adapter.ADAPTER / adapter.WEIGHTS for folder in (run.out, tmp_path)]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_checkpoint_of_another_plan_or_of_other_records_is_refused(run, tmp_path):
    run.tuning(tmp_path).keep()
    with pytest.raises(RecipeError, match="plan: expected a run of .*'rank': 8"):
        run.tuning(tmp_path, rank=8).resume()
    other = run.tuning(tmp_path)
    other.origin["records_sha256"] = "0" * 64
    with pytest.raises(RecipeError, match="records_sha256: expected a run of 0000"):
        other.resume()


def test_only_adapters_of_the_decoders_linear_layers_change(run, tmp_path):
    tuning = run.tuning(tmp_path)
    before = {name: value.clone() for name, value in tuning.model.state_dict().items()}
    tuning.advance()
    changed = {name for name, value in tuning.model.state_dict().items() if not torch.equal(value, before[name])}
    # One matrix of a pair begins with zeros, so the other one has no gradient yet.
    assert changed == {name for name in tuning.weights if "lora_B" in name}
    assert len(tuning.weights) == 2 * 7 * run.checkpoint.shape.text.layers
    assert all(".language_model.layers." in name for name in tuning.weights)


def test_a_batch_asks_for_the_answers_alone_and_is_the_sum_of_its_records(run, tmp_path):
    tuning = run.tuning(tmp_path)
    examples = tuning.examples
    batch = examples.batch([0, 1])
    closing = examples.turns.closing
    expected = "".join(answer + closing for answer in list(ANSWERS.values())[:2])
    assert examples.tokenizer.decode(batch.answers.tolist(), skip_special_tokens=False) == expected
    ids = batch.inputs["input_ids"]
    assert torch.equal(ids[:, 1:][batch.predicts[:, :-1]], batch.answers)
    assert batch.inputs["attention_mask"].sum(1).tolist() != [ids.shape[1]] * 2
    with torch.no_grad():
        together = tuning.summed_loss([0, 1, 2])
        apart = sum(tuning.summed_loss([row]).item() for row in range(3))
    assert together.item() == pytest.approx(apart, rel=1e-5)


def test_activations_that_are_computed_again_and_bfloat16_train_too(run, tmp_path):
    plain, again = run.tuning(tmp_path), run.tuning(tmp_path)
    again.recompute()
    seen = {"plain": 0, "again": 0}

    def counted(name: str):
        def count(*_: object) -> None:
            seen[name] += 1

        return count

    for name, tuning in (("plain", plain), ("again", again)):
        layers = [part for path, part in tuning.model.named_modules() if path.endswith("language_model.layers.0.mlp")]
        layers[0].register_forward_pre_hook(counted(name))
    loss = plain.advance()
    assert again.advance() == loss and seen == {"plain": 1, "again": 2}
    for name, value in plain.weights.items():
        assert torch.allclose(value, again.weights[name], atol=1e-6), name
    small = run.tuning(tmp_path, dtype="bfloat16")
    assert small.advance() == pytest.approx(loss, rel=0.2)
    assert {value.dtype for value in small.weights.values()} == {torch.float32}
    assert {value.dtype for name, value in small.model.named_parameters() if "lora" not in name} == {torch.bfloat16}


def test_a_merged_model_computes_what_base_and_adapter_do(run, merged):
    checkpoint = run.checkpoint
    inputs = Examples(checkpoint, records.read(run.records, PICTURES)).batch([0, 1, 2]).inputs
    with torch.no_grad():
        plain = adapter.base(checkpoint, "float32").eval()
        first = plain(**inputs).logits
        adapted = adapter.read(plain, run.out / adapter.ADAPTER).eval()(**inputs).logits
        found = adapter.base(VlmCheckpoint(merged, run.side), "float32").eval()(**inputs).logits
    assert (found - adapted).abs().max() < 1e-4
    assert (found - first).abs().max() > 0.1
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        assert (merged / name).read_bytes() == (run.base / name).read_bytes()
    assert not list(merged.parent.glob(".*"))


def test_a_merged_model_is_exported_with_the_whole_vocabulary(run, merged, tmp_path):
    options = ("--plain", "--all-rows", "--variants", "fp32", "--report", tmp_path / "report.json")
    assert called(comparator, *run.sided("export", "--from", merged, "--out", tmp_path, *options)) == 0
    assert json.loads((tmp_path / "report.json").read_text())["reference"]["most_difference"] < 1e-4
    assert "logits_rows" not in (tmp_path / "merged-fp32-plain/model.toml").read_text()


def test_what_cannot_be_merged_is_refused(run, merged, tmp_path):
    whole = run.out / adapter.ADAPTER
    with pytest.raises(RecipeError, match="expected nothing there"):
        merge(run.base, run.out, merged, "float32")
    with pytest.raises(RecipeError, match=r"expected a finished run or an adapter with adapter_config\.json"):
        merge(run.base, tmp_path, tmp_path / "out", "float32")
    with pytest.raises(RecipeError, match="expected the weights that were tuned"):
        merge(merged, run.out, tmp_path / "out", "float32")
    strange = Path(shutil.copytree(whole, tmp_path / "strange"))
    (strange / adapter.WEIGHTS).write_bytes((strange / adapter.WEIGHTS).read_bytes()[:-8])
    with pytest.raises(RecipeError, match="expected an adapter for this base, found"):
        merge(run.base, strange, tmp_path / "out", "float32")
    config = json.loads((whole / adapter.CONFIG).read_text())
    (strange / adapter.CONFIG).write_text(json.dumps({**config, "peft_type": "IA3"}))
    with pytest.raises(RecipeError, match="peft_type: expected 'LORA', found 'IA3'"):
        merge(run.base, strange, tmp_path / "out", "float32")
    shutil.copyfile(whole / adapter.WEIGHTS, strange / adapter.WEIGHTS)
    more, fewer = rf"{config['target_modules']}|.*\.fc1", r".*language_model.*\.q_proj"
    for changed, message in ((more, "expected a tensor .*fc1"), (fewer, "found also")):
        (strange / adapter.CONFIG).write_text(json.dumps({**config, "target_modules": changed}))
        with pytest.raises(RecipeError, match=rf"adapter_model\.safetensors: .*{message}"):
            merge(run.base, strange, tmp_path / "out", "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["strange"]


def test_texts_that_a_model_cannot_take_are_refused_by_record(run):
    def examples(question: str, answer: str = "Here.") -> Examples:
        return Examples(run.checkpoint, [records.Record("record 5", "", question, answer, PICTURES / "road.jpg")])

    with pytest.raises(RecipeError, match="record 5: expected at most 192 tokens with its picture, found"):
        examples("Where? " * 200)
    for mark in (examples("Where?").turns.placeholder, examples("Where?").turns.closing):
        with pytest.raises(RecipeError, match="record 5: conversations: expected no mark of the model"):
            examples(f"Where? {mark}")


def test_other_architectures_are_refused(tmp_path):
    randoms.write("narrow-smolvlm", tmp_path / "base", 1)
    with pytest.raises(RecipeError, match="expected one of gemma3, qwen2_vl, found smolvlm"):
        adapter.base(VlmCheckpoint(tmp_path / "base"), "float32")
