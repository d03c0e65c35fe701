//! The role of an address of a member.

use std::fmt;

/// The role of an address of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The member's identity.
    Private,
    /// The address at which the others reach the member.
    Public,
    /// The address of the member's own interface.
    Underlay,
}

impl Role {
    /// All of them, in the order in which a file names them.
    pub const ALL: [Self; 3] = [Self::Private, Self::Public, Self::Underlay];

    /// The role's key in the file, and its word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Underlay => "underlay",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
