#!/usr/bin/env python3
"""The honest rival: what a competent team would write in an afternoon, with onnxruntime, FAISS and paho-mqtt.

Embeds the references at its start, answers each frame with the mean of the similar references that lie together, and
publishes with QoS 1. run.py holds it against the daemon.
"""

import argparse
import csv
import io
import json
import math
import sys
import time
import tomllib
from pathlib import Path

import faiss
import numpy as np
import onnxruntime
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from PIL import Image

SIMILAR = 16
SAME_PLACE_M = 50.0


class Encoder:
    """The model of a manifest."""

    def __init__(self, manifest: Path):
        model = tomllib.loads(manifest.read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = manifest.parent / model["graph"]["file"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = model["graph"]["input"]
        pre = model["preprocess"]
        self.size = (pre["width"], pre["height"])
        self.mean, self.std = (np.array(pre[name], dtype=np.float32) for name in ("mean", "std"))

    def embed(self, picture: Image.Image) -> np.ndarray:
        """Unit vector."""
        pixels = np.asarray(picture.convert("RGB").resize(self.size, Image.Resampling.BILINEAR), dtype=np.float32)
        tensor = ((pixels / 255 - self.mean) / self.std).transpose(2, 0, 1)[None]
        return self.session.run(None, {self.input: tensor})[0][0]


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Near enough for neighbours."""
    north = (a[0] - b[0]) * 111_195
    east = (a[1] - b[1]) * 111_195 * math.cos(math.radians(a[0]))
    return math.hypot(north, east)


class Rival:
    """References in FAISS, frames from the broker."""

    def __init__(self, arguments: argparse.Namespace):
        self.encoder = Encoder(arguments.encoder)
        roles = {row["file"]: row["role"] for row in csv.DictReader(arguments.split.open())}
        rows = [row for row in csv.DictReader(arguments.poses.open()) if roles.get(row["file"]) == "reference"]
        self.places = [(float(row["lat"]), float(row["lon"])) for row in rows]
        vectors = np.stack([self.encoder.embed(Image.open(arguments.images / row["file"])) for row in rows])
        self.index = faiss.IndexFlatIP(vectors.shape[1])
        self.index.add(vectors)
        self.base = arguments.base
        self.answered = arguments.answered.open("a", buffering=1)
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="rival", protocol=mqtt.MQTTv5)
        self.client.will_set(f"{self.base}/status", json.dumps({"state": "offline"}), qos=1, retain=True)
        self.client.on_connect = self.connected
        self.client.on_message = self.frame
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600
        self.client.connect_async("127.0.0.1", arguments.port, keepalive=5, clean_start=False, properties=session)

    def connected(self, client: mqtt.Client, *_: object) -> None:
        """Subscribes, and says so."""
        client.subscribe(f"{self.base}/cam/+/frame", qos=0)
        client.publish(f"{self.base}/status", json.dumps({"state": "online"}), qos=1, retain=True)

    def frame(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        """One frame to one fix."""
        name = dict(getattr(message.properties, "UserProperty", [])).get("id")
        self.answer(message.topic.split("/")[-2], name, message.payload)

    def watch(self, folder: Path, camera: str) -> None:
        """Takes the newest picture of a folder again and again, and empties it."""
        while True:
            files = sorted((path for path in folder.glob("*.jpg")), key=lambda path: path.stat().st_mtime_ns)
            if not files:
                time.sleep(0.02)
                continue
            picture = files[-1].read_bytes()
            for path in files:
                path.unlink()
            self.answer(camera, files[-1].name, picture)

    def answer(self, camera: str, name: str, encoded: bytes) -> None:
        """Publishes where a picture was taken."""
        times = [time.perf_counter()]
        fix: dict = {"id": name}
        try:
            picture = Image.open(io.BytesIO(encoded)).convert("RGB")
            times.append(time.perf_counter())
            vector = self.encoder.embed(picture)
            times.append(time.perf_counter())
            scores, found = self.index.search(vector[None], SIMILAR)
            times.append(time.perf_counter())
            fix |= {"status": "fix"} | self.fuse(scores[0], found[0])
        except Exception as error:
            fix |= {"status": "error", "reason": str(error)}
        times.append(time.perf_counter())
        stages = ("decode", "embed", "search", "fuse")
        fix["ms"] = {name: (b - a) * 1e3 for name, a, b in zip(stages, times, times[1:], strict=False)}
        fix["ms"]["total"] = (times[-1] - times[0]) * 1e3
        self.client.publish(f"{self.base}/cam/{camera}/fix", json.dumps(fix), qos=1)
        self.answered.write(f"{name} {time.time()}\n")

    def fuse(self, scores: np.ndarray, found: np.ndarray) -> dict:
        """The mean of those near the best."""
        best = self.places[found[0]]
        near = [
            (self.places[row], score)
            for row, score in zip(found, scores, strict=False)
            if distance_m(self.places[row], best) < SAME_PLACE_M
        ]
        weights = np.array([score for _, score in near]) ** 16
        lat, lon = np.average([place for place, _ in near], axis=0, weights=weights)
        return {"lat": float(lat), "lon": float(lon)}


def main() -> int:
    """Runs until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("encoder", "images", "poses", "split", "answered"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help='pictures of camera "front" appear there')
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--base", default="geolocated/field/drone-7")
    arguments = parser.parse_args()
    rival = Rival(arguments)
    rival.client.loop_start()
    rival.watch(arguments.folder, "front")
    return 0


if __name__ == "__main__":
    sys.exit(main())
