//! Formats the output of `rewrite status` as text.

use std::fmt::Write as _;

use tunnel_user::commands::status;

use super::text::{NOTHING_ATTACHED, for_now, pairs};
use super::trial;

/// The attached interfaces and their health, as text for people.
pub fn text(status: &status::Status) -> String {
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
                    "            also reachable at {}",
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
            let _ = writeln!(text, "  on trial  {}", trial::pending(&interface.interface, trial));
        }
        if let Some(last) = &interface.rolled_back {
            let _ = writeln!(
                text,
                "  rolled back {} from {}, without a confirmation",
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
