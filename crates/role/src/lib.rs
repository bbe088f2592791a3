//! Who may do what: actions, roles, policies, and what comes of them.
//!
//! Policies are written in [Cedar](https://www.cedarpolicy.com): they permit or forbid a principal an [`Action`] in a workspace, and to
//! `see` a class of fields. How much of such a field is seen is said by the permit's own annotation, `@mask("partial")`; whose
//! records are seen is said by the grant of the role, not by the policy. Both are our own data, applied by
//! [`Sight`](onefold_model::access::Sight) wherever people are read: Cedar decides yes or no.
//!
//! Everything here is pure. What one asks under does not change from question to question, so [`Policies::rights`] answers all of
//! them at once, and whoever asks keeps the answer.

mod action;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    str::FromStr as _,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use onefold_model::access::{Class, Mask};

pub use action::Action;

/// The roles that there are from the beginning.
pub const ROLES: [&str; 7] = ["admin", "privacy_officer", "data_steward", "marketer", "analyst", "developer", "agency"];

const FRAME: &str = include_str!("schema.cedarschema");

/// The policies that hold where a workspace says nothing else.
pub const DEFAULTS: &str = include_str!("defaults.cedar");

/// Why policies cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Wrong(pub Vec<String>);

/// What Cedar is to know of: [`FRAME`] and every action in its group.
pub fn schema() -> String {
    let mut text = FRAME.to_owned();
    for action in Action::ALL {
        text.push_str(&format!(
            "action \"{}\" in [{}] appliesTo {{ principal: [Person, Program], resource: Workspace, context: Circumstances }};\n",
            action.name(),
            action.group(),
        ));
    }
    text
}

/// Who asks, in one of their roles.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// What policies call them: an e-mail address, or the name of a key.
    pub name: String,
    /// Whether it is a program, by its key.
    pub is_program: bool,
    /// The role.
    pub role: String,
    /// Their teams.
    pub teams: Vec<String>,
}

/// Under which circumstances they ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Circumstances {
    /// In which workspace, by its name.
    pub workspace: String,
    /// For which purpose.
    pub purpose: String,
    /// Whether a second factor was shown.
    pub second_factor: bool,
}

/// What comes of policies for one principal under given circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    actions: BTreeMap<Action, Ruling>,
    masks: [(Mask, Vec<String>); 6],
}

/// Whether something is permitted, and the policies that decided it; none: nothing permits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it is.
    pub allowed: bool,
    /// By which policies.
    pub policies: Vec<String>,
}

impl Rights {
    /// Whether this is permitted.
    pub fn allow(&self, action: Action) -> bool {
        self.actions.get(&action).is_some_and(|ruling| ruling.allowed)
    }

    /// Whether and by which policies.
    pub fn ruling(&self, action: Action) -> Option<&Ruling> {
        self.actions.get(&action)
    }

    /// How much is seen of each class, in the order of [`Class::ALL`].
    pub fn masks(&self) -> [Mask; 6] {
        std::array::from_fn(|place| self.masks[place].0)
    }

    /// How much is seen of a class, and by which policies.
    pub fn mask(&self, class: Class) -> (Mask, &[String]) {
        let (mask, policies) = &self.masks[class as usize];
        (*mask, policies)
    }
}

/// The policies of a workspace.
#[derive(Debug)]
pub struct Policies {
    all: PolicySet,
    schema: Schema,
    authorizer: Authorizer,
}

impl Policies {
    /// The defaults, and a workspace's own in Cedar's text. Each policy may have a name, `@id("…")`; the others are numbered. A name of
    /// the defaults may not be given again: what they permit is taken back by `forbid`.
    pub fn read(own: &str) -> Result<Policies, Wrong> {
        let wrong = |errors: &dyn std::fmt::Display| Wrong(vec![errors.to_string()]);
        let (schema, _) = Schema::from_cedarschema_str(&schema()).map_err(|error| wrong(&error))?;
        let mut all = PolicySet::new();
        for (prefix, text) in [("default", DEFAULTS), ("own", own)] {
            let read = PolicySet::from_str(text).map_err(|errors| Wrong(errors.iter().map(said).collect()))?;
            if read.templates().next().is_some() {
                return Err(Wrong(vec![
                    "a policy has a slot (?principal, ?resource), which nothing fills here".to_owned(),
                ]));
            }
            for (number, policy) in read.policies().enumerate() {
                let name = policy.annotation("id").map_or_else(|| format!("{prefix}-{}", number + 1), str::to_owned);
                check_mask(&name, policy)?;
                all.add(policy.new_id(PolicyId::new(&name)))
                    .map_err(|_| Wrong(vec![format!("there are two policies called {name:?}")]))?;
            }
        }
        let validation = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
        let problems: Vec<String> = validation.validation_errors().map(ToString::to_string).collect();
        if !problems.is_empty() {
            return Err(Wrong(problems));
        }
        Ok(Policies { all, schema, authorizer: Authorizer::new() })
    }

    /// Everything that this principal may do and see under these circumstances. What cannot be decided is forbidden.
    pub fn rights(&self, principal: &Principal, circumstances: &Circumstances) -> Rights {
        let asked = Asked::new(principal, circumstances, &self.schema);
        let rule = |action: &str, resource: EntityUid| match &asked {
            Some(asked) => self.rule(asked, action, resource),
            None => Ruling { allowed: false, policies: vec![] },
        };
        let workspace = uid("Workspace", &circumstances.workspace);
        let actions = Action::ALL.iter().map(|action| (*action, rule(action.name(), workspace.clone()))).collect();
        let masks = Class::ALL.map(|class| {
            let Ruling { allowed, policies } = rule("see", uid("Class", class.name()));
            let least = policies.iter().map(|policy| self.mask(policy)).min();
            (if allowed { least.unwrap_or(Mask::Hidden) } else { Mask::Hidden }, policies)
        });
        Rights { actions, masks }
    }

    fn rule(&self, asked: &Asked, action: &str, resource: EntityUid) -> Ruling {
        let hidden = || Ruling { allowed: false, policies: vec![] };
        let (context, schema) = (asked.context.clone(), Some(&self.schema));
        let Ok(request) = Request::new(asked.principal.clone(), uid("Action", action), resource, context, schema)
        else {
            return hidden();
        };
        let response = self.authorizer.is_authorized(&request, &self.all, &asked.entities);
        let diagnostics = response.diagnostics();
        let mut policies: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        policies.sort_unstable();
        // A policy that fails is left out by Cedar, a `forbid` as well: then nothing is allowed.
        let failed = diagnostics.errors().next().is_some();
        Ruling { allowed: response.decision() == Decision::Allow && !failed, policies }
    }

    /// How much a permit to see lets through: what its annotation says, everything where it has none.
    fn mask(&self, policy: &str) -> Mask {
        let said = self.all.annotation(&PolicyId::new(policy), "mask");
        said.map_or(Mask::Clear, |said| Mask::from_name(said).unwrap_or(Mask::Hidden))
    }

    /// The workspace's own words for these: roles that its policies name beside [`ROLES`].
    pub fn roles(&self) -> Vec<String> {
        let mut roles: Vec<String> = ROLES.iter().map(|role| (*role).to_owned()).collect();
        let of_role = |uid: &EntityUid| uid.type_name().basename() == "Role";
        let named = self.all.policies().flat_map(|policy| policy.entity_literals());
        let mut own: Vec<String> = named.filter(of_role).map(|uid| uid.id().unescaped().to_owned()).collect();
        own.retain(|role| !roles.contains(role));
        own.sort_unstable();
        own.dedup();
        roles.extend(own);
        roles
    }
}

fn said(error: &cedar_policy::ParseError) -> String {
    error.to_string()
}

/// A mask that nobody knows would hide everything, which its author did not mean.
fn check_mask(name: &str, policy: &Policy) -> Result<(), Wrong> {
    match policy.annotation("mask") {
        Some(mask) if Mask::from_name(mask).is_none() => {
            let known = "clear, partial, generalised, hashed, hidden";
            Err(Wrong(vec![format!("the policy {name:?} has @mask({mask:?}); there are {known}")]))
        }
        _ => Ok(()),
    }
}

/// What all questions of one principal share.
struct Asked {
    principal: EntityUid,
    entities: Entities,
    context: Context,
}

impl Asked {
    fn new(principal: &Principal, circumstances: &Circumstances, schema: &Schema) -> Option<Asked> {
        let kind = if principal.is_program { "Program" } else { "Person" };
        let who = uid(kind, &principal.name);
        let teams = principal.teams.iter().map(|team| uid("Team", team));
        let parents: HashSet<EntityUid> = teams.chain([uid("Role", &principal.role)]).collect();
        let mut entities: Vec<Entity> =
            parents.iter().map(|parent| Entity::new_no_attrs(parent.clone(), HashSet::new())).collect();
        entities.push(Entity::new(who.clone(), HashMap::new(), parents).ok()?);
        let context = Context::from_pairs([
            ("purpose".to_owned(), RestrictedExpression::new_string(circumstances.purpose.clone())),
            ("second_factor".to_owned(), RestrictedExpression::new_bool(circumstances.second_factor)),
        ]);
        Some(Asked {
            principal: who,
            entities: Entities::from_entities(entities, Some(schema)).ok()?,
            context: context.ok()?,
        })
    }
}

fn uid(kind: &'static str, id: &str) -> EntityUid {
    let kind = EntityTypeName::from_str(kind).unwrap_or_else(|_| unreachable!("the names of types are written above"));
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}
