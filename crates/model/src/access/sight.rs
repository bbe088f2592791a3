//! What a caller sees of people: whom, and how much of which field.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::value::RawValue;

use super::{Class, Mask, detect::looks};
use crate::{
    consent::Policy,
    json::{self, Members},
    segment::Condition,
};

/// What stewards said of fields, by name: `email`, `address.city`. What is said of `address` holds of all in it.
pub type Classes = BTreeMap<String, Class>;

/// What of people's data is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// By class, in the order of [`Class::ALL`].
    masks: [Mask; 6],
    classes: Arc<Classes>,
    /// Only who is in one of these segments; `None`: everybody.
    only: Option<Vec<String>>,
    /// For hashes.
    key: (u64, u64),
    /// By which it is decided who allows a purpose, where one is named.
    policy: Option<Arc<Policy>>,
}

static ALL: LazyLock<Arc<Sight>> =
    LazyLock::new(|| Arc::new(Sight::new([Mask::Clear; 6], Arc::default(), None, (0, 0))));

/// Names at the top of an event that are its frame, and nobody's data.
pub(crate) const FRAME: [&str; 10] = [
    "type",
    "event",
    "name",
    "channel",
    "version",
    "integrations",
    "timestamp",
    "sentAt",
    "receivedAt",
    "originalTimestamp",
];

impl Sight {
    /// With a mask for each class in the order of [`Class::ALL`], what stewards said of fields, the segments whose members are seen
    /// (`None`: everybody), and the key for hashes.
    pub fn new(masks: [Mask; 6], classes: Arc<Classes>, only: Option<Vec<String>>, key: (u64, u64)) -> Sight {
        Sight { masks, classes, only, key, policy: None }
    }

    /// The same, of those who allow the purpose, as this policy decides.
    pub fn by_policy(&self, policy: Arc<Policy>) -> Sight {
        Sight { policy: Some(policy), ..self.clone() }
    }

    /// By which it is decided who allows a purpose.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Everything of everybody.
    pub fn all() -> Arc<Sight> {
        ALL.clone()
    }

    /// Whether everything is seen, of whomever.
    pub fn is_clear(&self) -> bool {
        self.masks == [Mask::Clear; 6]
    }

    /// The segments whose members are seen; `None`: everybody.
    pub fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }

    /// The mask of a class.
    pub fn mask(&self, class: Class) -> Mask {
        self.masks[class as usize]
    }

    /// The mask of what stands in a field. A steward's word counts; else the stricter of what name and value tell.
    pub fn mask_of(&self, name: &str, value: &str) -> Mask {
        if let Some(class) = self.said(name) {
            return self.mask(class);
        }
        let named = self.mask(Class::guess(name));
        looks(value).map_or(named, |looks| named.max(self.mask(looks.class())))
    }

    /// The mask of a field, whatever stands in it.
    pub fn mask_of_field(&self, name: &str) -> Mask {
        self.mask(self.said(name).unwrap_or_else(|| Class::guess(name)))
    }

    /// What a steward said of the field, or of what it stands in.
    fn said(&self, name: &str) -> Option<Class> {
        let mut name = name;
        loop {
            if let Some(class) = self.classes.get(name) {
                return Some(*class);
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// What is seen of a text; `None`: nothing.
    pub fn text<'a>(&self, name: &str, text: &'a str) -> Option<Cow<'a, str>> {
        if self.is_clear() {
            return Some(Cow::Borrowed(text));
        }
        self.mask_of(name, text).text(text, self.key)
    }

    /// What is seen of a JSON value that stands in a field; `None`: nothing. Members of an object are fields of their own,
    /// `name.member`; elements of an array are in its field.
    pub fn json(&self, name: &str, value: &RawValue) -> Option<Box<RawValue>> {
        if self.is_clear() {
            return Some(value.to_owned());
        }
        let mut out = String::with_capacity(value.get().len());
        self.write(name, value, &mut out).then(|| RawValue::from_string(out).ok()).flatten()
    }

    /// What is seen of a JSON object whose members are fields: traits, properties.
    pub fn fields(&self, object: &RawValue) -> Box<RawValue> {
        self.json("", object).unwrap_or_else(nothing)
    }

    /// What is seen of an event.
    pub fn event(&self, event: &RawValue) -> Box<RawValue> {
        if self.is_clear() {
            return event.to_owned();
        }
        let Some(members) = Members::of(event) else { return nothing() };
        let mut object = Object::new();
        for (name, value) in &members.0 {
            let mut out = String::new();
            let shown = match &**name {
                "messageId" => self.mask(Class::Identifier) == Mask::Clear && self.write(name, value, &mut out),
                own if FRAME.contains(&own) => {
                    out.push_str(value.get());
                    true
                }
                // Their members are fields by their own names, alike wherever they come.
                "traits" | "properties" => self.write("", value, &mut out),
                "context" => self.write("", value, &mut out),
                _ => self.write(name, value, &mut out),
            };
            if shown {
                object.member(name, &out);
            }
        }
        RawValue::from_string(object.finish()).unwrap_or_else(|_| nothing())
    }

    /// Writes what is seen; `false`: nothing is.
    fn write(&self, name: &str, value: &RawValue, out: &mut String) -> bool {
        match value.get().as_bytes().first() {
            Some(b'{') => {
                let Some(members) = Members::of(value) else { return false };
                let mut object = Object::new();
                for (member, value) in &members.0 {
                    let path = if name.is_empty() { member.to_string() } else { format!("{name}.{member}") };
                    let mut inner = String::new();
                    if self.write(&path, value, &mut inner) {
                        object.member(member, &inner);
                    }
                }
                out.push_str(&object.finish());
                true
            }
            Some(b'[') => {
                let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else { return false };
                let mut first = true;
                out.push('[');
                for element in elements {
                    let mut inner = String::new();
                    if self.write(name, element, &mut inner) {
                        if !std::mem::take(&mut first) {
                            out.push(',');
                        }
                        out.push_str(&inner);
                    }
                }
                out.push(']');
                true
            }
            Some(b'"') => {
                let Some(text) = json::text(value) else { return false };
                match self.mask_of(name, &text) {
                    Mask::Clear => out.push_str(value.get()),
                    mask => match mask.text(&text, self.key) {
                        Some(left) => out.push_str(&quoted(&left)),
                        None => return false,
                    },
                }
                true
            }
            Some(b'n') => {
                out.push_str("null");
                true
            }
            Some(b't' | b'f') if self.said(name).is_none() && Class::of_name(name).is_none() => {
                // Whether something is so names nobody.
                out.push_str(value.get());
                true
            }
            _ => match self.mask_of(name, value.get()).scalar(value.get(), self.key) {
                Some(left) => {
                    out.push_str(&left);
                    true
                }
                None => false,
            },
        }
    }

    /// What is seen of a computed trait: numbers and times that nobody classified tell of many events, and name nobody.
    pub fn computed(&self, name: &str, value: &RawValue) -> Option<Box<RawValue>> {
        let plain = !value.get().starts_with(['"', '{', '[']);
        match plain && self.said(name).is_none() && Class::of_name(name).is_none() {
            true => Some(value.to_owned()),
            false => self.json(name, value),
        }
    }

    /// The condition, of those who are seen.
    pub fn among(&self, condition: Condition) -> Condition {
        match &self.only {
            None => condition,
            Some(only) => {
                let seen = only.iter().cloned().map(Condition::Segment).collect();
                Condition::All(vec![condition, Condition::Any(seen)])
            }
        }
    }

    /// A field that the condition asks about and that is not seen in the clear: by asking often enough, one would read it.
    pub fn hidden_in(&self, condition: &Condition) -> Option<String> {
        if self.is_clear() {
            return None;
        }
        condition.fields().into_iter().find(|name| self.mask_of_field(name) != Mask::Clear)
    }
}

/// A JSON object in the making.
struct Object(String);

impl Object {
    fn new() -> Object {
        Object("{".to_owned())
    }

    fn member(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn nothing() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Identifiers hashed, contacts in part, sensitive hidden, special hidden, financial generalised, free clear.
    fn sight(classes: &[(&str, Class)]) -> Sight {
        let masks = [Mask::Hashed, Mask::Partial, Mask::Hidden, Mask::Hidden, Mask::Generalised, Mask::Clear];
        let classes = classes.iter().map(|(name, class)| ((*name).to_owned(), *class)).collect();
        Sight::new(masks, Arc::new(classes), None, (1, 2))
    }

    fn seen(sight: &Sight, json: &str) -> String {
        sight.fields(serde_json::from_str(json).unwrap()).get().to_owned()
    }

    #[test]
    fn each_field_is_seen_by_its_class() {
        let sight = sight(&[("nickname", Class::Free), ("home", Class::Sensitive), ("home.city", Class::Free)]);
        let json = r#"{"email":"ada@example.com","plan":"pro","price":12.50,"salary":54321.10,"health_note":"x",
            "nickname":"Ada","home":{"city":"Łódź","code":"90-001"},"vip":true,"pregnant":true,"none":null,
            "plan_notes":["ada@example.com","fine"]}"#;
        assert_eq!(
            seen(&sight, json),
            concat!(
                r#"{"email":"a•••@example.com","plan":"pro","price":12.50,"salary":50000,"nickname":"Ada","home":{"city":"Łódź"},"#,
                r#""vip":true,"none":null,"plan_notes":["a•••@example.com","fine"]}"#
            )
        );
    }

    #[test]
    fn what_nobody_classified_is_an_identifier() {
        let left = seen(&sight(&[]), r#"{"favourite":"blue","number":7}"#);
        assert!(!left.contains("blue") && !left.contains(":7"), "{left}");
        assert_eq!(left.matches('"').count(), 8);
    }

    #[test]
    fn an_event_keeps_its_frame() {
        let event = r#"{"type":"track","event":"Order Completed","messageId":"m1","timestamp":"2026-01-01T00:00:00Z",
            "userId":"u1","traits":{"email":"ada@example.com"},"properties":{"revenue":9},"context":{"ip":"192.0.2.7"}}"#;
        let left = sight(&[]).event(serde_json::from_str(event).unwrap()).get().to_owned();
        assert!(left.contains(r#""event":"Order Completed""#) && left.contains(r#""revenue":9"#), "{left}");
        for gone in ["u1", "ada@", "192.0", "m1"] {
            assert!(!left.contains(gone), "{gone} in {left}");
        }
    }

    #[test]
    fn a_hidden_field_may_not_be_asked_about() {
        let sight = sight(&[]);
        let parsed = |text: &str| crate::segment::text::parse(text).unwrap();
        assert_eq!(sight.hidden_in(&parsed(r#"trait plan = "pro""#)), None);
        assert_eq!(sight.hidden_in(&parsed(r#"not trait email = "x""#)).as_deref(), Some("email"));
        let event = r#"count("A" where category = "x" and $context.ip = "192.0.2.7") > 0"#;
        assert_eq!(sight.hidden_in(&parsed(event)).as_deref(), Some("ip"));
        assert_eq!(sight.hidden_in(&parsed(r#"sum("A", salary) > 1 within 3 days"#)).as_deref(), Some("salary"));
        assert_eq!(Sight::all().hidden_in(&parsed(r#"trait email = "x""#)), None);
    }
}
