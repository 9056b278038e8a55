//! Stage `sdn`, its last part: what of the networks is BGP, as rows of the plugin netbox-bgp where NetBox has it.

use serde_json::Value;

use super::sdn::Course;
use crate::netbox;
use crate::netbox::objects::{
    Asn, BgpCommunity, BgpKind, BgpPeerGroup, BgpPrefixList, BgpPrefixListRule, BgpRoutingPolicy, BgpRoutingPolicyRule,
    BgpRow, BgpSession, IpAddress, Prefix,
};
use crate::reconcile::Mode;
use crate::stages::bgp::{BgpRows, prefix_selection, skipped};
use crate::stages::bgp_sessions::{address_selection, asn_selection};
use crate::stages::sdn::Skipped;
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;

impl Course {
    /// Writes the rows of BGP where that is asked for and NetBox has the plugin.
    pub(super) async fn project(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        if run.facts.options.modes.effective_bgp() == Mode::Disabled {
            return Ok(());
        }
        match run.netbox.get::<Value>(BgpPeerGroup::PATH).await {
            Ok(_) => run.facts.known.sdn.has_bgp = true,
            Err(netbox::Error::NoRoute { .. }) => {
                self.leave_out(Skipped {
                    kind: "BGP",
                    name: String::new(),
                    reason: "NetBox does not have the plugin netbox-bgp, so nothing was written to it".to_owned(),
                });
                return Ok(());
            }
            Err(error) => return self.or_without::<BgpRow<BgpPeerGroup>, ()>(run, Err(error.into())),
        }
        let prefixes = run.list::<Prefix>(vec![prefix_selection(&run.facts)]).await;
        run.facts.known.sdn.rule_prefixes = self.or_without::<Prefix, _>(run, prefixes)?;
        let addresses = run.list::<IpAddress>(vec![address_selection(&run.facts)]).await;
        run.facts.known.sdn.addresses = self.or_without::<IpAddress, _>(run, addresses)?;
        let asns = run.list::<Asn>(vec![asn_selection(&run.facts)]).await;
        run.facts.known.sdn.asns = self.or_without::<Asn, _>(run, asns)?;
        self.write_bgp(run).await?;
        for skipped in skipped(&run.facts) {
            self.leave_out(skipped);
        }
        Ok(())
    }

    async fn write_bgp(&mut self, run: &mut EndpointRun<'_>) -> Result<(), Error> {
        self.pass::<BgpRows<BgpPrefixList>>(run, "bgp_prefix_lists").await?;
        let has_prefixes = run.has_read::<Prefix>();
        self.pass_where::<BgpRows<BgpPrefixListRule>>(has_prefixes, run, "bgp_prefix_list_rules")
            .await?;
        self.pass::<BgpRows<BgpRoutingPolicy>>(run, "bgp_routing_policies")
            .await?;
        self.pass::<BgpRows<BgpCommunity>>(run, "bgp_communities").await?;
        let has_lists = run.has_read::<BgpRow<BgpPrefixList>>();
        self.pass_where::<BgpRows<BgpRoutingPolicyRule>>(has_lists, run, "bgp_routing_policy_rules")
            .await?;
        self.pass::<BgpRows<BgpPeerGroup>>(run, "bgp_peer_groups").await?;
        self.pass::<BgpRows<BgpSession>>(run, "bgp_sessions").await
    }
}
