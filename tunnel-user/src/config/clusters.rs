//! Holds the clusters of a file, one cluster per network, and finds the cluster for an interface.

use super::Cluster;
use super::network::NetworkName;
use crate::model::text::list;

/// The cluster on each network of a file, in the file's order. There is at least one cluster. The first network is
/// the preferred network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters(Vec<Cluster>);

impl Clusters {
    /// Wraps the clusters of a file. The caller provides at least one cluster.
    pub(super) const fn new(clusters: Vec<Cluster>) -> Self {
        Self(clusters)
    }

    /// All clusters.
    #[must_use]
    pub fn all(&self) -> &[Cluster] {
        &self.0
    }

    /// The cluster on the named network or, without a name, on the interface's network. If the file has no networks and
    /// the caller gives no name, the file's only cluster.
    ///
    /// # Errors
    /// [`NoNetwork`] if the file does not say which network the interface is on, or has no network of that name.
    pub fn on(&self, interface: &str, named: Option<&NetworkName>) -> Result<&Cluster, NoNetwork> {
        let networks = || self.0.iter().filter_map(|cluster| cluster.network());
        let names = || list(networks().map(|network| &network.name));
        match (&self.0[..], named) {
            ([only], None) if only.network().is_none() => Ok(only),
            (all, Some(name)) => all
                .iter()
                .find(|cluster| cluster.network().is_some_and(|network| network.name == *name))
                .ok_or_else(|| NoNetwork {
                    what: format!("the file has no network {name}"),
                    help: format!("its networks are: {}", names()),
                }),
            (all, None) => {
                let is_on = |cluster: &&Cluster| {
                    cluster.network().is_some_and(|n| n.interfaces.iter().any(|i| i == interface))
                };
                all.iter().find(is_on).ok_or_else(|| NoNetwork {
                    what: format!("the file does not say which network {interface} is on"),
                    help: format!(
                        "add the interface to a [[network]], or name the network with --network: \
                         {}",
                        names()
                    ),
                })
            }
        }
    }

    /// The rank of a network in the file: 0 is the preferred network. Networks that the file lacks come last.
    #[must_use]
    pub fn rank(&self, name: Option<&str>) -> usize {
        let is_it =
            |cluster: &Cluster| cluster.network().map(|network| network.name.as_str()) == name;
        self.0.iter().position(is_it).unwrap_or(usize::MAX)
    }
}

/// The file does not say which network an interface is on, or has no network of the given name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n  help: {help}")]
pub struct NoNetwork {
    /// The thing that the file lacks.
    pub what: String,
    /// The remedy.
    pub help: String,
}
