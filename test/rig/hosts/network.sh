#!/bin/sh
# Keeps a network and a place for test hosts until standard input ends, whoever dies first: everything
# lives in namespaces of this process, and the kernel ends them with it.
# Usage: network.sh DIR     (run again inside by itself)
set -eu
dir=$1
group=/sys/fs/cgroup/unified/deployctl-$$

if [ "${2:-}" != inside ]; then
  cleanup() {
    [ -d "$group" ] && find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    rm -rf "$dir.files"
    rmdir "$dir" 2>/dev/null || :
  }
  trap cleanup EXIT
  [ -f /sys/fs/cgroup/cgroup.procs ] && group=/sys/fs/cgroup/deployctl-$$
  mkdir "$group"
  unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$dir" inside "$group" || :
  exit
fi

group=$3
ip link set lo up
ip link add br0 type bridge
ip address add 10.77.0.1/16 dev br0
ip link set br0 up
mount -t tmpfs -o mode=0700 tmpfs "$dir"
# One hierarchy, as on a current machine, whatever this one has.
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "ready $(basename "$group")"
exec cat >/dev/null
