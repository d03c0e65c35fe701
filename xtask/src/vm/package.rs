//! Parses the output of `apt-cache show` about Debian packages with kernels.

use crate::architecture::Architecture;

/// A Debian package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    depends: String,
}

impl Package {
    /// The numbers in the version, which order the kernels of a series.
    pub fn version_numbers(&self) -> Vec<u64> {
        let numbers = self.version.split(|character: char| !character.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    }

    /// The names of the other packages that contain parts of this kernel.
    pub fn parts(&self) -> Vec<String> {
        let Some(release) = self.name.strip_prefix(IMAGE) else { return Vec::new() };
        let wanted = ["linux-binary-", "linux-modules-"].map(|part| format!("{part}{release}"));
        let words = self.depends.split([',', '|']).filter_map(|one| one.split_whitespace().next());
        words.filter(|word| wanted.iter().any(|part| part == word)).map(str::to_owned).collect()
    }
}

const IMAGE: &str = "linux-image-";

/// A build of a kernel. The builds differ in their sets of drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// The small build, with drivers for virtual machines in a cloud.
    Cloud,
    /// The full build, which also contains drivers for real devices.
    Generic,
}

impl Flavour {
    /// The suffix of the packages' names.
    pub fn suffix(self, architecture: Architecture) -> String {
        let build = match self {
            Self::Cloud => "-cloud",
            Self::Generic => "",
        };
        format!("{build}-{}", architecture.debian())
    }

    /// True if a package contains a kernel of this flavour, of an architecture, and of a series, such as `6.1`. False
    /// for a kernel of 6.12, an unsigned or debug package, and the metapackage of the newest kernel.
    pub fn is_image(self, architecture: Architecture, name: &str, series: &str) -> bool {
        let suffix = self.suffix(architecture);
        let version = name.strip_prefix(IMAGE).and_then(|name| name.strip_suffix(&suffix));
        let rest = version.and_then(|version| version.strip_prefix(series));
        let of_another = |rest: &str| ["-cloud", "-rt"].iter().any(|end| rest.ends_with(end));
        rest.is_some_and(|rest| rest.starts_with('.') && !of_another(rest))
    }
}

/// Parses the output of `apt-cache show`.
pub fn parse(described: &str) -> Vec<Package> {
    let stanzas = described.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| {
            let mut lines = stanza.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        Some(Package {
            name: field("Package")?,
            version: field("Version")?,
            depends: field("Depends").unwrap_or_default(),
        })
    });
    stanzas.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_series_nor_a_flavour_is_taken_for_another() {
        for (name, of) in [
            ("linux-image-6.1.0-56-cloud-amd64", Some(Flavour::Cloud)),
            ("linux-image-6.1.0-0.deb11.52-cloud-amd64", Some(Flavour::Cloud)),
            ("linux-image-6.1.0-56-amd64", Some(Flavour::Generic)),
            ("linux-image-6.1.0-56-rt-amd64", None),
            ("linux-image-6.1-cloud-amd64", None),
            ("linux-image-6.1-amd64", None),
            ("linux-image-6.12.117+deb12-cloud-amd64", None),
            ("linux-image-6.12.117+deb12-amd64", None),
            ("linux-image-6.1.0-56-cloud-amd64-unsigned", None),
            ("linux-image-6.1.0-56-cloud-amd64-dbg", None),
        ] {
            for flavour in [Flavour::Cloud, Flavour::Generic] {
                let is_image = flavour.is_image(Architecture::X86_64, name, "6.1");
                assert_eq!(is_image, of == Some(flavour), "{name}");
            }
        }
    }

    #[test]
    fn a_kernel_for_arm_is_found_among_those_for_arm_alone() {
        let name = "linux-image-6.1.0-56-cloud-arm64";
        assert!(Flavour::Cloud.is_image(Architecture::Aarch64, name, "6.1"));
        assert!(!Flavour::Generic.is_image(Architecture::Aarch64, name, "6.1"));
        assert!(!Flavour::Cloud.is_image(Architecture::X86_64, name, "6.1"));
    }

    #[test]
    fn the_newest_is_found_by_numbers() {
        let described = "\
Package: linux-image-7.2.9+deb13-cloud-amd64
Version: 7.2.9-1~bpo13+1
Depends: linux-base (>= 4.3~)

Package: linux-image-7.2.12+deb13-cloud-amd64
Version: 7.2.12-1~bpo13+1
Depends: dracut | initramfs-tools (>= 0.120), linux-base-7.2.12+deb13-cloud-amd64 (= 7.2.12-1~bpo13+1), linux-binary-7.2.12+deb13-cloud-amd64 (= 7.2.12-1~bpo13+1), linux-modules-7.2.12+deb13-cloud-amd64 (= 7.2.12-1~bpo13+1)
";
        let newest = parse(described).into_iter().max_by_key(Package::version_numbers);
        let newest = newest.expect("two packages");
        assert_eq!(newest.version, "7.2.12-1~bpo13+1");
        let parts = ["linux-binary", "linux-modules"];
        assert_eq!(newest.parts(), parts.map(|part| format!("{part}-7.2.12+deb13-cloud-amd64")));
    }
}
