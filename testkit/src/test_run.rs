//! BPF_PROG_TEST_RUN of any program, with what aya does not hand on: the flag that has the kernel check
//! the skb's checksum state, and the size of the first fragment.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::libc;

/// `enum bpf_cmd` (include/uapi/linux/bpf.h).
const BPF_PROG_TEST_RUN: libc::c_long = 10;
/// The skb has CHECKSUM_COMPLETE, and the kernel fails the run if its sum does not follow what the
/// program writes (Linux 6.16, net/bpf/test_run.c, commit a3cfe84cca28).
const BPF_F_TEST_SKB_CHECKSUM_COMPLETE: u32 = 1 << 2;

/// Bytes of `struct __sk_buff`, and where fields stand in it.
const SKB_LEN: usize = 192;
const SKB_DATA_END: usize = 80;
const SKB_GSO_SEGS: usize = 164;
const SKB_GSO_SIZE: usize = 176;
/// The same of `struct xdp_md`.
const XDP_LEN: usize = 24;
const XDP_DATA_END: usize = 4;

/// The anonymous struct `test` in `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// The way of a frame to a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The segments that it will become, or came from, if not 0. Of an skb only.
    pub segments: u32,
    /// The kernel keeps a sum over the packet and checks it. Of an skb only.
    pub has_sum: bool,
    /// Bytes of the frame that a program can see directly; all of them, if none.
    pub linear: Option<u32>,
}

/// The type of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It gets an skb.
    Tc,
    /// It gets an XDP buffer.
    Xdp,
}

/// The outcome of a program's run on a frame.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The program's verdict.
    pub returned: u32,
    /// The frame that came out.
    pub frame: Vec<u8>,
}

/// Runs a program once.
///
/// # Errors
/// EINVAL for a frame or a way that the kernel does not take; EBADMSG if the sum over the packet is
/// wrong in the end.
pub fn run(program: BorrowedFd<'_>, of: Type, frame: &[u8], way: Way) -> io::Result<Ran> {
    repeat(program, of, frame, way, 1).map(|(ran, _)| ran)
}

/// Runs a program again and again, each time on what it made of the frame before: what it made of it
/// last, and how long a run took, as the kernel measured it.
///
/// # Errors
/// The same as for [`run`].
pub fn repeat(
    program: BorrowedFd<'_>,
    of: Type,
    frame: &[u8],
    way: Way,
    times: u32,
) -> io::Result<(Ran, Duration)> {
    let context = context(of, frame.len() as u32, way);
    let mut after = vec![0; frame.len() + 256];
    let mut attributes = Attributes {
        prog_fd: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_size_out: after.len() as u32,
        data_in: frame.as_ptr() as u64,
        data_out: after.as_mut_ptr() as u64,
        repeat: times,
        ctx_size_in: context.len() as u32,
        ctx_in: if context.is_empty() { 0 } else { context.as_ptr() as u64 },
        flags: if way.has_sum { BPF_F_TEST_SKB_CHECKSUM_COMPLETE } else { 0 },
        ..Attributes::default()
    };
    // SAFETY: the struct is as long as said, and it points to buffers that are as long as it says
    // and outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut attributes,
            size_of::<Attributes>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    after.truncate(attributes.data_size_out as usize);
    let ran = Ran { returned: attributes.retval, frame: after };
    Ok((ran, Duration::from_nanos(attributes.duration.into())))
}

/// The context of a frame of `len` bytes; empty where the kernel's own is right, since older kernels
/// take none for XDP.
fn context(of: Type, len: u32, way: Way) -> Vec<u8> {
    let mut fields = Vec::new();
    let context_len = match of {
        Type::Tc => {
            if let Some(size) = len.checked_div(way.segments) {
                fields.extend([(SKB_GSO_SEGS, way.segments), (SKB_GSO_SIZE, size)]);
            }
            fields.extend(way.linear.map(|linear| (SKB_DATA_END, linear)));
            SKB_LEN
        }
        Type::Xdp => {
            fields.extend(way.linear.map(|linear| (XDP_DATA_END, linear)));
            XDP_LEN
        }
    };
    if fields.is_empty() {
        return Vec::new();
    }
    let mut context = vec![0; context_len];
    for (offset, value) in fields {
        context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }
    context
}
