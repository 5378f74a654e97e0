# To be read by scripts that run tests in a session of their own: tests start daemons and programs, and what is stopped in the
# middle of its work cannot end them itself.
# shellcheck shell=sh

# session_members SESSION: its processes that have not ended. The name in brackets may hold anything.
session_members() {
    sed -n "s/^\([0-9][0-9]*\) (.*) [^Z] [0-9-]* [0-9-]* $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null || :
}

# end_session SESSION: ends them all. Daemons have process groups of their own, so it goes by the session, and the first process
# is named for the moment before it has one. Programs that want to end in good order end at once when they are told again.
end_session() {
    kill -TERM "$1" 2>/dev/null || :
    tries=0
    while [ $tries -lt 50 ]; do
        left=$(session_members "$1")
        [ -n "$left" ] || return 0
        # shellcheck disable=SC2086 # Numbers, a word each.
        kill -TERM $left 2>/dev/null || :
        sleep 0.1
        tries=$((tries + 1))
    done
    # shellcheck disable=SC2086 # As above.
    kill -KILL $left 2>/dev/null || :
}
