//! One program at tc: by tcx (Linux 6.6, commit e420bed02507), or as a direct-action filter of a
//! clsact qdisc where the kernel has no tcx.

use std::io;
use std::mem;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::{Link as _, LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc};
use aya::sys::SyscallError;
use tunnel_common::outcome::Direction;

use super::hook::unusable;
use super::pins::Folder;
use super::place::Hook;
use crate::failure::{Context as _, Failure, is_io};

/// Our filters' place among those of a clsact qdisc: at ingress before the others, so that they
/// see private addresses, and at egress behind them, for the same reason.
const fn filter(direction: Direction) -> NlOptions {
    let priority = match direction {
        Direction::Egress => 0xc000 - 1,
        Direction::Ingress => 1,
    };
    NlOptions { priority, handle: TcHandle::new(0, 0x7277), classid: None }
}

/// The same places as [`filter`] gives.
fn order(direction: Direction) -> LinkOrder {
    match direction {
        Direction::Egress => LinkOrder::last(),
        Direction::Ingress => LinkOrder::first(),
    }
}

/// As the kernel calls a direction.
pub const fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Egress => TcAttachType::Egress,
        Direction::Ingress => TcAttachType::Ingress,
    }
}

/// Attaches a program by a link, and pins the link.
pub fn attach_tcx(
    program: &mut SchedClassifier,
    folder: &Folder,
    direction: Direction,
) -> Result<(), Failure> {
    let mut attach = || -> Result<(), ProgramError> {
        let options = TcAttachOptions::TcxOrder(order(direction));
        let interface = folder.interface();
        let id = program.attach_with_options(interface, attach_type(direction), options)?;
        let link: FdLink =
            program.take_link(id)?.try_into().map_err(|_| ProgramError::NotAttached)?;
        link.pin(folder.link(direction)).map(drop).map_err(unusable)
    };
    attach().doing(|| format!("attaching to {} by tcx", folder.interface()))
}

/// Attaches a program by a filter of the clsact qdisc, which is added where there is none.
pub fn attach_clsact(
    program: &mut SchedClassifier,
    folder: &Folder,
    direction: Direction,
) -> Result<(), Failure> {
    let interface = folder.interface();
    match tc::qdisc_add_clsact(interface) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) if is_io(&error, io::ErrorKind::AlreadyExists) => {}
        Err(error) => {
            return Err(Failure::kernel(format!("adding a clsact qdisc to {interface}"), error));
        }
    }
    let options = TcAttachOptions::Netlink(filter(direction));
    let id = program
        .attach_with_options(interface, attach_type(direction), options)
        .doing(|| format!("adding a filter to {interface}"))?;
    let link = program.take_link(id).doing(|| format!("keeping the filter of {interface}"))?;
    // Dropped, it would take the filter away.
    mem::forget(link);
    Ok(())
}

/// Puts `program` in the place of the one that runs.
pub fn replace(
    program: &mut SchedClassifier,
    folder: &Folder,
    hook: Hook,
    direction: Direction,
) -> Result<(), anyhow::Error> {
    let link = match hook {
        Hook::Tcx => FdLink::from(PinnedLink::from_pin(folder.link(direction))?).try_into()?,
        Hook::Clsact => existing_filter(folder, direction)?,
    };
    let id = program.attach_to_link(link)?;
    // A filter's link would take the filter away when dropped; a tcx link is held by its pin.
    mem::forget(program.take_link(id)?);
    Ok(())
}

fn existing_filter(
    folder: &Folder,
    direction: Direction,
) -> Result<SchedClassifierLink, anyhow::Error> {
    let NlOptions { priority, handle, classid } = filter(direction);
    let attach_type = attach_type(direction);
    let interface = folder.interface();
    Ok(SchedClassifierLink::attached(interface, attach_type, priority, handle, classid)?)
}

/// Removes a pinned link of whatever kind, and with it what it attached.
pub fn detach_link(folder: &Folder, direction: Direction) -> Result<(), anyhow::Error> {
    match PinnedLink::from_pin(folder.link(direction)) {
        Ok(link) => {
            // The last reference: closing it detaches.
            drop(link.unpin()?);
            Ok(())
        }
        Err(LinkError::SyscallError(SyscallError { io_error, .. }))
            if io_error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes our filter, if there is one.
pub fn detach_filter(folder: &Folder, direction: Direction) -> Result<(), anyhow::Error> {
    let Ok(link) = existing_filter(folder, direction) else { return Ok(()) };
    match link.detach() {
        Err(error) if is_io(&error, io::ErrorKind::NotFound) => Ok(()),
        // No clsact qdisc any more: its filters went with it.
        Err(error) if is_io(&error, io::ErrorKind::InvalidInput) => Ok(()),
        result => Ok(result?),
    }
}
