//! `rewrite downgrade`: replaces the pins and programs with the previous version's pins and programs, under traffic.
//! The previous version then continues with these pins and programs.

use tunnel_common::outcome::{Direction, Reason};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, VLAN_NONE};

use crate::dataplane::bpffs;
use crate::dataplane::in_flight;
use crate::dataplane::instance;
use crate::dataplane::lock;
use crate::dataplane::pins::Folder;
use crate::dataplane::upgrade::change::change;
use crate::dataplane::upgrade::convert::reasons_lost;
use crate::dataplane::upgrade::{Abi, Found, find};
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::interrupt::Interrupt;
use crate::ops::attached::{self, Running};
use crate::ops::{private_in_arp, upgrade};
use crate::plan::arp::Sysctl;
use crate::plan::vlan::Vlan;
use crate::trial;

/// The outcome of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The interface.
    pub interface: String,
    /// The interface's ABI version after the command.
    pub abi_version: u32,
    /// True if the interface already had that ABI version, so that nothing has changed.
    pub was_so: bool,
    /// True if the former programs left tagged frames alone, and the present programs handle them.
    pub handles_tags: bool,
    /// True if the former programs dropped non-members' packets to this host's private address, and the present
    /// programs pass these packets.
    pub unguarded: bool,
    /// The lost counts: each reason that the previous ABI lacks, with the number of packets.
    pub dropped_counts: Vec<(Reason, u64)>,
}

/// Changes an attached interface to the previous version's ABI.
///
/// # Errors
/// [`Error::Refused`] if the previous version lacks a feature that the interface uses, a change is on trial, or a
/// daemon would take the interface over again. A refusal changes nothing.
pub async fn run(interface: &str) -> Result<Report, Error> {
    privileges::require(Task::LoadPrograms)?;
    bpffs::require()?;
    let netlink = Netlink::connect()?;
    let interrupt = Interrupt::listen()?;
    let folder = Folder::of(NetworkNamespace::current()?, interface);
    let _lock = lock::interface(&folder, &interrupt).await?;
    let _previous = lock::previous_version(&interrupt).await?;
    instance::require_none(&folder)?;
    if folder.exists() {
        upgrade::finish(&folder, &netlink).await?;
        if let Found::Pins(_) = find(&folder)? {
            return Ok(Report::nothing_to_do(interface));
        }
    }
    trial::require_none(&folder)?;
    let folder = attached::choose(attached::visible()?, Some(interface))?;
    let mut running = Running::open(folder.clone())?;
    require_expressible(&running)?;
    let report = Report::of(&running)?;
    clear_arp_ignore(&mut running)?;
    drop(running);
    // Remove the marker of `in_flight` that a killed command left: the previous version does not know this marker.
    in_flight::end(&folder)?;
    change(&folder, Abi::Previous, &netlink).await?;
    Ok(report)
}

impl Report {
    fn nothing_to_do(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            abi_version: Abi::Previous.version(),
            was_so: true,
            handles_tags: false,
            unguarded: false,
            dropped_counts: Vec::new(),
        }
    }

    fn of(running: &Running) -> Result<Self, Error> {
        let settings = running.attachment.settings;
        let mut dropped_counts = Vec::new();
        let egress = running.maps.reason_counters(Direction::Egress)?;
        let ingress = running.maps.reason_counters(Direction::Ingress)?;
        for lost in reasons_lost() {
            let both = egress.iter().chain(&ingress).filter(|(reason, _)| *reason == lost);
            match both.map(|(_, count)| count.packets).sum() {
                0 => {}
                packets => dropped_counts.push((lost, packets)),
            }
        }
        Ok(Self {
            interface: running.folder.interface().to_owned(),
            abi_version: Abi::Previous.version(),
            was_so: false,
            handles_tags: settings.vlan == VLAN_NONE
                && settings.link_header_len == ETHERNET_HEADER_LEN,
            unguarded: settings.guarded_v4 != [0; 4] || settings.guarded_v6 != [0; 16],
            dropped_counts,
        })
    }
}

fn require_expressible(running: &Running) -> Result<(), Error> {
    let settings = &running.attachment.settings;
    let interface = running.folder.interface();
    match Vlan::from_codes(settings.vlan, settings.vlan_id) {
        Vlan::None | Vlan::Any => Ok(()),
        Vlan::One(id) => Err(Error::refused(
            format!(
                "{interface} is attached with --vlan {id}, and the previous version (ABI {}) \
                 can't select one VLAN",
                Abi::Previous.version()
            ),
            format!(
                "handle all VLANs first (rewrite attach {interface} --vlan any), if no other \
                 network of {interface} has the same addresses"
            ),
        )),
    }
}

/// Restores arp_ignore, because the previous version would leave it set. If the downgrade fails, the next attach sets
/// arp_ignore again.
fn clear_arp_ignore(running: &mut Running) -> Result<(), Error> {
    let Running { folder, maps, attachment, .. } = running;
    let kept: Vec<Sysctl> = private_in_arp::all_set(attachment)
        .into_iter()
        .map(|set| set.sysctl)
        .filter(|sysctl| *sysctl != Sysctl::Ignore)
        .collect();
    private_in_arp::set(folder.interface(), &kept, maps, attachment, &mut Vec::new())
}
