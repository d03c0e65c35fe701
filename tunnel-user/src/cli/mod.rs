//! Defines the arguments of the command line.

mod apply;
pub mod attach;
pub mod explain;
mod hooks;
pub mod import;
mod interface;
mod metrics;
pub mod peer;
mod ping;
mod stats;
pub mod trace;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::config::DEFAULT_PATH;
pub use apply::ApplyArgs;
pub use attach::{AttachArgs, AttachCommand, IngressArg};
use explain::ExplainArgs;
use hooks::HooksArgs;
use import::{ImportArgs, InitArgs};
use interface::{InterfaceArg, OnlyInterfaceArg, RequiredInterfaceArg};
use metrics::MetricsArgs;
use peer::PeerCommand;
pub use ping::PingArgs;
pub use stats::{StatsArgs, TopArgs};

/// Hosts of a cluster keep their private addresses, while the packets between them travel as plain
/// packets between their public addresses: rewritten in the kernel, without encapsulation.
#[derive(Debug, Parser)]
#[command(
    name = "rewrite",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  rewrite init                      write the first file, from what this host has
  rewrite check                     check the file and this host
  rewrite attach eth0               address, routes, programs: the whole job
  rewrite status                    what is attached, what is wrong, who was heard
  rewrite ping                      do packets arrive at the peers, and answers here
  rewrite doctor                    what on this host harms the traffic
  rewrite explain 10.0.0.1 10.0.0.2 what the programs do with a packet
  rewrite run eth0                  attach, and follow the file
  rewrite detach eth0               undo the attach

Exit codes: 0 done; 1 the kernel refused, or a fault was found; 2 wrong usage; 3 the file is wrong;
4 refused: it does not fit the state of this host; 5 this host can't run it; 6 the
pins belong to another program or version; 7 diff and attach --dry-run: attach would
change something; 130 interrupted."
)]
pub struct Cli {
    /// Work inside this network namespace of `ip netns`; the pins stay outside of it
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<String>,

    /// Log each step to stderr. With attach, the programs log each packet that concerns a peer
    /// and is not rewritten; `rewrite stats --watch --verbose` shows these messages
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Rewrite packets on an interface, as the file says; run this again after you change the file
    #[command(after_help = "\
Examples:
  rewrite attach eth0
  rewrite attach eth0 --dry-run                  the steps; change nothing
  rewrite attach eth0 --confirm-within 60s       detach again, unless `rewrite confirm` comes
  rewrite attach eth0 --config cluster.toml --self srva
  rewrite attach eth0 --self srva --self srvc    a gateway in front of both
  rewrite attach eth0 --ingress xdp
  rewrite --netns a attach eth0     in a network namespace, the pins outside of it

Attach adds this host's private addresses to lo, routes to the peers' private addresses,
and the programs. It sets arp_announce and arp_ignore, so that ARP does not reveal the
private address. On a gateway, the private addresses belong to the hosts behind it, and lo
gets none. A failed attach leaves nothing behind. Back: rewrite detach eth0")]
    Attach(AttachCommand),

    /// Keep an interface as the file says: attach, and follow the file and the network
    #[command(after_help = "\
Examples:
  rewrite run eth0
  rewrite run eth0 --config cluster.toml --self srva
  rewrite run eth0 --metrics 127.0.0.1:9114    for Prometheus (docs/monitoring.md)
  systemctl enable --now rewrite@eth0    the same, from the next boot on as well

The daemon attaches the interface, or takes over an attached one. It attaches again when
the file, the addresses, the routes or the interface change, or on SIGHUP. An invalid file
changes nothing. SIGTERM and SIGINT end the daemon; the dataplane runs without it.
docs/systemd.md has the unit.")]
    Run {
        /// The attach.
        #[command(flatten)]
        attach: AttachArgs,
        /// Detach when SIGTERM or SIGINT comes
        #[arg(long)]
        detach_on_exit: bool,
        /// The metrics.
        #[command(flatten)]
        metrics: MetricsArgs,
        /// The hooks.
        #[command(flatten)]
        hooks: HooksArgs,
    },

    /// Remove exactly the things that attach added
    #[command(after_help = "\
Examples:
  rewrite detach eth0
  rewrite detach --all
  rewrite detach --gone    the pins of network namespaces that are gone

Detach also removes the remains of an attach whose pins are missing. To detach an interface
that is not attached is no error.")]
    Detach(DetachArgs),

    /// Go back to the programs and maps of the previous version, without losing a packet
    #[command(
        after_help = "Examples:\n  rewrite downgrade eth0\n  rewrite downgrade eth0 --json\n\n\
        Then install the previous version: its attach, status, stats and detach work with the running\n\
        programs. Counters, flows and peers stay. The next attach by this version takes over again."
    )]
    Downgrade {
        /// The interface.
        #[command(flatten)]
        on: RequiredInterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },

    /// Show the attached interfaces, what is wrong with them, and when packets of each peer last arrived
    #[command(after_help = "\
Examples:
  rewrite status
  rewrite status --probe            ping the peers first
  rewrite status --brief            one line for each interface
  rewrite status --peer srvb        one peer
  rewrite status eth0               one interface
  rewrite status --require --json   for a monitoring system

`heard` says when a packet of the peer last arrived. A peer is silent if a packet has gone to
it in the last minute, ten seconds or more after the peer's last one. Exits with 1 if
something is wrong or a peer is silent.")]
    Status(StatusArgs),

    /// Send a packet to each peer and back, and say what became of it
    Ping(PingArgs),

    /// List or change the running peers, at once; with --save, in the file as well
    #[command(subcommand)]
    Peer(PeerCommand),

    /// Show packets and bytes per peer and direction, and per reason for not rewriting
    #[command(after_help = "\
Examples:
  rewrite stats
  rewrite stats --interval 5                 packets and bits per second, every 5 s
  rewrite stats --peer srvb --peer 10.0.0.3
  rewrite stats --reason foreign-source
  rewrite stats --watch
  rewrite stats eth0
  rewrite stats --json
  rewrite stats --prometheus                 as a scrape of rewrite run --metrics")]
    Stats(StatsArgs),

    /// Show the peers and their packets per second on the whole terminal, and look closer at one
    Top(TopArgs),

    /// Show what happened: attaches, moves, trials, repaired drift, peers that are silent and heard again
    #[command(after_help = "\
Examples:
  rewrite events
  rewrite events eth0 --follow
  rewrite events --follow --json

The daemon (rewrite run) records silent peers and repaired drift; every command records what it
changed. The log in /run/rewrite holds the last 1 to 2 MiB since the boot.")]
    Events {
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// Print the next events as they come, until interrupted
        #[arg(long)]
        follow: bool,
        /// As JSON, one object a line (docs/json.md)
        #[arg(long)]
        json: bool,
    },

    /// Show live packets of the peers, before and after the programs; tcpdump sees one side only
    #[command(after_help = "\
Examples:
  rewrite trace
  rewrite trace --peer srvb --port 24007
  rewrite trace --reason spoofed --count 10
  rewrite trace -w trace.pcapng          for Wireshark, each packet on both sides
  rewrite trace -w - | wireshark -k -i -

A trace shows the packets that concern a peer, as this host's software sees them, and their
addresses on the wire. The programs of the trace run beside the dataplane's: without a trace,
packets cost nothing more. The kernel removes them when the command ends, in any way.")]
    Trace(trace::TraceArgs),

    /// Show what attach would change with this file; changes nothing
    #[command(after_help = "Examples:\n  rewrite diff\n  rewrite diff --config new.toml\n  \
        rewrite diff eth0                       before the first attach\n  \
        rewrite diff --config new.toml --json\n\n\
        `+` is added, `-` is removed, `~` is changed. Diff fails where attach would fail.\n\
        Exits with 0 without a change, and with 7 if attach would change something.")]
    Diff {
        /// The file
        #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
        /// Name of this host's member, if this host's addresses do not identify it; repeat the option on a gateway
        #[arg(long = "self", value_name = "NAME")]
        self_names: Vec<String>,
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },

    /// Change an attached interface to match the file; on trial, with --confirm-within
    #[command(after_help = "\
Examples:
  rewrite apply --config new.toml                        print the changes and keep them
  rewrite apply --config new.toml --confirm-within 60s   roll back after 60 s
  rewrite confirm                                        keep the changes on trial
  rewrite apply --revert                                 roll back at once

The rollback restores the previous state, with all earlier changes by `rewrite peer`. It
happens even if the terminal, the ssh session and every process of rewrite have ended. The
time counts from the start of apply. During the trial, rewrite refuses attach and another
apply, the rollback includes changes by `rewrite peer`, and detach ends the trial.")]
    Apply(ApplyArgs),

    /// Keep the change that attach, apply or peer set has put on trial with --confirm-within
    #[command(after_help = "Examples:\n  rewrite confirm\n  rewrite confirm eth0\n\n\
        Exits with 4 if no trial is pending.")]
    Confirm {
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },

    /// Find everything on this host that harms the traffic of an attached interface, and ping the peers
    #[command(
        after_help = "Examples:\n  rewrite doctor\n  rewrite doctor eth0\n  rewrite doctor --json\n\n\
        Looks at the interfaces, addresses, routes, programs, firewalls and connections of this host.\n\
        Exits with 1 if something harms the traffic; not for findings that may harm it.\n\
        Before an attach: rewrite check."
    )]
    Doctor {
        /// The interface.
        #[command(flatten)]
        on: OnlyInterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },

    /// Run a packet through a copy of the attached programs, and say what becomes of it; changes nothing
    #[command(after_help = "\
Examples:
  rewrite explain 10.0.0.1 10.0.0.2                 an echo request that leaves this host
  rewrite explain 10.0.0.1 10.0.0.2 tcp/24007
  rewrite explain 203.0.113.2 198.51.100.2 --in     a packet that arrives from the wire
  rewrite explain --pcap lost.pcap --packet 3 --in
  rewrite explain --hex \"4500 001c ...\" --json
  rewrite explain --all --config cluster.toml       every pair of members, from the file alone

The copy has the programs, settings and entries of the attached interface: no packet is sent,
and no counter, flow or entry of the interface changes. With --all, exits with 1 if a packet
between two members does not arrive as it was sent; that needs no attach and no root.")]
    Explain(ExplainArgs),

    /// Make the cluster file from NAT rules, a tunnel or cluster software, and list the commands of the switch-over
    #[command(after_help = "\
Examples:
  rewrite import --from iptables                     the file, and the commands; changes nothing
  rewrite import --from vxlan --out cluster.toml
  rewrite import --from gluster --self srva --out /etc/rewrite/cluster.toml
  iptables-save | rewrite import --from iptables --input -
  rewrite import --from nft --json

The file is the same on every host, if the sources are. Exits with 1 if the file needs work: a
blank, an incomplete set of rules, or a contradiction. docs/import.md has each source.")]
    Import(ImportArgs),

    /// Write the first cluster file: from the best source on this host, else an example with its addresses
    #[command(after_help = "\
Examples:
  rewrite init
  rewrite init --self srva
  rewrite init --out cluster.toml --force

Looks for everything that `rewrite import` reads, and says what is there. Never replaces a file
without --force. Exits with 1 if the file needs work: rewrite check names the lines.")]
    Init(InitArgs),

    /// Check the file and this host for obstacles to an attach; changes nothing
    #[command(after_help = "Examples:\n  rewrite check\n  rewrite check eth0\n  \
        rewrite check --config cluster.toml\n\n\
        Exits with 4 if attach would fail.")]
    Check {
        /// The interface.
        #[command(flatten)]
        on: OnlyInterfaceArg,
        /// The file
        #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
        /// Name of this host's member, if this host's addresses do not identify it; repeat the option on a gateway
        #[arg(long = "self", value_name = "NAME")]
        self_names: Vec<String>,
        /// The place of the ingress program; by default its present place, else tc
        #[arg(long, value_enum)]
        ingress: Option<IngressArg>,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },
}

/// The arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The interface.
    #[command(flatten)]
    pub on: OnlyInterfaceArg,
    /// One line for each interface
    #[arg(long, conflicts_with_all = ["wrong", "json"])]
    pub brief: bool,
    /// Only what is wrong, and the peers that are silent
    #[arg(long, conflicts_with = "json")]
    pub wrong: bool,
    /// Only this peer, by name or private address; repeat the option for more peers
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<String>,
    /// Ping the peers first, as `rewrite ping` does
    #[arg(long)]
    pub probe: bool,
    /// Exit with 4 if no interface is attached
    #[arg(long)]
    pub require: bool,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `detach`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("target").required(true).args(["iface", "interface", "all", "gone"])))]
pub struct DetachArgs {
    /// The interface.
    #[command(flatten)]
    pub on: InterfaceArg,
    /// Detach every attached interface of this network namespace; in the host's namespace, also remove the remains that
    /// --gone removes
    #[arg(long)]
    pub all: bool,
    /// Remove the remains of network namespaces that are gone
    #[arg(long)]
    pub gone: bool,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}
