#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks: a C compiler, the broker mosquitto, openssl for its
# certificates, faketime for a clock that is wrong, and systemd-nspawn to boot the unit.
# Debian and Ubuntu only; elsewhere it says what to install.
set -euo pipefail

# Debian installs the broker where only root's PATH looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

packages=()
command -v cc >/dev/null || packages+=(build-essential)
command -v mosquitto >/dev/null || packages+=(mosquitto)
command -v openssl >/dev/null || packages+=(openssl)
command -v faketime >/dev/null || packages+=(faketime)
# Only a machine that has systemd can boot it in a container.
[ ! -e /lib/systemd/systemd ] || command -v systemd-nspawn >/dev/null || packages+=(systemd-container)
[ ${#packages[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "prerequisites: please install ${packages[*]} (or what your distribution calls them) and try again" >&2
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "prerequisites: run as root: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "prerequisites: installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
