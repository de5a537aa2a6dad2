"""A base and an adapter become one model in Hugging Face's layout, which exporters and servers take as any other."""

import shutil
import tempfile
from pathlib import Path

from geolocated_recipes import folder as folders
from geolocated_recipes.checkpoint import read_json
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft import adapter
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint

# What a publisher's folder has beside weights: configurations, vocabularies, templates of chats, licences.
COPIED = (".json", ".txt", ".model", ".jinja")
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")


def merge(source: Path, run: Path, out: Path, dtype: str) -> None:
    """Writes `out`, whole or not at all. `run`: the folder of a finished run, or an adapter in peft's form."""
    if out.exists():
        raise RecipeError(f"{out}: expected nothing there, found a file or folder; remove it to write it again")
    found = run / adapter.ADAPTER if (run / adapter.ADAPTER).is_dir() else run
    if not (found / adapter.CONFIG).is_file():
        raise RecipeError(f"{run}: expected a finished run or an adapter with {adapter.CONFIG}, found none")
    checkpoint = VlmCheckpoint(source)
    origin = found / adapter.ORIGIN
    if origin.is_file():
        told, digests = read_json(origin).get("base"), dict(checkpoint.weights_digest())
        if told != digests:
            raise RecipeError(f"{source}: expected the weights that were tuned, {told}, found {digests}")
    model = adapter.read(adapter.base(checkpoint, dtype), found).merge_and_unload(safe_merge=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge.", dir=out.parent) as work:
        made = Path(work) / "merged"
        model.save_pretrained(made)
        # The publisher's own files stand above those that transformers writes.
        for file in sorted(source.iterdir()):
            is_told = file.suffix in COPIED and not file.name.endswith(".index.json")
            if file.is_file() and (is_told or file.name.upper().startswith(LICENCES)):
                shutil.copyfile(file, made / file.name)
        if origin.is_file():
            shutil.copyfile(origin, made / adapter.ORIGIN)
        folders.publish(made, out)
