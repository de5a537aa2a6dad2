//! What a spool begins with: whose it is.

use crate::description::ShardDescription;
use crate::fault::Fault;
use crate::fields::Fields;

/// Length of the plan of a build that has none.
const NO_PLAN: u32 = u32::MAX;

/// What a spool begins with, and must begin with to be resumed.
pub(super) struct Plan<'a> {
    pub(super) seed: u64,
    /// `None` for a build that cannot be resumed.
    pub(super) plan: Option<&'a str>,
    pub(super) description: &'a ShardDescription,
}

impl Plan<'_> {
    /// The content of the spool's first entry.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Fault> {
        let dimensions = u32::try_from(self.description.dimensions).unwrap_or(u32::MAX);
        let plan_bytes = self.plan.map_or(NO_PLAN, |plan| u32::try_from(plan.len()).unwrap_or(NO_PLAN));
        let fixed = self.seed.to_le_bytes().into_iter().chain(dimensions.to_le_bytes()).chain(plan_bytes.to_le_bytes());
        Ok(fixed.chain(self.plan.unwrap_or_default().bytes()).chain(self.description.to_toml()?.bytes()).collect())
    }

    /// When the shard was begun whose spool begins with `found`, if that has the same plan and is the same but for that
    /// time.
    pub(super) fn accepts(&self, found: &[u8]) -> Option<i64> {
        let wanted = self.plan?;
        let mut fields = Fields::new(found);
        let seed = fields.u64("seed").ok()?;
        let dimensions = fields.u32("dimensions").ok()? as usize;
        let plan_bytes = fields.u32("plan").ok()? as usize;
        let plan = fields.bytes("plan", plan_bytes).ok()?;
        let mut description = ShardDescription::from_toml(dimensions, fields.rest()).ok()?;
        let made_at_ms = std::mem::replace(&mut description.created_at_ms, self.description.created_at_ms);
        let same = seed == self.seed && plan == wanted.as_bytes() && description == *self.description;
        same.then_some(made_at_ms)
    }
}
