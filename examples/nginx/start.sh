#!/bin/sh
# Starts nginx with the socket that the host passed as fd 3: what nginx itself does when it is upgraded.
set -eu
dir=$STATE_DIRECTORY/$DEPLOYCTL_SLOT
mkdir -p "$dir"
sed "s|@RELEASE@|$PWD|; s|@VERSION@|$(cat .deployctl-version)|" nginx.conf >"$dir/nginx.conf"
[ -z "${LISTEN_FDS:-}" ] || export NGINX='3;'
exec nginx -e stderr -p "$dir" -c "$dir/nginx.conf" -g "daemon off; pid $dir/nginx.pid;" "$@"
