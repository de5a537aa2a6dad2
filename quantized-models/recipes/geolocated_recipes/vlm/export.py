"""The whole recipe: from a vision-language model in Hugging Face's layout to checked comparator folders."""

import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from geolocated_recipes import folder as folders
from geolocated_recipes import pictures, reference
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.export import RANDOM_NOTE
from geolocated_recipes.folder import Identity
from geolocated_recipes.preprocess import open_picture
from geolocated_recipes.vlm import agreement, prompts, variants
from geolocated_recipes.vlm import folder as layouts
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.folder import TOKENIZER, Layout
from geolocated_recipes.vlm.runner import Runner, joined
from geolocated_recipes.vlm.variants import VARIANTS, Variant

# Another decoder of JPEG, another order of additions and another class of CPU stay within it.
FP32_TOLERANCE = 0.01
# Of the distance of the goldens' margins: the tolerance of quantized variants is between them, so that goldens are told
# apart. Another rounding of an input can move a margin as far as quantization itself did.
LEAST_TOLERANCE, MOST_TOLERANCE = 0.05, 0.45
# Longest side of a golden picture.
MOST_GOLDEN_PX = 1024
# Largest difference of any logit to transformers.
MOST_DIFFERENCE = 1e-3
# Fewer comparisons, or of fewer pictures, do not tell a good variant from a bad one.
LEAST_COMPARISONS, LEAST_PICTURES = 40, 12


@dataclass
class Request:
    """What to make."""

    checkpoint: VlmCheckpoint
    identity: Identity
    out: Path
    variants: list[str]
    form: str
    golden_pictures: list[Path]
    measured: list[Path] = field(default_factory=list)
    comparisons: int = 40
    all_rows: bool = False
    blocks_independent: bool = False
    with_reference: bool = True
    perception_noise_nats: float = 0.0
    """How far what the model sees of a place lies from the truth in all its answers alike."""
    is_named_whole: bool = False
    """The one variant is called what `identity` says, and nothing more."""


class Export:
    """One run. The float32 graphs are made first: everything else is compared with them."""

    def __init__(self, request: Request):
        self.request, self.checkpoint = request, request.checkpoint
        shape = self.checkpoint.shape
        self.turns = prompts.TURNS[shape.architecture]
        self.tokenizer = Tokenizer.from_str(self.checkpoint.tokenizer())
        self.layout = Layout(
            identity=request.identity,
            shape=shape,
            preprocess=self.checkpoint.preprocess(),
            turns=self.turns,
            form=request.form,
            is_random=self.checkpoint.is_random,
            blocks_independent=request.blocks_independent,
            rows=None if request.all_rows else self._rows(),
            perception_noise_nats=request.perception_noise_nats,
        )
        self.report: dict = {"name": request.identity.name, "variants": {}}
        if self.checkpoint.is_random:
            self.report["note"] = RANDOM_NOTE

    def run(self) -> dict:
        """Writes a folder per variant below `out`, whole or not at all. Returns the report."""
        request = self.request
        self._check_request()
        request.out.mkdir(parents=True, exist_ok=True)
        refused = {}
        with tempfile.TemporaryDirectory(prefix=".recipe.", dir=request.out) as work:
            base = Path(work) / "fp32"
            base.mkdir()
            variants.write(self.checkpoint, base, request.form, self.layout.rows, request.blocks_independent)
            self._finish(base, VARIANTS["fp32"])
            for name in (name for name in request.variants if name != "fp32"):
                if reason := self._variant(VARIANTS[name], Path(work) / name, base):
                    refused[name] = reason
                else:
                    self._publish(Path(work) / name, name)
            if "fp32" in request.variants:
                self._publish(base, "fp32")
        self.report["refused"] = refused
        return self.report

    def _check_request(self) -> None:
        request = self.request
        if unknown := [name for name in request.variants if name not in VARIANTS]:
            raise RecipeError(f"--variants: expected some of {', '.join(VARIANTS)}, found {', '.join(unknown)}")
        for name in request.variants:
            if self._target(name).exists():
                raise RecipeError(f"{self._target(name)}: expected nothing there; remove it to write it again")
        if len(request.golden_pictures) < 3:
            raise RecipeError(f"--golden: expected at least three pictures, found {len(request.golden_pictures)}")
        is_judged = any(name != "fp32" for name in request.variants) and not self.checkpoint.is_random
        if is_judged and (len(request.measured) < LEAST_PICTURES or request.comparisons < LEAST_COMPARISONS):
            raise RecipeError(
                f"--pictures: quantized variants are judged by at least {LEAST_COMPARISONS} comparisons of "
                f"{LEAST_PICTURES} pictures, found {request.comparisons} of {len(request.measured)}"
            )
        if request.with_reference and not reference.is_installed():
            raise RecipeError(
                "transformers and torch, which the export is checked against, are not installed: install "
                "requirements-reference.txt, or pass --no-reference to go without that check"
            )

    def _publish(self, made: Path, variant: str) -> None:
        folders.publish(made, self._target(variant))
        self.report["variants"][variant]["folder"] = self._name(variant)

    def _target(self, variant: str) -> Path:
        return self.request.out / self._name(variant)

    def _name(self, variant: str) -> str:
        if self.request.is_named_whole:
            return self.request.identity.name
        independent = "-independent" if self.request.blocks_independent else ""
        plain = "-plain" if self.request.form == "plain" else ""
        return f"{self.request.identity.name}{independent}-{variant}{plain}"

    def _rows(self) -> list[int]:
        """The tokens whose logits are kept: those of all answers."""
        rows = []
        for answer in prompts.answers(prompts.table(self.turns)):
            found = self.tokenizer.encode(answer, add_special_tokens=False).ids
            if len(found) != 1:
                raise RecipeError(f"{TOKENIZER}: answer {answer!r}: expected one token, found {len(found)}")
            rows += found
        return rows

    def _variant(self, variant: Variant, folder: Path, base: Path) -> str | None:
        """Makes and finishes one variant; returns why it is refused."""
        folder.mkdir()
        variants.quantize(variant, base, folder)
        return self._finish(folder, variant)

    def _finish(self, folder: Path, variant: Variant) -> str | None:
        """Tokenizer, figures, goldens, manifest; returns why the variant is refused."""
        (folder / TOKENIZER).write_text(self.checkpoint.tokenizer(), encoding="utf-8")
        identity = Identity(self._name(variant.name), self.layout.identity.licence, self.layout.identity.source)
        layout = Layout(**{**vars(self.layout), "identity": identity})
        # The runner reads the manifest, so it is written once without figures and goldens.
        layouts.write(folder, layouts.manifest(folder, layout, variant, {}, []))
        running = Runner(folder)
        if variant.name == "fp32":
            self._check_pieces(running)
            self._check_reference(running)
        found = self._agreement(running, variant)
        goldens = self._goldens(folder, running, found.margin_error_most if found else None)
        layouts.write(folder, layouts.manifest(folder, layout, variant, found.figures() if found else {}, goldens))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self.report["variants"][variant.name] = {"bytes": size, "agreement": found.as_dict() if found else None}
        if found and not self.checkpoint.is_random and not found.signs_kept >= variant.least_signs:
            return f"signs kept: expected at least {variant.least_signs}, found {found.signs_kept:.3f}"
        return None

    def _check_pieces(self, running: Runner) -> None:
        """Notes whether the pieces of a comparison have the tokens that the same text has as a whole."""
        prompt = running.manifest["prompt"]
        pieces = [prompt["prefix"], *(prompt["pair"][part] for part in ("first", "second", "suffix"))]
        whole = running.embed("".join(pieces)).tokens
        apart = joined([running.embed(piece) for piece in pieces]).tokens
        self.report["pieces_as_whole"] = bool(np.array_equal(whole, apart))

    def _check_reference(self, running: Runner) -> None:
        """The float32 graphs give what transformers gives, at the end of a whole prompt."""
        if not self.request.with_reference:
            self.report["reference"] = "not checked against transformers"
            return
        pre = self.layout.preprocess
        pixels = [pre.apply(open_picture(path)) for path in self.request.golden_pictures[:3]]
        tokens = [running.see(picture) for picture in pixels]
        truth, most = self.checkpoint.reference(), 0.0
        if truth.missing:
            raise RecipeError(f"{self.checkpoint.folder}: transformers expects {truth.missing[0]}, found none")
        orders = [(0, 1, 2), (2, 1, 0)]
        for order in orders:
            whole = joined(running.pair_pieces(*(tokens[at] for at in order)))
            expected = truth.logits(whole.tokens, whole.is_picture, [pixels[at] for at in order])
            found, _ = running.run(whole)
            rows = slice(None) if self.layout.rows is None else self.layout.rows
            most = max(most, float(np.abs(found - expected[rows]).max()))
        self.report["reference"] = {"by": truth.version(), "most_difference": most, "prompts": len(orders)}
        # Also false for a difference that is not a number.
        if not most <= MOST_DIFFERENCE:
            raise RecipeError(f"fp32 graphs: expected at most {MOST_DIFFERENCE} from transformers, found {most:g}")

    def _agreement(self, running: Runner, variant: Variant) -> agreement.Agreement | None:
        """Margins of float32, kept for the others; those of a variant beside them."""
        if self.request.variants == ["fp32"]:
            return None
        if variant.name == "fp32":
            pre = self.layout.preprocess
            _, self.pixels = pictures.read(self.request.measured, pre)
            if not self.pixels and self.checkpoint.is_random:
                self.pixels = agreement.drawn_pixels(pre.width, LEAST_PICTURES)
            self.orders = agreement.triples(len(self.pixels), self.request.comparisons)
            self.margins = agreement.margins(running, self.pixels, self.orders)
            return None
        return agreement.compare(self.margins, agreement.margins(running, self.pixels, self.orders))

    def _golden_picture(self, path: Path) -> Image.Image:
        """A picture as goldens keep it. Decoders of JPEG, and resizing, differ by some levels, which margins of narrow
        and quantized models follow: what is stretched to the model's size is kept at that size."""
        image = open_picture(path).convert("RGB")
        if self.layout.preprocess.resize == "stretch":
            return self.layout.preprocess.resized(image)
        image.thumbnail((MOST_GOLDEN_PX, MOST_GOLDEN_PX), Image.Resampling.LANCZOS)
        return image

    def _goldens(self, folder: Path, running: Runner, error: float | None) -> list[dict]:
        """The two comparisons among the golden pictures whose margins differ most."""
        images = [self._golden_picture(path) for path in self.request.golden_pictures]
        pixels = [self.layout.preprocess.apply(image) for image in images]
        orders = list(itertools.permutations(range(len(images)), 3))
        margins = dict(zip(orders, agreement.margins(running, pixels, orders).tolist(), strict=True))
        ends = sorted(margins, key=margins.__getitem__)
        chosen = [ends[-1], ends[0]]
        spread = margins[chosen[0]] - margins[chosen[1]]
        if not spread > 2 * FP32_TOLERANCE:
            raise RecipeError(
                f"golden pictures: expected margins {2 * FP32_TOLERANCE} apart, found at most {spread:.4f}"
            )
        tolerance = FP32_TOLERANCE
        if error is not None:
            tolerance = round(float(np.clip(error, LEAST_TOLERANCE * spread, MOST_TOLERANCE * spread)), 3)
        (folder / "golden").mkdir(exist_ok=True)
        names = {}
        for at in sorted({at for order in chosen for at in order}):
            names[at] = f"golden/{'abcdefgh'[at]}.png"
            images[at].save(folder / names[at], optimize=True)
        return [
            {
                **{key: names[at] for key, at in zip(("query", "first", "second"), order, strict=True)},
                "margin": float(np.round(margins[order], 5)),
                "tolerance": tolerance,
            }
            for order in chosen
        ]
