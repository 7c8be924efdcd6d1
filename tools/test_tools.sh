#!/bin/sh
# What the tests drive: a browser, ffmpeg, a speaking voice, players, the servers that may stand in front, npm, which brings the
# judges of our pages; with `bench`, also what the benchmarks are run with and against; with `check`, only what judges the style
# and the types. Installed when we may, else named.
set -eu
missing=
PATH="$PATH:/usr/sbin"
need() { # program:packages, …
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
    done
}
need npm:npm
if [ "${1:-}" != check ]; then
    need nginx:nginx varnishd:varnish haproxy:haproxy chromium:chromium ffmpeg:ffmpeg espeak-ng:espeak-ng sox:sox turnserver:coturn \
        faketime:faketime mpv:mpv opusinfo:opus-tools "cvlc:vlc-bin vlc-plugin-base" \
        "gst-launch-1.0:gstreamer1.0-tools gstreamer1.0-plugins-good"
    gst-inspect-1.0 avdec_aac >/dev/null 2>&1 || missing="$missing gstreamer1.0-libav"
fi
if [ "${1:-}" = bench ]; then
    need wrk:wrk icecast2:icecast2 gcc:gcc taskset:util-linux
fi
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
