#!/bin/sh
# Installs the Debian packages that some tests and benchmarks use. Needs root; does nothing elsewhere.
# Usage: scripts/test-packages.sh PACKAGE...
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not root on Debian: $* not installed" >&2
  exit 3
fi
# Tests run side by side, and apt lets only one in.
exec 9>/var/lock/deployctl-test-packages
flock 9
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends "$@" >/dev/null
