//! A frame on a link: a payload behind the link's header.

use super::ethernet::{Ethernet, MINIMUM_LEN, Tag};
use super::infiniband;
use super::setters::setters;

/// The header of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, with or without VLAN tags.
    Ethernet(Ethernet),
    /// IP over InfiniBand.
    InfiniBand,
    /// No link header: tun, ppp, raw IP.
    None,
}

/// A frame as fields.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The link's header.
    pub link: Link,
    /// The kind of the payload.
    pub ethertype: u16,
    /// The payload.
    pub payload: Vec<u8>,
    /// Bytes after the payload that do not belong to it.
    pub trailer: Vec<u8>,
    /// After how many bytes, link header included, the frame is cut off, if it is.
    pub cut: Option<usize>,
}

impl Frame {
    /// An Ethernet frame with `payload` between two hosts, without a tag or a trailer.
    #[must_use]
    pub fn new(ethertype: u16, payload: Vec<u8>) -> Self {
        let link = Link::Ethernet(Ethernet::default());
        Self { link, ethertype, payload, trailer: Vec::new(), cut: None }
    }

    /// The same, sent to another hardware address.
    ///
    /// # Panics
    /// If it is no Ethernet frame.
    #[must_use]
    pub fn to_hardware(mut self, destination: [u8; 6]) -> Self {
        self.ethernet().destination = destination;
        self
    }

    /// The same with one more VLAN tag, inside of those that are there.
    ///
    /// # Panics
    /// If it is no Ethernet frame.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.ethernet().tags.push(tag);
        self
    }

    /// The same over another link.
    #[must_use]
    pub fn over(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    setters! {
        /// The same, with `trailer` after the payload.
        trailer: Vec<u8>;
        /// The same, cut off after `len` bytes, link header included.
        cut: usize;
    }

    /// The same, padded with zeros to the least length that Ethernet takes.
    #[must_use]
    pub fn padded(self) -> Self {
        let missing = MINIMUM_LEN.saturating_sub(self.header().len() + self.payload.len());
        self.trailer(vec![0; missing])
    }

    /// The link's header.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        match &self.link {
            Link::Ethernet(ethernet) => ethernet.to_bytes(self.ethertype),
            Link::InfiniBand => infiniband::header(self.ethertype).to_vec(),
            Link::None => Vec::new(),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.reserve(self.payload.len() + self.trailer.len());
        bytes.extend(&self.payload);
        bytes.extend(&self.trailer);
        if let Some(len) = self.cut {
            bytes.truncate(len);
        }
        bytes
    }

    fn ethernet(&mut self) -> &mut Ethernet {
        match &mut self.link {
            Link::Ethernet(ethernet) => ethernet,
            other => panic!("no Ethernet frame: {other:?}"),
        }
    }
}
