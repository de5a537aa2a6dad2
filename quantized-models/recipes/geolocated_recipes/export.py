"""The whole recipe: from a folder in Hugging Face's layout to checked model folders."""

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geolocated_recipes import folder as folders
from geolocated_recipes import measure, onnx_file, pictures, reference
from geolocated_recipes.checkpoint import Checkpoint, sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.folder import DATA, GRAPH, Identity
from geolocated_recipes.graph import POOLED
from geolocated_recipes.measure import Agreement
from geolocated_recipes.quantize import VARIANTS, Variant

# Largest difference of any number of the pooled vector to transformers.
MOST_DIFFERENCE = 1e-3
# Fewer pictures do not tell a good variant from a bad one.
LEAST_PICTURES = 50
RANDOM_NOTE = "random weights: speed and memory only, no statement about accuracy"


@dataclass
class Request:
    """What to make."""

    checkpoint: Checkpoint
    identity: Identity
    out: Path
    variants: list[str]
    golden_pictures: list[Path]
    measured: list[Path] = field(default_factory=list)
    positions: dict[str, tuple[float, float]] = field(default_factory=dict)
    metres: float = 25.0
    with_reference: bool = True


class Export:
    """One run. The fp32 graph is made first: everything else is compared with it."""

    def __init__(self, request: Request):
        self.request, self.checkpoint = request, request.checkpoint
        self.space = f"{request.identity.name}@{request.checkpoint.digest()[:12]}"
        self.report: dict = {"name": request.identity.name, "space": self.space, "variants": {}}
        if self.checkpoint.is_random:
            self.report["note"] = RANDOM_NOTE

    def run(self) -> dict:
        """Writes a folder per variant below `out`, whole or not at all; a variant below its bound is not written.

        Returns the report; its `refused` says by variant why.
        """
        request = self.request
        self._check_request()
        request.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".recipe.", dir=request.out) as work:
            work = Path(work)
            base = self._write_graph(VARIANTS["fp32"], work / "fp32", None)
            self._check_reference(base)
            self._embed_reference(base)
            refused = {}
            for variant in (VARIANTS[name] for name in request.variants):
                if reason := self._variant(variant, work / variant.name, base):
                    refused[variant.name] = reason
            for name in request.variants:
                if name not in refused:
                    folders.publish(work / name, self._target(name))
        self.report["refused"] = refused
        return self.report

    def _check_request(self) -> None:
        request = self.request
        if unknown := [name for name in request.variants if name not in VARIANTS]:
            raise RecipeError(f"--variants: expected some of {', '.join(VARIANTS)}, found {', '.join(unknown)}")
        for name in request.variants:
            if self._target(name).exists():
                raise RecipeError(f"{self._target(name)}: expected nothing there; remove it to write it again")
        is_judged = any(name != "fp32" for name in request.variants) and not self.checkpoint.is_random
        if is_judged and len(request.measured) < LEAST_PICTURES:
            found = len(request.measured)
            raise RecipeError(f"--pictures: quantized variants are judged on at least {LEAST_PICTURES}, found {found}")
        if request.with_reference and not reference.is_installed():
            raise RecipeError(
                "transformers and torch, which the export is checked against, are not installed: install "
                "requirements-reference.txt, or pass --no-reference to go without that check"
            )

    def _target(self, variant: str) -> Path:
        return self.request.out / f"{self.request.identity.name}-{variant}"

    def _write_graph(self, variant: Variant, folder: Path, base: Path | None) -> Path:
        folder.mkdir()
        onnx_file.save(variant.make(self.checkpoint, base), folder / GRAPH, DATA)
        return folder / GRAPH

    def _check_reference(self, base: Path) -> None:
        """The fp32 graph gives what transformers gives, before unit length."""
        self.expected: dict[Path, np.ndarray] = {}
        self.goldens = pictures.read(self.request.golden_pictures, self.checkpoint.preprocess)
        if not self.request.with_reference:
            self.report["reference"] = "not checked against transformers"
            return
        truth, running = reference.Reference(self.checkpoint), measure.session(base, with_pooled=True)
        most = 0.0
        for path, pixels in zip(*self.goldens, strict=True):
            expected = truth.pooled(pixels)
            found = measure.embed(running, pixels, POOLED)
            most = max(most, float(np.abs(expected - found).max()))
            self.expected[path] = expected / np.linalg.norm(expected)
        self.report["reference"] = {"by": reference.version(), "most_difference": most, "pictures": len(self.expected)}
        # Also false for a difference that is not a number.
        if not most <= MOST_DIFFERENCE:
            raise RecipeError(f"fp32 graph: expected at most {MOST_DIFFERENCE} from transformers, found {most:g}")

    def _embed_reference(self, base: Path) -> None:
        """Vectors of fp32 for the goldens and for the pictures that variants are measured on."""
        running = measure.session(base)
        paths, inputs = self.goldens
        vectors = np.array([measure.embed(running, pixels) for pixels in inputs])
        self.chosen = folders.choose_goldens(paths, vectors)
        self.golden_vectors = [self.expected.get(paths[at], vectors[at]) for at in self.chosen]
        self.measured, self.inputs = pictures.read(self.request.measured, self.checkpoint.preprocess)
        self.vectors = np.array([measure.embed(running, pixels) for pixels in self.inputs])
        known = self.request.positions
        has_all = bool(self.measured) and all(path.name in known for path in self.measured)
        self.positions = np.array([known[path.name] for path in self.measured]) if has_all else None

    def _variant(self, variant: Variant, folder: Path, base: Path) -> str | None:
        """Makes, measures and finishes one variant; returns why it is refused."""
        is_fp32 = variant.name == "fp32"
        graph = base if is_fp32 else self._write_graph(variant, folder, base)
        running = measure.session(graph)
        agreement = None
        if not is_fp32 and len(self.inputs) > 1:
            vectors = np.array([measure.embed(running, pixels) for pixels in self.inputs])
            agreement = measure.agreement(self.vectors, vectors, self.positions, self.request.metres)
        entry = self.report["variants"][variant.name] = {
            "bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "agreement": agreement.as_dict() if agreement else None,
        }
        if reason := self._below(variant, agreement):
            entry["refused"] = reason
            return reason
        is_judged = agreement is not None and agreement.pictures >= LEAST_PICTURES
        shares = is_fp32 or (is_judged and agreement.shares_space)
        entry["space"] = self.space if shares else self._own_space(variant, folder)
        paths, inputs = self.goldens
        vectors = [measure.embed(running, inputs[at]) for at in self.chosen]
        vectors = self.golden_vectors if is_fp32 else vectors
        stems = folders.write_goldens(folder, [(paths[at], v) for at, v in zip(self.chosen, vectors, strict=True)])
        folders.write_manifest(
            folder, self.request.identity, entry["space"], self.checkpoint, variant, sha256(base), agreement, stems
        )
        return None

    def _below(self, variant: Variant, agreement: Agreement | None) -> str | None:
        if agreement is None or self.checkpoint.is_random:
            return None
        if not agreement.cosine_median >= variant.least_cosine:
            return (
                f"median cosine to fp32: expected at least {variant.least_cosine}, found {agreement.cosine_median:.5f}"
            )
        if not agreement.recall_lost <= variant.most_recall_lost:
            return f"Recall@K lost: expected at most {variant.most_recall_lost}, found {agreement.recall_lost:.4f}"
        return None

    def _own_space(self, variant: Variant, folder: Path) -> str:
        """The space of a variant whose vectors are not those of fp32."""
        digest = hashlib.sha256()
        for name in (GRAPH, DATA):
            if (folder / name).is_file():
                digest.update(bytes.fromhex(sha256(folder / name)))
        return f"{self.request.identity.name}-{variant.name}@{digest.hexdigest()[:12]}"
