//! Builds frames: a link's header and a payload.

use super::ethernet::{Ethernet, MINIMUM_LEN, Tag};
use super::infiniband;
use super::setters::setters;

/// A link type, with its header's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, with or without VLAN tags.
    Ethernet(Ethernet),
    /// IP over InfiniBand.
    InfiniBand,
    /// No link header: tun, ppp, raw IP.
    None,
}

/// The fields of a frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The link's header.
    pub link: Link,
    /// The EtherType of the payload.
    pub ethertype: u16,
    /// The payload.
    pub payload: Vec<u8>,
    /// Bytes after the payload, which do not belong to it.
    pub trailer: Vec<u8>,
    /// The length at which the frame is cut off, link header included; `None` for a whole frame.
    pub cut: Option<usize>,
}

impl Frame {
    /// An Ethernet frame with `payload` between two hosts, without a tag or a trailer.
    #[must_use]
    pub fn new(ethertype: u16, payload: Vec<u8>) -> Self {
        let link = Link::Ethernet(Ethernet::default());
        Self { link, ethertype, payload, trailer: Vec::new(), cut: None }
    }

    /// Sets the destination's hardware address.
    ///
    /// # Panics
    /// If the frame is not an Ethernet frame.
    #[must_use]
    pub fn to_hardware(mut self, destination: [u8; 6]) -> Self {
        self.ethernet().destination = destination;
        self
    }

    /// Adds an innermost VLAN tag.
    ///
    /// # Panics
    /// If the frame is not an Ethernet frame.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.ethernet().tags.push(tag);
        self
    }

    /// Sets the link.
    #[must_use]
    pub fn over(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    setters! {
        /// Sets the bytes after the payload.
        trailer: Vec<u8>;
        /// Cuts the frame off after `cut` bytes, link header included.
        cut: usize;
    }

    /// Pads the frame with zeros to Ethernet's minimum length.
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

    /// The frame's bytes.
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
