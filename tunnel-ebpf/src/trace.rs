//! Defines the programs of `rewrite trace`, which run before and after the dataplane's programs (fentry and fexit on a
//! BPF program: Linux 5.5, kernel/bpf/verifier.c, commit 5b92a28aae4d). The programs are loaded only during a trace,
//! and cost nothing at other times.
//!
//! The entry program copies the frame and the reason counters; the exit program compares. Between the two, the traced
//! program is the only tc or XDP program on this CPU: the kernel disables bottom halves around these programs.
//!
//! A copy holds the linear part of an skb. A packet with headers elsewhere is seen only if a reason counted it.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs {
    use core::ffi::c_void;
    use core::ptr::from_mut;

    use aya_ebpf::btf_maps::{PerCpuArray, RingBuf};
    use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
    use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_probe_read_kernel as read};
    use aya_ebpf::macros::{btf_map, fentry, fexit};
    use aya_ebpf::programs::{FEntryContext, FExitContext};
    use tunnel_common::counters::Count;
    use tunnel_common::outcome::{Direction, Reason, ReasonCounters};
    use tunnel_common::trace::{Frame, NO_REASON, Offsets, RECORDS_CAPACITY, Record, SNAP_LEN};

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The loader writes the kernel's offsets before it loads the programs.
    #[unsafe(no_mangle)]
    static OFFSETS: Offsets = Offsets { len: 0, data_len: 0, data: 0 };

    /// The records' size, rounded up to a power of two, because the kernel accepts only such a size for a ring buffer.
    const RING_LEN: usize = (RECORDS_CAPACITY * size_of::<Record>()).next_power_of_two();

    #[btf_map(name = "records")]
    static RECORDS: RingBuf<Record, RING_LEN> = RingBuf::new();

    #[btf_map(name = "lost")]
    static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();

    /// The dataplane's counters, which the traced program increments.
    #[btf_map(name = "reason_counters")]
    static REASON_COUNTERS: PerCpuArray<ReasonCounters, 2> = PerCpuArray::new();

    /// The traced packet of this CPU.
    #[repr(C)]
    struct Traced {
        /// 1 between the entry and the exit of the traced program.
        is_begun: u64,
        record: Record,
        counters: [Count; REASONS],
    }

    #[btf_map(name = "traced")]
    static TRACED: PerCpuArray<Traced, 2> = PerCpuArray::new();

    const REASONS: usize = Reason::ALL.len();

    /// The words of a frame that are compared.
    const WORDS: usize = SNAP_LEN / size_of::<u64>();

    #[fentry]
    pub fn egress_entry(ctx: FEntryContext) -> i32 {
        begin(Direction::Egress, |frame| copy_skb(ctx.arg(0), frame))
    }

    #[fexit]
    pub fn egress_exit(ctx: FExitContext) -> i32 {
        end(Direction::Egress, |frame| copy_skb(ctx.arg(0), frame))
    }

    #[fentry]
    pub fn ingress_entry(ctx: FEntryContext) -> i32 {
        begin(Direction::Ingress, |frame| copy_skb(ctx.arg(0), frame))
    }

    #[fexit]
    pub fn ingress_exit(ctx: FExitContext) -> i32 {
        end(Direction::Ingress, |frame| copy_skb(ctx.arg(0), frame))
    }

    #[fentry]
    pub fn xdp_entry(ctx: FEntryContext) -> i32 {
        begin(Direction::Ingress, |frame| copy_xdp(ctx.arg(0), frame))
    }

    #[fexit]
    pub fn xdp_exit(ctx: FExitContext) -> i32 {
        end(Direction::Ingress, |frame| copy_xdp(ctx.arg(0), frame))
    }

    #[inline(always)]
    fn begin(direction: Direction, copy: impl FnOnce(&mut Frame) -> Option<()>) -> i32 {
        let (Some(traced), Some(counters)) =
            (TRACED.get_ptr_mut(direction as u32), REASON_COUNTERS.get_ptr(direction as u32))
        else {
            return 0;
        };
        // SAFETY: both values belong to this CPU, and nothing else writes to them while this program runs.
        let (traced, counters) = unsafe { (&mut *traced, &*counters.cast::<[Count; REASONS]>()) };
        traced.is_begun = u64::from(copy(&mut traced.record.before).is_some());
        traced.counters = *counters;
        0
    }

    #[inline(always)]
    fn end(direction: Direction, copy: impl FnOnce(&mut Frame) -> Option<()>) -> i32 {
        let (Some(traced), Some(counters)) =
            (TRACED.get_ptr_mut(direction as u32), REASON_COUNTERS.get_ptr(direction as u32))
        else {
            return 0;
        };
        // SAFETY: as in `begin`.
        let (traced, counters) = unsafe { (&mut *traced, &*counters.cast::<[Count; REASONS]>()) };
        if traced.is_begun == 0 {
            return 0;
        }
        traced.is_begun = 0;
        let record = &mut traced.record;
        if copy(&mut record.after).is_none() {
            return 0;
        }
        record.reason = NO_REASON;
        for (index, (now, before)) in counters.iter().zip(&traced.counters).enumerate() {
            if now.packets != before.packets {
                record.reason = index as u32;
            }
        }
        if record.reason == NO_REASON && !differ(&record.before, &record.after) {
            return 0;
        }
        record.direction = direction as u32;
        // SAFETY: the helper has no requirements.
        record.time = unsafe { bpf_ktime_get_ns() };
        // By reference: the stack has no room for a record.
        let record: &Record = record;
        if RECORDS.output(record, 0).is_err() {
            lose();
        }
        0
    }

    #[inline(always)]
    fn lose() {
        let Some(lost) = LOST.get_ptr_mut(0) else { return };
        // SAFETY: the value belongs to this CPU, and nothing else writes to it while this program runs.
        unsafe { *lost += 1 };
    }

    /// True if the copies differ in the bytes that both hold. The traced program may move more of the headers into the
    /// linear part, which alone is no change.
    #[inline(always)]
    fn differ(before: &Frame, after: &Frame) -> bool {
        let words = |frame: &Frame| {
            let bytes: *const [u8; SNAP_LEN] = &raw const frame.bytes;
            bytes.cast::<[u64; WORDS]>()
        };
        let both = before.captured.min(after.captured) as usize;
        let (before, after) = (words(before), words(after));
        for index in 0..WORDS {
            if (index + 1) * size_of::<u64>() > both {
                return false;
            }
            // SAFETY: `index` is within the bytes, which are aligned to 8 in `Record`.
            if unsafe { (*before)[index] != (*after)[index] } {
                return true;
            }
        }
        false
    }

    /// Copies the linear part of an skb, from its link header on.
    #[inline(always)]
    fn copy_skb(skb: *const c_void, frame: &mut Frame) -> Option<()> {
        let len: u32 = field(skb, offset(&raw const OFFSETS.len))?;
        let outside: u32 = field(skb, offset(&raw const OFFSETS.data_len))?;
        let data: *const c_void = field(skb, offset(&raw const OFFSETS.data))?;
        take(data, len, len.checked_sub(outside)?, frame)
    }

    /// Copies the first buffer of an XDP frame.
    #[inline(always)]
    fn copy_xdp(xdp: *const c_void, frame: &mut Frame) -> Option<()> {
        // The first two fields of the kernel's struct xdp_buff (Linux 4.10 to 7.2, include/net/xdp.h).
        let data: *const c_void = field(xdp, 0)?;
        let data_end: *const c_void = field(xdp, 8)?;
        let len = (data_end as u64).checked_sub(data as u64)? as u32;
        take(data, len, len, frame)
    }

    #[inline(always)]
    fn take(data: *const c_void, len: u32, linear: u32, frame: &mut Frame) -> Option<()> {
        let captured = if linear > SNAP_LEN as u32 { SNAP_LEN as u32 } else { linear };
        frame.len = len;
        frame.captured = captured;
        frame.bytes = [0; SNAP_LEN];
        // SAFETY: `bytes` has room for `captured` bytes. The helper checks the source.
        let result =
            unsafe { bpf_probe_read_kernel(from_mut(&mut frame.bytes).cast(), captured, data) };
        (result == 0).then_some(())
    }

    #[inline(always)]
    fn offset(of: *const u32) -> usize {
        // SAFETY: `of` is a field of OFFSETS, which is initialised and never written. The read is volatile, since the
        // loader has replaced the value that the compiler sees.
        unsafe { of.read_volatile() as usize }
    }

    #[inline(always)]
    fn field<T>(start: *const c_void, offset: usize) -> Option<T> {
        // SAFETY: the helper checks the address.
        unsafe { read(start.byte_add(offset).cast::<T>()).ok() }
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("rewrite-trace is loaded into the kernel by `rewrite trace`; it does not run here");
    std::process::exit(2);
}
