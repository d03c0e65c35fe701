//! Finds the underlay addresses that this host had before it moved, and still has.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{Family, Private, Underlay};
use crate::plan::handover::{Moved, OwnMove};
use crate::plan::identity::Identity;

/// The previous underlay ranges of each own member, by the member's private range. The latest range comes first.
pub type PreviousUnderlays = BTreeMap<Private, Vec<Underlay>>;

/// This host's identity before a change.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The identity.
    pub identity: &'a Identity,
    /// The identity's previous underlays.
    pub previous_underlays: &'a PreviousUnderlays,
}

/// The former underlay ranges of the identity `now` that no own member uses, and that hold one of the interface's
/// addresses `held`. A network need not hold such an address, because the interface's addresses do not show if the host
/// still has the network.
#[must_use]
pub fn find(before: Before<'_>, now: &Identity, held: &[IpAddr]) -> PreviousUnderlays {
    let in_use = |range: Underlay| {
        let mut ranges = now.mappings().flat_map(|m| [m.underlay().0, m.private().0]);
        ranges.any(|used| used.overlaps(&range.0))
    };
    let is_held = |range: Underlay| {
        !range.0.is_single() || held.iter().any(|address| range.0.contains(*address))
    };
    let mut previous_underlays = PreviousUnderlays::new();
    for mapping in now.mappings() {
        let was = before.identity.mappings().find(|old| old.private() == mapping.private());
        let earlier =
            before.previous_underlays.get(&mapping.private()).into_iter().flatten().copied();
        let mut list: Vec<Underlay> = Vec::new();
        for range in was.map(|old| old.underlay()).into_iter().chain(earlier) {
            if is_held(range) && !in_use(range) && !list.contains(&range) {
                list.push(range);
            }
        }
        if !list.is_empty() {
            previous_underlays.insert(mapping.private(), list);
        }
    }
    previous_underlays
}

/// This host's move in each family, given `previous_underlays` from [`find`].
#[must_use]
pub fn own_move(
    before: &Identity,
    now: &Identity,
    previous_underlays: &PreviousUnderlays,
) -> OwnMove {
    let of = |family| {
        let mut moved = Moved::No;
        for mapping in now.mappings().filter(|m| m.family() == family) {
            if !previous_underlays.contains_key(&mapping.private()) {
                continue;
            }
            let was = before.mappings().find(|old| old.private() == mapping.private());
            match was {
                Some(old) if old.underlay() != mapping.underlay() => return Moved::Now,
                _ => moved = Moved::Before,
            }
        }
        moved
    };
    OwnMove { v4: of(Family::Ipv4), v6: of(Family::Ipv6) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::membership::Membership;

    fn own(private: &str, public: &str) -> Identity {
        let text = format!(
            "[[member]]\nname = \"own\"\nprivate = {private}\npublic = {public}\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n"
        );
        Membership::of_text(&text, &["own"]).identity
    }

    fn at(public: &str) -> Identity {
        own("\"10.0.0.1\"", &format!("\"{public}\""))
    }

    fn held(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn described(previous_underlays: &PreviousUnderlays) -> Vec<String> {
        previous_underlays
            .iter()
            .flat_map(|(private, list)| list.iter().map(move |own| format!("{private}: {own}")))
            .collect()
    }

    fn moved(
        from: &Identity,
        previous_underlays: &PreviousUnderlays,
        to: &Identity,
        has: &[&str],
    ) -> PreviousUnderlays {
        find(Before { identity: from, previous_underlays }, to, &held(has))
    }

    #[test]
    fn the_address_before_counts_as_long_as_the_interface_has_it() {
        let (here, there) = (at("198.51.100.2"), at("192.0.2.2"));
        let previous_underlays =
            moved(&here, &PreviousUnderlays::new(), &there, &["198.51.100.2", "192.0.2.2"]);
        assert_eq!(described(&previous_underlays), ["10.0.0.1: 198.51.100.2"]);
        assert_eq!(own_move(&here, &there, &previous_underlays).v4, Moved::Now);
        let again = moved(&there, &previous_underlays, &there, &["198.51.100.2", "192.0.2.2"]);
        assert_eq!(again, previous_underlays);
        assert_eq!(own_move(&there, &there, &again).v4, Moved::Before);
        let gone = moved(&there, &previous_underlays, &there, &["192.0.2.2"]);
        assert_eq!(described(&gone), Vec::<String>::new());
        assert_eq!(own_move(&there, &there, &gone), OwnMove::default());
        let cut = moved(&here, &PreviousUnderlays::new(), &there, &["192.0.2.2"]);
        assert_eq!(own_move(&here, &there, &cut).v4, Moved::No, "nothing to send from");
    }

    #[test]
    fn twice_moved_the_latest_is_first_and_back_again_it_is_none() {
        let all = ["198.51.100.2", "192.0.2.2", "192.0.2.3"];
        let (first, second, third) = (at(all[0]), at(all[1]), at(all[2]));
        let previous_underlays = moved(&first, &PreviousUnderlays::new(), &second, &all);
        let previous_underlays = moved(&second, &previous_underlays, &third, &all);
        assert_eq!(
            described(&previous_underlays),
            ["10.0.0.1: 192.0.2.2", "10.0.0.1: 198.51.100.2"]
        );
        let previous_underlays = moved(&third, &previous_underlays, &first, &all);
        assert_eq!(described(&previous_underlays), ["10.0.0.1: 192.0.2.3", "10.0.0.1: 192.0.2.2"]);
    }

    #[test]
    fn one_family_can_move_alone() {
        let private = "[\"10.0.0.1\", \"fd00::1\"]";
        let here = own(private, "[\"198.51.100.2\", \"2001:db8::1\"]");
        let there = own(private, "[\"198.51.100.2\", \"2001:db8::2\"]");
        let has = ["198.51.100.2", "2001:db8::1", "2001:db8::2"];
        let previous_underlays = moved(&here, &PreviousUnderlays::new(), &there, &has);
        assert_eq!(described(&previous_underlays), ["fd00::1: 2001:db8::1"]);
        let own_move = own_move(&here, &there, &previous_underlays);
        assert_eq!((own_move.v4, own_move.v6), (Moved::No, Moved::Now));
    }

    #[test]
    fn an_address_that_another_own_member_has_now_is_not_former() {
        let text = |a: &str, b: &str| {
            format!(
                "[[member]]\nname = \"a\"\nprivate = \"10.0.0.1\"\npublic = \"{a}\"\n\
                 [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"{b}\"\n"
            )
        };
        let own = |a, b| Membership::of_text(&text(a, b), &["a", "b"]).identity;
        let has = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        let (before, now) = (own("192.0.2.1", "192.0.2.2"), own("192.0.2.3", "192.0.2.1"));
        let previous_underlays = moved(&before, &PreviousUnderlays::new(), &now, &has);
        assert_eq!(described(&previous_underlays), ["10.0.0.2: 192.0.2.2"]);
    }
}
