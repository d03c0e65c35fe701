//! Reads a packet from a capture file, in the formats pcap and pcapng.

use std::fs::File;
use std::path::Path;

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use crate::error::{Context as _, Error};
use crate::model::text::counted;
use crate::plan::probe_packet::framed;

/// The size of the read buffer in bytes, which holds the longest packet of a capture (256 KiB by default in tcpdump).
const BUFFER: usize = 1 << 20;

/// The link types of packets that rewrite can read, and the bytes before the IP header (the registry of tcpdump.org).
/// `None`: the frame has an Ethernet header.
const LINK_TYPES: [(i32, Option<usize>); 6] =
    [(1, None), (101, Some(0)), (228, Some(0)), (229, Some(0)), (113, Some(16)), (276, Some(20))];

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The packet as an Ethernet frame.
    pub frame: Vec<u8>,
    /// The number of bytes that the capture lacks at the packet's end.
    pub missing: usize,
}

/// Reads the packet with the number `number`, from 1, of the capture at `path`.
///
/// # Errors
/// [`Error::Refused`] if the file is no capture, has no such packet, or has a link type that is not in `LINK_TYPES`.
/// Another error if the file can't be read.
pub fn packet(path: &Path, number: usize) -> Result<Captured, Error> {
    let shown = path.display();
    let file = File::open(path).context(|| format!("opening {shown}"))?;
    let mut reader = create_reader(BUFFER, file).map_err(|error| no_capture(path, &error))?;
    let (mut links, mut seen) = (Vec::new(), 0);
    loop {
        let (offset, found) = match reader.next() {
            Ok((offset, block)) => (offset, read(&block, &mut links)),
            Err(PcapError::Eof) => {
                return Err(Error::refused(
                    format!("{shown} has {}, and no packet {number}", counted(seen, "packet")),
                    "choose one with --packet NUMBER; tcpdump -# -r FILE numbers them",
                ));
            }
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| no_capture(path, &error))?;
                continue;
            }
            Err(error) => return Err(no_capture(path, &error)),
        };
        reader.consume(offset);
        if let Some(packet) = found {
            seen += 1;
            if seen == number {
                return framed_by(packet, path);
            }
        }
    }
}

/// A packet's bytes with their link type.
struct Packet {
    link: Option<Linktype>,
    bytes: Vec<u8>,
    missing: usize,
}

/// Reads the packet of a block, or notes the block's link type.
fn read(block: &PcapBlockOwned<'_>, links: &mut Vec<Linktype>) -> Option<Packet> {
    let packet = |link: Option<&Linktype>, data: &[u8], captured: u32, original: u32| {
        let captured = usize::try_from(captured).unwrap_or(usize::MAX).min(data.len());
        let original = usize::try_from(original).unwrap_or(usize::MAX);
        Some(Packet {
            link: link.copied(),
            bytes: data.get(..captured).unwrap_or_default().to_vec(),
            missing: original.saturating_sub(captured),
        })
    };
    match block {
        PcapBlockOwned::LegacyHeader(header) => *links = vec![header.network],
        PcapBlockOwned::Legacy(block) => {
            return packet(links.first(), block.data, block.caplen, block.origlen);
        }
        // A new section of pcapng numbers its interfaces from 0.
        PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => links.push(block.linktype),
        PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
            let link = usize::try_from(block.if_id).ok().and_then(|index| links.get(index));
            return packet(link, block.data, block.caplen, block.origlen);
        }
        PcapBlockOwned::NG(Block::SimplePacket(block)) => {
            return packet(links.first(), block.data, block.origlen, block.origlen);
        }
        PcapBlockOwned::NG(_) => {}
    }
    None
}

fn framed_by(packet: Packet, path: &Path) -> Result<Captured, Error> {
    let known = LINK_TYPES.iter().find(|(number, _)| packet.link == Some(Linktype(*number)));
    let frame = match known {
        Some((_, None)) => packet.bytes,
        Some((_, Some(header))) => framed(packet.bytes.get(*header..).unwrap_or_default()),
        None => {
            let link = packet.link.map_or("unknown".into(), |link| link.0.to_string());
            return Err(Error::refused(
                format!("the packet in {} has the link type {link}", path.display()),
                "capture on an Ethernet interface, on an interface without a link header, or on any \
                 (tcpdump -i any)",
            ));
        }
    };
    Ok(Captured { frame, missing: packet.missing })
}

fn no_capture<I: std::fmt::Debug>(path: &Path, error: &PcapError<I>) -> Error {
    Error::refused(
        format!("{} is no whole capture in the format pcap or pcapng: {error:?}", path.display()),
        "capture with tcpdump -w FILE, or dumpcap -w FILE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pcap capture of one packet. The capture lacks the packet's last `missing` bytes.
    fn pcap(link: u32, packet: &[u8], missing: u32) -> Vec<u8> {
        let header = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, link];
        let len = packet.len() as u32;
        let mut file: Vec<u8> = header.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
        file.extend([0, 0, len, len + missing].iter().flat_map(|word: &u32| word.to_be_bytes()));
        file.extend(packet);
        file
    }

    fn read_one(file: &[u8], number: usize) -> Result<Captured, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        std::fs::write(&path, file).unwrap();
        packet(&path, number)
    }

    #[test]
    fn a_packet_keeps_its_ethernet_header_or_gets_one() {
        assert_eq!(read_one(&pcap(1, &[7; 20], 0), 1).unwrap().frame, [7; 20]);
        let bare = [&[0x60][..], &[7; 40]].concat();
        for (link, header) in [(101, 0), (229, 0), (113, 16), (276, 20)] {
            let packet = [&vec![9; header], &bare[..]].concat();
            assert_eq!(
                read_one(&pcap(link, &packet, 0), 1).unwrap().frame,
                framed(&bare),
                "{link}"
            );
        }
        let error = read_one(&pcap(105, &[7; 20], 0), 1).unwrap_err().to_string();
        assert!(error.contains("the link type 105"), "{error}");
    }

    #[test]
    fn the_bytes_that_a_capture_lacks_are_counted() {
        assert_eq!(read_one(&pcap(1, &[7; 20], 33), 1).unwrap().missing, 33);
    }

    #[test]
    fn a_packet_that_is_not_there_is_refused() {
        let error = read_one(&pcap(1, &[7; 20], 0), 2).unwrap_err().to_string();
        assert!(error.contains("has 1 packet, and no packet 2"), "{error}");
        for file in [&b""[..], b"[[member]]\nname = \"srva\"\n", &pcap(1, &[7; 20], 0)[..50]] {
            let error = read_one(file, 1).unwrap_err().to_string();
            assert!(error.contains("is no whole capture"), "{error}");
        }
    }

    #[test]
    fn a_packet_of_pcapng_has_the_link_type_of_its_interface() {
        let block = |kind: u32, body: &[u8]| {
            let len = (body.len() as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes(), &len, body, &len].concat()
        };
        let interface = |link: u16| block(1, &[&link.to_le_bytes()[..], &[0; 6]].concat());
        let section = block(
            0x0a0d_0d0a,
            &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat(),
        );
        let words = [1_u32, 0, 0, 20, 24].map(u32::to_le_bytes);
        let packet = block(6, &[words.as_flattened(), &[0x45; 20]].concat());
        let file = [section, interface(1), interface(228), packet].concat();
        let captured = read_one(&file, 1).unwrap();
        assert_eq!(captured, Captured { frame: framed(&[0x45; 20]), missing: 4 });
    }
}
