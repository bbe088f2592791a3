//! Whether a command fits what the workspace has defined.
//!
//! The API asks before it takes a command; the pipeline asks again when it applies one, because commands given at the
//! same time may each be right alone and wrong together (two segments that come to name each other). A command that does
//! not fit changes nothing, and whatever was in force goes on.

use jiff::tz::TimeZone;
use onefold_model::{
    Value,
    command::{Command, IdentifierRef, Subscription},
    consent::{RIGHTS, Strength},
    profile::{
        computed::ComputedTrait,
        traits::{NAME_BYTES_MAX, VALUE_BYTES_MAX},
    },
    segment::{
        Condition, Definition, Lookup, Problem,
        check::{NAME_MAX, problems, problems_of_computed},
    },
};

use onefold_prepare::Preparation;

use crate::definitions::{Versioned, Workspace, in_force, time_zone};

/// What is wrong with a command, in sentences; none: it fits.
pub fn problems_of(workspace: &Workspace, command: &Command) -> Vec<String> {
    match command {
        Command::SegmentSet(definition) => {
            let mut found = name_problems(&[&definition.name]);
            found.extend(change_problems(workspace, Change::Segment(definition)));
            found
        }
        Command::SegmentRemove(name) => change_problems(workspace, Change::NoSegment(name)),
        Command::ComputedSet(definition) => {
            let mut found = name_problems(&[&definition.name]);
            found.extend(change_problems(workspace, Change::Computed(definition)));
            found
        }
        Command::ComputedRemove(name) => change_problems(workspace, Change::NoComputed(name)),
        Command::IdentityRules(rules) => rules.problems(),
        Command::Survivorship(rules) => rules.problems(),
        Command::Classes(classes) => {
            let odd =
                classes.keys().filter(|name| name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0'));
            odd.map(|name| format!("{name:?} cannot be the name of a field")).collect()
        }
        Command::Prepare { preparation: Some(preparation), .. } => preparation_problems(preparation),
        Command::Override { name, value, .. } => override_problems(name, value.as_ref()),
        Command::TimeZone(name) => time_zone(name).err().map(|error| error.to_string()).into_iter().collect(),
        Command::ObjectTypeSet(object_type) => object_type.problems(),
        Command::Subscribe(Subscription { destination, .. }) => name_problems(&[destination]),
        Command::ConsentPolicy(policy) => policy.problems(),
        Command::Consent { purpose, channel, by, .. } => {
            let names: Vec<&str> = [Some(purpose.as_str()), channel.as_deref()].into_iter().flatten().collect();
            let mut found = name_problems(&names);
            if purpose.starts_with('$') && !RIGHTS.contains(&purpose.as_str()) {
                found.push(format!("{purpose:?} is no right; there are {}", RIGHTS.join(", ")));
            }
            if *by < Strength::Operator {
                found.push("who says so is the operator or the person".to_owned());
            }
            found
        }
        Command::Merge { a, b } | Command::Unmerge { a, b: Some(b) } | Command::LinkDecide { a, b, .. }
            if same(a, b) =>
        {
            vec!["it names one identifier twice".to_owned()]
        }
        _ => vec![],
    }
}

/// What is wrong with a preparation, in sentences.
fn preparation_problems(preparation: &serde_json::Value) -> Vec<String> {
    match serde_json::from_value::<Preparation>(preparation.clone()) {
        Ok(preparation) => preparation.compile().err().unwrap_or_default(),
        Err(error) => vec![error.to_string()],
    }
}

fn override_problems(name: &str, value: Option<&Value>) -> Vec<String> {
    let mut found = vec![];
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        found.push(format!("a trait's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if value.is_some_and(|value| value.to_json().len() > VALUE_BYTES_MAX) {
        found.push(format!("a trait's value has at most {VALUE_BYTES_MAX} bytes"));
    }
    found
}

fn same(a: &IdentifierRef, b: &IdentifierRef) -> bool {
    a.kind == b.kind && a.value.trim() == b.value.trim()
}

/// Names stand in keys.
fn name_problems(names: &[&str]) -> Vec<String> {
    let wrong = |name: &&&str| name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control);
    let say =
        |name: &&str| format!("{:?} is no name: 1 to {NAME_MAX} characters, none of them for control", short(name));
    names.iter().filter(wrong).map(say).collect()
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// A change of definitions that others may build on.
#[derive(Clone, Copy)]
enum Change<'a> {
    Segment(&'a Definition),
    NoSegment(&'a str),
    Computed(&'a ComputedTrait),
    NoComputed(&'a str),
}

/// The definitions as they would stand after a change: the newest of all, or those in force.
struct Stage<'a> {
    workspace: &'a Workspace,
    change: Change<'a>,
    newest: bool,
}

impl Stage<'_> {
    fn of<'v, D, P>(&self, versioned: &'v Versioned<D, P>) -> &'v D {
        if self.newest { &versioned.newest } else { in_force(versioned) }
    }
}

impl Lookup for Stage<'_> {
    fn segment(&self, name: &str) -> Option<&Condition> {
        match self.change {
            Change::Segment(definition) if definition.name == name => Some(&definition.condition),
            Change::NoSegment(gone) if gone == name => None,
            _ => self.workspace.segments.get(name).map(|segment| &self.of(segment).condition),
        }
    }

    fn computed(&self, name: &str) -> Option<&ComputedTrait> {
        match self.change {
            Change::Computed(definition) if definition.name == name => Some(definition),
            Change::NoComputed(gone) if gone == name => None,
            _ => self.workspace.computed.get(name).map(|computed| self.of(computed)),
        }
    }

    fn time_zone(&self) -> &TimeZone {
        &self.workspace.time_zone
    }
}

/// What would not compile after the change: the definition itself, or another that names it.
fn change_problems(workspace: &Workspace, change: Change<'_>) -> Vec<String> {
    let mut found = vec![];
    for newest in [true, false] {
        let stage = Stage { workspace, change, newest };
        let own: Vec<Problem> = match change {
            Change::Segment(definition) => definition.problems(&stage),
            Change::Computed(definition) => problems_of_computed(definition, &stage),
            Change::NoSegment(_) | Change::NoComputed(_) => vec![],
        };
        found.extend(own.iter().map(Problem::to_string));
        let changed = match change {
            Change::Segment(definition) => &definition.name,
            Change::NoSegment(name) => name,
            Change::Computed(_) | Change::NoComputed(_) => "",
        };
        for (name, segment) in workspace.segments.iter().filter(|(name, _)| *name != changed) {
            let condition = &stage.of(segment).condition;
            if names_others(condition) {
                found.extend(
                    problems(condition, &stage).iter().map(|p| format!("segment {name:?} would not compile: {p}")),
                );
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether other definitions stand in the condition.
fn names_others(condition: &Condition) -> bool {
    match condition {
        Condition::All(of) | Condition::Any(of) => of.iter().any(names_others),
        Condition::Not(of) => names_others(of),
        Condition::Segment(_) | Condition::Computed { .. } => true,
        Condition::Trait { .. } | Condition::Events(_) | Condition::Sequence(_) | Condition::Consent { .. } => false,
    }
}
