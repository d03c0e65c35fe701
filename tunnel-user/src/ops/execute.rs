//! Executes the steps of a plan. The executor records the inverse of each step before it executes the step; after a
//! failure or a signal, it runs the inverses in reverse order.

use std::collections::BTreeSet;

use tunnel_common::attachment::Attachment;

use super::rollback::{Undo, undo};
use super::{membership, other_networks, private_in_arp, route_changes};
use crate::dataplane::attached_programs;
use crate::dataplane::hook;
use crate::dataplane::in_flight;
use crate::dataplane::load::{Loaded, load};
use crate::dataplane::lock::{self, Lock};
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Folder;
use crate::error::Error;
use crate::host::link::Link;
use crate::host::netlink::Netlink;
use crate::host::network_namespace::NetworkNamespace;
use crate::host::privileges::{self, Task};
use crate::host::snapshot::Snapshot;
use crate::interrupt::Interrupt;
use crate::model::Private;
use crate::plan::attach_point::{AttachPoint, Hook, LoadOptions};
use crate::plan::capacity::Capacity;
use crate::plan::change::{Kind, Step};
use crate::plan::digest::Digests;
use crate::plan::route::PeerRoute;

/// The changes that become known only during the execution.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executed {
    /// The number of peer entries that were set or removed.
    pub entries: usize,
    /// The routes that were removed.
    pub removed_routes: Vec<PeerRoute>,
    /// The routes that moved to another attached interface, each with that interface's name.
    pub moved_routes: Vec<(PeerRoute, String)>,
    /// The private addresses that were removed from the loopback interface.
    pub removed_addresses: Vec<Private>,
    /// The sysctls that were restored.
    pub restored_sysctls: Vec<private_in_arp::Set>,
}

/// Changes one interface. The caller holds the interface lock.
pub(crate) struct Executor<'a> {
    folder: Folder,
    netlink: &'a Netlink,
    interrupt: &'a Interrupt,
    /// The interface, for steps that attach to it.
    link: Option<&'a Link>,
    /// The index of the loopback interface, if there is one.
    loopback: Option<u32>,
    /// The interface's maps; `None` until the maps exist, or if the steps need no maps.
    maps: Option<Maps>,
    /// The record of the attachment.
    attachment: Attachment,
    /// The loaded programs that do not run yet, and their load options.
    loaded: Option<(LoadOptions, Loaded)>,
    undo: Vec<Undo>,
    /// The shared lock, held until the steps are done or undone.
    shared: Option<Lock>,
    executed: Executed,
}

impl<'a> Executor<'a> {
    /// An executor for an interface without maps, or for steps that need no maps.
    pub fn new(
        folder: &Folder,
        link: Option<&'a Link>,
        loopback: Option<u32>,
        attachment: Attachment,
        netlink: &'a Netlink,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self {
            folder: folder.clone(),
            netlink,
            interrupt,
            link,
            loopback,
            maps: None,
            attachment,
            loaded: None,
            undo: Vec::new(),
            shared: None,
            executed: Executed::default(),
        }
    }

    /// Adds the open maps of an attached interface.
    pub fn with_maps(self, maps: Maps) -> Self {
        Self { maps: Some(maps), ..self }
    }

    /// Takes the shared lock, which guards the state that interfaces share, and holds it until the steps are done or
    /// undone.
    ///
    /// # Errors
    /// If the lock can't be taken, or a signal comes.
    pub async fn share(&mut self) -> Result<(), Error> {
        self.shared = Some(lock::shared(NetworkNamespace::current()?, self.interrupt).await?);
        Ok(())
    }

    /// Executes `steps`.
    ///
    /// # Errors
    /// If a step fails, or a signal comes before the last reversible step. [`Self::undo`] undoes the steps that were
    /// begun.
    pub async fn execute(&mut self, steps: &[Step<'_>]) -> Result<(), Error> {
        for step in steps {
            if step.is_reversible() {
                self.interrupt.check().await?;
            }
            tracing::debug!("{}: {step}", self.folder.interface());
            self.one(step).await?;
        }
        Ok(())
    }

    /// Undoes all steps that were begun.
    pub async fn undo(mut self) {
        // Entries of new maps need no undo: the new maps are removed as a whole.
        let is_new = self.undo.iter().any(|undo| matches!(undo, Undo::RemoveFolder(_)));
        let maps = self.maps.as_mut().filter(|_| !is_new);
        undo(self.netlink, maps, self.undo).await;
    }

    /// The interface's maps; `None` until the maps exist, or if the steps need no maps.
    pub const fn maps(&self) -> Option<&Maps> {
        self.maps.as_ref()
    }

    /// The present record of the attachment.
    pub const fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Ends the change, and releases the shared lock.
    pub fn finish(self) -> Executed {
        self.executed
    }

    async fn one(&mut self, step: &Step<'_>) -> Result<(), Error> {
        let Self { folder, netlink, undo, .. } = self;
        match step {
            Step::CreatePins => {
                undo.push(Undo::RemoveFolder(folder.clone()));
                folder.create()
            }
            Step::Begin(kind) => {
                // A first attach keeps its mark until an undo has removed all pins, so that other commands never use
                // incomplete pins.
                if *kind == Kind::Update {
                    undo.push(Undo::EndChange(folder.clone()));
                }
                in_flight::begin(folder, *kind)
            }
            Step::Load(options, capacity) => {
                self.loaded = Some((*options, load(folder, capacity, options)?));
                if self.maps.is_none() {
                    self.maps = Some(Maps::open(folder)?);
                }
                Ok(())
            }
            Step::TakeOver { routes, addresses } => {
                undo.extend(routes.iter().map(|route| Undo::RemoveRoute(*route)));
                let addresses = addresses.iter().copied();
                undo.extend(addresses.filter_map(|a| Some(Undo::RemoveAddress(self.loopback?, a))));
                Ok(())
            }
            Step::AddAddresses(addresses) => {
                for (address, loopback) in addresses.iter().zip(self.loopback.iter().cycle()) {
                    undo.push(Undo::RemoveAddress(*loopback, *address));
                    netlink.add_loopback_address(*loopback, *address).await?;
                }
                Ok(())
            }
            Step::AttachPrograms(place) => self.attach_programs(*place).await,
            Step::ReplacePrograms { from, to } => self.replace_programs(from, to),
            Step::ChangeRoutes(changes) => {
                let (removed, moved) =
                    route_changes::execute(netlink, folder, changes, self.interrupt, undo).await?;
                self.executed.removed_routes.extend(removed);
                self.executed.moved_routes.extend(moved);
                Ok(())
            }
            Step::RemoveAddresses(addresses) => self.remove_addresses(addresses).await,
            Step::DetachPrograms => self.detach_programs().await,
            Step::RestoreSysctls => self.restore_sysctls().await,
            Step::RemovePins => folder.remove(),
            Step::End => in_flight::end(folder),
            Step::RecordLocal(_)
            | Step::Record(_)
            | Step::SetSysctls(_)
            | Step::RecordSettings(_)
            | Step::ChangePeers(..)
            | Step::SwitchSource(_)
            | Step::RemoveLocalRanges(_) => self.one_in_maps(step).await,
        }
    }

    /// Executes a step that changes the maps.
    async fn one_in_maps(&mut self, step: &Step<'_>) -> Result<(), Error> {
        let Self { folder, maps, attachment, undo, .. } = self;
        let maps = maps.as_mut().ok_or_else(|| not_prepared(folder))?;
        let before = *attachment;
        match step {
            Step::RecordLocal(local) => membership::record_local(maps, local, undo),
            Step::SwitchSource(local) => maps.set_local_tables(&local.tables()),
            Step::RemoveLocalRanges(local) => maps.retain_local_tables(&local.tables()),
            Step::Record(record) => {
                undo.push(Undo::RestoreAttachment(Box::new(before)));
                *attachment = **record;
                maps.set_attachment(attachment)
            }
            Step::RecordSettings(settings) => {
                undo.push(Undo::RestoreAttachment(Box::new(before)));
                attachment.settings = *settings;
                maps.set_attachment(attachment)
            }
            Step::SetSysctls(wanted) => {
                undo.push(Undo::RestoreAttachment(Box::new(before)));
                private_in_arp::set(folder.interface(), wanted, maps, attachment, undo)
            }
            Step::ChangePeers(wanted, options) => {
                let changed =
                    membership::change(maps, wanted, options, self.interrupt, undo).await?;
                self.executed.entries = self.executed.entries.saturating_add(changed);
                let digests = Digests::of(wanted);
                (attachment.digest_v4, attachment.digest_v6) = (digests.v4, digests.v6);
                if *attachment == before {
                    return Ok(());
                }
                undo.push(Undo::RestoreAttachment(Box::new(before)));
                maps.set_attachment(attachment)
            }
            _ => Ok(()),
        }
    }

    /// Attaches the programs. Writes the record first, so that a detach can undo the attach even if this command is
    /// killed.
    async fn attach_programs(&mut self, place: AttachPoint) -> Result<(), Error> {
        let Self { folder, maps, attachment, undo, link, loaded, netlink, .. } = self;
        let gone = || not_prepared(folder);
        let (maps, link) = (maps.as_mut().ok_or_else(gone)?, link.ok_or_else(gone)?);
        let (_, mut loaded) = loaded.take().ok_or_else(gone)?;
        attachment.ingress = place.ingress.code();
        if place.hook == Hook::Clsact {
            attachment.clsact_added = u8::from(!netlink.clsact_of(link).await?);
        }
        maps.set_attachment(attachment)?;
        if attachment.clsact_added == 1 {
            undo.push(Undo::RemoveClsact(link.index));
        }
        undo.push(Undo::Detach(folder.clone(), place.hook));
        hook::attach(&mut loaded, folder, link)?;
        attachment.hook = place.hook.code();
        maps.set_attachment(attachment)
    }

    fn replace_programs(&mut self, from: &LoadOptions, to: &LoadOptions) -> Result<(), Error> {
        privileges::require(Task::LoadPrograms)?;
        let mut loaded = match self.loaded.take_if(|(of, _)| of == to) {
            Some((_, loaded)) => loaded,
            None => load(&self.folder, &Capacity::least(), to)?,
        };
        self.undo.push(Undo::ReplacePrograms(self.folder.clone(), *from));
        hook::replace(&mut loaded, &self.folder)
    }

    async fn remove_addresses(&mut self, addresses: &BTreeSet<Private>) -> Result<(), Error> {
        let Some(loopback) = self.loopback else { return Ok(()) };
        for private in addresses {
            if !other_networks::hand_over(&self.folder, *private)? {
                self.netlink.remove_loopback_address(loopback, *private).await?;
                self.executed.removed_addresses.push(*private);
            }
        }
        Ok(())
    }

    /// Detaches the links and, unless the record says tcx, the clsact filters. A killed attach has recorded no hook,
    /// and may have used either hook. An XDP ingress program has a link even if the egress program is a clsact filter.
    async fn detach_programs(&mut self) -> Result<(), Error> {
        let Self { folder, netlink, attachment, .. } = self;
        let index = attachment.ifindex;
        let snapshot = Snapshot::take(netlink).await?;
        // Look up the interface by index: its name may have changed.
        let link = snapshot.link(index);
        let hook = Hook::from_code(attachment.hook);
        hook::detach_links(folder)?;
        let has_clsact =
            hook != Some(Hook::Tcx) && link.is_some() && netlink.has_clsact(index).await?;
        if let Some(link) = link.filter(|_| has_clsact) {
            hook::detach_filters(&link.name)?;
        }
        // Remove the strays before the pins: the pins show which programs are ours.
        if link.is_some_and(|link| link.name == folder.interface()) {
            attached_programs::remove_strays(folder, None, netlink).await?;
        }
        if has_clsact && attachment.clsact_added == 1 {
            netlink.remove_unused_clsact(index).await?;
        }
        Ok(())
    }

    async fn restore_sysctls(&mut self) -> Result<(), Error> {
        let snapshot = Snapshot::take(self.netlink).await?;
        if let Some(link) = snapshot.link(self.attachment.ifindex) {
            let restored = private_in_arp::restore(&link.name, &self.attachment)?;
            self.executed.restored_sysctls.extend(restored);
        }
        Ok(())
    }
}

/// The error for a step whose prerequisite is missing.
fn not_prepared(folder: &Folder) -> Error {
    let interface = folder.interface();
    Error::refused(
        format!("{interface} is not attached"),
        format!("attach it: rewrite attach {interface}"),
    )
}
