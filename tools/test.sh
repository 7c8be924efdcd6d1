#!/bin/sh
# Every test, or those that the arguments choose. Most of their time is waited in real time, so two files run side by side; then,
# one at a time, what judges the sound that a browser or a player gives, for which the machine shall do nothing else (`alone`).
set -u
said=5 # by pytest, where no test was chosen

part() {
    .venv/bin/python -m pytest "$@"
    code=$?
    case $said in
        0 | 5) [ $code = 5 ] || said=$code ;;
    esac
}

part -n 2 --dist loadfile --no-loadscope-reorder -m "not alone" "$@"
part -m alone "$@"
exit $said
