#!/bin/sh
# The container image: built, run by compose.yaml as a source with two servers, and by the old container's interface.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

dir=packaging/container
project=sersync-test-$$
compose() {
    docker-compose -p $project -f $dir/compose.yaml "$@"
}
# The image goes by its label, since a build may have been interrupted, and what compose has made by the name of its project.
# Volumes and images are free when the containers that use them are gone.
down() {
    remove_containers
    compose down -v >/dev/null 2>&1 || :
    images=$(docker images -q --filter "label=$project")
    clean_up
}
trap down EXIT

DOCKER_BUILDKIT=0 docker build -q --build-arg "BASE=$BASE" --label $project --iidfile "$tmp/image" -f $dir/Containerfile . \
    >"$tmp/build" 2>&1 || fail "docker build: $(cat "$tmp/build")"
image=$(cat "$tmp/image")
say "ok: the image is built"

mkdir "$tmp/data"
(umask 077 && head -c 15 /dev/urandom | base64 >"$tmp/password")
password=$(cat "$tmp/password")
# write NAME TEXT: a file of the source that only its owner, somebody else than root, may read.
write() {
    echo "$2" >"$tmp/data/$1"
    chown 1234:1234 "$tmp/data/$1"
    chmod 600 "$tmp/data/$1"
}

export SERSYNC_IMAGE="$image" SERSYNC_DATA="$tmp/data" SERSYNC_PASSWORD="$tmp/password" SCHEDULE_INTERVAL=1
export SERSYNC_CONF="$PWD/$dir/sersync.toml"
write first first
compose up -d >"$tmp/up" 2>&1 || fail "compose up: $(cat "$tmp/up")"
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
run --network "$network" -v "$tmp/data:/data/file" -v "$tmp/password:/etc/rsync.passwd" \
    -v "$tmp/sersync.conf:/usr/local/sersync/etc/sersync.conf" "$image"
wait_until "the old interface mirrors" holds "$server" /data/file-backup/first first
write old old
wait_until "and goes on" holds "$server" /data/file-backup/old old
wait_until "its health check is content" on "$container" /usr/local/bin/sersync-entrypoint health

# As somebody else than root, it mirrors what that user can read.
mkdir "$tmp/own"
echo own >"$tmp/own/file"
cp "$tmp/password" "$tmp/own-password"
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
    sed -i "s|/etc/sersync/secret/rsync.passwd|$tmp/password|; s/@NODE@/node-1.example.org/" "$tmp/$name"
    check "the example for Kubernetes is valid: $name" "$tmp/deb/usr/bin/sersync" -c "$tmp/$name" config check
done

run -e RUN_MODE=neither "$image"
[ "$(docker wait "$container")" -eq 2 ] || fail "an unknown RUN_MODE is taken"
say "ok: an unknown RUN_MODE is refused"
