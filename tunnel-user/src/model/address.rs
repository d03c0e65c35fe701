//! Defines the three roles of an address or prefix, as an enum and as distinct types: the compiler rejects a
//! mix-up.

use std::fmt;

use super::prefix::{Family, Prefix};

/// The role of a member's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The address that the member's software binds and dials: the member's identity.
    Private,
    /// The address at which the other members reach the member.
    Public,
    /// The address of the member's own interface.
    Underlay,
}

impl Role {
    /// All roles, in the order in which a file names them.
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

macro_rules! role {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Prefix);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role! {
    /// A member's identity: the address that its software binds and dials.
    Private
}
role! {
    /// The address at which the other members reach a member.
    Public
}
role! {
    /// The address of a member's own interface. It equals the public address, unless the member is behind a 1:1 NAT.
    Underlay
}

/// A member's addresses in one family: a range per role, all of the same length. A rewrite between two ranges keeps
/// the host part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mapping {
    private: Private,
    public: Public,
    underlay: Underlay,
}

impl Mapping {
    /// Combines the three ranges. Returns `None` if they differ in family or length.
    #[must_use]
    pub fn new(private: Private, public: Public, underlay: Underlay) -> Option<Self> {
        let alike = |other: Prefix| {
            other.family() == private.0.family() && other.length() == private.0.length()
        };
        (alike(public.0) && alike(underlay.0)).then_some(Self { private, public, underlay })
    }

    /// The address that the member's software binds and dials: the member's identity.
    #[must_use]
    pub const fn private(&self) -> Private {
        self.private
    }

    /// The address at which the other members reach the member.
    #[must_use]
    pub const fn public(&self) -> Public {
        self.public
    }

    /// The address of the member's own interface.
    #[must_use]
    pub const fn underlay(&self) -> Underlay {
        self.underlay
    }

    /// The addresses' IP version.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.private.0.family()
    }

    /// True if each range is a single address, not a network.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.private.0.is_single()
    }
}
