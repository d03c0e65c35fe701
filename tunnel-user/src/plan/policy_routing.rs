//! Checks that policy routing leads packets between private addresses to the main table. A rule before the main
//! table can divert the packets from the routes in the main table.

use std::net::IpAddr;

use crate::error::Error;
use crate::model::{Family, Prefix};
use crate::plan::route::PeerRoute;
use crate::plan::routes::Attached;

/// A rule, as `ip rule` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The IP version of the rule's packets.
    pub family: Family,
    /// The rule's priority. The kernel evaluates the rules from the lowest value to the highest.
    pub priority: u32,
    /// True if the rule applies to the packets that its selectors do not match.
    pub is_inverted: bool,
    /// The matching sources. `None` matches all sources.
    pub from: Option<Prefix>,
    /// The matching destinations. `None` matches all destinations.
    pub to: Option<Prefix>,
    /// True if the rule also selects by mark, protocol, user, port or interface: it applies to some, but not to all
    /// packets between the addresses.
    pub is_narrow: bool,
    /// The rule's action.
    pub action: Action,
    /// The maximum prefix length of the routes that the rule ignores.
    pub ignored_length: Option<u8>,
}

/// The action of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The kernel looks up the route in this table.
    LookUp(u32),
    /// The kernel continues with the rule of this priority.
    GoTo(u32),
    /// The kernel drops the packet.
    Drop,
    /// The kernel continues with the next rule.
    Nothing,
}

/// A route in a table other than the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRoute {
    /// The route's table.
    pub table: u32,
    /// True if the route sends the kernel back to the rules (`throw`).
    pub is_throw: bool,
    /// The destination and the next hop.
    pub route: PeerRoute,
}

/// The rules of both families in their order, and the routes of the tables that the rules name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The routes of tables other than the main and the local table.
    pub routes: Vec<TableRoute>,
}

/// The default table (RT_TABLE_DEFAULT).
pub const DEFAULT: u32 = 253;
/// The main table (RT_TABLE_MAIN).
pub const MAIN: u32 = 254;
/// The local table (RT_TABLE_LOCAL), which holds this host's own addresses.
pub const LOCAL: u32 = 255;

impl Rule {
    /// True if the rule applies to packets from `source` to an address in `destination` that match no further selector,
    /// such as a mark (`is_narrow`).
    fn meets(&self, source: Option<IpAddr>, destination: &Prefix) -> bool {
        let from = self.from.is_none_or(|from| source.is_some_and(|source| from.contains(source)));
        let to = self.to.is_none_or(|to| to.overlaps(destination));
        (from && to && !self.is_narrow) != self.is_inverted
    }
}

impl Policy {
    /// True if each rule looks up a table of the kernel's initial rules: local, main or default.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        let usual = |rule: &Rule| matches!(rule.action, Action::LookUp(LOCAL | MAIN | DEFAULT));
        self.rules.iter().all(usual)
    }

    /// Refuses a rule that diverts packets from `wanted`, a route in the main table.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is such a rule. The error names the rule.
    pub fn require(&self, attached: &Attached<'_>, wanted: &PeerRoute) -> Result<(), Error> {
        let destination = wanted.destination.0;
        let family = destination.family();
        let mut least = 0;
        for rule in self.rules.iter().filter(|rule| rule.family == family) {
            if rule.priority < least || !rule.meets(wanted.source, &destination) {
                continue;
            }
            let counts = |route: &PeerRoute| {
                let length = route.destination.0.length();
                rule.ignored_length.is_none_or(|ignored| length > ignored)
            };
            match rule.action {
                Action::Nothing | Action::LookUp(LOCAL) => {}
                Action::GoTo(priority) => least = priority,
                Action::LookUp(MAIN) => {
                    if counts(wanted) {
                        return Ok(());
                    }
                }
                Action::LookUp(table) => {
                    let routes = self.routes.iter().filter(|route| route.table == table);
                    let covering = routes.filter(|found| {
                        let covered = &found.route.destination.0;
                        counts(&found.route) && covered.overlaps(&destination)
                    });
                    let Some(found) =
                        covering.max_by_key(|found| found.route.destination.0.length())
                    else {
                        continue;
                    };
                    if found.is_throw || does_the_same(rule, &found.route, wanted) {
                        continue;
                    }
                    let (other, to) =
                        (attached.name_of(found.route.link), found.route.destination.0);
                    let (to, length) = (to.address(), to.length());
                    let leads = format!("to table {table}, where {to}/{length} leads to {other}");
                    return Err(led_elsewhere(rule, wanted, &leads));
                }
                Action::Drop => return Err(led_elsewhere(rule, wanted, "nowhere: it drops them")),
            }
        }
        Ok(())
    }
}

/// True if `found`, the operator's own route in one of the operator's tables, has the same effect as `wanted`.
/// Both routes must have the same source for unbound sockets, unless the rule selects by source.
fn does_the_same(rule: &Rule, found: &PeerRoute, wanted: &PeerRoute) -> bool {
    let same_way = (found.link, found.gateway) == (wanted.link, wanted.gateway);
    same_way && (rule.from.is_some() || found.source == wanted.source)
}

fn led_elsewhere(rule: &Rule, wanted: &PeerRoute, leads: &str) -> Error {
    let (destination, priority) = (wanted.destination.0, rule.priority);
    let network = format!("{}/{}", destination.address(), destination.length());
    let ip = match destination.family() {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip -6",
    };
    let from = wanted.source.map_or_else(String::new, |source| format!(" from {source}"));
    let help = match priority.checked_sub(1).filter(|before| *before > 0) {
        Some(before) => format!(
            "put the main table before it: {ip} rule add pref {before} to {network} lookup main"
        ),
        None => format!("remove the rule: {ip} rule del pref {priority}"),
    };
    Error::refused(
        format!(
            "packets{from} to {destination} do not take the routes of the main table: the rule of \
             priority {priority} ({ip} rule) sends them {leads}"
        ),
        format!("{help}; or attach with --no-routes and set the routes to {destination} yourself"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Private;
    use crate::plan::route_metrics::Metrics;

    fn rule(priority: u32, action: Action) -> Rule {
        Rule {
            family: Family::Ipv4,
            priority,
            is_inverted: false,
            from: None,
            to: None,
            is_narrow: false,
            action,
            ignored_length: None,
        }
    }

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix::new(address.parse().unwrap(), length).unwrap()
    }

    fn route(address: &str, length: u8, link: u32) -> PeerRoute {
        PeerRoute {
            destination: Private(prefix(address, length)),
            link,
            gateway: None,
            source: Some("10.0.0.1".parse().unwrap()),
            onlink: false,
            metrics: Metrics::default(),
        }
    }

    fn in_table(table: u32, route: PeerRoute) -> TableRoute {
        TableRoute { table, is_throw: false, route }
    }

    fn said(rules: Vec<Rule>, routes: Vec<TableRoute>) -> String {
        let mut all = vec![rule(0, Action::LookUp(LOCAL))];
        all.extend(rules);
        all.push(rule(32766, Action::LookUp(MAIN)));
        all.push(rule(32767, Action::LookUp(253)));
        let names = BTreeMap::from([(2, "eth0".into()), (3, "mesh0".into())]);
        let eth0 = Attached { index: 2, name: "eth0", has_hardware_addresses: true, names: &names };
        let policy = Policy { rules: all, routes };
        let result = policy.require(&eth0, &route("10.0.0.2", 32, 2));
        result.err().map_or_else(String::new, |failure| failure.to_string())
    }

    #[test]
    fn a_table_that_is_asked_first_and_has_a_route_is_in_the_way() {
        let mesh = [in_table(52, route("10.0.0.0", 8, 3))];
        let said_of = said(vec![rule(5270, Action::LookUp(52))], mesh.to_vec());
        assert!(said_of.contains("priority 5270") && said_of.contains("table 52"), "{said_of}");
        assert!(said_of.contains("10.0.0.0/8 leads to mesh0"), "{said_of}");
        let help = "ip rule add pref 5269 to 10.0.0.2/32 lookup main";
        assert!(said_of.contains(help), "{said_of}");
        // The kernel looks up the default table last.
        assert_eq!(said(Vec::new(), vec![in_table(253, route("0.0.0.0", 0, 3))]), "");
        let elsewhere = in_table(52, route("172.16.0.0", 12, 3));
        assert_eq!(said(vec![rule(5270, Action::LookUp(52))], vec![elsewhere]), "");
        // The operator has added the rule that the help names.
        let before = Rule { to: Some(prefix("10.0.0.2", 32)), ..rule(5269, Action::LookUp(MAIN)) };
        assert_eq!(said(vec![before, rule(5270, Action::LookUp(52))], mesh.to_vec()), "");
    }

    #[test]
    fn only_rules_for_the_private_addresses_count() {
        let routes = vec![in_table(77, route("0.0.0.0", 0, 3))];
        for (from, is_in_the_way) in [("10.0.0.1", true), ("198.51.100.2", false)] {
            let from = Some(prefix(from, 32));
            let rules = vec![Rule { from, ..rule(100, Action::LookUp(77)) }];
            assert_eq!(!said(rules, routes.clone()).is_empty(), is_in_the_way);
        }
        let rules = vec![Rule { to: Some(prefix("10.0.0.9", 32)), ..rule(100, Action::Drop) }];
        assert_eq!(said(rules, Vec::new()), "");
        assert!(said(vec![rule(100, Action::Drop)], Vec::new()).contains("drops them"));
    }

    /// wg-quick sets these rules for a tunnel that carries all traffic.
    #[test]
    fn rules_that_ask_the_main_table_for_all_but_the_default_route_are_not_in_the_way() {
        let narrow =
            Rule { is_inverted: true, is_narrow: true, ..rule(32765, Action::LookUp(51820)) };
        let main = Rule { ignored_length: Some(0), ..rule(32764, Action::LookUp(MAIN)) };
        let routes = vec![in_table(51820, route("0.0.0.0", 0, 3))];
        assert_eq!(said(vec![main, narrow.clone()], routes.clone()), "");
        assert!(said(vec![narrow], routes).contains("table 51820"));
    }

    #[test]
    fn rules_are_stepped_over_and_throw_goes_on() {
        let drop = rule(200, Action::Drop);
        assert_eq!(said(vec![rule(100, Action::GoTo(300)), drop], Vec::new()), "");
        let thrown = TableRoute { is_throw: true, ..in_table(52, route("10.0.0.0", 8, 0)) };
        let wider = in_table(52, route("0.0.0.0", 0, 3));
        assert_eq!(said(vec![rule(5270, Action::LookUp(52))], vec![thrown, wider]), "");
        let marked = Rule { is_narrow: true, ..rule(100, Action::Drop) };
        assert_eq!(said(vec![marked], Vec::new()), "");
    }

    #[test]
    fn the_same_route_in_another_table_does_the_same() {
        let rules = vec![rule(100, Action::LookUp(77))];
        assert_eq!(said(rules.clone(), vec![in_table(77, route("10.0.0.2", 32, 2))]), "");
        let unbound = PeerRoute { source: None, ..route("10.0.0.2", 32, 2) };
        assert!(said(rules, vec![in_table(77, unbound)]).contains("table 77"));
    }

    #[test]
    fn the_initial_rules_are_usual_and_a_rule_for_another_table_is_not() {
        let mut policy = Policy {
            rules: [LOCAL, MAIN, DEFAULT].map(|table| rule(0, Action::LookUp(table))).to_vec(),
            routes: Vec::new(),
        };
        assert!(policy.is_usual());
        policy.rules.push(rule(7, Action::LookUp(52)));
        assert!(!policy.is_usual());
    }

    #[test]
    fn before_the_first_rule_after_local_there_is_no_room_for_the_main_table() {
        let diverted = || vec![in_table(52, route("10.0.0.2", 32, 3))];
        let second = said(vec![rule(2, Action::LookUp(52))], diverted());
        assert!(second.contains("ip rule add pref 1 to 10.0.0.2/32 lookup main"), "{second}");
        let first = said(vec![rule(1, Action::LookUp(52))], diverted());
        assert!(first.contains("remove the rule: ip rule del pref 1"), "{first}");
    }
}
