//! What the commands say, for people.

use std::fmt::Write as _;

use tunnel_user::commands::check::{Finding, Level};
use tunnel_user::commands::private_in_arp::Set;
use tunnel_user::commands::{attach, detach, peer, stats, status, switch};
use tunnel_user::dataplane::place::Ingress;
use tunnel_user::model::Drain;
use tunnel_user::model::Private;
use tunnel_user::plan::peers::{NamedPeer, RunningPeer};
use tunnel_user::plan::routes::RouteChanges;

use crate::print_trial;

/// The most peers that are named one by one.
const NAMED_MAX: usize = 8;

/// What attach did, what is now true, and how to go back.
pub fn attach(report: &attach::Report) -> String {
    let attach::Report { interface, identity, peers, place, .. } = report;
    let mut text = String::new();
    let done = if report.was_attached { "updated" } else { "attached" };
    let who: Vec<_> = identity.selves().iter().map(ToString::to_string).collect();
    let ingress = match place.ingress {
        Ingress::Tc => String::new(),
        xdp => format!(", ingress by {}", xdp.name()),
    };
    let _ = writeln!(
        text,
        "{interface}: {done}; this host is {} ({}{ingress}, {peers} {})",
        who.join("; "),
        place.hook.name(),
        noun(*peers),
    );
    for left_out in &report.left_out {
        let _ = writeln!(text, "  note: {left_out}");
    }
    if report.was_attached {
        let _ = writeln!(text, "  {} entries of the peer map changed", report.changed_entries);
    }
    for former in &report.formers {
        let _ = writeln!(
            text,
            "  moved: still reached at {former}, and sends from there to peers that do not know yet"
        );
    }
    for (name, awaited) in report.awaited.iter().take(NAMED_MAX) {
        for awaited in awaited {
            let _ = writeln!(text, "  waits for {name}: {awaited}");
        }
    }
    if let Some(more @ 1..) = report.awaited.len().checked_sub(NAMED_MAX) {
        let _ = writeln!(text, "  waits for {more} more: rewrite peer list");
    }
    for address in &report.loopback_addresses {
        let _ = writeln!(text, "  address {} on lo", with_length(*address));
    }
    for set in &report.sysctls {
        let _ = writeln!(text, "  sysctl {}", sysctl(interface, set));
    }
    routes(&mut text, &report.routes);
    let _ = writeln!(text, "  back: rewrite detach {interface}");
    text
}

fn sysctl(interface: &str, set: &Set) -> String {
    format!("net.ipv4.conf.{interface}.{}={}", set.sysctl.name(), set.value)
}

/// The answer where no interface is attached.
pub const NOTHING_ATTACHED: &str = "nothing is attached in this network namespace\n";
/// The answer where no network namespace has left anything.
pub const NOTHING_LEFT: &str = "no network namespace that is gone has left anything\n";

/// All that detach took away.
pub fn detached(detached: &detach::Detached) -> String {
    let mut text: String = detached.reports.iter().map(detach).collect();
    for address in &detached.left_addresses {
        let address = with_length(*address);
        let _ =
            writeln!(text, "removed: address {address} on lo, which an earlier attach had left");
    }
    for folder in &detached.gone {
        let _ =
            writeln!(text, "removed: {}, of a network namespace that is gone", folder.display());
    }
    text
}

/// What detach took away from one interface.
pub fn detach(report: &detach::Report) -> String {
    let mut text = String::new();
    let interface = &report.interface;
    let what = if report.unfinished { "what a killed attach left is gone" } else { "detached" };
    let _ = writeln!(text, "{interface}: {what}");
    if report.trial_forgotten {
        let _ = writeln!(text, "  what was on trial is gone with it: nothing will come back");
    }
    for name in &report.told {
        let _ = writeln!(text, "  told to send plainly: {name}");
    }
    for address in &report.addresses {
        let _ = writeln!(text, "  removed: address {} on lo", with_length(*address));
    }
    for set in &report.sysctls {
        let _ = writeln!(text, "  set back: sysctl {}", sysctl(interface, set));
    }
    for route in &report.routes {
        let _ = writeln!(text, "  removed: route {route}");
    }
    for (route, by) in &report.moved_routes {
        let _ = writeln!(text, "  goes by {by} now: route {route}");
    }
    text
}

/// What is attached, and whether it works.
pub fn status(status: &status::Status) -> String {
    let mut text = String::new();
    if status.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for left in &status.left_behind {
        let _ = writeln!(text, "{}: {}", left.what, left.remedy);
    }
    for interface in &status.interfaces {
        let ingress = match interface.ingress {
            "tc" => String::new(),
            xdp => format!(", ingress by {xdp}"),
        };
        let _ = writeln!(
            text,
            "{}: {}, by {}{ingress}, attached {} by version {}",
            interface.interface,
            if interface.healthy { "works" } else { "DOES NOT WORK as it should" },
            interface.hook,
            interface.attached_at,
            interface.attached_by,
        );
        if interface.changed_at != interface.attached_at {
            let _ = writeln!(text, "  changed   {}", interface.changed_at);
        }
        let _ = writeln!(text, "  pins      {}", interface.pins);
        for own in &interface.local_members {
            let label = if interface.gateway { "gateway of" } else { "self     " };
            let _ = write!(
                text,
                "  {label} {}  {}",
                own.name,
                pairs(&own.private, "as", &own.underlay)
            );
            let _ = match own.public == own.underlay {
                true => writeln!(text),
                false => writeln!(text, ", public {}", own.public.join(", ")),
            };
            if !own.former_underlay.is_empty() {
                let _ = writeln!(
                    text,
                    "            also reached at {}",
                    own.former_underlay.join(", ")
                );
            }
        }
        if !interface.bypass.is_empty() {
            let _ = writeln!(text, "  bypass    {}", interface.bypass.join(", "));
        }
        for peer in &interface.peers {
            let direct = if peer.direct { "  direct" } else { "" };
            let bypass = match &peer.bypass[..] {
                [] => String::new(),
                rules => format!("  bypass {}", rules.join(", ")),
            };
            let _ = writeln!(
                text,
                "  peer      {}  {}{direct}{bypass}",
                peer.name,
                pairs(&peer.private, "at", &peer.public)
            );
            for draining in &peer.draining {
                let left = for_now(draining.seconds.unwrap_or(u32::MAX));
                let _ = writeln!(text, "            accepted from {}{left}", draining.public);
            }
            for awaited in &peer.awaited {
                let _ = writeln!(text, "            waits: {}", awaited.what);
            }
        }
        if let Some(trial) = &interface.trial {
            let _ =
                writeln!(text, "  on trial  {}", print_trial::pending(&interface.interface, trial));
        }
        if let Some(last) = &interface.rolled_back {
            let _ = writeln!(
                text,
                "  went back {} from {}, which nobody confirmed",
                last.at, last.config
            );
        }
        for finding in &interface.health {
            let _ = writeln!(
                text,
                "  {}  {}",
                if finding.ok { "ok      " } else { "WRONG   " },
                finding.what
            );
        }
    }
    text
}

/// The running peers.
pub fn peers(interfaces: &[(String, Vec<RunningPeer>)], now: u32) -> String {
    let mut text = String::new();
    if interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for (interface, peers) in interfaces {
        let _ = writeln!(text, "{interface}: {} {}", peers.len(), noun(peers.len()));
        for running in peers {
            let _ = writeln!(text, "  {}", named(&running.peer));
            for former in &running.formers {
                if let Some(left) = former.left(now) {
                    let _ = writeln!(text, "    accepted from {}{}", former.public, for_now(left));
                }
            }
            for awaited in &running.awaited {
                let _ = writeln!(text, "    waits: {awaited}");
            }
        }
    }
    text
}

/// For how long something is so.
fn for_now(seconds: u32) -> String {
    match seconds {
        u32::MAX => " as well".into(),
        seconds => format!(" as well, for {}", Drain::from_seconds(seconds)),
    }
}

/// What a change of the peers did, and how to go back.
pub fn peer(report: &peer::Report) -> String {
    let peer::Report { interface, before, after, .. } = report;
    let mut text = String::new();
    let back = match (before, after) {
        (None, Some(after)) => {
            let _ = writeln!(text, "{interface}: added {}", named(after));
            format!("rewrite peer remove {}", after.name)
        }
        (Some(before), None) => {
            let _ = writeln!(text, "{interface}: removed {}", named(before));
            let direct = if before.direct { " --direct" } else { "" };
            let bypass = match joined(&before.bypass) {
                rules if rules.is_empty() => rules,
                rules => format!(" --bypass {rules}"),
            };
            format!(
                "rewrite peer add {} --private {} --public {}{direct}{bypass}",
                before.name,
                joined(before.private()),
                joined(before.public())
            )
        }
        (Some(before), Some(after)) => {
            let _ = writeln!(text, "{interface}: was {}", named(before));
            let _ = writeln!(text, "{:width$}  is  {}", "", named(after), width = interface.len());
            let bypass = match joined(&before.bypass) {
                _ if before.bypass == after.bypass => String::new(),
                rules if rules.is_empty() => " --no-bypass".into(),
                rules => format!(" --bypass {rules}"),
            };
            format!(
                "rewrite peer set {} --public {} --direct {}{bypass}",
                before.name,
                joined(before.public()),
                before.direct
            )
        }
        (None, None) => return text,
    };
    if let (Some(before), Some(after)) = (before, after) {
        let was = before.public().filter(|public| !after.public().any(|now| now == *public));
        let was: Vec<_> = was.collect();
        for awaited in &report.awaited {
            let _ = writeln!(text, "  waits: {awaited}");
        }
        let until = match report.awaited.is_empty() {
            true => "",
            false => "until then, and ",
        };
        if !was.is_empty() && report.drain != Drain::NONE {
            let _ = writeln!(
                text,
                "  from {} as well {until}for {}, until all that is under way has arrived",
                joined(was),
                report.drain
            );
        }
    }
    routes(&mut text, &report.routes);
    let _ = writeln!(text, "  back: {back}");
    let _ = writeln!(text, "  the file is as it was: the next attach goes by the file");
    text
}

/// Which traffic goes by which network now, and how to go back.
pub fn switch(report: &switch::Report) -> String {
    let switch::Report { interface, network, before, peers, .. } = report;
    let mut text = String::new();
    for peer in peers {
        let _ = writeln!(text, "{interface}: by the network {network}: {}", named(peer));
    }
    for route in &report.routes {
        let _ = writeln!(text, "  route {route}");
    }
    if report.routes.is_empty() {
        let _ = writeln!(text, "  it was so already");
    } else if let Some(before) = before {
        let which = match &peers[..] {
            [one] => one.name.to_string(),
            _ => "--all".into(),
        };
        let _ = writeln!(text, "  back: rewrite peer set {which} --network {before}");
    }
    let _ = writeln!(
        text,
        "  after a detach or a restart of the host, the network that stands first in the file counts"
    );
    text
}

/// The counters; reasons that never occurred are left out.
pub fn stats(stats: &stats::Stats) -> String {
    let mut text = String::new();
    if stats.interfaces.is_empty() {
        text.push_str(NOTHING_ATTACHED);
    }
    for interface in &stats.interfaces {
        let _ = writeln!(
            text,
            "{:<24} {:>12} {:>16} {:>12} {:>16}",
            interface.interface, "egress pkts", "bytes", "ingress pkts", "bytes"
        );
        for peer in &interface.peers {
            let _ = writeln!(
                text,
                "  {:<22} {:>12} {:>16} {:>12} {:>16}",
                peer.name,
                peer.egress.packets,
                peer.egress.bytes,
                peer.ingress.packets,
                peer.ingress.bytes
            );
        }
        for reason in interface.not_rewritten.iter().filter(|r| r.counter.packets > 0) {
            let _ = writeln!(
                text,
                "  not rewritten: {} {} packets, {} bytes, {} ({}): {}",
                reason.direction,
                reason.counter.packets,
                reason.counter.bytes,
                reason.reason,
                reason.verdict,
                reason.description,
            );
        }
    }
    text
}

/// What was found.
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let label = match finding.level {
            Level::Good => "ok   ",
            Level::Note => "note ",
            Level::Bad => "WRONG",
        };
        let _ = writeln!(text, "{label}  {}", finding.what.replace('\n', "\n       "));
    }
    text
}

fn routes(text: &mut String, changes: &RouteChanges) {
    for route in &changes.set {
        let _ = writeln!(text, "  route {route}");
    }
    for route in &changes.remove {
        let _ = writeln!(text, "  removed: route {route}");
    }
}

const fn noun(peers: usize) -> &'static str {
    if peers == 1 { "peer" } else { "peers" }
}

pub fn named(peer: &NamedPeer) -> String {
    let addresses: Vec<_> = peer.addresses.iter().map(ToString::to_string).collect();
    let direct = if peer.direct { ", direct" } else { "" };
    let bypass = match joined(&peer.bypass) {
        rules if rules.is_empty() => rules,
        rules => format!(", bypass {rules}"),
    };
    format!("{}  {}{direct}{bypass}", peer.name, addresses.join(", "))
}

/// `10.0.0.1 as 198.51.100.2, fd00::1 as 2001:db8::2`.
fn pairs(first: &[String], word: &str, second: &[String]) -> String {
    let pairs: Vec<_> = first.iter().zip(second).map(|(a, b)| format!("{a} {word} {b}")).collect();
    pairs.join(", ")
}

/// As a list on the command line.
fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    words.join(",")
}

pub fn with_length(address: Private) -> String {
    format!("{}/{}", address.0.address(), address.0.length())
}
