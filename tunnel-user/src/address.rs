//! The three roles that an address can have, as types: one can't stand where another belongs.

use std::fmt;
use std::net::Ipv4Addr;

macro_rules! role {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Ipv4Addr);

        impl $name {
            /// The address in network order, as the maps hold it.
            #[must_use]
            pub const fn octets(self) -> [u8; 4] {
                self.0.octets()
            }
        }

        impl From<[u8; 4]> for $name {
            fn from(octets: [u8; 4]) -> Self {
                Self(Ipv4Addr::from(octets))
            }
        }

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
    /// Where the others reach a member.
    Public
}
role! {
    /// The address that a member's own interface has: its public address, unless a 1:1 NAT stands
    /// in between.
    Underlay
}
