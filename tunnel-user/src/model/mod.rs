//! Defines the basic types: addresses in their roles, names, bypass rules and times. Every value is valid by
//! construction. This module does no I/O.

mod address;
mod address_problem;
mod bypass;
mod bypass_problem;
mod drain;
mod name;
mod parse_address;
mod prefix;
pub mod text;
mod unicast;

pub use address::{Mapping, Private, Public, Role, Underlay};
pub use address_problem::AddressProblem;
pub use bypass::{BypassProtocol, BypassRule};
pub use bypass_problem::BypassProblem;
pub use drain::{Drain, DrainProblem};
pub use name::{MemberName, NameProblem};
pub(crate) use parse_address::parse_range;
pub use parse_address::{parse_private, parse_public, parse_underlay};
pub use prefix::{Family, Prefix};
pub use unicast::Special;
