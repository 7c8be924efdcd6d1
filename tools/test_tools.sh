#!/bin/sh
# What the tests drive: a browser, ffmpeg, a speaking voice, the servers that may stand in front; with `bench`, also what the
# benchmarks are run with and against. Installed when we may, else named.
set -eu
missing=
[ "${1:-}" != bench ] || for pair in wrk:wrk nginx:nginx icecast2:icecast2 gcc:gcc taskset:util-linux; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
PATH="$PATH:/usr/sbin"
for pair in nginx:nginx varnishd:varnish haproxy:haproxy chromium:chromium ffmpeg:ffmpeg espeak-ng:espeak-ng sox:sox turnserver:coturn faketime:faketime mpv:mpv \
    opusinfo:opus-tools "cvlc:vlc-bin vlc-plugin-base" "gst-launch-1.0:gstreamer1.0-tools gstreamer1.0-plugins-good"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing$missing for the tests …" >&2
    apt-get update -qq
    # shellcheck disable=SC2086  # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "The tests need$missing. Install them (Debian: apt install$missing) and try again." >&2
    exit 1
fi
