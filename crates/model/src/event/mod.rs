//! Events: how they are read, what is refused, and what of them goes into the log.
//!
//! [`envelope`] cuts a batch into its events; [`fields`] reads an event one level deep without a tree; [`accept`]
//! decides, per event, whether it enters and what is added to it; [`record`] is its form in the log; [`view`] is the
//! form in which people and programs read it back; [`minimise`] says which fields enter at all.

pub mod accept;
pub mod envelope;
pub mod fields;
pub mod minimise;
pub mod record;
pub mod view;

pub use accept::{Incoming, Limits, Refusal, accept};
pub use envelope::Envelope;
pub use fields::Fields;
pub use minimise::{Collection, Minimised};
pub use record::EventRecord;

use serde::{Deserialize, Serialize};

/// What an event says: the call of the Segment and RudderStack APIs it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something happened; `event` names it.
    Track,
    /// Traits of a person.
    Identify,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// A person belongs to an account; traits of the account.
    Group,
    /// `previousId` and `userId` are one person.
    Alias,
    /// RudderStack's `merge`: the two identifiers in `mergeProperties` are one person.
    Merge,
    /// Traits of an object of one of the workspace's own types (`objectType`, `objectId`).
    Object,
}

impl Kind {
    /// All kinds, with the names they have on the wire.
    pub const ALL: [(Kind, &'static str); 8] = [
        (Kind::Track, "track"),
        (Kind::Identify, "identify"),
        (Kind::Page, "page"),
        (Kind::Screen, "screen"),
        (Kind::Group, "group"),
        (Kind::Alias, "alias"),
        (Kind::Merge, "merge"),
        (Kind::Object, "object"),
    ];

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind)
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_at_its_place() {
        for (place, (kind, name)) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
            assert_eq!((Kind::from_name(name), kind.name()), (Some(*kind), *name));
        }
    }
}
