//! Asks the driver why it refuses an XDP program. An attach by a link returns only an error number; an attach by
//! rtnetlink also returns a text (Linux 4.12, commit ddf9f970764f, an extended acknowledgement).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::programs::XdpMode;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

/// Linux, include/uapi/linux/if_link.h.
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1 << 0;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_FLAGS_REPLACE: u32 = 1 << 4;
/// Linux, include/uapi/linux/netlink.h.
const NLMSGERR_ATTR_MSG: u16 = 1;
/// The length of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
const NO_PROGRAM: i32 = -1;

/// Tries to attach the program by rtnetlink to the interface of index `link`, and returns the driver's reason for the
/// refusal; `None` if the driver gives no reason. If the driver accepts the program, removes the program again.
///
/// # Errors
/// If the kernel gives no socket or no answer.
pub fn ask(link: u32, program: BorrowedFd<'_>, mode: XdpMode) -> io::Result<Option<String>> {
    let (mode, word) = match mode {
        XdpMode::Driver => (XDP_FLAGS_DRV_MODE, "xdpdrv"),
        _ => (XDP_FLAGS_SKB_MODE, "xdpgeneric"),
    };
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_ext_ack(true)?;
    // Keep the request out of the answer, so that the attributes follow the header.
    socket.set_cap_ack(true)?;
    let program = program.as_raw_fd();
    let try_it = [LinkXdp::Fd(program), LinkXdp::Flags(mode | XDP_FLAGS_UPDATE_IF_NOEXIST)];
    match request(&socket, link, try_it.to_vec())? {
        Answer::Refused(reason) => Ok(reason),
        Answer::Accepted => {
            // Remove only this program, and no other process's program.
            let undo = [
                LinkXdp::Fd(NO_PROGRAM),
                LinkXdp::Flags(mode | XDP_FLAGS_REPLACE),
                LinkXdp::ExpectedFd(u32::try_from(program).map_err(io::Error::other)?),
            ];
            match request(&socket, link, undo.to_vec())? {
                Answer::Accepted => Ok(None),
                Answer::Refused(reason) => {
                    let reason = reason.unwrap_or_default();
                    tracing::warn!(
                        "rewrite can't remove a test XDP program from interface {link}: {reason}; \
                         remove it: ip link set dev IFACE {word} off"
                    );
                    Ok(None)
                }
            }
        }
    }
}

/// The kernel's answer to a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    /// The kernel refused the request, with this reason if it gave one.
    Refused(Option<String>),
}

fn request(socket: &Socket, link: u32, xdp: Vec<LinkXdp>) -> io::Result<Answer> {
    let mut message = LinkMessage::default();
    message.header.index = link;
    message.attributes.push(LinkAttribute::Xdp(xdp));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let payload = NetlinkPayload::from(RouteNetlinkMessage::SetLink(message));
    let mut request = NetlinkMessage::new(header, payload);
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    read(&answer)
}

fn read(answer: &[u8]) -> io::Result<Answer> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(answer)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match message.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(Answer::Accepted),
        NetlinkPayload::Error(error) => {
            Ok(Answer::Refused(error.header.get(HEADER_LEN..).and_then(text)))
        }
        other => Err(io::Error::other(format!("an unexpected answer of netlink: {other:?}"))),
    }
}

fn text(attributes: &[u8]) -> Option<String> {
    let mut attributes = NlasIterator::new(attributes).filter_map(Result::ok);
    let words = attributes.find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)?;
    let words = String::from_utf8_lossy(words.value());
    let words = words.trim_end_matches('\0').trim();
    (!words.is_empty()).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of the kernel: `struct nlmsghdr`, the error, the header of the request, and attributes.
    fn answer(error: i32, attributes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + 4 + HEADER_LEN + attributes.len());
        let mut bytes = Vec::new();
        bytes.extend(length.unwrap_or_default().to_ne_bytes());
        bytes.extend(2_u16.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(error.to_ne_bytes());
        bytes.extend([0; HEADER_LEN]);
        bytes.extend(attributes);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap_or_default();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_reason_is_found_among_attributes() {
        let offset = attribute(2, &20_u32.to_ne_bytes());
        let reason = attribute(NLMSGERR_ATTR_MSG, b"Peer MTU is too large to set XDP\0");
        let read = read(&answer(-34, &[offset, reason].concat()));
        let words = "Peer MTU is too large to set XDP".to_owned();
        assert_eq!(read.ok(), Some(Answer::Refused(Some(words))));
    }

    #[test]
    fn a_refusal_without_words_is_a_refusal() {
        assert_eq!(read(&answer(-95, &[])).ok(), Some(Answer::Refused(None)));
        let empty = attribute(NLMSGERR_ATTR_MSG, b"\0");
        assert_eq!(read(&answer(-95, &empty)).ok(), Some(Answer::Refused(None)));
    }

    #[test]
    fn no_error_is_an_acceptance() {
        assert_eq!(read(&answer(0, &[])).ok(), Some(Answer::Accepted));
    }
}
