#!/bin/sh
# What sshd takes as deployctl: login.sh FINGERPRINT. sshd runs it as deployctl, so that root reads nothing
# that the agent wrote. Whom the fleet's root has shut out is let in by no file, and by no certificate.
own=/etc/deployctl
state=/var/lib/deployctl
grep -qxF -- "$1" "$state/revoked_logins" 2>/dev/null && exit 0
cat "$own/authorized_keys" "$state/login_keys" 2>/dev/null
# Certificates by way of lines too: sshd knows no AuthorizedPrincipalsCommand inside of a Match block.
names=$(grep -E '^[^",#[:space:]]+$' "$own/principals" 2>/dev/null | tr '\n' ,)
[ -n "$names" ] && grep -E '^(ssh|ecdsa|sk)-' "$own/user_ca_keys" 2>/dev/null | while read -r authority; do
  printf 'cert-authority,principals="%s" %s\n' "${names%,}" "$authority"
done
exit 0
