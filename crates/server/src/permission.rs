//! Consent at the claim of a delivery: the profile's rows, read in the claiming transaction.

use onefold_activate::{Permission, Permit};
use onefold_model::{NodeId, ProfileId, access::Access};
use onefold_pipeline::{definitions::Workspace, views};
use onefold_state::{Error, Reader};

/// Decides by the consent that stands in the profile.
pub struct ConsentOfProfile;

impl Permission for ConsentOfProfile {
    fn decide(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        channel: Option<&str>,
        profiles: &[i64],
    ) -> Result<Vec<Permit>, Error> {
        let failed = |error: onefold_pipeline::Error| match error {
            onefold_pipeline::Error::State(error) => error,
            other => Error::Unusable { operation: "decide consent", cause: other.to_string() },
        };
        let policy = Workspace::policy(reader, access.workspace).map_err(failed)?;
        profiles
            .iter()
            .map(|profile| {
                let id = ProfileId(NodeId(*profile));
                let decision = views::consent(reader, access, &policy, id, &access.purpose.0, channel);
                Ok(match decision.map_err(failed)? {
                    None => Permit { allowed: false, reason: "the profile is not there any more".to_owned() },
                    Some(decision) => Permit { allowed: decision.allowed, reason: decision.rule.name().to_owned() },
                })
            })
            .collect()
    }
}
