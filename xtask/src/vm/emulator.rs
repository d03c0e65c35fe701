//! Names the emulator of each architecture, its machine with two serial ports, and the kernel's parameters for them. The
//! kernel's messages go to the first port, and the guest's output to the second.

use std::path::Path;

use crate::architecture::Architecture;

/// qemu's command with the options that depend on the architecture.
pub const fn command(architecture: Architecture) -> [&'static str; 7] {
    // Use a single thread: with one thread per processor, a processor may continue to run old code after the other
    // processor has patched it. Both processors of a Debian 6.1 on x86 then take the same int3 forever, because the
    // kernel makes them retry an instruction that is no longer an int3 (arch/x86/kernel/kprobes/core.c,
    // kprobe_int3_handler).
    const ACCELERATOR: &str = "tcg,thread=single";
    match architecture {
        Architecture::X86_64 => {
            ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-accel", ACCELERATOR]
        }
        // The processor `max` signs pointers, which takes most of the emulation's time.
        Architecture::Aarch64 => {
            ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72", "-accel", ACCELERATOR]
        }
    }
}

/// qemu's options for the serial ports: the kernel's log is a file, and the guest's output is qemu's.
pub fn serial_ports(architecture: Architecture, kernel_log: &Path) -> Vec<String> {
    let log = format!("file:{}", kernel_log.display());
    let words: &[&str] = match architecture {
        Architecture::X86_64 => &["-serial", &log, "-serial", "stdio"],
        // The machine has one port, so the second one is a device.
        Architecture::Aarch64 => {
            &["-serial", &log, "-chardev", "stdio,id=guest", "-device", "pci-serial,chardev=guest"]
        }
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The kernel's command line. The kernel hands `guest_port`, which it does not know, to init.sh as a variable. The kernel
/// reboots after a panic, and qemu's option -no-reboot then ends the machine.
pub fn kernel_parameters(architecture: Architecture) -> String {
    let (console, guest_port) = match architecture {
        Architecture::X86_64 => ("ttyS0", "ttyS1"),
        Architecture::Aarch64 => ("ttyAMA0", "ttyS0"),
    };
    format!("console={console} guest_port={guest_port} loglevel=5 oops=panic panic=-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_writes_to_another_port_than_its_kernel() {
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let parameters = kernel_parameters(architecture);
            let value = |key: &str| {
                let mut pairs = parameters.split(' ').filter_map(|word| word.split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
            };
            assert!(value("console").is_some(), "{parameters}");
            assert!(value("guest_port").is_some(), "{parameters}");
            assert_ne!(value("console"), value("guest_port"));
        }
    }

    #[test]
    fn each_architecture_has_its_own_emulator() {
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            assert!(command(architecture)[0].ends_with(architecture.name()));
        }
    }
}
