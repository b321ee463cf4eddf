#!/bin/sh
# Boots one test host: this machine's files under a layer of its own, real systemd, real sshd.
# Runs inside the namespaces of network.sh. Usage: boot.sh DIR GROUP NAME ADDRESS LOGIN_KEY_FILE [HIDE...]
set -eu
base=$1/$3 group=$2 name=$3 address=$4 key=$5
shift 5
root=$base/root

if [ ! -d "$root" ]; then
  mkdir -p "$base/upper" "$base/work" "$root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
  : >"$root/etc/machine-id"
  echo "$name" >"$root/etc/hostname"
  printf '127.0.0.1 localhost %s\n' "$name" >"$root/etc/hosts"
  rm -f "$root"/etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
  # What this machine happens to run is no business of its guests.
  for link in "$root"/etc/systemd/system/*.wants/*; do
    case $link in */ssh.service) ;; *) rm -f "$link" ;; esac
  done
  cat >"$root/etc/systemd/system/rig-network.service" <<UNIT
[Unit]
DefaultDependencies=no
Before=network.target ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip address add $address/16 dev host0; ip link set host0 up; ip link set lo up'
[Install]
WantedBy=sysinit.target
UNIT
  mkdir -p "$root/etc/systemd/system/sysinit.target.wants" "$root/etc/systemd/system/multi-user.target.wants"
  ln -s ../rig-network.service "$root/etc/systemd/system/sysinit.target.wants/"
  ln -sf /lib/systemd/system/ssh.service "$root/etc/systemd/system/multi-user.target.wants/"
  mkdir -p "$root/root/.ssh" "$root/home"
  cat "$key" >"$root/root/.ssh/authorized_keys"
  chmod 700 "$root/root/.ssh"
  # An administrator who needs a password for sudo, and one who does not.
  for user in ada grace; do
    chroot "$root" useradd --create-home --shell /bin/sh "$user"
    mkdir -p "$root/home/$user/.ssh"
    cat "$key" >"$root/home/$user/.ssh/authorized_keys"
    chroot "$root" chown -R "$user:" "/home/$user"
  done
  echo 'ada:correct horse' | chroot "$root" chpasswd
  printf 'ada ALL=(ALL) ALL\ngrace ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/rig"
  chmod 440 "$root/etc/sudoers.d/rig"
  # Tests cut connections; that is no attack.
  printf 'PerSourcePenalties no\n' >"$root/etc/ssh/sshd_config.d/rig.conf"
  sshd -t -f "$root/etc/ssh/sshd_config.d/rig.conf" -h "$root/etc/ssh/ssh_host_ed25519_key" 2>/dev/null ||
    rm "$root/etc/ssh/sshd_config.d/rig.conf"
fi

mkdir -p "/sys/fs/cgroup/$group/$name"
echo $$ >"/sys/fs/cgroup/$group/$name/cgroup.procs"
for path in "$@"; do
  shift
  if [ -d "$path" ]; then set -- "$@" "--tmpfs=$path"; else rm -f "$root$path"; fi
done
# Outside of systemd nobody else starts it again when it reboots.
while :; do
  status=0
  systemd-nspawn --boot --directory="$root" --register=no --keep-unit --machine="$name" \
    --network-bridge=br0 --link-journal=no --console=read-only --quiet "$@" </dev/null >>"$base/console" 2>&1 || status=$?
  [ "$status" = 133 ] || exit "$status"
done
