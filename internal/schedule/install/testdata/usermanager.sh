#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# Usage: unshare --mount --propagation private sh usermanager.sh DIR COMMAND...
#
# Runs a command beside a systemd user manager that is there for it alone: what it mounts is seen by nobody else, and the
# manager's settings, socket and home are in DIR. Exit code 77 means that the manager does not start here.
set -u
dir=$1
shift
group=/sys/fs/cgroup/coffer-test-$$

mount -t tmpfs none /run || exit 77
mkdir -p /run/systemd/system # by which systemd tells that the machine is its own
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup || exit 77
mkdir "$group" || exit 77
echo $$ >"$group/cgroup.procs" || exit 77

export XDG_RUNTIME_DIR="$dir/run" XDG_CONFIG_HOME="$dir/config" XDG_DATA_HOME="$dir/data" HOME="$dir/home"
unset DBUS_SESSION_BUS_ADDRESS
mkdir -p -m 0700 "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" "$XDG_DATA_HOME" "$HOME"
SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user >"$dir/manager.log" 2>&1 &
manager=$!
tries=0
until systemctl --user show --property=Version >/dev/null 2>&1; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 $manager; then
		cat "$dir/manager.log" >&2
		exit 77
	fi
	sleep 0.1
done

"$@"
code=$?
systemctl --user exit
wait $manager
echo $$ >/sys/fs/cgroup/cgroup.procs
find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
exit $code
