//! Decides which files of the hooks' folder the daemon runs: a file that another user could have written would give
//! that user root's rights.

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Other,
}

/// The attributes of a file, of the link itself if the file is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The kind.
    pub kind: Kind,
    /// The user id of the owner.
    pub owner: u32,
    /// The permission bits, with the sticky bit.
    pub mode: u32,
}

/// The decision on one file of the hooks' folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file is a hook.
    Run,
    /// The file is no hook, such as a text or a hook that the operator has switched off.
    Leave,
    /// The file looks like a hook and does not run, with the reason and the remedy.
    Refuse(&'static str),
}

const ROOT: u32 = 0;
const EXECUTABLE: u32 = 0o111;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

const NOT_OF_ROOT: &str = "root does not own it: chown root";
const WRITABLE: &str = "users other than root may write to it: chmod go-w";
const LINK: &str = "it is a symbolic link: copy the file itself to this place";

/// The decision on the file `name` in the hooks' folder.
#[must_use]
pub fn of_file(name: &str, attributes: Attributes) -> Verdict {
    let Attributes { kind, owner, mode } = attributes;
    let is_executable = mode & EXECUTABLE != 0;
    match kind {
        Kind::Link => Verdict::Refuse(LINK),
        Kind::File if !is_executable => Verdict::Leave,
        Kind::File if !is_plain(name) => Verdict::Refuse(
            "its name has other characters than letters, digits, - and _, as the copies of editors \
             and package managers have: rename it",
        ),
        Kind::File if owner != ROOT => Verdict::Refuse(NOT_OF_ROOT),
        Kind::File if mode & WRITABLE_BY_OTHERS != 0 => Verdict::Refuse(WRITABLE),
        Kind::File => Verdict::Run,
        Kind::Folder | Kind::Other => Verdict::Leave,
    }
}

/// The reason why no file below a folder may run, with the remedy. The hooks' folder is the `last` on its path; in a
/// sticky folder above it, only root can replace a folder of root.
#[must_use]
pub const fn of_folder(attributes: Attributes, last: bool) -> Option<&'static str> {
    let Attributes { kind, owner, mode } = attributes;
    match kind {
        Kind::Folder if owner != ROOT => Some(NOT_OF_ROOT),
        Kind::Folder if mode & WRITABLE_BY_OTHERS != 0 && (last || mode & STICKY == 0) => {
            Some(WRITABLE)
        }
        Kind::Folder => None,
        Kind::Link => Some("it is a symbolic link: name the folder itself with --hooks"),
        Kind::File | Kind::Other => Some("it is no folder: name a folder with --hooks"),
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: Attributes = Attributes { kind: Kind::File, owner: 0, mode: 0o755 };
    const FOLDER: Attributes = Attributes { kind: Kind::Folder, ..HOOK };

    fn is_refused(attributes: Attributes, reason: &str) -> bool {
        matches!(of_file("mail", attributes), Verdict::Refuse(why) if why.contains(reason))
    }

    #[test]
    fn an_executable_that_only_root_can_write_runs() {
        assert_eq!(of_file("50-mail_2", HOOK), Verdict::Run);
        assert_eq!(of_file("mail", Attributes { mode: 0o100, ..HOOK }), Verdict::Run);
    }

    #[test]
    fn a_file_that_another_user_could_have_written_is_refused() {
        assert!(is_refused(Attributes { owner: 1000, ..HOOK }, "root does not own it"));
        assert!(is_refused(Attributes { mode: 0o775, ..HOOK }, "may write to it"));
        assert!(is_refused(Attributes { mode: 0o757, ..HOOK }, "may write to it"));
        assert!(is_refused(Attributes { kind: Kind::Link, ..HOOK }, "symbolic link"));
    }

    #[test]
    fn a_copy_of_an_editor_is_refused_and_a_text_is_left() {
        for name in ["mail~", ".mail.swp", "mail.rpmsave", "mail.dpkg-old"] {
            assert!(matches!(of_file(name, HOOK), Verdict::Refuse(_)), "{name}");
        }
        assert_eq!(of_file("README.md", Attributes { mode: 0o644, ..HOOK }), Verdict::Leave);
        assert_eq!(of_file("old", FOLDER), Verdict::Leave);
    }

    #[test]
    fn a_folder_that_another_user_can_write_has_no_hooks() {
        let shared = Attributes { mode: 0o777, ..FOLDER };
        let sticky = Attributes { mode: 0o1777, ..FOLDER };
        assert_eq!(of_folder(FOLDER, true), None);
        assert_eq!(of_folder(sticky, false), None);
        assert_eq!(of_folder(sticky, true), Some(WRITABLE));
        assert_eq!(of_folder(shared, false), Some(WRITABLE));
        assert_eq!(of_folder(Attributes { owner: 7, ..FOLDER }, false), Some(NOT_OF_ROOT));
        assert!(of_folder(Attributes { kind: Kind::Link, ..FOLDER }, false).is_some());
    }
}
