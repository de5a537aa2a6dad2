#!/usr/bin/env python3
"""Holds the daemon and the rival against each other: the same frames, broker and faults, one after the other.

Writes one table: accuracy, milliseconds per stage, memory, and what was answered and never or late delivered.
"""

import argparse
import contextlib
import csv
import datetime
import json
import math
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

BASE = "geolocated/field/drone-7"
HERE = Path(__file__).resolve().parent
STAGES = ("decode", "embed", "search", "fuse", "total")
# Seconds after the start of the faults at which something happens, and what.
FAULTS = (
    (4, "broker"),
    (10, "silence"),
    (15, "kill"),
    (24, "both"),
    (30, "silence"),
    (46, "kill"),
    (50, "silence"),
    (55, "kill"),
)
FAULTS_S = 60
FRAMES_PER_S = 5
LATE_S = 5.0
# What a contestant answered less than this before it was killed it need not have on its disk (outbox.group_commit_ms).
COMMIT_S = 0.2


class Link:
    """A forwarder between the contestant and the broker that can fall silent."""

    def __init__(self, broker: int):
        self.broker, self.open, self.pairs = broker, threading.Event(), []
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        """Each connection gets one to the broker."""
        while True:
            near, _ = self.listener.accept()
            self.open.wait()
            try:
                far = socket.create_connection(("127.0.0.1", self.broker))
            except OSError:
                near.close()
                continue
            self.pairs += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a: socket.socket, b: socket.socket) -> None:
        """Passes bytes on while the link is open."""
        try:
            while data := a.recv(65536):
                self.open.wait()
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Ends all connections."""
        for end in self.pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.pairs = []


class Broker:
    """mosquitto, which keeps what it acknowledged: what gets lost, a contestant lost."""

    def __init__(self, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.settings = folder / "mosquitto.conf"
        self.settings.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"persistence true\npersistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
        )
        self.process = None
        self.start()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", self.settings], stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


class Watcher:
    """Publishes frames and notes when fixes come."""

    def __init__(self, port: int):
        self.fixes: dict[str, tuple[float, dict]] = {}
        self.online = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=f"watcher-{time.time_ns()}", protocol=mqtt.MQTTv5
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe([(f"{BASE}/cam/+/fix", 1), (f"{BASE}/status", 1)])
        self.client.on_message = self.message
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port, keepalive=5, clean_start=False, properties=session)
        self.client.loop_start()

    def message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        """A fix, or that the contestant is there."""
        content = json.loads(message.payload)
        if message.topic.endswith("/status"):
            if content["state"] == "online":
                self.online.set()
        else:
            self.fixes.setdefault(content["id"], (time.time(), content))

    def publish(self, name: str, picture: bytes) -> None:
        """One frame."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("id", name)]
        self.client.publish(f"{BASE}/cam/nadir/frame", picture, qos=0, properties=properties)


class Contestant:
    """Either of them, as a process."""

    def __init__(self, name: str, command: list, answered, acknowledged):
        self.name, self.command, self.answered = name, [str(part) for part in command], answered
        self.acknowledged = acknowledged
        self.process, self.kills = None, []

    def start(self, log: Path) -> None:
        """Starts it."""
        self.process = subprocess.Popen(self.command, stderr=log.open("a"), stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self.process is not None:
            self.kills.append(time.time())
            self.process.kill()
            self.process.wait()

    def memory_mib(self) -> tuple[float, float]:
        """Resident, and what of it belongs to no file."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"{key}:\s+(\d+)", text)[1]) / 1024 for key in ("VmRSS", "RssAnon"))


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great circle."""
    (lat_a, lon_a), (lat_b, lon_b) = ((math.radians(x) for x in place) for place in (a, b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(h))


def p95(values: list[float]) -> float:
    """The 95th of a hundred."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def contest(
    contestant: Contestant,
    broker: Broker,
    link: Link,
    spool: Path,
    frames: dict[str, bytes],
    truth: dict,
    log: Path,
) -> dict:
    """All figures of one contestant."""
    watcher = Watcher(broker.port)
    contestant.start(log)
    if not watcher.online.wait(60):
        raise RuntimeError(f"{contestant.name} does not come online: {log.read_text()[-2000:]}")
    time.sleep(1)
    errors, stages, round_trips = [], {name: [] for name in STAGES}, []
    for turn in range(3):
        for name, picture in frames.items():
            key, sent = f"{turn}-{name}", time.time()
            watcher.publish(key, picture)
            while key not in watcher.fixes and time.time() - sent < 10:
                time.sleep(0.001)
            if not round_trips and key not in watcher.fixes:
                # The first frame may have come before the contestant had subscribed.
                watcher.publish(key, picture)
                time.sleep(2)
            at, fix = watcher.fixes[key]
            round_trips.append((at - sent) * 1e3)
            for stage in STAGES:
                stages[stage].append(fix["ms"][stage])
            if turn == 0:
                errors.append(distance_m((fix["lat"], fix["lon"]), truth[name]) if fix["status"] == "fix" else math.inf)
    memory = contestant.memory_mib()
    sent_at = strike(contestant, broker, link, spool, frames, log)
    answered = {name: at for name, at in contestant.answered() if name in sent_at}
    lost = {name: at for name, at in answered.items() if name not in watcher.fixes}
    acknowledged = contestant.acknowledged()
    before_kill = [name for name, at in lost.items() if any(0 <= kill - at < COMMIT_S for kill in contestant.kills)]
    late = [name for name in answered if name in watcher.fixes and watcher.fixes[name][0] - sent_at[name] > LATE_S]
    watcher.client.loop_stop()
    watcher.client.disconnect()
    return {
        "within 10 m": sum(error <= 10 for error in errors) / len(errors),
        "within 25 m": sum(error <= 25 for error in errors) / len(errors),
        "median error, m": statistics.median(errors),
        **{f"{stage} p95, ms": p95(stages[stage]) for stage in STAGES},
        "publish to fix p95, ms": p95(round_trips),
        "resident memory, MiB": memory[0],
        "of it anonymous, MiB": memory[1],
        "pictures during faults": len(sent_at),
        "answered": len(answered),
        "of them never delivered": len(lost),
        "of these acknowledged by the broker": "-" if acknowledged is None else len(acknowledged & set(lost)),
        f"of these answered less than {COMMIT_S} s before a kill": len(before_kill),
        f"delivered more than {LATE_S:.0f} s late": len(late),
    }


def strike(contestant: Contestant, broker: Broker, link: Link, spool: Path, frames: dict, log: Path) -> dict:
    """A camera of the device makes pictures at a steady pace while faults happen; gives when each was made."""
    start, made_at, open_faults = time.time(), {}, list(FAULTS)
    pictures = list(frames.values())
    while (now := time.time() - start) < FAULTS_S:
        if open_faults and now >= open_faults[0][0]:
            threading.Thread(target=happen, args=(open_faults.pop(0)[1], contestant, broker, link, log)).start()
        name = f"fault-{len(made_at)}.jpg"
        made_at[name] = time.time()
        part = spool.with_name("part")
        part.write_bytes(pictures[len(made_at) % len(pictures)])
        part.rename(spool / name)
        time.sleep(1 / FRAMES_PER_S)
    time.sleep(20)
    return made_at


def happen(fault: str, contestant: Contestant, broker: Broker, link: Link, log: Path) -> None:
    """A broker that is killed, eight seconds of silence at whose end connections break, a kill."""
    if fault in ("broker", "both"):
        broker.kill()
        time.sleep(1.5)
    if fault == "silence":
        link.open.clear()
        time.sleep(8)
        link.cut()
        link.open.set()
    if fault in ("kill", "both"):
        contestant.kill()
        contestant.start(log)
    if fault in ("broker", "both"):
        broker.start()


def prepare(arguments: argparse.Namespace, folder: Path, port: int) -> list[Contestant]:
    """Both, with the same references and the same encoder."""
    flight = arguments.flight
    data = ["--images", flight / "images", "--poses", flight / "poses.csv", "--split", flight / "split.csv"]
    shard, settings, answered = folder / "reference.shard", folder / "geolocated.toml", folder / "answered"
    build = [arguments.bin / "geolocate", "build", *data, "--role", "reference", "--encoder", arguments.encoder]
    subprocess.run([str(part) for part in [*build, "--out", shard]], check=True, stdout=subprocess.DEVNULL)
    settings.write_text(
        f'[device]\nsite = "field"\nname = "drone-7"\nstate_dir = "{folder / "state"}"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nkeep_alive_s = 5\n[index]\nshards = ["{shard}"]\n'
        f'[models]\nencoder = "{arguments.encoder}"\n'
        f'[[source]]\ncamera = "front"\nkind = "folder"\npath = "{folder / "spool"}"\nafter = "remove"\npoll_s = 0.1\n'
    )
    rival = [sys.executable, HERE / "rival.py", "--encoder", arguments.encoder, *data, "--answered", answered]
    rival += ["--folder", folder / "spool"]

    def of_rival() -> list[tuple[str, float]]:
        lines = [line.split() for line in answered.read_text().splitlines()]
        return [(name, float(at)) for name, at in lines]

    def of_daemon() -> list[tuple[str, float]]:
        log = re.sub(r"\x1b\[[0-9;]*m", "", (folder / "daemon.log").read_text())
        lines = re.findall(r'^(\S+Z) .*frame (?:answered|refused).*?\bid="?([^"\s]+)', log, re.MULTILINE)
        return [(name, datetime.datetime.fromisoformat(at).timestamp()) for at, name in lines]

    def acknowledged_to_daemon() -> set[str]:
        export = [arguments.bin / "geolocate", "outbox", "export", "--state-dir", folder / "state", "--which", "delivered"]
        lines = subprocess.run([str(part) for part in export], check=True, capture_output=True, text=True).stdout
        return {json.loads(line)["id"] for line in lines.splitlines()}

    daemon = [arguments.bin / "geolocated", "run", "--config", settings]
    return [
        Contestant("daemon", daemon, of_daemon, acknowledged_to_daemon),
        # What a broker acknowledged to it, it does not keep.
        Contestant("rival", [*rival, "--port", port], of_rival, lambda: None),
    ]


def main() -> int:
    """Runs both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True, help="folder of geolocate and geolocated")
    parser.add_argument("--flight", type=Path, required=True, help="folder with images, poses.csv and split.csv")
    parser.add_argument("--encoder", type=Path, required=True, help="manifest of a model")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = list(csv.DictReader((arguments.flight / "split.csv").open()))
    names = [row["file"] for row in rows if row["role"] == "query"]
    frames = {name: (arguments.flight / "images" / name).read_bytes() for name in names}
    poses = {
        row["file"]: (float(row["lat"]), float(row["lon"]))
        for row in csv.DictReader((arguments.flight / "poses.csv").open())
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        link = Link(broker.port)
        (folder / "spool").mkdir()
        found = {}
        for contestant in prepare(arguments, folder, link.port):
            try:
                found[contestant.name] = contest(
                    contestant, broker, link, folder / "spool", frames, poses, folder / f"{contestant.name}.log"
                )
            finally:
                contestant.kill()
                broker.kill()
                broker.start()
        broker.kill()
    print("| | " + " | ".join(found) + " |\n|---|" + "---|" * len(found))
    for row in next(iter(found.values())):
        values = [figures[row] for figures in found.values()]
        print(
            f"| {row} | "
            + " | ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in values)
            + " |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
