#!/bin/sh
# The container image: built, run by compose.yaml as a source with two servers, and by the old container's interface.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

dir=packaging/container
# In a checkout of its own, since the README has files made there. What is not committed yet is tested as well.
checkout=$tmp/checkout
mkdir -p "$checkout/target/package"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -c 2>/dev/null | tar -C "$checkout" -x
cp "$packages"/*.deb "$checkout/target/package/"
# The packages are there already, and built once only. The base comes from nowhere but Debian's package mirror. `docker compose`
# is a program of its own in Debian 12, and a terminal is only there where somebody sits.
mkdir "$tmp/bin"
cat >"$tmp/bin/make" <<'END'
#!/bin/sh
[ "$*" = package ]
END
cat >"$tmp/bin/docker" <<END
#!/bin/sh
docker=$(command -v docker)
label=sersync-test-$$
END
cat >>"$tmp/bin/docker" <<'END'
what=$1
shift
case "$what ${1-}" in
build*) exec env DOCKER_BUILDKIT=0 "$docker" build --build-arg "BASE=$BASE" --label "$label" "$@" ;;
"compose exec")
    shift
    exec docker-compose exec -T "$@"
    ;;
compose*) exec docker-compose "$@" ;;
esac
exec "$docker" "$what" "$@"
END
chmod 755 "$tmp/bin/make" "$tmp/bin/docker"
project=sersync-test-$$
export COMPOSE_PROJECT_NAME="$project" SCHEDULE_INTERVAL=1
compose() {
    docker-compose -f "$checkout/$dir/compose.yaml" "$@"
}
# An image that somebody has under the name in the README gets it back.
before=$(docker images -q sersync:latest)
# The image goes by its label, since a build may have been interrupted, and what compose has made by the name of its project.
# Volumes and images are free when the containers that use them are gone.
down() {
    remove_containers
    compose down -v >/dev/null 2>&1 || :
    images=$(docker images -q --filter "label=$project")
    # shellcheck disable=SC2086 # Ids, a word each.
    [ -z "$images" ] || docker rmi $images >/dev/null || :
    images=
    [ -z "$before" ] || docker tag "$before" sersync:latest || :
    clean_up
}
trap down EXIT

# documented MARK DIRECTORY
documented() {
    blocks_of "$1" >"$tmp/commands"
    [ -s "$tmp/commands" ] || fail "the README has no commands for $1"
    (cd "$checkout/$2" && PATH=$tmp/bin:$PATH sh -eu "$tmp/commands")
}
check "what the README says for containers works" documented containers .
image=$(docker images -q sersync:latest)
export SERSYNC_IMAGE="$image"
tmp_data=$checkout/$dir/data
password=$(cat "$checkout/$dir/rsync.passwd")
# write NAME TEXT: a file of the source that only its owner, somebody else than root, may read.
write() {
    echo "$2" >"$tmp_data/$1"
    chown 1234:1234 "$tmp_data/$1"
    chmod 600 "$tmp_data/$1"
}
write first first
id_of() {
    compose ps -q "$1"
}
source=$(id_of source)
first=$(id_of backup1)
second=$(id_of backup2)
scheduler=$(id_of scheduler)
on_both() {
    holds "$first" "/data/data/$1" "$2" && holds "$second" "/data/data/$1" "$2"
}
wait_until "what is there is on both servers" on_both first first
check "as is what the README writes" on_both hello hello
wait_until "and status says so" documented containers-status $dir
[ "$(on "$first" stat -c '%u %a' /data/data/first)" = "1234 600" ] || fail "owner and mode are not kept"
write live live
wait_until "a file that is written on the source is on both servers" on_both live live
wait_until "the source's health check is content" on "$source" /usr/local/bin/sersync-entrypoint health
check "and so is the server's" on "$first" /usr/local/bin/sersync-entrypoint health
on "$source" sersync check-target >"$tmp/check" 2>&1 || fail "check-target: $(cat "$tmp/check")"

check "one server is stopped" docker stop -t 5 "$second"
write late late
wait_until "the other one is mirrored to" holds "$first" /data/data/late late
not_well() {
    on "$source" sersync status --max-lag 1s --json | grep backup2 | grep -q '"well":false'
}
wait_until "status says who is behind" not_well
check "the server is started again" docker start "$second"
wait_until "it gets what it missed" holds "$second" /data/data/late late

# Without the one that mirrors as it happens, only the scheduler is left.
check "the source is stopped" docker stop -t 60 "$source"
code=$(docker inspect -f '{{.State.ExitCode}}' "$source")
[ "$code" -eq 143 ] || fail "it ends with $code, and not by the signal it was sent: it was killed"
say "ok: it ends in good order when it is told to"
sed 's/^\[targets.backup\]/[full-sync]\nevery = "1s"\n&/' $dir/sersync.toml >"$tmp/often.toml"
run --network "${project}_default" --volumes-from "$source" --read-only --tmpfs /run --tmpfs /tmp --cap-drop ALL \
    --cap-add DAC_READ_SEARCH -e RUN_MODE=schedule -e SCHEDULE_INTERVAL=1 -e SERSYNC_CONFIG=/etc/often.toml \
    -v "$tmp/often.toml:/etc/often.toml:ro" "$image"
write scheduled scheduled
wait_until "the scheduler mirrors" on_both scheduled scheduled
for one in "$scheduler" "$container"; do
    docker stop -t 60 "$one" >/dev/null
    code=$(docker inspect -f '{{.State.ExitCode}}' "$one")
    [ "$code" -eq 0 ] || fail "a scheduler ends with $code"
done
say "ok: schedulers end in good order when they are told to"

# Processes whose parent has ended are waited for by the first one.
orphan=$(on "$first" sh -c 'sleep 1 >/dev/null & echo $!')
wait_until "no zombies are left" not on "$first" test -e "/proc/$orphan"

# The password is neither in the environment of the daemon nor in the log.
on "$first" sh -c 'cat /proc/[0-9]*/environ' >"$tmp/environments" 2>/dev/null || :
compose logs --no-color >"$tmp/logs" 2>&1
check "the environment can be read" grep -q RUN_MODE "$tmp/environments"
check "the log can be read" grep -q 'rsync allowed access' "$tmp/logs"
not grep -qF "$password" "$tmp/environments" "$tmp/logs" || fail "the password is in an environment or in a log"
say "ok: the password is in no environment and in no log"

# A password file is mounted as it is on the host: anybody's, and everybody can read it.
cp "$checkout/$dir/rsync.passwd" "$tmp/password"
chown 1234:1234 "$tmp/password"
chmod 644 "$tmp/password"

# The old container's interface: RSYNCD_... for the server, sersync.conf and the password at their old places for the source.
new_network
run --network "$network" --network-alias oldserver -v /data -e RUN_MODE=rsyncd -e RSYNCD_USER=rsync \
    -e "RSYNCD_PASSWD=$password" -e RSYNCD_MOD_NAME=filebackup -e RSYNCD_PATH=/data -e RSYNCD_MAX_CONN=50 "$image"
server=$container
cat >"$tmp/sersync.conf" <<'END'
listen_dir=('file-backup=/data/file')
full_rsync_first_enable=1
real_time_sync_enable=1
real_time_sync_delay=1
rsyncd_mod=('filebackup=/data/file')
rsyncd_ip=('filebackup=oldserver')
rsync_user=rsync
rsync_passwd_file=/etc/rsync.passwd
rsync_timeout=180
extra_rsync_args="-v --partial --append-verify --ignore-missing-args"
keep_history_backup_days=7
END
run --network "$network" -v "$tmp_data:/data/file" -v "$tmp/password:/etc/rsync.passwd" \
    -v "$tmp/sersync.conf:/usr/local/sersync/etc/sersync.conf" "$image"
wait_until "the old interface mirrors" holds "$server" /data/file-backup/first first
write old old
wait_until "and goes on" holds "$server" /data/file-backup/old old
wait_until "its health check is content" on "$container" /usr/local/bin/sersync-entrypoint health
check "sersync finds what the old configuration came to" on "$container" sersync status
on "$container" sersync config show >"$tmp/shown" || fail "the configuration is not shown"
grep -q 'path = "/data/file"' "$tmp/shown" || fail "another configuration is shown: $(cat "$tmp/shown")"
[ "$(stat -c '%u %a' "$tmp/password")" = "1234 644" ] || fail "the mounted password file was changed"
private_copies() {
    on "$1" find /run -name "$2" -type f >"$tmp/copies"
    [ -s "$tmp/copies" ] || fail "there is no copy of $2"
    while read -r copy; do
        [ "$(on "$1" stat -c '%u %a' "$copy")" = "0 600" ] || fail "others can read $copy"
    done <"$tmp/copies"
    [ -z "$(on "$1" find /run/sersync-copies -perm /077)" ] || fail "others can look into /run/sersync-copies"
    say "ok: $2 is used by a private copy"
}
private_copies "$container" rsync.passwd

# A mounted rsyncd.conf counts, with another port and address, and with a file of passwords that is not root's.
printf 'port = 8873\naddress = 127.0.0.2\n[files]\n    path = /data\n    uid = root\n    gid = root\n' >"$tmp/rsyncd.conf"
printf '    read only = no\n    auth users = rsync\n    secrets file = /etc/rsyncd.secrets\n' >>"$tmp/rsyncd.conf"
printf 'rsync:%s\n' "$password" >"$tmp/secrets"
chown 1234:1234 "$tmp/secrets"
chmod 644 "$tmp/secrets"
run -v /data -e RUN_MODE=rsyncd --tmpfs /run -v "$tmp/rsyncd.conf:/etc/rsyncd.conf:ro" \
    -v "$tmp/secrets:/etc/rsyncd.secrets:ro" -v "$tmp/password:/etc/rsync.passwd:ro" "$image"
wait_until "the health check asks where the daemon listens" on "$container" /usr/local/bin/sersync-entrypoint health
private_copies "$container" rsyncd.secrets
check "the daemon takes the password" on "$container" sh -c "cd /tmp && echo one >one && cp /etc/rsync.passwd own && chmod 600 own &&
    rsync --password-file=own one rsync://rsync@127.0.0.2:8873/files/"

# A new configuration with such a password, read-only as in compose.
cp $dir/sersync.toml "$tmp/own.toml"
sed -i 's/"backup1", "backup2"/"oldserver"/; s/module = "backup"/module = "filebackup"/' "$tmp/own.toml"
run --network "$network" --read-only --tmpfs /run --tmpfs /tmp --cap-drop ALL --cap-add DAC_READ_SEARCH \
    -v "$tmp_data:/data:ro" -v "$tmp/own.toml:/etc/sersync/sersync.toml:ro" \
    -v "$tmp/password:/etc/sersync/rsync.passwd:ro" "$image"
wait_until "a password file of anybody is no hindrance" holds "$server" /data/data/old old
private_copies "$container" rsync.passwd
wait_until "sersync finds the configuration that names the copy" on "$container" sersync status

# As somebody else than root, it mirrors what that user can read.
mkdir "$tmp/own"
echo own >"$tmp/own/file"
cp "$tmp/password" "$tmp/own-password"
chmod 600 "$tmp/own-password"
chown -R 1000:1000 "$tmp/own" "$tmp/own-password"
chmod 755 "$tmp"
run --network "$network" --user 1000:1000 --read-only --tmpfs /tmp --tmpfs /state:uid=1000,mode=700 --cap-drop ALL \
    -e STATE_DIRECTORY=/state -v "$tmp/own:/data:ro" -v "$tmp/own-password:/password:ro" "$image" \
    watch --from /data --to rsync://rsync@oldserver/filebackup/own --password-file /password
wait_until "it mirrors without root and without any capability" holds "$server" /data/own/file own
docker stop -t 60 "$container" >/dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' "$container")" -eq 143 ] || fail "it does not end in good order"

# The example for Kubernetes: it can be read, and its configuration and its commands mean something.
cat >"$tmp/example.py" <<'END'
import sys, yaml
items = yaml.safe_load(open(sys.argv[1]))["items"]
print("\n".join(item["kind"] for item in items), file=open(sys.argv[2] + "/kinds", "w"))
config = [item["data"] for item in items if item["kind"] == "ConfigMap"]
for name in ["node.toml", "shared.toml"]:
    print(config[0][name], file=open(sys.argv[2] + "/" + name, "w"))
END
python3 "$tmp/example.py" $dir/kubernetes.yaml "$tmp"
[ "$(sort "$tmp/kinds" | tr '\n' ' ')" = "ConfigMap CronJob CronJob DaemonSet Job " ] || fail "kubernetes.yaml: $(cat "$tmp/kinds")"
dpkg-deb -x "$(echo "$packages"/*.deb)" "$tmp/deb"
for name in node.toml shared.toml; do
    sed -i "s|/etc/sersync/secret/rsync.passwd|$checkout/$dir/rsync.passwd|; s/@NODE@/node-1.example.org/" "$tmp/$name"
    check "the example for Kubernetes is valid: $name" "$tmp/deb/usr/bin/sersync" -c "$tmp/$name" config check
done

run -e RUN_MODE=neither "$image"
[ "$(docker wait "$container")" -eq 2 ] || fail "an unknown RUN_MODE is taken"
say "ok: an unknown RUN_MODE is refused"
