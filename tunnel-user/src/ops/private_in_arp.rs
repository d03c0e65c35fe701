//! Keeps this host's private addresses out of ARP on the attached interface, and restores the interface's sysctls.

use tunnel_common::attachment::Attachment;

use super::rollback::Undo;
use crate::dataplane::maps::Maps;
use crate::error::Error;
use crate::plan::arp::Sysctl;

/// A sysctl of an interface, with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// The sysctl.
    pub sysctl: Sysctl,
    /// The value that attach has set, or that detach has restored.
    pub value: u8,
}

/// Raises the sysctls in `wanted` whose effective values are too low, and restores the other sysctls. Records the
/// former values before the first change, so that a detach can restore them even if this command is killed.
pub(crate) fn set(
    interface: &str,
    wanted: &[Sysctl],
    maps: &mut Maps,
    attachment: &mut Attachment,
    steps: &mut Vec<Undo>,
) -> Result<(), Error> {
    let mut changes = Vec::new();
    for sysctl in Sysctl::ALL {
        let before = sysctl.read(interface)?;
        if wanted.contains(&sysctl) {
            if sysctl.effective(interface)? < sysctl.wanted() {
                record(attachment, sysctl, Some(before));
                changes.push((sysctl, before, sysctl.wanted()));
            }
        } else if let Some(former) = recorded(attachment, sysctl) {
            // Keep a value that differs from attach's value: the operator has set it.
            let value = if before == sysctl.wanted() { former } else { before };
            changes.push((sysctl, before, value));
        }
    }
    maps.set_attachment(attachment)?;
    for (sysctl, before, value) in changes {
        steps.push(Undo::RestoreSysctl(interface.to_owned(), sysctl, before));
        sysctl.write(interface, value)?;
        if !wanted.contains(&sysctl) {
            record(attachment, sysctl, None);
            maps.set_attachment(attachment)?;
        }
    }
    Ok(())
}

/// Restores the sysctls that attach has set and that nobody has changed since then.
pub(crate) fn restore(interface: &str, attachment: &Attachment) -> Result<Vec<Set>, Error> {
    let mut restored = Vec::new();
    for sysctl in Sysctl::ALL {
        let Some(value) = recorded(attachment, sysctl) else { continue };
        if sysctl.read(interface)? == sysctl.wanted() {
            sysctl.write(interface, value)?;
            restored.push(Set { sysctl, value });
        }
    }
    Ok(restored)
}

/// The sysctls that attach has set.
pub(crate) fn all_set(attachment: &Attachment) -> Vec<Set> {
    Sysctl::ALL
        .into_iter()
        .filter(|sysctl| recorded(attachment, *sysctl).is_some())
        .map(|sysctl| Set { sysctl, value: sysctl.wanted() })
        .collect()
}

/// The value of `sysctl` before attach set it; `None` if attach has not set it.
fn recorded(attachment: &Attachment, sysctl: Sysctl) -> Option<u8> {
    let (is_set, before) = match sysctl {
        Sysctl::Announce => (attachment.arp_announce_set, attachment.arp_announce_before),
        Sysctl::Ignore => (attachment.arp_ignore_set, attachment.arp_ignore_before),
    };
    (is_set == 1).then_some(before)
}

fn record(attachment: &mut Attachment, sysctl: Sysctl, before: Option<u8>) {
    let (is_set, value) = match sysctl {
        Sysctl::Announce => (&mut attachment.arp_announce_set, &mut attachment.arp_announce_before),
        Sysctl::Ignore => (&mut attachment.arp_ignore_set, &mut attachment.arp_ignore_before),
    };
    *is_set = u8::from(before.is_some());
    *value = before.unwrap_or(0);
}
