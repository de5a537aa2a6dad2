#!/usr/bin/env bash
# Makes sure that a tool of cargo is there: scripts/cargo-tool.sh cargo-NAME VERSION. Takes minutes where it must be
# compiled.
set -euo pipefail

tool=${1:?"usage: cargo-tool.sh cargo-NAME VERSION"}
version=${2:?"usage: cargo-tool.sh cargo-NAME VERSION"}
command -v "$tool" >/dev/null || cargo install --quiet --locked --version "$version" "$tool"
cargo "${tool#cargo-}" --version
