//! Reads the clock of the counters' times: the kernel's jiffies.

use std::io;
use std::mem::size_of_val;

use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::bpf_call::{ProgramLoad, call, load_program, number};
use crate::error::{Context as _, Error};
use crate::host::clock;
use crate::plan::activity::Clock;

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd and enum bpf_prog_type.
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// A tc program that writes `bpf_jiffies64()` to the first eight bytes of its packet. Linux,
/// include/uapi/linux/bpf.h: struct bpf_insn, and the offsets of `data` (76) and `data_end` (80) in struct __sk_buff.
const PROGRAM: [Instruction; 10] = [
    Instruction { code: 0xbf, registers: 0x16, offset: 0, immediate: 0 }, // r6 = r1
    Instruction { code: 0x85, registers: 0x00, offset: 0, immediate: 118 }, // call bpf_jiffies64
    Instruction { code: 0x61, registers: 0x62, offset: 76, immediate: 0 }, // r2 = r6->data
    Instruction { code: 0x61, registers: 0x63, offset: 80, immediate: 0 }, // r3 = r6->data_end
    Instruction { code: 0xbf, registers: 0x24, offset: 0, immediate: 0 }, // r4 = r2
    Instruction { code: 0x07, registers: 0x04, offset: 0, immediate: 8 }, // r4 += 8
    Instruction { code: 0x2d, registers: 0x34, offset: 1, immediate: 0 }, // if r4 > r3 goto +1
    Instruction { code: 0x7b, registers: 0x02, offset: 0, immediate: 0 }, // *(u64 *)r2 = r0
    Instruction { code: 0xb7, registers: 0x00, offset: 0, immediate: 0 }, // r0 = 0
    Instruction { code: 0x95, registers: 0x00, offset: 0, immediate: 0 }, // exit
];

/// `struct bpf_insn`. Both registers share one byte: the destination is in the lower half.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The fields of `union bpf_attr` for BPF_PROG_TEST_RUN, up to the duration.
#[repr(C)]
struct TestRun {
    fd: u32,
    result: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// The present time of the kernel's jiffies, and their length.
///
/// # Errors
/// If the kernel refuses the program that reads them.
pub fn clock() -> Result<Clock, Error> {
    Ok(Clock {
        now: now().context(|| "reading the kernel's jiffies".into())?,
        tick: clock::tick()?,
    })
}

fn now() -> io::Result<u64> {
    // Before Linux 5.11, programs count as locked memory, and the default limit is small (aya raises it in the same
    // way before it loads a program).
    match run() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
            run()
        }
        result => result,
    }
}

fn run() -> io::Result<u64> {
    let mut load = ProgramLoad {
        program_type: BPF_PROG_TYPE_SCHED_CLS,
        instruction_count: PROGRAM.len() as u32,
        instructions: PROGRAM.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        ..ProgramLoad::default()
    };
    // SAFETY: the instructions and the license outlive the call.
    let program = unsafe { load_program(&mut load)? };
    // The kernel takes no packet that is shorter than an Ethernet header (net/bpf/test_run.c, bpf_test_init).
    let mut packet = [0_u8; 64];
    let len = size_of_val(&packet) as u32;
    let data = packet.as_mut_ptr() as u64;
    let mut run = TestRun {
        fd: number(&program),
        result: 0,
        size_in: len,
        size_out: len,
        data_in: data,
        data_out: data,
        repeat: 1,
        duration: 0,
    };
    // SAFETY: `run` is the command's struct; `packet` has the given length and outlives the call.
    unsafe { call(BPF_PROG_TEST_RUN, &mut run)? };
    let [a, b, c, d, e, f, g, h, ..] = packet;
    Ok(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
}
