#!/usr/bin/env bash
# Runs the golden checks of encoders under qemu as a CPU without VNNI, whose 8-bit products are added up in 16 bits.
# Where qemu's user mode is not installed it says so and passes; with GEOLOCATED_REQUIRE_QEMU=1 it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

qemu=$(command -v qemu-x86_64 || command -v qemu-x86_64-static || true)
if [ -z "$qemu" ] || [ "$(uname -m)" != x86_64 ]; then
    echo "older-cpu: qemu-x86_64 is not here: golden checks were NOT run as an older CPU"
    [ "${GEOLOCATED_REQUIRE_QEMU:-0}" != 1 ]
    exit
fi
export GEOLOCATED_REQUIRE_ONNXRUNTIME=1
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -cpu ${QEMU_CPU_MODEL:-Haswell}"
exec cargo test --locked --release --workspace --test runtimes -- golden --nocapture
