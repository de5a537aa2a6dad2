#!/usr/bin/env bash
# Makes sure that cargo-deny is there: scripts/cargo-deny.sh VERSION. Takes minutes where it must be compiled.
set -euo pipefail

version=${1:?"usage: cargo-deny.sh VERSION"}
command -v cargo-deny >/dev/null || cargo install --quiet --locked --version "$version" cargo-deny
cargo deny --version
