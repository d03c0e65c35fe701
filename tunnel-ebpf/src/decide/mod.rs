//! From a parsed packet to a decision: leave it alone, say why not, or what to write.

pub mod egress;
pub mod ingress;
mod public_flow;
mod quote;

use tunnel_common::outcome::Reason;

use crate::checksum::{Addresses, difference, mended};
use crate::parse::ipv4::Ipv4;
use crate::parse::transport::checksum_to_mend;
use crate::rewrite::{NewHeader, NewQuote, Rewrite};

/// `Ok(None)` for a packet that concerns no peer.
pub type Decision = Result<Option<Rewrite>, Reason>;

#[inline(always)]
fn new_header(ip: &Ipv4, addresses: Addresses) -> NewHeader {
    let checksum = mended(ip.checksum, difference(ip.addresses, addresses));
    NewHeader { checksum, addresses }
}

#[inline(always)]
fn rewrite(
    slot: u32,
    ip: &Ipv4,
    addresses: Addresses,
    quote: Option<NewQuote>,
) -> Result<Rewrite, Reason> {
    Ok(Rewrite {
        slot,
        header: new_header(ip, addresses),
        transport: checksum_to_mend(ip)?,
        transport_offset: ip.header_len,
        difference: difference(ip.addresses, addresses),
        quote,
    })
}

#[cfg(test)]
mod tests;
