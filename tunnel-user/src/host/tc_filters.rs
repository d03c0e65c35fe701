//! Lists an interface's queueing disciplines, and its filters that are no BPF programs, through rtnetlink.

use futures_util::TryStreamExt as _;
use rtnetlink::packet_core::Nla as _;
use rtnetlink::packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcAttribute,
    TcFilterFlowerOption, TcFilterMatchAllOption, TcFilterU32Option, TcHandle, TcMessage,
    TcMirrorActionType, TcOption,
};
use tunnel_common::outcome::Direction;

use super::netlink::Netlink;
use super::qdiscs::CLSACT;
use crate::error::{Context as _, Error};
use crate::plan::traffic_control::{FilterHarm, HarmfulFilter, Qdisc};

/// The attribute with the parameters of a generic action (Linux, include/uapi/linux/tc_act/tc_gact.h).
const TCA_GACT_PARMS: u16 = 2;
/// The verdict that drops a packet (Linux, include/uapi/linux/pkt_cls.h).
const TC_ACT_SHOT: i32 = 2;

impl Netlink {
    /// The queueing disciplines of the interface of index `link`, except clsact and ingress, which queue nothing.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn qdiscs(&self, link: u32) -> Result<Vec<Qdisc>, Error> {
        let listed = self.handle().qdisc().get().execute().try_collect();
        let messages: Vec<TcMessage> = listed.await.context(|| "listing the qdiscs".into())?;
        let of_link = messages.iter().filter(|message| {
            message.header.index == link.cast_signed() && message.header.parent != TcHandle::CLSACT
        });
        let qdisc = |message: &TcMessage| {
            let (handle, parent) = (message.header.handle.into(), message.header.parent.into());
            Some(Qdisc { kind: kind(message)?.to_owned(), handle, parent })
        };
        Ok(of_link.filter_map(qdisc).collect())
    }

    /// The filters of the interface of index `link` that can take packets, and are no BPF programs. The list leaves
    /// out kinds of filters and actions whose effect is unknown.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn harmful_filters(&self, link: u32) -> Result<Vec<HarmfulFilter>, Error> {
        let directions: &[Direction] = match self.ingress_qdisc(link).await?.as_deref() {
            Some(CLSACT) => &[Direction::Egress, Direction::Ingress],
            Some(_) => &[Direction::Ingress],
            None => &[],
        };
        let mut found = Vec::new();
        for direction in directions {
            for message in self.filters(link, *direction).await? {
                let (Some(kind), Some(harm)) = (kind(&message), harm(&message)) else { continue };
                found.push(HarmfulFilter {
                    kind: kind.to_owned(),
                    priority: (message.header.info >> 16) as u16,
                    direction: *direction,
                    harm,
                });
            }
        }
        found.dedup();
        Ok(found)
    }
}

fn kind(message: &TcMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    })
}

/// The harm of a filter's first action that harms.
fn harm(message: &TcMessage) -> Option<FilterHarm> {
    let options = message.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    let actions = options.flatten().filter_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Action(actions))
        | TcOption::MatchAll(TcFilterMatchAllOption::Action(actions))
        | TcOption::Flower(TcFilterFlowerOption::Actions(actions)) => Some(actions),
        _ => None,
    });
    actions.flatten().find_map(harm_of_action)
}

fn harm_of_action(action: &TcAction) -> Option<FilterHarm> {
    let kind = action.attributes.iter().find_map(|attribute| match attribute {
        TcActionAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    });
    let mut options = action.attributes.iter().filter_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    });
    match kind? {
        "police" => Some(FilterHarm::Police),
        "gact" => options.any(|options| options.iter().any(drops)).then_some(FilterHarm::Drop),
        "mirred" => {
            options.any(|options| options.iter().any(redirects)).then_some(FilterHarm::Redirect)
        }
        _ => None,
    }
}

/// True for the parameters of a generic action that drops.
fn drops(option: &TcActionOption) -> bool {
    let TcActionOption::Other(parameters) = option else { return false };
    if parameters.kind() != TCA_GACT_PARMS {
        return false;
    }
    let mut bytes = vec![0; parameters.value_len()];
    parameters.emit_value(&mut bytes);
    // struct tc_gact: index, capab, action, … (Linux, include/uapi/linux/pkt_cls.h, tc_gen).
    let action = bytes.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    action == Some(TC_ACT_SHOT)
}

fn redirects(option: &TcActionOption) -> bool {
    use TcMirrorActionType::{EgressRedir, IngressRedir};
    matches!(
        option,
        TcActionOption::Mirror(TcActionMirrorOption::Parms(parameters))
            if matches!(parameters.eaction, EgressRedir | IngressRedir)
    )
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::DefaultNla;

    use super::*;

    fn filter(kind: &str, option: TcActionOption) -> Option<FilterHarm> {
        let mut action = TcAction::default();
        action.attributes =
            vec![TcActionAttribute::Kind(kind.into()), TcActionAttribute::Options(vec![option])];
        let mut message = TcMessage::default();
        let option = TcOption::MatchAll(TcFilterMatchAllOption::Action(vec![action]));
        message.attributes = vec![TcAttribute::Options(vec![option])];
        harm(&message)
    }

    fn generic(verdict: i32) -> TcActionOption {
        let words = [1, 0, verdict, 1, 1].map(i32::to_ne_bytes);
        TcActionOption::Other(DefaultNla::new(TCA_GACT_PARMS, words.concat()))
    }

    #[test]
    fn a_filter_that_drops_is_harmful_and_one_that_passes_is_not() {
        assert_eq!(filter("gact", generic(TC_ACT_SHOT)), Some(FilterHarm::Drop));
        assert_eq!(filter("gact", generic(0)), None);
        // Another kind of action has other parameters under this number.
        assert_eq!(filter("skbedit", generic(TC_ACT_SHOT)), None);
    }
}
