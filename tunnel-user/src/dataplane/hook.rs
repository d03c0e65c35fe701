//! Where the programs run: tcx (Linux 6.6, commit e420bed02507) where the kernel has it, a clsact
//! qdisc's direct-action filters where it does not.

use std::io;
use std::mem;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle};
use aya::programs::{
    Link as _, LinkOrder, ProgramError, ProgramInfo, SchedClassifier, TcAttachType, tc,
};
use aya::sys::SyscallError;
use tunnel_common::attachment::{HOOK_CLSACT, HOOK_TCX};
use tunnel_common::outcome::Direction;

use super::load::Loaded;
use super::pins::{Folder, program_name};
use crate::failure::{Context as _, Failure, is_io};
use crate::host::netlink::Netlink;
use crate::host::snapshot::LOOPBACK;

const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// Our filters' place among those of a clsact qdisc: at ingress before the others, so that they
/// see private addresses, and at egress behind them, for the same reason.
const fn filter(direction: Direction) -> NlOptions {
    let priority = match direction {
        Direction::Egress => 0xc000 - 1,
        Direction::Ingress => 1,
    };
    NlOptions { priority, handle: TcHandle::new(0, 0x7277), classid: None }
}

/// The kernel's mechanism that runs the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Links, pinned beside the maps.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl Hook {
    /// As the pinned record holds it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Tcx => HOOK_TCX,
            Self::Clsact => HOOK_CLSACT,
        }
    }

    /// From the pinned record; nothing if an attach did not get as far.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            HOOK_TCX => Some(Self::Tcx),
            HOOK_CLSACT => Some(Self::Clsact),
            _ => None,
        }
    }

    /// For people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

impl Hook {
    /// The best that this kernel has: asked, and not guessed from its version. Kernels without tcx
    /// do not know the attach type (bpf_prog_query: EINVAL).
    #[must_use]
    pub fn best() -> Self {
        match SchedClassifier::query_tcx(LOOPBACK, TcAttachType::Ingress) {
            Ok(_) => Self::Tcx,
            Err(_) => Self::Clsact,
        }
    }
}

/// Attaches both programs to an interface that has none of ours, and pins them.
///
/// # Errors
/// If the kernel refuses. What was attached until then stays, for [`detach`].
pub fn attach(loaded: &mut Loaded, folder: &Folder, hook: Hook) -> Result<(), Failure> {
    for direction in BOTH {
        let path = folder.program(direction);
        loaded.program(direction)?.pin(&path).doing(|| format!("pinning {}", path.display()))?;
    }
    match hook {
        Hook::Tcx => attach_tcx(loaded, folder)
            .doing(|| format!("attaching to {} by tcx", folder.interface())),
        Hook::Clsact => attach_clsact(loaded, folder),
    }
}

fn attach_tcx(loaded: &mut Loaded, folder: &Folder) -> Result<(), ProgramError> {
    for direction in BOTH {
        // The same places as `filter` gives.
        let order = match direction {
            Direction::Egress => LinkOrder::last(),
            Direction::Ingress => LinkOrder::first(),
        };
        let program = loaded.program(direction).map_err(|_| ProgramError::NotLoaded)?;
        let id = program.attach_with_options(
            folder.interface(),
            attach_type(direction),
            TcAttachOptions::TcxOrder(order),
        )?;
        let link: FdLink =
            program.take_link(id)?.try_into().map_err(|_| ProgramError::NotAttached)?;
        link.pin(folder.link(direction)).map_err(|error| {
            ProgramError::IOError(io::Error::other(format!("pinning the link: {error}")))
        })?;
    }
    Ok(())
}

fn attach_clsact(loaded: &mut Loaded, folder: &Folder) -> Result<(), Failure> {
    let interface = folder.interface();
    match tc::qdisc_add_clsact(interface) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) if is_io(&error, io::ErrorKind::AlreadyExists) => {}
        Err(error) => {
            return Err(Failure::kernel(format!("adding a clsact qdisc to {interface}"), error));
        }
    }
    for direction in BOTH {
        let program = loaded.program(direction)?;
        let options = TcAttachOptions::Netlink(filter(direction));
        let id = program
            .attach_with_options(interface, attach_type(direction), options)
            .doing(|| format!("adding a filter to {interface}"))?;
        let link = program.take_link(id).doing(|| format!("keeping the filter of {interface}"))?;
        // Dropped, it would take the filter away.
        mem::forget(link);
    }
    Ok(())
}

/// Puts newly loaded programs in the place of those that run, without a gap: each packet meets the
/// old program or the new one.
///
/// # Errors
/// If the kernel refuses.
pub fn replace(loaded: &mut Loaded, folder: &Folder, hook: Hook) -> Result<(), Failure> {
    for direction in BOTH {
        let what = || format!("replacing {} on {}", program_name(direction), folder.interface());
        let link = existing_link(folder, hook, direction).doing(what)?;
        let program = loaded.program(direction)?;
        let id = program.attach_to_link(link).doing(what)?;
        let link = program.take_link(id).doing(what)?;
        // A filter's link would take the filter away when dropped; a tcx link is held by its pin.
        mem::forget(link);
        // Over the old pin: killed in between, there is still one.
        let (path, new) = (folder.program(direction), folder.new_program(direction));
        if new.exists() {
            std::fs::remove_file(&new).doing(|| format!("removing {}", new.display()))?;
        }
        program.pin(&new).doing(|| format!("pinning {}", new.display()))?;
        std::fs::rename(&new, &path).doing(|| format!("moving {}", new.display()))?;
    }
    Ok(())
}

fn existing_link(
    folder: &Folder,
    hook: Hook,
    direction: Direction,
) -> Result<SchedClassifierLink, anyhow::Error> {
    match hook {
        Hook::Tcx => Ok(FdLink::from(PinnedLink::from_pin(folder.link(direction))?).try_into()?),
        Hook::Clsact => {
            let NlOptions { priority, handle, classid } = filter(direction);
            let attach_type = attach_type(direction);
            let interface = folder.interface();
            Ok(SchedClassifierLink::attached(interface, attach_type, priority, handle, classid)?)
        }
    }
}

/// Takes the programs from the interface. Not there is as good as taken: they go with it.
///
/// # Errors
/// If the kernel refuses.
pub fn detach(folder: &Folder, hook: Hook) -> Result<(), Failure> {
    for direction in BOTH {
        let what = || format!("detaching {} from {}", program_name(direction), folder.interface());
        match hook {
            Hook::Tcx => match PinnedLink::from_pin(folder.link(direction)) {
                Ok(link) => {
                    // The last reference: closing it detaches.
                    drop(link.unpin().doing(what)?);
                }
                Err(LinkError::SyscallError(SyscallError { io_error, .. }))
                    if io_error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::kernel(what(), error)),
            },
            Hook::Clsact => {
                let Ok(link) = existing_link(folder, hook, direction) else { continue };
                match link.detach() {
                    Err(error) if is_io(&error, io::ErrorKind::NotFound) => {}
                    // No clsact qdisc any more: its filters went with it.
                    Err(error) if is_io(&error, io::ErrorKind::InvalidInput) => {}
                    result => result.doing(what)?,
                }
            }
        }
    }
    Ok(())
}

/// The id of a direction's pinned program, as in `bpftool prog show id`.
///
/// # Errors
/// If its pin can't be read.
pub fn program(folder: &Folder, direction: Direction) -> Result<u32, Failure> {
    let path = folder.program(direction);
    let info = ProgramInfo::from_pin(&path).doing(|| format!("looking at {}", path.display()))?;
    Ok(info.id())
}

/// Whether packets that cross the interface of index `link` meet a direction's pinned program.
pub async fn runs(
    folder: &Folder,
    hook: Hook,
    direction: Direction,
    netlink: &Netlink,
    link: u32,
) -> bool {
    let Ok(ours) = program(folder, direction) else { return false };
    match hook {
        Hook::Tcx => SchedClassifier::query_tcx(folder.interface(), attach_type(direction))
            .is_ok_and(|(_, programs)| programs.iter().any(|other| other.id() == ours)),
        Hook::Clsact => {
            netlink.filter_programs(link, direction).await.is_ok_and(|ids| ids.contains(&ours))
        }
    }
}

const fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Egress => TcAttachType::Egress,
        Direction::Ingress => TcAttachType::Ingress,
    }
}
