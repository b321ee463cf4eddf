#!/bin/sh
# What sshd runs for whoever logs in as deployctl. Nothing of the environment that a client may set gets through.
exec env -i PATH=/usr/bin:/bin USER="$USER" SSH_CONNECTION="$SSH_CONNECTION" SSH_USER_AUTH="$SSH_USER_AUTH" \
  /usr/lib/deployctl/current/bin/node /usr/lib/deployctl/current/dist/deploy-agent.js \
  bridge --socket /run/deployctl/agent.sock
