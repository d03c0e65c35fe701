#!/bin/sh
# The first process of the virtual machine: mounts what programs expect, runs /guest.sh, and powers off.
# All that is said goes to the second serial port, where xtask reads it; the kernel has the first one for
# itself. emulator.rs hands its name over as guest_port.

export PATH=/usr/sbin:/usr/bin HOME=/root
export REWRITE_BIN=/usr/bin/rewrite REWRITE_PREVIOUS_BIN=/usr/bin/rewrite-previous

mkdir -p /proc /sys /dev /run /tmp /root
mount -t devtmpfs dev /dev
# The kernel sets this variable from its command line.
# shellcheck disable=SC2154
exec </dev/null >"/dev/$guest_port" 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp

seconds() {
    read -r up _ </proc/uptime
    echo "$up"
}

echo "@vm kernel $(uname -r) $(seconds)"
ip link set lo up
# Nothing asks for this one by a name that the kernel knows before its device file is there.
modprobe tun

. /guest.sh

echo "@vm done $(seconds)"
# Powers off. It takes a moment, and the first process must not end.
echo o >/proc/sysrq-trigger
sleep 60
