//! Installs missing requirements, and prints each requirement with its reason. Without root, prints the commands
//! and stops if a Debian package is missing.

mod requirement;

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::architecture::Architecture;
use crate::{lock, progress};
pub use requirement::sysroot;
use requirement::{CARGO_PROGRAMS, CargoProgram, DEBIAN_PROGRAMS, Requirement, Source};

/// The version of bpf-linker that works with rustc's LLVM, and LLVM's version; see docs/decisions/0002.
const BPF_LINKER: &str = "0.13.0";
const LLVM: &str = "22";

/// The purpose of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Building the binary, which is part of every other purpose.
    Build,
    /// Running the demonstration.
    Demonstrate,
    /// Running the tests.
    Test,
    /// Running tests on other kernels.
    Vm,
    /// Running the measurements.
    Bench,
    /// Running network managers.
    Managers,
    /// Running the lints.
    Lint,
    /// Running the mutation tests.
    Mutants,
    /// Packing the packages.
    Package,
    /// Building their static binary for an architecture.
    StaticBinary(Architecture),
    /// Installing the packages for an architecture in root file systems.
    TryPackage(Architecture),
    /// Booting systems with the packages.
    Boot,
}

impl Purpose {
    /// All purposes.
    pub const ALL: &[Self] = &[
        Self::Build,
        Self::Demonstrate,
        Self::Test,
        Self::Vm,
        Self::Bench,
        Self::Managers,
        Self::Lint,
        Self::Mutants,
        Self::Package,
        Self::StaticBinary(Architecture::X86_64),
        Self::StaticBinary(Architecture::Aarch64),
        Self::TryPackage(Architecture::X86_64),
        Self::TryPackage(Architecture::Aarch64),
        Self::Boot,
    ];
}

/// The number of installation rounds. If an installed package from outside of the archive conflicts with a new package,
/// apt removes the installed package, and the second round installs the archive's version.
const ROUNDS: usize = 2;

/// Installs the missing requirements of `purposes`.
pub fn require(purposes: &[Purpose]) -> Result<()> {
    // The lock protects the places into which apt and cargo install.
    let _lock = lock::take("setup")?;
    for _ in 0..ROUNDS {
        let missing = missing(purposes)?;
        if missing.is_empty() {
            return Ok(());
        }
        install_missing(&missing)?;
    }
    match missing(purposes)?.first() {
        Some(requirement) => bail!("{} was installed, but is not found", requirement.name),
        None => Ok(()),
    }
}

fn install_missing(missing: &[Requirement]) -> Result<()> {
    println!("missing on this machine:");
    for requirement in missing {
        println!("  {:<20} {}", requirement.name, requirement.reason);
    }
    if !geteuid().is_root() && missing.iter().any(|r| matches!(r.source, Source::Debian(_))) {
        println!("\nas root:");
        for line in commands(missing) {
            println!("  {line}");
        }
        bail!("this needs root: run the commands above, or this command as root");
    }
    install(missing)
}

/// True if the toolchain contains the source of `core`.
pub fn has_rust_src() -> bool {
    requirement::rust_src().is_ok_and(|path| path.exists())
}

fn missing(purposes: &[Purpose]) -> Result<Vec<Requirement>> {
    let mut missing = Vec::new();
    if !requirement::has_core()? {
        missing.push(Requirement {
            name: "rust-src",
            reason: "core for the kernel's virtual machine is compiled from it",
            source: Source::Rustup("rust-src"),
        });
    }
    if requirement::version_of("bpf-linker").as_deref() != Some(BPF_LINKER) {
        if !requirement::has_llvm(LLVM) {
            missing.push(Requirement {
                name: "llvm-22-dev",
                reason: "bpf-linker is built with it; it must not be older than rustc's LLVM",
                source: Source::Debian("llvm-22-dev"),
            });
        }
        missing.push(Requirement {
            name: "bpf-linker",
            reason: "links the eBPF programs",
            source: Source::BpfLinker,
        });
    }
    for purpose in purposes {
        let Purpose::StaticBinary(architecture) = purpose else { continue };
        let target = architecture.static_target();
        if !requirement::has_target(target)? {
            missing.push(Requirement {
                name: target,
                reason: "the packages' binary is static, with musl in place of the host's libc",
                source: Source::RustupTarget(target),
            });
        }
    }
    if purposes.contains(&Purpose::Test) && !requirement::has_gluster_driver() {
        missing.push(Requirement {
            name: "qemu-block-extra",
            reason: "opens a disk image in the volume, for qemu",
            source: Source::Debian("qemu-block-extra"),
        });
    }
    if purposes.contains(&Purpose::Test) && !requirement::has_python_apt() {
        missing.push(Requirement {
            name: "python3-apt",
            reason: "lets Ansible install the package",
            source: Source::Debian("python3-apt"),
        });
    }
    let is_required = |of: &[Purpose]| of.iter().any(|purpose| purposes.contains(purpose));
    let installed = requirement::installed_by_cargo()?;
    for program in CARGO_PROGRAMS.iter().filter(|program| is_required(program.purposes)) {
        let is_right = installed.get(program.package).is_some_and(|it| it == program.version);
        if !is_right || !requirement::in_path(program.name) {
            missing.push(Requirement {
                name: program.name,
                reason: program.reason,
                source: Source::Cargo(program),
            });
        }
    }
    for program in DEBIAN_PROGRAMS.iter().filter(|program| is_required(program.purposes)) {
        if !requirement::in_path(program.name) {
            missing.push(Requirement {
                name: program.name,
                reason: program.reason,
                source: Source::Debian(program.package),
            });
        }
    }
    Ok(missing)
}

fn packages(missing: &[Requirement]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing
        .iter()
        .filter_map(|requirement| match requirement.source {
            Source::Debian(package) => Some(package),
            Source::Rustup(_) | Source::RustupTarget(_) | Source::BpfLinker | Source::Cargo(_) => {
                None
            }
        })
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The steps of [`install`] as shell commands.
fn commands(missing: &[Requirement]) -> Vec<String> {
    let mut lines = Vec::new();
    let packages = packages(missing);
    if !packages.is_empty() {
        lines.push("apt-get update".into());
        lines.push(format!("apt-get install --no-install-recommends {}", packages.join(" ")));
    }
    for requirement in missing {
        match requirement.source {
            Source::Rustup(component) => lines.push(format!("rustup component add {component}")),
            Source::RustupTarget(target) => lines.push(format!("rustup target add {target}")),
            Source::BpfLinker => lines.push(format!(
                "LLVM_PREFIX=/usr/lib/llvm-{LLVM} cargo {}",
                bpf_linker_arguments().join(" ")
            )),
            Source::Cargo(program) => {
                lines.push(format!("cargo {}", install_arguments(program).join(" ")));
            }
            Source::Debian(_) => {}
        }
    }
    lines
}

/// cargo's arguments for the installation of a program. The dev profile compiles faster, and these programs run for
/// only seconds.
fn install_arguments(program: &CargoProgram) -> [&'static str; 7] {
    ["install", "--locked", "--profile", "dev", program.package, "--version", program.version]
}

fn bpf_linker_arguments() -> [String; 7] {
    [
        "install".into(),
        "bpf-linker".into(),
        "--version".into(),
        BPF_LINKER.into(),
        "--no-default-features".into(),
        "--features".into(),
        format!("llvm-{LLVM}"),
    ]
}

fn install(missing: &[Requirement]) -> Result<()> {
    let packages = packages(missing);
    if !packages.is_empty() {
        progress::run("apt-get update", Command::new("apt-get").args(["update", "--quiet"]))?;
        let mut install = Command::new("apt-get");
        install
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // In runlevel 1, invoke-rc.d starts no services. The tests need no glusterd service.
            .env("RUNLEVEL", "1");
        progress::run(&format!("apt-get install {}", packages.join(" ")), &mut install)?;
        println!("installed {}", packages.join(", "));
    }
    for requirement in missing {
        match requirement.source {
            Source::Rustup(component) => {
                let mut add = Command::new("rustup");
                add.args(["component", "add", component]);
                if let Err(error) = progress::run("rustup component add", &mut add) {
                    println!(
                        "{error:#}\nrust-src is not available: installing Debian's core instead"
                    );
                    install_debian_core()?;
                }
            }
            Source::RustupTarget(target) => {
                let mut add = Command::new("rustup");
                add.args(["target", "add", target]).current_dir(crate::workspace());
                progress::run("rustup target add", &mut add)?;
            }
            Source::BpfLinker => {
                let mut cargo = crate::cargo::command();
                cargo
                    .args(bpf_linker_arguments())
                    .arg("--force")
                    .env("LLVM_PREFIX", format!("/usr/lib/llvm-{LLVM}"));
                progress::run("cargo install bpf-linker", &mut cargo)
                    .context("bpf-linker is built from source")?;
            }
            Source::Cargo(program) => {
                let mut cargo = crate::cargo::command();
                // All programs use one target folder, because they share dependencies.
                cargo
                    .args(install_arguments(program))
                    .args(["--force", "--target-dir"])
                    .arg(crate::workspace().join("target/tools"));
                progress::run(&format!("cargo install {}", program.package), &mut cargo)?;
            }
            Source::Debian(_) => continue,
        }
        println!("installed {}", requirement.name);
    }
    Ok(())
}

/// Installs the fallback of tunnel-user's build script: a compiler with a precompiled core.
fn install_debian_core() -> Result<()> {
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(["rustc-web", "libstd-rust-web-dev-bpf"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    progress::run("apt-get install rustc-web libstd-rust-web-dev-bpf", &mut install)
}
