//! Lists the programs of other tools on an attached interface, in the order in which packets meet them, before and after
//! ours.

use tunnel_common::outcome::Direction;

use super::attached_programs::{AttachedBy, AttachedProgram, by_xdp, is_at};
use super::in_front::{InFront, chain, named};
use super::pins::Folder;
use super::tc;
use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::plan::attach_point::{AttachPoint, BOTH, Hook, Program};

/// A program of another tool on an attached interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The direction of the packets that the program sees.
    pub direction: Direction,
    /// True if packets meet the program before ours.
    pub is_before: bool,
    /// The program's id, as in `bpftool prog show id`.
    pub id: u32,
    /// The program's name; `None` if the kernel does not reveal it, which needs CAP_SYS_ADMIN for some programs.
    pub name: Option<String>,
    /// The place of the program: `tcx`, `clsact` or `xdp`.
    pub by: &'static str,
}

/// The programs of other tools on the interface of index `link`, which is attached at `place`: in the order of the
/// packets, egress first. Empty for a direction in which our program does not run.
///
/// # Errors
/// If a query to the kernel fails.
pub async fn neighbors(
    folder: &Folder,
    place: AttachPoint,
    link: u32,
    netlink: &Netlink,
) -> Result<Vec<Neighbor>, Error> {
    let mut found = Vec::new();
    for direction in BOTH {
        let mut all = match direction {
            Direction::Ingress => by_xdp(link, netlink).await?,
            Direction::Egress => Vec::new(),
        };
        all.extend(chain(link, direction, netlink).await?);
        let (before, after) = split(all, |program| is_at(folder, place, program));
        found.extend(named(before).into_iter().map(|program| neighbor(program, true)));
        found.extend(named(after).into_iter().map(|program| neighbor(program, false)));
    }
    Ok(found)
}

/// The priority of our program's filter in a direction; `None` for a program at tcx or XDP.
#[must_use]
pub fn own_priority(place: AttachPoint, direction: Direction) -> Option<u16> {
    let is_filter = place.hook == Hook::Clsact && place.program(direction) != Program::Xdp;
    is_filter.then(|| tc::filter(direction).priority)
}

/// The programs before and after ours; both empty if our program is not among them.
fn split(
    mut all: Vec<AttachedProgram>,
    is_ours: impl Fn(&AttachedProgram) -> bool,
) -> (Vec<AttachedProgram>, Vec<AttachedProgram>) {
    let Some(ours) = all.iter().position(is_ours) else { return Default::default() };
    let after = all.split_off(ours).into_iter().skip(1).collect();
    (all, after)
}

fn neighbor(found: InFront, is_before: bool) -> Neighbor {
    let InFront { program, name } = found;
    Neighbor {
        direction: program.direction,
        is_before,
        id: program.id,
        name: name.filter(|name| !name.is_empty()),
        by: match program.by {
            AttachedBy::Tcx(_) => Hook::Tcx.name(),
            AttachedBy::Filter(..) => Hook::Clsact.name(),
            AttachedBy::Xdp => "xdp",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(programs: &[AttachedProgram]) -> Vec<u32> {
        programs.iter().map(|program| program.id).collect()
    }

    #[test]
    fn programs_stand_before_and_after_ours() {
        let by_link =
            |id| AttachedProgram { direction: Direction::Egress, id, by: AttachedBy::Tcx(id) };
        let all = || (1..=4).map(by_link).collect::<Vec<_>>();
        let (before, after) = split(all(), |program| program.id == 3);
        assert_eq!((ids(&before), ids(&after)), (vec![1, 2], vec![4]));
        let (before, after) = split(all(), |_| false);
        assert!(before.is_empty() && after.is_empty());
    }
}
