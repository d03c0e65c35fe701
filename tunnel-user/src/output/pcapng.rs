//! Writes traced packets to a pcapng file (draft-ietf-opsawg-pcapng), which Wireshark and tshark open. The file has a
//! packet on both sides, the host's and the wire's, and a dropped packet on one. It lacks checksums and VLAN tags that
//! the network card adds.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use pcap_parser::pcapng::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapNGOption, SectionHeaderBlock,
};
use pcap_parser::{Linktype, ToVec};
use tunnel_common::outcome::{Direction, Reason, Verdict};
use tunnel_common::settings::ETHERNET_HEADER_LEN;
use tunnel_common::trace::SNAP_LEN;
use tunnel_user::commands::trace::Seen;
use tunnel_user::plan::traced_packet::Captured;

use super::trace::describe_outcome;

/// The resolution of the timestamps: 10^-9 seconds.
const NANOSECONDS: u8 = 9;
/// The interfaces of the file, in the order of their descriptions.
const HOST: u32 = 0;
const WIRE: u32 = 1;
/// The option of a packet's flags (section 4.3), and the direction in them (section 4.3.1).
const EPB_FLAGS: OptionCode = OptionCode(2);
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// The section's length is not known in advance (section 4.1).
const UNKNOWN_LEN: i64 = -1;

/// A file that is being written.
pub struct Capture {
    file: Box<dyn Write>,
    link_header_len: u8,
}

impl Capture {
    /// Begins the file, with two interfaces: `eth0 host`, and `eth0 wire`.
    pub fn begin(
        mut file: Box<dyn Write>,
        interface: &str,
        link_header_len: u8,
    ) -> io::Result<Self> {
        // The crate fills in types, lengths and magic numbers.
        write(
            &mut file,
            &mut SectionHeaderBlock {
                block_type: 0,
                block_len1: 0,
                bom: 0,
                major_version: 0,
                minor_version: 0,
                section_len: UNKNOWN_LEN,
                options: Vec::new(),
                block_len2: 0,
            },
        )?;
        let linktype = match link_header_len {
            ETHERNET_HEADER_LEN => Linktype::ETHERNET,
            _ => Linktype::RAW,
        };
        for (side, description) in [
            ("host", "packets with private addresses, as the software of this host sees them"),
            ("wire", "packets with public addresses, as the network sees them"),
        ] {
            let name = format!("{interface} {side}");
            write(
                &mut file,
                &mut InterfaceDescriptionBlock {
                    block_type: 0,
                    block_len1: 0,
                    linktype,
                    reserved: 0,
                    snaplen: SNAP_LEN as u32,
                    options: vec![
                        option(OptionCode::IfName, name.as_bytes()),
                        option(OptionCode::IfDescription, description.as_bytes()),
                        option(OptionCode::IfTsresol, &[NANOSECONDS]),
                    ],
                    block_len2: 0,
                    if_tsresol: NANOSECONDS,
                    if_tsoffset: 0,
                },
            )?;
        }
        Ok(Self { file, link_header_len })
    }

    /// Writes a packet on both sides, each with a comment; a packet that was dropped or sent back only on the side that
    /// it came from.
    pub fn packet(&mut self, seen: &Seen) -> io::Result<()> {
        let packet = &seen.packet;
        let verdict = packet.outcome.reason().map(Reason::verdict);
        let ends_here = matches!(verdict, Some(Verdict::Drop | Verdict::Redirect));
        let sides = match packet.direction {
            Direction::Egress => [(HOST, &packet.before), (WIRE, &packet.after)],
            Direction::Ingress => [(WIRE, &packet.before), (HOST, &packet.after)],
        };
        let peer = seen.peer.as_ref().map_or("no peer", |peer| peer.as_str());
        let comment = format!("{peer}: {}", describe_outcome(seen));
        let written = if ends_here { 1 } else { 2 };
        for (side, captured) in sides.into_iter().take(written) {
            self.side(side, captured, seen.at, packet.direction, &comment)?;
        }
        Ok(())
    }

    fn side(
        &mut self,
        side: u32,
        captured: &Captured,
        at: SystemTime,
        direction: Direction,
        comment: &str,
    ) -> io::Result<()> {
        let flags = match direction {
            Direction::Egress => OUTBOUND,
            Direction::Ingress => INBOUND,
        };
        let skipped = match self.link_header_len {
            ETHERNET_HEADER_LEN => 0,
            len => usize::from(len),
        };
        let data = captured.bytes.get(skipped..).unwrap_or_default();
        let time = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        write(
            &mut self.file,
            &mut EnhancedPacketBlock {
                block_type: 0,
                block_len1: 0,
                if_id: side,
                ts_high: (time >> 32) as u32,
                ts_low: time as u32,
                caplen: data.len() as u32,
                origlen: captured.len.saturating_sub(skipped as u32),
                data,
                options: vec![
                    option(OptionCode::Comment, comment.as_bytes()),
                    option(EPB_FLAGS, &flags.to_le_bytes()),
                ],
                block_len2: 0,
            },
        )
    }
}

fn option<'a>(code: OptionCode, value: &'a [u8]) -> PcapNGOption<'a> {
    PcapNGOption { code, len: value.len() as u16, value: Cow::Borrowed(value) }
}

fn write(file: &mut impl Write, block: &mut impl ToVec) -> io::Result<()> {
    file.write_all(&block.to_vec().map_err(io::Error::other)?)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use etherparse::PacketBuilder;
    use tunnel_common::trace::{Frame, NO_REASON, Record};
    use tunnel_user::plan::traced_packet::TracedPacket;

    use super::*;

    const A: [[u8; 4]; 2] = [[10, 0, 0, 1], [198, 51, 100, 2]];
    const B: [[u8; 4]; 2] = [[10, 0, 0, 2], [203, 0, 113, 2]];

    fn frame(source: [u8; 4], destination: [u8; 4], link_header_len: u8) -> Frame {
        let mut ip = Vec::new();
        PacketBuilder::ipv4(source, destination, 64)
            .tcp(40000, 24007, 1, 1000)
            .syn()
            .write(&mut ip, &[])
            .expect("a packet");
        let link: &[u8] = match link_header_len {
            14 => &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0],
            len => &[7; 24][..usize::from(len)],
        };
        let packet = [link, &ip].concat();
        let mut bytes = [0; SNAP_LEN];
        bytes[..packet.len()].copy_from_slice(&packet);
        Frame { len: packet.len() as u32, captured: packet.len() as u32, bytes }
    }

    /// The output of tshark for a file with a rewritten packet and a dropped packet.
    fn read_by_tshark(link_header_len: u8) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let to = Box::new(file.reopen().expect("the file"));
        let mut capture = Capture::begin(to, "eth0", link_header_len).expect("a header");
        let [host, wire] = [0, 1].map(|side| frame(A[side], B[side], link_header_len));
        for (direction, reason, before, after) in [
            (Direction::Egress, NO_REASON, host, wire),
            (Direction::Ingress, Reason::Spoofed as u32, wire, wire),
        ] {
            let record = Record { time: 0, direction: direction as u32, reason, before, after };
            let packet = TracedPacket::of(&record, link_header_len);
            let at = UNIX_EPOCH + std::time::Duration::from_nanos(1_700_000_000_123_456_789);
            let peer = "srvb".parse().ok();
            capture.packet(&Seen { at, peer, packet }).expect("a packet");
        }
        let fields = [
            "frame.time_epoch",
            "frame.interface_name",
            "frame.packet_flags_direction",
            "ip.src",
            "ip.dst",
            "tcp.dstport",
            "frame.comment",
        ];
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(file.path()).args(["-T", "fields", "-E", "separator=|"]);
        tshark.args(fields.iter().flat_map(|field| ["-e", field]));
        let read = tshark.output().expect("tshark: cargo xtask setup installs it");
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        String::from_utf8_lossy(&read.stdout).into_owned()
    }

    #[test]
    fn tshark_opens_a_file_and_shows_both_sides() {
        for link_header_len in [14, 0, 24] {
            let read = read_by_tshark(link_header_len);
            let lines: Vec<_> = read.lines().map(|line| line.split('|').collect()).collect();
            let [sent, on_wire, dropped]: [Vec<_>; 3] = lines.try_into().expect("three packets");
            let rewritten = "srvb: on the wire 198.51.100.2 > 203.0.113.2";
            let time = "1700000000.123456789";
            let expected =
                [time, "eth0 host", "0x00000002", "10.0.0.1", "10.0.0.2", "24007", rewritten];
            assert_eq!(sent, expected, "{link_header_len}");
            let public_a = "198.51.100.2";
            let expected =
                [time, "eth0 wire", "0x00000002", public_a, "203.0.113.2", "24007", rewritten];
            assert_eq!(on_wire, expected, "{link_header_len}");
            let why = format!("srvb: dropped, spoofed: {}", Reason::Spoofed.description());
            let expected =
                [time, "eth0 wire", "0x00000001", public_a, "203.0.113.2", "24007", &why];
            assert_eq!(dropped, expected, "{link_header_len}");
        }
    }
}
