# Daemons that the scripts in tools/ start: known by a pid file, and never mistaken for another process.
# Sourced by bash scripts.

# daemon_pid PIDFILE WORD: prints the pid if that process still runs and WORD stands in its command line.
daemon_pid() {
    local pid=
    [ -s "$1" ] || return 1
    { read -r pid <"$1"; } 2>/dev/null || [ -n "$pid" ] || return 1 # a daemon that ends takes its file along
    [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2" || return 1
    echo "$pid"
}

# stop_daemon PIDFILE WORD SECONDS: asks it to stop, waits, then kills; nothing running is no error.
stop_daemon() {
    local pid rounds=$(($3 * 10))
    if pid=$(daemon_pid "$1" "$2"); then
        kill "$pid" 2>/dev/null || true
        while daemon_pid "$1" "$2" >/dev/null; do
            ((rounds-- > 0)) || { kill -KILL "$pid" 2>/dev/null || true; break; }
            sleep 0.1
        done
    fi
    rm -f "$1"
}
