//! Formats the output of `rewrite status` as text.

use std::fmt::Write as _;

use tunnel_user::commands::status::{Daemon, Interface, Peer, RolledBackAttach, Status, Unit};
use tunnel_user::ops::health::Finding;
use tunnel_user::plan::activity::Traffic;
use tunnel_user::plan::fault::Fault;

use super::style::{FAULT, paint};
use super::text::{NOTHING_ATTACHED, ago, counted, for_now, noun, pairs};
use super::{status_beside, trial};

/// The maximum number of peers for a full list. With more peers, the output lists only the peers that need attention.
const LISTED_MAX: usize = 25;

/// The attached interfaces with their peers and faults, as text for people.
pub fn text(status: &Status) -> String {
    let mut text = before(status);
    for interface in &status.interfaces {
        let _ = writeln!(text, "{}", header(interface));
        facts(&mut text, interface);
        peers(&mut text, interface);
        changes(&mut text, interface);
        let is_notice = |finding: &&Finding| finding.ok && finding.fault == Fault::NetworkManager;
        for notice in interface.health.iter().filter(is_notice) {
            let _ = writeln!(text, "  note      {}", notice.what);
        }
        let good = interface.health.iter().filter(|finding| finding.ok).count();
        let _ = writeln!(text, "  {} passed", counted(good, "check"));
        faults(&mut text, interface);
    }
    text
}

/// One line for each interface.
pub fn brief(status: &Status) -> String {
    let mut text = before(status);
    for interface in &status.interfaces {
        let _ = writeln!(text, "{}", header(interface));
    }
    text
}

/// The header and the faults of each interface that is not healthy.
pub fn wrong(status: &Status) -> String {
    let mut text = before(status);
    for interface in status.interfaces.iter().filter(|interface| !interface.healthy) {
        let _ = writeln!(text, "{}", header(interface));
        faults(&mut text, interface);
    }
    if status.is_healthy() && !status.interfaces.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    text
}

/// The lines before the interfaces: a note if no interface is attached, the remains of earlier attaches, and first
/// attaches that were rolled back.
fn before(status: &Status) -> String {
    let mut text = String::new();
    if status.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for left in &status.left_behind {
        let _ = writeln!(text, "{}: {}", left.what, left.remedy);
    }
    for RolledBackAttach { interface, config, at, remedy, .. } in &status.rolled_back_attaches {
        let _ = writeln!(
            text,
            "the attach of {interface} with {config} was rolled back at {at}, since nobody confirmed \
             it; {remedy}"
        );
    }
    text
}

/// The interface's state in one line: `eth0: 3 peers: 2 heard, 1 silent; 1 fault`.
fn header(interface: &Interface) -> String {
    let peers = &interface.peers;
    let of_state = |state: Traffic| {
        let count = peers.iter().filter(|peer| peer.traffic == state).count();
        (count > 0).then(|| format!("{count} {}", state.name()))
    };
    let states: Vec<_> = [Traffic::Heard, Traffic::Silent, Traffic::Unknown]
        .into_iter()
        .filter_map(of_state)
        .collect();
    let states = if states.is_empty() { "".into() } else { format!(": {}", states.join(", ")) };
    let faults = match interface.health.iter().filter(|finding| !finding.ok).count() {
        0 => String::new(),
        faults => {
            let faults = counted(faults, "fault").to_uppercase();
            format!("; {}", paint(FAULT, faults))
        }
    };
    format!("{}: {} {}{states}{faults}", interface.interface, peers.len(), noun(peers.len()))
}

/// The lines about the attach and this host.
fn facts(text: &mut String, interface: &Interface) {
    let ingress = match interface.ingress {
        "tc" => String::new(),
        xdp => format!(", ingress by {xdp}"),
    };
    let _ = writeln!(
        text,
        "  attached  {} by version {}, by {}{ingress}",
        interface.attached_at, interface.attached_by, interface.hook
    );
    if interface.changed_at != interface.attached_at {
        let _ = writeln!(text, "  changed   {}", interface.changed_at);
    }
    let _ = writeln!(text, "  pins      {}", interface.pins);
    match &interface.daemon {
        Some(Daemon { process_id: None, .. }) => text.push_str("  daemon    starting\n"),
        Some(Daemon { process_id: Some(id), problem: Some(problem) }) => {
            let _ = writeln!(text, "  daemon    process {id}: {problem}");
        }
        Some(Daemon { process_id: Some(id), problem: None }) => {
            let _ = writeln!(text, "  daemon    process {id}");
        }
        None => text.push_str("  daemon    none: nothing follows the file\n"),
    }
    status_beside::file(text, interface);
    match &interface.unit {
        Some(Unit { name, enabled: true }) => {
            let _ = writeln!(text, "  at boot   {name} starts");
        }
        Some(Unit { name, enabled: false }) => {
            let _ = writeln!(text, "  at boot   {name} is not enabled: systemctl enable '{name}'");
        }
        None => {}
    }
    for own in &interface.local_members {
        let label = if interface.gateway { "gateway of" } else { "self     " };
        let _ =
            write!(text, "  {label} {}  {}", own.name, pairs(&own.private, "as", &own.underlay));
        let _ = match own.public == own.underlay {
            true => writeln!(text),
            false => writeln!(text, ", public {}", own.public.join(", ")),
        };
        if !own.former_underlay.is_empty() {
            let former = own.former_underlay.join(", ");
            let _ = writeln!(text, "            also reachable at {former}");
        }
    }
    if !interface.bypass.is_empty() {
        let _ = writeln!(text, "  bypass    {}", interface.bypass.join(", "));
    }
    status_beside::programs(text, interface);
}

/// The lines of the peers. With more than [`LISTED_MAX`] peers, only the peers that need attention have a line.
fn peers(text: &mut String, interface: &Interface) {
    let all = &interface.peers;
    let is_listed = |peer: &&Peer| all.len() <= LISTED_MAX || needs_attention(peer);
    let listed: Vec<_> = all.iter().filter(is_listed).collect();
    let names = listed.iter().map(|peer| peer.peer.name.len()).max().unwrap_or(0);
    for Peer { peer, packets, traffic, unconfirmed, pings } in &listed {
        let direct = if peer.direct { "  direct" } else { "" };
        let bypass = match &peer.bypass[..] {
            [] => String::new(),
            rules => format!("  bypass {}", rules.join(", ")),
        };
        let heard = match (traffic, &packets.last_heard) {
            (Traffic::Silent, Some(last)) => {
                format!("{}, heard {} ago", paint(FAULT, "silent"), ago(last.seconds_ago))
            }
            (Traffic::Silent, None) => format!("{}, never heard", paint(FAULT, "silent")),
            (_, Some(last)) => format!("heard {} ago", ago(last.seconds_ago)),
            (_, None) if packets.is_time_unknown => "heard at an unknown time".into(),
            (_, None) => "not heard yet".into(),
        };
        let _ = write!(
            text,
            "  peer      {:<names$}  {}{direct}{bypass}  {heard}",
            peer.name,
            pairs(&peer.private, "at", &peer.public)
        );
        for ping in pings {
            let time = ping.milliseconds.map(|time| format!(" {time:.1} ms")).unwrap_or_default();
            let _ = write!(text, "  ping {}{time}", ping.state);
        }
        text.push('\n');
        if packets.router_errors > 0 {
            let errors = counted(packets.router_errors, "ICMP error");
            let _ = writeln!(text, "            {errors} of routers about packets to it");
        }
        for draining in &peer.draining {
            let left = for_now(draining.seconds.unwrap_or(u32::MAX));
            let _ = writeln!(text, "            accepted from {}{left}", draining.public);
        }
        for awaited in &peer.awaited {
            let _ = writeln!(text, "            waits: {}", awaited.what);
        }
        status_beside::unconfirmed(text, unconfirmed);
    }
    let rest = all.len() - listed.len();
    if rest > 0 {
        let _ = writeln!(text, "  {} more {}: rewrite status --peer NAME", rest, noun(rest));
    }
}

/// True for a peer that is silent, has not answered a ping, has moved, or is about to move.
fn needs_attention(peer: &Peer) -> bool {
    peer.traffic == Traffic::Silent
        || peer.pings.iter().any(|ping| !ping.is_ok)
        || !peer.peer.draining.is_empty()
        || !peer.peer.awaited.is_empty()
        || !peer.unconfirmed.is_empty()
}

/// The lines about a trial.
fn changes(text: &mut String, interface: &Interface) {
    if let Some(trial) = &interface.trial {
        let _ = writeln!(text, "  on trial  {}", trial::pending(&interface.interface, trial));
    }
    if let Some(last) = &interface.rolled_back {
        let (subject, at) = (&last.subject, &last.at);
        let _ = writeln!(text, "  rolled back {at} from {subject}, without a confirmation");
    }
}

fn faults(text: &mut String, interface: &Interface) {
    for fault in interface.health.iter().filter(|finding| !finding.ok) {
        let _ = writeln!(text, "  {}     {}", paint(FAULT, "WRONG"), fault.what);
    }
}
