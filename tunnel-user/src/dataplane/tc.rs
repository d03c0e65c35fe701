//! Attaches, replaces and detaches a program at tc: by tcx (Linux 6.6, commit e420bed02507), or as a direct-action
//! filter of a clsact qdisc where the kernel has no tcx.

use std::fs;
use std::io;
use std::mem;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::{Link as _, LinkOrder, ProgramError, SchedClassifier, TcAttachType, tc};
use tunnel_common::outcome::Direction;

use super::bpf_link::BpfLink;
use super::hook::unusable;
use super::pins::Folder;
use crate::error::{Context as _, Error, is_io};
use crate::plan::attach_point::Hook;

/// The place of our filters in a clsact qdisc: before all other filters at ingress and after them at egress, so that
/// the other filters see private addresses.
pub const fn filter(direction: Direction) -> NlOptions {
    let priority = match direction {
        Direction::Egress => 0xc000 - 1,
        Direction::Ingress => 1,
    };
    NlOptions { priority, handle: TcHandle::new(0, 0x7277), classid: None }
}

/// The place of our programs in the order of tcx, which corresponds to the place of [`filter`].
fn order(direction: Direction) -> LinkOrder {
    match direction {
        Direction::Egress => LinkOrder::last(),
        Direction::Ingress => LinkOrder::first(),
    }
}

/// The attach type of a direction.
pub const fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Egress => TcAttachType::Egress,
        Direction::Ingress => TcAttachType::Ingress,
    }
}

/// Attaches a program by a tcx link, and pins the link.
pub fn attach_tcx(
    program: &mut SchedClassifier,
    folder: &Folder,
    direction: Direction,
) -> Result<(), Error> {
    let mut attach = || -> Result<(), ProgramError> {
        let options = TcAttachOptions::TcxOrder(order(direction));
        let interface = folder.interface();
        let id = program.attach_with_options(interface, attach_type(direction), options)?;
        let link: FdLink =
            program.take_link(id)?.try_into().map_err(|_| ProgramError::NotAttached)?;
        link.pin(folder.link(direction)).map(drop).map_err(unusable)
    };
    attach().context(|| format!("attaching to {} by tcx", folder.interface()))
}

/// Attaches a program by a filter of the clsact qdisc. Adds the qdisc if it is missing.
pub fn attach_clsact(
    program: &mut SchedClassifier,
    folder: &Folder,
    direction: Direction,
) -> Result<(), Error> {
    let interface = folder.interface();
    match tc::qdisc_add_clsact(interface) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) if is_io(&error, io::ErrorKind::AlreadyExists) => {}
        Err(error) => {
            return Err(Error::kernel(format!("adding a clsact qdisc to {interface}"), error));
        }
    }
    let options = TcAttachOptions::Netlink(filter(direction));
    let id = program
        .attach_with_options(interface, attach_type(direction), options)
        .context(|| format!("adding a filter to {interface}"))?;
    let link = program.take_link(id).context(|| format!("keeping the filter of {interface}"))?;
    // Dropping the link would remove the filter.
    mem::forget(link);
    Ok(())
}

/// Replaces the running program with `program`.
pub fn replace(
    program: &mut SchedClassifier,
    folder: &Folder,
    hook: Hook,
    direction: Direction,
) -> Result<(), anyhow::Error> {
    match hook {
        Hook::Tcx => {
            let link = FdLink::from(PinnedLink::from_pin(folder.link(direction))?);
            let id = program.attach_to_link(link.try_into()?)?;
            // Close the descriptor: the pin keeps the link, and an open descriptor would keep the program attached
            // after the pin is gone.
            drop(program.take_link(id)?);
        }
        Hook::Clsact => {
            let link = existing_filter(folder.interface(), direction, &filter(direction))?;
            let id = program.attach_to_link(link)?;
            // Dropping the link would remove the filter. Forgetting the link leaks no descriptor, because the link
            // holds none.
            mem::forget(program.take_link(id)?);
        }
    }
    Ok(())
}

fn existing_filter(
    interface: &str,
    direction: Direction,
    options: &NlOptions,
) -> Result<SchedClassifierLink, io::Error> {
    let NlOptions { priority, handle, classid } = *options;
    let attach_type = attach_type(direction);
    SchedClassifierLink::attached(interface, attach_type, priority, handle, classid)
}

/// Detaches a pinned tcx or XDP link, even if another process holds it, and removes the pin.
pub fn detach_link(folder: &Folder, direction: Direction) -> Result<(), io::Error> {
    let path = folder.link(direction);
    match BpfLink::pinned(&path) {
        Ok(link) => {
            link.detach()?;
            fs::remove_file(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the filter with these options from a clsact qdisc, if the filter exists.
pub fn detach_filter(
    interface: &str,
    direction: Direction,
    options: &NlOptions,
) -> Result<(), anyhow::Error> {
    let Ok(link) = existing_filter(interface, direction, options) else { return Ok(()) };
    match link.detach() {
        Err(error) if is_io(&error, io::ErrorKind::NotFound) => Ok(()),
        // The clsact qdisc is gone, and its filters with it.
        Err(error) if is_io(&error, io::ErrorKind::InvalidInput) => Ok(()),
        result => Ok(result?),
    }
}
