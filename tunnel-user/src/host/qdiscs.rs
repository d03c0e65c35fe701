//! Queries and removes the clsact qdisc, and lists its filters, through rtnetlink.

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use tunnel_common::outcome::Direction;

use super::link::Link;
use super::netlink::Netlink;
use crate::error::{Context as _, Error};

/// The kind of qdisc that our filters need.
pub const CLSACT: &str = "clsact";

/// A program that a filter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProgram {
    /// The program's id.
    pub id: u32,
    /// The filter's priority, `pref` in tc(8).
    pub priority: u16,
    /// The filter's handle.
    pub handle: u32,
    /// The program's name, as the filter records it.
    pub name: String,
}

impl FilterProgram {
    fn of(message: &TcMessage) -> Option<Self> {
        let mut program = Self {
            id: 0,
            // The priority is in the upper half, and the protocol in the lower half (Linux,
            // include/uapi/linux/pkt_sched.h, TC_H_MAJ).
            priority: (message.header.info >> 16) as u16,
            handle: u32::from(message.header.handle),
            name: String::new(),
        };
        let options = message.attributes.iter().filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        });
        for option in options.flatten() {
            match option {
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => program.id = *id,
                TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => program.name.clone_from(name),
                _ => {}
            }
        }
        (program.id != 0).then_some(program)
    }
}

impl Netlink {
    /// The kind of the qdisc in clsact's place: `clsact` or `ingress`; `None` if there is no qdisc.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn ingress_qdisc(&self, link: u32) -> Result<Option<String>, Error> {
        let messages: Vec<_> = self
            .handle()
            .qdisc()
            .get()
            .execute()
            .try_collect()
            .await
            .context(|| "listing the qdiscs".into())?;
        Ok(messages
            .iter()
            .filter(|m| m.header.index == link as i32 && m.header.parent == TcHandle::CLSACT)
            .flat_map(|message| &message.attributes)
            .find_map(|a| if let TcAttribute::Kind(kind) = a { Some(kind.clone()) } else { None }))
    }

    /// True if the interface has a clsact qdisc.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn has_clsact(&self, link: u32) -> Result<bool, Error> {
        Ok(self.ingress_qdisc(link).await?.as_deref() == Some(CLSACT))
    }

    /// True if the interface already has a clsact qdisc, which an attach by filters needs.
    ///
    /// # Errors
    /// [`Error::Refused`] if a different qdisc is in clsact's place.
    pub async fn clsact_of(&self, link: &Link) -> Result<bool, Error> {
        let name = &link.name;
        match self.ingress_qdisc(link.index).await?.as_deref() {
            None => Ok(false),
            Some(CLSACT) => Ok(true),
            Some(kind) => Err(Error::refused(
                format!("{name} has a qdisc of the kind {kind} in the place of clsact"),
                format!(
                    "attach by tcx (leave --hook out; Linux 6.6), or move its filters to clsact: \
                     tc filter show dev {name} ingress"
                ),
            )),
        }
    }

    /// The programs that filters of the interface run in a direction.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn filter_programs(
        &self,
        link: u32,
        direction: Direction,
    ) -> Result<Vec<FilterProgram>, Error> {
        let messages = self.filters(link, direction).await?;
        Ok(messages.iter().filter_map(FilterProgram::of).collect())
    }

    /// Removes the interface's clsact qdisc, if the qdisc exists and has no filters.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_unused_clsact(&self, link: u32) -> Result<(), Error> {
        if !self.has_clsact(link).await? {
            return Ok(());
        }
        for direction in [Direction::Egress, Direction::Ingress] {
            if !self.filters(link, direction).await?.is_empty() {
                return Ok(());
            }
        }
        let mut request = self.handle().qdisc().del(link as i32);
        request.message_mut().header.parent = TcHandle::CLSACT;
        request.execute().await.context(|| format!("removing the clsact qdisc of interface {link}"))
    }

    /// The messages about the filters of the interface in a direction.
    pub(super) async fn filters(
        &self,
        link: u32,
        direction: Direction,
    ) -> Result<Vec<TcMessage>, Error> {
        let mut filters = self.handle().traffic_filter(link as i32);
        let request = match direction {
            Direction::Egress => filters.get().egress(),
            Direction::Ingress => filters.get().ingress(),
        };
        request
            .execute()
            .try_collect()
            .await
            .context(|| format!("listing the filters of interface {link}"))
    }
}
