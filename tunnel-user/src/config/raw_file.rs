//! Defines the raw content of a file: keys and values of the right types, each with its place.

use super::lines::Place;
use crate::model::Role;

/// A value, and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// The value under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field<T> {
    /// The file has no value under the key.
    Missing,
    /// An invalid value, already reported as a [`Problem`](super::problem::Problem).
    Wrong,
    /// A value of the right type.
    Right(Located<T>),
}

/// The value under a key that takes one text or several.
pub(super) type Texts = Field<Vec<Located<String>>>;

/// A `[[member]]` whose values have the right types and are otherwise unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawMember {
    pub(super) place: Place,
    pub(super) name: Field<String>,
    pub(super) private: Texts,
    /// The value without a network. In the result of `in_network`, the value on that network.
    pub(super) public: Texts,
    /// The value without a network. In the result of `in_network`, the value on that network.
    pub(super) underlay: Texts,
    pub(super) direct: Field<bool>,
    pub(super) bypass: Texts,
    /// The `public` values by network.
    pub(super) public_in: Vec<InNetwork>,
    /// The `underlay` values by network.
    pub(super) underlay_in: Vec<InNetwork>,
}

/// A member's value under one key on the named network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InNetwork {
    pub(super) network: Located<String>,
    pub(super) texts: Texts,
}

impl RawMember {
    pub(super) fn all(place: Place, texts: Texts) -> Self {
        let is_missing = texts == Field::Missing;
        Self {
            place,
            name: if is_missing { Field::Missing } else { Field::Wrong },
            private: texts.clone(),
            public: texts.clone(),
            underlay: texts,
            direct: Field::Missing,
            bypass: Field::Missing,
            public_in: Vec::new(),
            underlay_in: Vec::new(),
        }
    }

    /// The member on the network `name`. A value without a network belongs to the first network.
    pub(super) fn in_network(&self, name: &str, is_first: bool) -> Self {
        let of = |plain: &Texts, named: &[InNetwork]| {
            let named = named.iter().find(|named| named.network.value == name);
            match named {
                Some(named) => named.texts.clone(),
                None if is_first => plain.clone(),
                None => Field::Missing,
            }
        };
        let public = of(&self.public, &self.public_in);
        let underlay = of(&self.underlay, &self.underlay_in);
        Self { public, underlay, ..self.clone() }
    }

    /// The value under the role's key.
    pub(super) fn addresses(&self, role: Role) -> &Texts {
        match role {
            Role::Private => &self.private,
            Role::Public => &self.public,
            Role::Underlay => &self.underlay,
        }
    }
}

/// A `[[network]]` whose values have the right types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawNetwork {
    pub(super) place: Place,
    pub(super) name: Field<String>,
    pub(super) interface: Texts,
}

/// The content of a file, including members of a wrong type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawFile {
    pub(super) networks: Vec<RawNetwork>,
    pub(super) members: Vec<RawMember>,
    /// The bypass rules of the whole cluster.
    pub(super) bypass: Texts,
    /// The time for which a host accepts packets from a peer's former address.
    pub(super) drain: Field<String>,
    /// The file's revision.
    pub(super) revision: Field<u32>,
}
