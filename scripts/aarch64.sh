#!/usr/bin/env bash
# Builds the libraries for 64-bit ARM and runs their tests under qemu, golden vectors, golden shards and the search's
# NEON kernels included: shows function and alignment, not speed. The standard library comes from rustup; where rustup
# cannot add it, from the folder shared/toolchain, whose script prepares building it from source. Cross compiler and
# emulator come from apt where they are missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=aarch64-unknown-linux-gnu
cd "$root"

# Prints the commands among its arguments that are missing.
missing() {
    local name
    for name in "$@"; do command -v "$name" >/dev/null || printf '%s ' "$name"; done
}

install_cross_tools() {
    [ -n "$(missing aarch64-linux-gnu-gcc qemu-aarch64)" ] || return 0
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
}

std=()
if command -v rustup >/dev/null && rustup target add "$target"; then
    install_cross_tools
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    runner="qemu-aarch64 -cpu ${QEMU_CPU:-cortex-a76} -L /usr/aarch64-linux-gnu"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$runner
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
else
    toolchain=${GEOLOCATED_SHARED:-$root/../shared}/toolchain/aarch64.sh
    if [ ! -r "$toolchain" ]; then
        echo "aarch64: rustup could not add $target, and there is no $toolchain" >&2
        exit 1
    fi
    # Not ours to hold to `nounset`.
    set +u
    # shellcheck source=/dev/null
    . "$toolchain"
    set -u
    std=("-Zbuild-std=std,panic_unwind,test")
fi

# A folder of its own: the flags of a cross build would otherwise rebuild what the host shares with it.
cargo test "${std[@]}" --locked --release --target "$target" --target-dir target/aarch64 \
    -p index-shards -p quantized-models
