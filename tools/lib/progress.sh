# Progress lines for the scripts in tools/: one line per step with the seconds since the script began.
# Sourced by bash scripts; needs nothing else. Log files are only named when a step fails.

PROGRESS_BEGAN=${PROGRESS_BEGAN:-$(date +%s)}

say() { printf '[%4d s] %s\n' "$(($(date +%s) - PROGRESS_BEGAN))" "$*"; }

fail() {
    printf '[%4d s] FAILED: %s\n' "$(($(date +%s) - PROGRESS_BEGAN))" "$*" >&2
    exit 1
}

# step "what is being done" LOG COMMAND...: runs the command with its output in LOG; a failure shows the log's end.
step() {
    local what=$1 log=$2
    shift 2
    say "$what"
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" | sed 's/^/    | /' >&2
        fail "$what; the log is $log"
    fi
}

# until_true SECONDS COMMAND...: asks again every 0.1 s; false when the time is over.
until_true() {
    local rounds=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((rounds-- > 0)) || return 1
        sleep 0.1
    done
}
