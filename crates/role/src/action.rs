//! What can be done, one name for each.

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal in $group:literal;)*) => {
        /// What somebody does. Policies call it by its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[doc = $doc])* $variant,)* }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$(Action::$variant,)*];

            /// Its name in policies: `segments.edit`.
            pub fn name(self) -> &'static str {
                match self { $(Action::$variant => $name,)* }
            }

            /// The group it is in: `view`, `edit`, `delete`, `export`, `use`.
            pub fn group(self) -> &'static str {
                match self { $(Action::$variant => $group,)* }
            }
        }
    };
}

actions! {
    /// Look at people: one, a page, who they were, why they are one.
    ProfilesView = "profiles.view" in "view";
    /// Merge, part, correct, withdraw evidence.
    ProfilesEdit = "profiles.edit" in "edit";
    /// Take people's data out in bulk.
    ProfilesExport = "profiles.export" in "export";
    /// Look at events as they came.
    EventsView = "events.view" in "view";
    /// Bring events in from files.
    EventsImport = "events.import" in "use";
    /// Look at segments and computed traits, count, try.
    SegmentsView = "segments.view" in "view";
    /// Define them.
    SegmentsEdit = "segments.edit" in "edit";
    /// Remove them.
    SegmentsDelete = "segments.delete" in "delete";
    /// Look at destinations and receipts.
    DestinationsView = "destinations.view" in "view";
    /// Set them up.
    DestinationsEdit = "destinations.edit" in "edit";
    /// Remove them.
    DestinationsDelete = "destinations.delete" in "delete";
    /// Test, send again, replay.
    DestinationsUse = "destinations.use" in "use";
    /// Look at sources, what they send, and its quality.
    SourcesView = "sources.view" in "view";
    /// Set up sources and what is done to their events.
    SourcesEdit = "sources.edit" in "edit";
    /// Look at what was refused.
    LettersView = "letters.view" in "view";
    /// Let it in again.
    LettersUse = "letters.use" in "use";
    /// Look at models of linkage and doubtful pairs.
    LinkageView = "linkage.view" in "view";
    /// Train, choose, decide.
    LinkageEdit = "linkage.edit" in "edit";
    /// Look at what people allow, and check the ledger.
    ConsentsView = "consents.view" in "view";
    /// Enter statements, and change the policy.
    ConsentsEdit = "consents.edit" in "edit";
    /// Look at requests under privacy law, receipts, the suppression list.
    PrivacyView = "privacy.view" in "view";
    /// Give people what is held of them, make their links, keep them out or let them in.
    PrivacyAnswer = "privacy.answer" in "export";
    /// Erase people.
    PrivacyErase = "privacy.erase" in "delete";
    /// Say what a field holds.
    FieldsEdit = "fields.edit" in "edit";
    /// Ask the tables in SQL.
    SqlAsk = "sql.ask" in "view";
    /// Look at settings and object types.
    SettingsView = "settings.view" in "view";
    /// Change them.
    SettingsEdit = "settings.edit" in "edit";
    /// Look at totals.
    StatsView = "stats.view" in "view";
    /// Look at the system: metrics, alarms.
    SystemView = "system.view" in "view";
    /// Verify and rebuild, and read the log itself.
    SystemUse = "system.use" in "use";
    /// Make workspaces.
    WorkspacesEdit = "workspaces.edit" in "edit";
    /// Look at who works here, in which role, and by which policies.
    PeopleView = "people.view" in "view";
    /// Invite, grant, revoke; keys; policies.
    PeopleEdit = "people.edit" in "edit";
    /// Look at how data are governed: what is collected, approvals, the data directory, retention.
    GovernanceView = "governance.view" in "view";
    /// Change that.
    GovernanceEdit = "governance.edit" in "edit";
    /// Approve what somebody else wants to do, where the workspace's rules name one.
    GovernanceApprove = "governance.approve" in "use";
    /// Read the audit log.
    AuditView = "audit.view" in "view";
    /// Check it.
    AuditCheck = "audit.check" in "use";
}

impl Action {
    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.name() == name)
    }
}
