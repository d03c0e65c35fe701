//! Attaches the programs of `rewrite trace` before and after the dataplane's programs, and reads their records. The
//! kernel detaches them when the [`Tracer`] is dropped, or when the process ends, even by SIGKILL.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::ptr;

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, PerCpuArray, RingBuf};
use aya_obj::Object;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tunnel_common::maps::REASON_COUNTERS;
use tunnel_common::trace::{
    EGRESS_ENTRY, EGRESS_EXIT, INGRESS_ENTRY, INGRESS_EXIT, LOST, OFFSETS, Offsets, RECORDS,
    Record, XDP_ENTRY, XDP_EXIT,
};

use super::bpf_call::{ProgramLoad, info, load_program, number, open, open_pinned};
use super::kernel_btf::KernelBtf;
use super::loader::loader;
use super::pins::Folder;
use crate::error::{Context as _, Error};
use crate::plan::attach_point::{AttachPoint, BOTH, Program};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/trace.o"));

/// `enum bpf_cmd`, `enum bpf_prog_type` and `enum bpf_attach_type` (Linux, include/uapi/linux/bpf.h).
const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;
const BPF_TRACE_FEXIT: u32 = 25;

/// The size of the verifier's log in bytes, and the number of the log's last lines that an error shows.
const LOG_LEN: usize = 1 << 20;
const LOG_LINES: usize = 12;

/// The fields of `union bpf_attr` for BPF_RAW_TRACEPOINT_OPEN.
#[repr(C)]
struct OpenTracepoint {
    name: u64,
    program: u32,
    padding: u32,
}

/// `struct bpf_func_info` (Linux, include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Function {
    offset: u32,
    type_id: u32,
}

/// The first fields of `struct bpf_prog_info`, up to the number of functions.
#[repr(C)]
#[derive(Default)]
struct ProgramFunctions {
    kind: u32,
    id: u32,
    before: [u64; 15],
    btf: u32,
    function_size: u32,
    functions: u64,
    function_count: u32,
    padding: u32,
}

/// The programs of one trace, attached.
pub struct Tracer {
    records: AsyncFd<RingBuf<MapData>>,
    lost: PerCpuArray<MapData, u64>,
    _links: Vec<OwnedFd>,
}

impl Tracer {
    /// Attaches programs before and after the programs of both directions. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Host`] if the kernel has no type information, or refuses programs of this kind; and an error if the
    /// maps or the pins can't be used.
    pub fn attach(folder: &Folder, place: AttachPoint) -> Result<Self, Error> {
        let offsets = offsets().map_err(|cause| {
            Error::host(
                format!("{cause:#}"),
                "trace needs a kernel with CONFIG_DEBUG_INFO_BTF, as those of distributions have; \
                 rewrite stats counts packets without it",
            )
        })?;
        let mut ebpf = maps(folder, offsets)?;
        let object = relocated(&ebpf).context(|| "preparing the programs of the trace".into())?;
        let mut links = Vec::new();
        for direction in BOTH {
            let program = place.program(direction);
            let pin = folder.program(program);
            let traced =
                open_pinned(&pin).context(|| format!("opening the pin {}", pin.display()))?;
            links
                .extend(trace(&object, program, &traced).map_err(|cause| refused(program, cause))?);
        }
        let (records, lost) = (opened(&mut ebpf, RECORDS)?, opened(&mut ebpf, LOST)?);
        // SAFETY: the ring buffer keeps its one descriptor open until the ring buffer is dropped, and the AsyncFd owns
        // the ring buffer until then.
        let records = unsafe { AsyncFd::register_with_interest(records, Interest::READABLE) };
        let records = records.context(|| "waiting for packets".into())?;
        Ok(Self { records, lost, _links: links })
    }

    /// Waits until there may be a record.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn ready(&self) -> Result<(), Error> {
        let ready = self.records.readable().await;
        ready.context(|| "waiting for packets".into())?.clear_ready();
        Ok(())
    }

    /// The number of packets that the ring buffer had no room for.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn lost(&self) -> Result<u64, Error> {
        let lost = self.lost.get(&0, 0).context(|| "reading the number of lost packets".into())?;
        Ok(lost.iter().sum())
    }

    /// Takes the next record, if there is one.
    pub fn take(&mut self) -> Option<Record> {
        let bytes = self.records.get_mut().next()?;
        if bytes.len() < size_of::<Record>() {
            return None;
        }
        // SAFETY: the buffer holds a whole Record, in which every bit pattern is valid; the read needs no alignment.
        Some(unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
    }
}

fn offsets() -> anyhow::Result<Offsets> {
    let [len, data_len, data] =
        KernelBtf::read()?.offsets("sk_buff", ["len", "data_len", "data"])?;
    Ok(Offsets { len, data_len, data })
}

/// Creates the maps of the trace, and opens the counters of the dataplane.
fn maps(folder: &Folder, offsets: Offsets) -> Result<Ebpf, Error> {
    let counters = folder.map(REASON_COUNTERS);
    let mut loader = loader();
    loader.override_global(OFFSETS, &offsets, true).map_pin_path(REASON_COUNTERS, &counters);
    loader.load(OBJECT).map_err(|cause| Error::kernel("creating the maps of the trace", cause))
}

fn opened<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M, Error> {
    let map = ebpf.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.into() });
    map.and_then(M::try_from).context(|| format!("opening the map {name} of the trace"))
}

/// The programs, with the maps' descriptors in their instructions. This module loads them itself: aya 0.14 attaches
/// programs of this kind only to the kernel's functions, not to other programs.
fn relocated(ebpf: &Ebpf) -> anyhow::Result<Object> {
    let mut object = Object::parse(OBJECT)?;
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    let maps: Vec<_> = object.maps.clone().into_iter().collect();
    let with_fd = maps.iter().filter_map(|(name, map)| {
        let (Map::Array(data) | Map::PerCpuArray(data) | Map::RingBuf(data)) = ebpf.map(name)?
        else {
            return None;
        };
        Some((name.as_str(), data.fd().as_fd().as_raw_fd(), map))
    });
    object.relocate_maps(with_fd, &sections)?;
    object.relocate_calls(&sections)?;
    Ok(object)
}

/// Attaches the two programs around `traced`.
fn trace(object: &Object, program: Program, traced: &OwnedFd) -> io::Result<[OwnedFd; 2]> {
    let (entry, exit) = match program {
        Program::Egress => (EGRESS_ENTRY, EGRESS_EXIT),
        Program::Ingress => (INGRESS_ENTRY, INGRESS_EXIT),
        Program::Xdp => (XDP_ENTRY, XDP_EXIT),
    };
    let function = main_function(traced)?;
    // Attach the entry program first: the exit program skips a packet that the entry program has not seen.
    let entry = attach(&load(object, entry, BPF_TRACE_FENTRY, traced, function)?)?;
    let exit = attach(&load(object, exit, BPF_TRACE_FEXIT, traced, function)?)?;
    Ok([entry, exit])
}

/// The ID of the entry point's type in the program's own type information. The first function is the entry point
/// (Linux, kernel/bpf/verifier.c, check_btf_func).
fn main_function(program: &OwnedFd) -> io::Result<u32> {
    let mut function = Function::default();
    let mut functions = ProgramFunctions {
        function_size: size_of::<Function>() as u32,
        functions: &raw mut function as u64,
        function_count: 1,
        ..ProgramFunctions::default()
    };
    // SAFETY: the struct has the first fields of struct bpf_prog_info, and `function` has room for the one record.
    unsafe { info(program, &mut functions)? };
    match function.type_id {
        0 => Err(io::Error::other("the program has no type information")),
        id => Ok(id),
    }
}

fn load(
    object: &Object,
    name: &str,
    attach_type: u32,
    traced: &OwnedFd,
    traced_function: u32,
) -> io::Result<OwnedFd> {
    let function = object
        .programs
        .get(name)
        .and_then(|program| object.functions.get(&program.function_key()))
        .ok_or_else(|| io::Error::other(format!("the object lacks the program {name}")))?;
    let mut load = ProgramLoad {
        program_type: BPF_PROG_TYPE_TRACING,
        instruction_count: function.instructions.len() as u32,
        instructions: function.instructions.as_ptr() as u64,
        license: object.license.as_ptr() as u64,
        name: kernel_name(name),
        attach_type,
        traced_function,
        traced_program: number(traced),
        ..ProgramLoad::default()
    };
    // SAFETY: the instructions and the license outlive the call.
    let refusal = match unsafe { load_program(&mut load) } {
        Ok(program) => return Ok(program),
        Err(refusal) => refusal,
    };
    // Load the program again, with a log: the verifier writes the reasons for the refusal into it.
    let mut log = vec![0; LOG_LEN];
    load.log_level = 1;
    load.log_size = LOG_LEN as u32;
    load.log = log.as_mut_ptr() as u64;
    // SAFETY: as above; the log has room for the given number of bytes.
    if let Ok(program) = unsafe { load_program(&mut load) } {
        return Ok(program);
    }
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.trim_end_matches('\0').lines().collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    Err(io::Error::new(refusal.kind(), format!("{refusal}\n{last}").trim_end().to_owned()))
}

/// The name as the kernel keeps it: 15 characters and a zero.
fn kernel_name(name: &str) -> [u8; 16] {
    let mut kept = [0; 16];
    kept.iter_mut().zip(name.bytes().take(15)).for_each(|(kept, byte)| *kept = byte);
    kept
}

fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
    let mut tracepoint = OpenTracepoint { name: 0, program: number(program), padding: 0 };
    // SAFETY: `tracepoint` is the command's struct, and has no pointer.
    unsafe { open(BPF_RAW_TRACEPOINT_OPEN, &mut tracepoint) }
}

fn refused(program: Program, cause: io::Error) -> Error {
    Error::host(
        format!("the kernel attaches no trace to the program {}: {cause}", program.name()),
        "trace needs a kernel that lets programs trace programs: its JIT is on (sysctl \
         net.core.bpf_jit_enable=1), and neither lockdown (/sys/kernel/security/lockdown) nor a security \
         module forbids it; rewrite stats counts packets without it",
    )
}
