//! The three roles of an address or prefix, as distinct types: the compiler rejects a mix-up.

use std::fmt;

use super::prefix::{Family, Prefix};

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
    /// A member's identity: what its software binds and dials.
    Private
}
role! {
    /// The address at which the others reach a member.
    Public
}
role! {
    /// The address of a member's own interface: its public address, unless a 1:1 NAT stands in between.
    Underlay
}

/// A member's addresses in one family: a range per role, all of the same length. Replacing one range by another
/// keeps the host part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mapping {
    private: Private,
    public: Public,
    underlay: Underlay,
}

impl Mapping {
    /// Combines the three ranges, if they are of one family and equally long.
    #[must_use]
    pub fn new(private: Private, public: Public, underlay: Underlay) -> Option<Self> {
        let alike = |other: Prefix| {
            other.family() == private.0.family() && other.length() == private.0.length()
        };
        (alike(public.0) && alike(underlay.0)).then_some(Self { private, public, underlay })
    }

    /// The member's identity.
    #[must_use]
    pub const fn private(&self) -> Private {
        self.private
    }

    /// The address at which the others reach it.
    #[must_use]
    pub const fn public(&self) -> Public {
        self.public
    }

    /// The address of its own interface.
    #[must_use]
    pub const fn underlay(&self) -> Underlay {
        self.underlay
    }

    /// The version of IP.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.private.0.family()
    }

    /// True if it is a single address, not a network.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.private.0.is_single()
    }
}
