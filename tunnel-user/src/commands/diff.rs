//! `rewrite diff`: what attach would change on an interface that is attached. Changes nothing.

use std::path::Path;

use crate::error::Error;
use crate::host::netlink::Netlink;
use crate::ops::attach::plan::plan;
use crate::ops::attached::{self, Running};
use crate::ops::difference::{Difference, between, request};
use crate::ops::load_file;

/// Compares what is attached to `interface`, or to the only one, with the file. Without
/// `self_names`, a gateway stays who it is.
///
/// # Errors
/// The errors of an attach with this file, which would be refused then; and if nothing is attached.
pub async fn run(
    config: &Path,
    self_names: &[String],
    interface: Option<&str>,
) -> Result<Difference, Error> {
    let netlink = Netlink::connect()?;
    attached::undisturbed(async |folders| {
        let running = Running::open(attached::choose(folders, interface)?)?;
        let (cluster, _) = load_file::load(config, None).await?;
        let request = request(&running, config, self_names);
        let plan = plan(&request, running.folder.clone(), &cluster, &netlink).await?;
        between(&running, &plan, &netlink).await
    })
    .await
}
