//! Lists the rules of policy routing, through rtnetlink.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::RouteType;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::netlink::Netlink;
use super::netlink_routes::{route, table};
use super::snapshot::LOOPBACK;
use crate::error::{Context as _, Error};
use crate::model::{Family, Prefix};
use crate::plan::policy_routing::{Action, DEFAULT, LOCAL, MAIN, Policy, Rule, TableRoute};

impl Netlink {
    /// The rules, and the routes of the tables that the rules name, except the main, local and default tables.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn policy(&self) -> Result<Policy, Error> {
        let mut policy = Policy::default();
        for family in Family::ALL {
            let version = match family {
                Family::Ipv4 => IpVersion::V4,
                Family::Ipv6 => IpVersion::V6,
            };
            let messages: Vec<_> = self
                .handle()
                .rule()
                .get(version)
                .execute()
                .try_collect()
                .await
                .context(|| format!("listing the {family} rules"))?;
            let rules: Vec<_> = messages.iter().map(|message| rule(family, message)).collect();
            let tables: BTreeSet<u32> = rules
                .iter()
                .filter_map(|rule| match rule.action {
                    Action::LookUp(MAIN | LOCAL | DEFAULT) => None,
                    Action::LookUp(table) => Some(table),
                    _ => None,
                })
                .collect();
            policy.rules.extend(rules);
            if tables.is_empty() {
                continue;
            }
            let routes = self.routes_of(family).await?;
            let routes = routes.iter().filter(|message| tables.contains(&table(message)));
            policy.routes.extend(routes.filter_map(|message| {
                Some(TableRoute {
                    table: table(message),
                    is_throw: message.header.kind == RouteType::Throw,
                    route: route(family, message)?,
                })
            }));
        }
        policy.rules.sort_by_key(|rule| rule.priority);
        Ok(policy)
    }
}

fn rule(family: Family, message: &RuleMessage) -> Rule {
    let header = &message.header;
    let mut rule = Rule {
        family,
        priority: 0,
        is_inverted: header.flags.contains(RuleFlags::Invert),
        from: None,
        to: None,
        is_narrow: header.tos != 0,
        action: Action::Nothing,
        ignored_length: None,
    };
    let (mut table, mut target) = (u32::from(header.table), None);
    let (mut mark, mut mask) = (0, u32::MAX);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Source(from) => rule.from = Prefix::new(*from, header.src_len).ok(),
            RuleAttribute::Destination(to) => rule.to = Prefix::new(*to, header.dst_len).ok(),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Goto(priority) => target = Some(*priority),
            // -1: the rule ignores no prefix length.
            RuleAttribute::SuppressPrefixLen(length) => {
                rule.ignored_length = u8::try_from(*length).ok();
            }
            RuleAttribute::FwMark(value) => mark = *value,
            RuleAttribute::FwMask(value) => mask = *value,
            // Packets that this host sends have `lo` as their incoming interface (Linux, include/net/flow.h,
            // LOOPBACK_IFINDEX).
            RuleAttribute::Iifname(name) => rule.is_narrow |= name != LOOPBACK,
            // The rule looks up a VRF's table, for packets on the VRF's interfaces.
            RuleAttribute::L3MDev(is_set) => rule.is_narrow |= *is_set,
            RuleAttribute::TunId(id) => rule.is_narrow |= *id != 0,
            RuleAttribute::Oifname(_)
            | RuleAttribute::UidRange(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => rule.is_narrow = true,
            _ => {}
        }
    }
    // Assume packets without a mark: a rule that demands a mark counts as narrow.
    rule.is_narrow |= mark & mask != 0;
    rule.action = match (header.action, target) {
        (RuleAction::ToTable, _) => Action::LookUp(table),
        (RuleAction::Goto, Some(priority)) => Action::GoTo(priority),
        (RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit, _) => Action::Drop,
        _ => Action::Nothing,
    };
    rule
}
