# shellcheck shell=sh
# What the tests of the packages stand on; each of them reads this file. Everything that is made with docker is noted by its
# id, and removed at the end by that id.

set -eu
cd "$(dirname -- "$0")/../.."

# Where `make package` leaves them.
export packages="$PWD/target/package"
# How long anything is waited for, in seconds. Nothing takes nearly as long; times decide no test.
limit=120

tmp=
containers=
networks=
images=

remove_containers() {
    # shellcheck disable=SC2086 # Ids, a word each.
    [ -z "$containers" ] || docker rm -f -v $containers >/dev/null || :
    containers=
}

clean_up() {
    trap '' HUP INT TERM
    remove_containers
    # shellcheck disable=SC2086 # As above.
    {
        [ -z "$networks" ] || docker network rm $networks >/dev/null || :
        [ -z "$images" ] || docker rmi $images >/dev/null || :
    }
    [ -z "$tmp" ] || rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tmp=$(mktemp -d)

say() {
    printf '    %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# wait_until WHAT COMMAND...: looks again and again whether the command succeeds.
wait_until() {
    what=$1
    shift
    end=$(($(date +%s) + limit))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt $end ] || fail "waited $limit s in vain $what: $*"
        sleep 0.2
    done
    say "ok: $what"
}

# check WHAT COMMAND...: succeeds now, or the test has failed.
check() {
    what=$1
    shift
    "$@" >"$tmp/output" 2>&1 || {
        cat "$tmp/output" >&2
        fail "$what: $*"
    }
    say "ok: $what"
}

not() {
    ! "$@"
}

# same FILE GOLDEN: compares with a list that is checked in; UPDATE_GOLDEN=1 writes it.
same() {
    [ "${UPDATE_GOLDEN-}" != 1 ] || cp "$1" "$2"
    diff -u "$2" "$1" || fail "$2 differs from what is there (UPDATE_GOLDEN=1 takes it over)"
    say "ok: as in $2"
}

new_network() {
    network=$(docker network create "sersync-test-$$")
    networks="$networks $network"
}

# run ARGUMENTS...: starts a container; its id is in $container.
run() {
    container=$(docker run -d "$@")
    containers="$containers $container"
}

# boot HOSTNAME ARGUMENTS...: starts one, of the image in BOOTED if that is set, with systemd as its first process. That needs SYS_ADMIN, for the sandboxes of
# units, and a control group of its own; DAC_READ_SEARCH lets sersync use fanotify.
boot() {
    name=$1
    shift
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        set -- --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw "$@"
    else
        set -- -v /sys/fs/cgroup:/sys/fs/cgroup:ro "$@"
    fi
    run --hostname "$name" --network "$network" --network-alias "$name" --cap-add SYS_ADMIN \
        --cap-add DAC_READ_SEARCH --tmpfs /run --tmpfs /tmp -v /data "$@" "${BOOTED:-$BASE}" /sbin/init
    wait_until "$name has booted" booted "$container"
}

# new_hosts: a backup server and its client, each with systemd; their ids are in $server and $client.
new_hosts() {
    new_network
    boot server -v /srv
    server=$container
    boot client
    client=$container
}

booted() {
    case $(docker exec "$1" systemctl is-system-running) in
    running | degraded) ;;
    *) return 1 ;;
    esac
}

# on CONTAINER COMMAND...
on() {
    docker exec "$@"
}

# put CONTAINER FILE: standard input becomes the file.
put() {
    docker exec -i "$1" sh -c 'mkdir -p "$(dirname "$1")" && umask 077 && cat >"$1"' put "$2"
}

# blocks_of MARK: the blocks of the README that have this mark, as they stand there.
blocks_of() {
    awk -v begin="\`\`\`sh $1" '$0 == begin { inside = 1; next } /^```/ { inside = 0 } inside' README.md
}

# as_documented CONTAINER MARK: runs them as root of the container.
as_documented() {
    blocks_of "$2" >"$tmp/commands"
    [ -s "$tmp/commands" ] || fail "the README has no commands for $2"
    docker exec -i -w /root -e DEBIAN_FRONTEND=noninteractive "$1" sh -eu <"$tmp/commands" >"$tmp/output" 2>&1 ||
        fail "what the README says for $2: $(cat "$tmp/output")"
    say "ok: what the README says for $2 works"
}

# mirrors_as_documented MARK: sets up the server by the blocks of the README with this mark, then the client, which mirrors.
mirrors_as_documented() {
    as_documented "$server" "$1"
    # What scp does.
    on "$server" cat /etc/sersync/rsync.passwd | put "$client" /etc/sersync/rsync.passwd
    echo first | put "$client" /data/files/first
    as_documented "$client" client
    wait_until "what is there is mirrored" holds "$server" /srv/backup/files/first first
    echo live | put "$client" /data/files/live
    wait_until "a change is mirrored" holds "$server" /srv/backup/files/live live
}

# holds CONTAINER FILE TEXT
holds() {
    [ "$(docker exec "$1" cat "$2" 2>/dev/null)" = "$3" ]
}
