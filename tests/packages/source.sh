#!/bin/sh
# What `make install` installs, on two hosts with systemd that have rsync and nothing else of it.
# shellcheck source=tests/packages/lib.sh
. "$(dirname -- "$0")/lib.sh"

make -s install DESTDIR="$tmp/root"
new_hosts
for one in "$server" "$client"; do
    tar -C "$tmp/root" -c usr | docker exec -i "$one" tar -C / --no-same-owner -x
    as_documented "$one" source
    as_documented "$one" both
done
mirrors_as_documented deb-server
check "the crontab names the program that is there" \
    on "$client" grep -q ' root /usr/local/bin/sersync watch' /usr/local/share/doc/sersync/examples/cron.d/sersync
