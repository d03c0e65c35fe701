//! Finds the entry of an address in a table, as the programs do: the longest matching range wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::plan::range::{Address, Range};

/// The entries of a table by address.
pub struct LongestMatch<'a, A, V> {
    table: &'a BTreeMap<Range<A>, V>,
    /// The lengths in use, the longest first. There are few, and a search takes one step for each.
    lengths: BTreeSet<Reverse<u8>>,
}

impl<'a, A: Address, V> LongestMatch<'a, A, V> {
    /// The entries of `table`.
    #[must_use]
    pub fn of(table: &'a BTreeMap<Range<A>, V>) -> Self {
        Self { table, lengths: table.keys().map(|range| Reverse(range.length)).collect() }
    }

    /// The entry whose range is the longest match for `address`.
    #[must_use]
    pub fn find(&self, address: A) -> Option<(&'a Range<A>, &'a V)> {
        self.find_if(address, |_| true)
    }

    /// [`Self::find`] among the entries that `has` accepts.
    #[must_use]
    pub fn find_if(&self, address: A, has: impl Fn(&V) -> bool) -> Option<(&'a Range<A>, &'a V)> {
        let at =
            |length: &Reverse<u8>| Range { address: address.masked(length.0), length: length.0 };
        let entries =
            self.lengths.iter().filter_map(|length| self.table.get_key_value(&at(length)));
        entries.into_iter().find(|(_, entry)| has(entry))
    }

    /// The ranges strictly within `range`, in order.
    pub fn within(&self, range: Range<A>) -> impl Iterator<Item = &'a Range<A>> + use<'a, A, V> {
        let is_within =
            move |inner: &&Range<A>| inner.address.masked(range.length) == range.address;
        // The table is sorted by first address, the wider range first.
        let behind = self.table.range(range..).map(|(inner, _)| inner);
        behind.take_while(is_within).filter(move |inner| inner.length > range.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type V4 = [u8; 4];

    fn table(ranges: &[&str]) -> BTreeMap<Range<V4>, usize> {
        let range = |text: &&str| Range::of(text.parse().unwrap()).unwrap();
        ranges.iter().enumerate().map(|(index, text)| (range(text), index)).collect()
    }

    #[test]
    fn the_longest_range_wins() {
        let table = table(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.0.2.1"]);
        let entries = LongestMatch::of(&table);
        let found = |address: V4| entries.find(address).map(|(_, index)| *index);
        assert_eq!(found([10, 1, 2, 3]), Some(2));
        assert_eq!(found([10, 1, 2, 4]), Some(1));
        assert_eq!(found([10, 9, 2, 4]), Some(0));
        assert_eq!(found([11, 9, 2, 4]), None);
        let without = entries.find_if([10, 1, 2, 3], |index| *index != 2).map(|(_, index)| *index);
        assert_eq!(without, Some(1));
    }

    #[test]
    fn the_ranges_within_a_range_leave_out_the_range_itself_and_its_neighbours() {
        let all = ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0", "10.1.2.3", "10.2.0.0/16", "9.0.0.0/8"];
        let table = table(&all);
        let entries = LongestMatch::of(&table);
        let within = |text: &str| {
            let range = Range::of(text.parse().unwrap()).unwrap();
            entries.within(range).map(|range| range.prefix().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(within("10.1.0.0/16"), ["10.1.0.0", "10.1.2.3"]);
        assert_eq!(within("10.0.0.0/8"), ["10.1.0.0/16", "10.1.0.0", "10.1.2.3", "10.2.0.0/16"]);
        assert_eq!(within("10.1.0.0"), [""; 0]);
    }
}
