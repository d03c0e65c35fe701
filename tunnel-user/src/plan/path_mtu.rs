//! Searches for the largest packet that arrives at a peer and comes back, with packets that no router may fragment.

/// The smallest size to try, in bytes: every IPv4 host accepts it (RFC 791), and most paths carry more.
const SIZE_MIN: u16 = 576;
/// The search ends when the largest size that arrives is known to this many bytes.
const STEP: u16 = 4;
/// The number of unanswered packets of one size after which the size counts as lost.
const TRIES: u8 = 3;

/// The search for the path MTU to one peer. All sizes are in bytes, IP header included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMtu {
    /// The largest size that came back.
    arrived: u16,
    /// The smallest size that is known not to arrive. At the start: the first size to try plus 1, at most 65536.
    lost: u32,
    /// `lost` at the start.
    above: u32,
    /// The size to try now.
    size: u16,
    tries: u8,
    /// True if a packet got lost and no router reported its size.
    is_silent: bool,
    /// The size of the largest fragment of the answer to a packet of the size `arrived`, if the answer came in
    /// fragments.
    fragment: Option<u16>,
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The largest packet that arrives at the peer.
    pub out: u16,
    /// The largest fragment in which the peer's answer comes back.
    pub back: u16,
    /// True if larger packets vanish: no router reports their size.
    pub is_hole: bool,
}

impl PathMtu {
    /// Starts with the interface's MTU, after a packet of the size `arrived` has come back.
    #[must_use]
    pub fn new(arrived: u16, interface: u16) -> Self {
        let size = interface.max(arrived);
        let above = u32::from(size) + 1;
        Self { arrived, lost: above, above, size, tries: 0, is_silent: false, fragment: None }
    }

    /// The size to try next; `None` if the search is over.
    #[must_use]
    pub const fn next(&self) -> Option<u16> {
        if self.arrived >= self.size { None } else { Some(self.size) }
    }

    /// A packet of the size `size` came back; `fragment` is the size of the largest fragment of the answer, if the
    /// answer came in fragments. A late answer shows that its size is not lost.
    pub fn came_back(&mut self, size: u16, fragment: Option<u16>) {
        if size <= self.arrived {
            return;
        }
        (self.arrived, self.fragment) = (size, fragment);
        if u32::from(size) >= self.lost {
            (self.lost, self.is_silent) = (self.above, false);
        }
        self.go_on();
    }

    /// A router, or this host's interface, reported that a packet of the size `size` does not pass, and that packets up
    /// to `mtu` pass. `mtu` is 0 if the report does not say which size passes (RFC 1191, section 5).
    pub fn was_reported(&mut self, size: u16, mtu: u16) {
        if size != self.size {
            return;
        }
        self.lost = self.lost.min(size.into());
        if mtu > self.arrived && mtu < size {
            self.lost = u32::from(mtu) + 1;
            (self.size, self.tries) = (mtu, 0);
        } else {
            self.go_on();
        }
    }

    /// No answer to a packet of the size to try came in time.
    pub fn timed_out(&mut self) {
        self.tries = self.tries.saturating_add(1);
        if self.tries >= TRIES {
            self.is_silent = true;
            self.lost = self.lost.min(self.size.into());
            self.go_on();
        }
    }

    /// The result.
    #[must_use]
    pub fn found(&self) -> Found {
        let back = self.fragment.unwrap_or(self.arrived);
        Found { out: self.arrived, back, is_hole: self.is_silent }
    }

    /// Selects the size in the middle between the sizes that arrive and the sizes that do not.
    fn go_on(&mut self) {
        self.tries = 0;
        let low = u32::from(self.arrived.max(SIZE_MIN - STEP));
        let step = u32::from(STEP);
        let middle = (low + self.lost.saturating_sub(low) / 2).next_multiple_of(step);
        self.size = match u16::try_from(middle.min(self.lost - 1)) {
            Ok(size) if self.lost > low + step => size,
            _ => self.arrived,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a path that carries packets up to `mtu`, and that reports larger packets if `reports`. Returns the
    /// result, and the number of packets.
    fn search(mtu: u16, interface: u16, reports: bool) -> (Found, u32) {
        let mut search = PathMtu::new(120, interface);
        let mut packets = 0;
        while let Some(size) = search.next() {
            packets += 1;
            assert!(packets < 100, "{search:?}");
            if size <= mtu {
                search.came_back(size, None);
            } else if reports {
                search.was_reported(size, mtu);
            } else {
                search.timed_out();
            }
        }
        (search.found(), packets)
    }

    #[test]
    fn a_path_as_wide_as_the_interface_takes_one_packet() {
        let found = Found { out: 1500, back: 1500, is_hole: false };
        assert_eq!(search(1500, 1500, false), (found, 1));
        assert_eq!(search(9000, 1500, true), (found, 1));
        let largest = Found { out: 65_535, back: 65_535, is_hole: false };
        assert_eq!(search(65_535, 65_535, true), (largest, 1));
    }

    #[test]
    fn a_reported_mtu_takes_one_packet_more() {
        for mtu in [1280, 1400, 1499] {
            let found = Found { out: mtu, back: mtu, is_hole: false };
            assert_eq!(search(mtu, 1500, true), (found, 2));
        }
    }

    #[test]
    fn the_edge_of_a_hole_is_found_to_four_bytes() {
        for mtu in 576..9000 {
            let (found, packets) = search(mtu, 9000, false);
            assert!(found.out <= mtu && mtu - found.out < STEP, "{found:?} of {mtu}");
            assert!(found.is_hole && packets <= 39, "{packets} packets for {mtu}");
        }
        let (found, _) = search(300, 1500, false);
        assert_eq!((found.out, found.is_hole), (120, true));
    }

    #[test]
    fn a_report_without_a_size_is_searched_for() {
        let mut search = PathMtu::new(120, 1500);
        search.was_reported(1500, 0);
        let next = search.next().expect("a size");
        assert!(next < 1500, "{next}");
        assert!(!search.found().is_hole);
    }

    #[test]
    fn the_answer_in_fragments_shows_the_way_back() {
        let mut search = PathMtu::new(120, 1500);
        search.came_back(1500, Some(1396));
        assert_eq!(search.next(), None);
        assert_eq!(search.found(), Found { out: 1500, back: 1396, is_hole: false });
    }

    #[test]
    fn a_late_answer_fills_the_hole_and_a_report_about_another_size_changes_nothing() {
        let mut search = PathMtu::new(120, 1500);
        for _ in 0..TRIES {
            search.timed_out();
        }
        assert!(search.found().is_hole);
        let before = search.clone();
        search.was_reported(1500, 1400);
        assert_eq!(search, before);
        search.came_back(1500, None);
        assert_eq!(search.found(), Found { out: 1500, back: 1500, is_hole: false });
        assert_eq!(search.next(), None);
    }

    #[test]
    fn no_packet_is_smaller_than_every_host_accepts() {
        let mut search = PathMtu::new(120, 1500);
        let mut sizes = Vec::new();
        while let Some(size) = search.next() {
            sizes.push(size);
            search.timed_out();
        }
        assert_eq!(sizes.first(), Some(&1500));
        assert_eq!(sizes.iter().min(), Some(&SIZE_MIN));
        assert_eq!(search.found(), Found { out: 120, back: 120, is_hole: true });
    }
}
