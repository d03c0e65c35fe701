//! Names the architectures of the packages, each name in the words of the tool that reads it.

use std::env;

use anyhow::{Result, bail};
use clap::ValueEnum;

/// The architecture of a package's binary. The eBPF programs in it are the same for all: both architectures are
/// little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    #[value(name = "aarch64")]
    Aarch64,
}

impl Architecture {
    /// The architecture of the host that runs this program.
    ///
    /// # Errors
    /// When no packages exist for this host's architecture.
    pub fn of_host() -> Result<Self> {
        match env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => bail!("this host is {other}, and packages exist for x86_64 and aarch64"),
        }
    }

    /// The kernel's name, as in `uname -m`. rpm and the names of the packages' files use it too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Debian's name, which is also Go's and so the name in an OCI image.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// rustc's target of the static binary. musl comes with the target, so that no C compiler for musl is necessary.
    pub const fn static_target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// rustc's flags that choose the linker, if the compiler of the host does not link for this architecture.
    pub const fn linker_flags(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &[],
            // The toolchain contains this linker. gcc asks its linker for a build id, and lld makes one only on demand.
            Self::Aarch64 => &["-Clinker=rust-lld", "-Clink-arg=--build-id"],
        }
    }

    /// The objcopy for binaries of this architecture, on a host of any architecture.
    pub const fn objcopy(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu-objcopy",
            Self::Aarch64 => "aarch64-linux-gnu-objcopy",
        }
    }

    /// The number in the header of an ELF file: `EM_X86_64` and `EM_AARCH64` (Linux, include/uapi/linux/elf-em.h).
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_takes_the_name_that_is_in_the_packages_file_names() {
        for architecture in Architecture::value_variants() {
            let parsed = Architecture::from_str(architecture.name(), false);
            assert_eq!(parsed.as_ref(), Ok(architecture));
        }
    }

    #[test]
    fn an_arm_package_has_each_tools_name_for_arm() {
        let arm = Architecture::Aarch64;
        assert_eq!((arm.name(), arm.debian()), ("aarch64", "arm64"));
        assert!(arm.static_target().starts_with("aarch64-"));
        assert!(arm.objcopy().starts_with("aarch64-"));
    }

    #[test]
    fn this_program_has_the_machine_of_its_host_in_its_header() {
        let program = env::current_exe().expect("a path");
        let bytes = std::fs::read(program).expect("a readable program");
        let machine = u16::from_le_bytes([bytes[18], bytes[19]]);
        assert_eq!(machine, Architecture::of_host().expect("a known host").elf_machine());
    }
}
