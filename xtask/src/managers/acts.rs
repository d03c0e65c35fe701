//! Defines the network managers, their settings, and the acts that a test performs with each manager.

/// A network manager.
pub struct Manager {
    pub name: &'static str,
    /// The manager's settings: each file's path and content.
    pub files: &'static [(&'static str, &'static str)],
    /// True if the manager needs a DHCP server.
    pub lease: bool,
    /// The commands that start the manager.
    pub start: &'static [&'static str],
    /// The hook's file in packaging/hooks, and the paths of its copies in the machine.
    pub hook: (&'static str, &'static [&'static str]),
    /// The command that activates the hook.
    pub hook_started: &'static str,
    pub acts: &'static [Act],
}

/// An action that may remove routes.
pub struct Act {
    pub name: &'static str,
    /// The shell command in the machine.
    pub command: &'static str,
}

const fn act(name: &'static str, command: &'static str) -> Act {
    Act { name, command }
}

const DOWN_AND_UP: Act =
    act("link down, up", "ip link set eth0 down; sleep 1; ip link set eth0 up");

const NETWORKD_HOOK: (&str, &[&str]) = (
    "networkd-dispatcher/50-rewrite",
    &[
        "/etc/networkd-dispatcher/configured.d/50-rewrite",
        "/etc/networkd-dispatcher/routable.d/50-rewrite",
    ],
);
const NETWORKD_DISPATCHER: &str = "systemctl restart networkd-dispatcher";

/// All managers.
pub const MANAGERS: &[Manager] = &[
    Manager {
        name: "networkd",
        files: &[(
            "/etc/systemd/network/10-eth0.network",
            "[Match]\nName=eth0\n[Network]\nAddress=198.51.100.2/24\nGateway=198.51.100.1\n\
             IPv6AcceptRA=no\n",
        )],
        lease: false,
        start: &["systemctl start systemd-networkd"],
        hook: NETWORKD_HOOK,
        hook_started: NETWORKD_DISPATCHER,
        acts: &[
            act("networkctl reconfigure", "networkctl reconfigure eth0"),
            DOWN_AND_UP,
            act("restart", "systemctl restart systemd-networkd"),
        ],
    },
    Manager {
        name: "networkd with DHCP",
        files: &[(
            "/etc/systemd/network/10-eth0.network",
            "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n",
        )],
        lease: true,
        start: &["systemctl start systemd-networkd"],
        hook: NETWORKD_HOOK,
        hook_started: NETWORKD_DISPATCHER,
        acts: &[
            act("networkctl reconfigure", "networkctl reconfigure eth0"),
            act("the lease again", "networkctl renew eth0"),
            DOWN_AND_UP,
        ],
    },
    Manager {
        name: "netplan",
        files: &[(
            "/etc/netplan/10-eth0.yaml",
            "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    eth0:\n      \
             addresses: [198.51.100.2/24]\n      routes:\n        - to: default\n          \
             via: 198.51.100.1\n",
        )],
        lease: false,
        start: &["netplan generate", "systemctl start systemd-networkd"],
        hook: NETWORKD_HOOK,
        hook_started: NETWORKD_DISPATCHER,
        // These commands replace `netplan apply`, which ends with udevadm: udevadm can't write to /sys in a container.
        acts: &[
            act(
                "netplan generate, reconfigure",
                "netplan generate && networkctl reload && networkctl reconfigure eth0",
            ),
            DOWN_AND_UP,
        ],
    },
    Manager {
        name: "NetworkManager",
        files: &[
            (
                "/etc/NetworkManager/conf.d/00-all.conf",
                "[main]\nplugins=keyfile\n[keyfile]\nunmanaged-devices=none\n",
            ),
            (
                "/etc/NetworkManager/system-connections/public.nmconnection",
                "[connection]\nid=public\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=auto\n\
                 [ipv6]\nmethod=ignore\n",
            ),
        ],
        lease: true,
        start: &[
            "systemctl start NetworkManager",
            "nmcli device set eth0 managed yes",
            "nmcli connection up public",
        ],
        hook: ("NetworkManager/50-rewrite", &["/etc/NetworkManager/dispatcher.d/50-rewrite"]),
        hook_started: "systemctl start NetworkManager-dispatcher",
        acts: &[
            act("nmcli con up", "nmcli connection up public"),
            DOWN_AND_UP,
            act("restart", "systemctl restart NetworkManager"),
        ],
    },
    Manager {
        name: "ifupdown with dhclient",
        files: &[(
            "/etc/network/interfaces",
            "auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n",
        )],
        lease: true,
        start: &["ifup eth0"],
        hook: ("ifupdown/rewrite", &["/etc/network/if-up.d/rewrite"]),
        hook_started: "true",
        // Leave out DOWN_AND_UP: ifupdown restores nothing after the link goes down and up, not even the default route.
        acts: &[act("ifdown, ifup", "ifdown eth0; ifup eth0")],
    },
];
