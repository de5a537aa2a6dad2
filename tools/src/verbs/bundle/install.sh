#!/bin/sh
# Installs geolocated from this folder, without a network. Run as root:
#
#   sh install.sh [--prefix /usr] [--root DIR]
#
# Settings that are there already stay. A generation is put in place whole; a running daemon takes it by itself.
set -eu

prefix=/usr
root=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2; shift 2 ;;
    --root) root=$2; shift 2 ;;
    *) echo "install.sh: expected --prefix DIR or --root DIR, found $1" >&2; exit 2 ;;
  esac
done

cd "$(dirname "$0")"
echo "comparing every file with its digest"
sha256sum --check --quiet --strict SHA256SUMS

put() { # mode, file, place
  install -D -m "$1" "$2" "$root$3"
}

for program in bin/*; do put 755 "$program" "$prefix/$program"; done
for library in lib/*; do
  if [ -e "$library" ]; then put 644 "$library" "$prefix/lib/geolocated/${library#lib/}"; fi
done
mkdir -p "$root$prefix/lib/systemd/system"
sed "s#/usr/bin/#$prefix/bin/#" systemd/geolocated.service >"$root$prefix/lib/systemd/system/geolocated.service"
chmod 644 "$root$prefix/lib/systemd/system/geolocated.service"
put 644 systemd/geolocated-gpu.conf "$prefix/share/doc/geolocated/geolocated-gpu.conf"
put 644 systemd/geolocated.sysusers.conf "$prefix/lib/sysusers.d/geolocated.conf"
put 644 systemd/geolocated.tmpfiles.conf "$prefix/lib/tmpfiles.d/geolocated.conf"

if [ -z "$root" ] && command -v systemd-sysusers >/dev/null; then
  systemd-sysusers "$prefix/lib/sysusers.d/geolocated.conf"
fi
if [ -e "$root/etc/geolocated/geolocated.toml" ]; then
  echo "/etc/geolocated/geolocated.toml stays as it is"
else
  for file in etc/*; do put 640 "$file" "/etc/geolocated/${file#etc/}"; done
fi
if [ -z "$root" ] && command -v systemd-tmpfiles >/dev/null; then
  systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/geolocated.conf"
fi

state=$root/var/lib/geolocated
for kind in models index; do
  mkdir -p "$state/$kind"
  for from in "$kind"/*; do
    if [ ! -e "$from" ]; then continue; fi
    to=$state/$kind/${from#"$kind"/}
    if [ -e "$to" ]; then echo "$to is there already"; continue; fi
    rm -rf "$to.part"
    cp -R "$from" "$to.part"
    sync
    mv "$to.part" "$to"
  done
done

echo "installed; settings: /etc/geolocated/geolocated.toml"
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  echo "start it with: systemctl enable --now geolocated"
fi
