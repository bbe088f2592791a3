//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use crate::commands::{
    backup::{Backup, Restore},
    governance::{Approval, Catalog, Governance, Report, Request, Retention},
    people::{Audit, Field, Key, Role, User},
};

/// Collect, unify and use what is known of customers, under their consent.
#[derive(Debug, Parser)]
#[command(name = "onefold", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The data folder.
    #[arg(long, global = true, value_name = "DIR", env = "ONEFOLD_DATA", default_value = "./onefold-data")]
    pub data: PathBuf,
    /// A settings file; see config.default.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// table on a terminal, json in a pipe, if not said.
    #[arg(long, global = true, value_name = "table|json|ndjson")]
    pub format: Option<crate::output::Format>,
    /// The same as --format json.
    #[arg(long, global = true)]
    pub json: bool,
    /// The workspace.
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub workspace: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve {
        /// Where to listen.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// Which parts run here; all others than `all` need PostgreSQL and Kafka.
        #[arg(long, default_value = "all", value_name = "all|edge|pipeline|activate|lake")]
        role: String,
    },
    /// Run the main job on the shipped real data, print the result, and end.
    Demo {
        /// Keep serving afterwards.
        #[arg(long)]
        keep: bool,
    },
    /// Workspaces.
    #[command(subcommand)]
    Workspace(Workspace),
    /// Where events come from.
    #[command(subcommand)]
    Source(Source),
    /// Import files.
    Import(Import),
    /// People.
    #[command(subcommand)]
    Profile(Profile),
    /// Records of one person without a common identifier: models, a steward's queue and decisions.
    #[command(subcommand)]
    Linkage(Linkage),
    /// Audiences.
    #[command(subcommand)]
    Segment(Segment),
    /// Computed traits.
    #[command(subcommand)]
    Computed(Computed),
    /// Objects beside people: product, store, campaign, ticket, …
    #[command(subcommand)]
    Object(Object),
    /// Identity rules, time zone, what silence about consent means.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// What leaves the house.
    #[command(subcommand)]
    Destination(Destination),
    /// What people allow: policy, statements, decisions, ledger.
    #[command(subcommand)]
    Consent(Consent),
    /// What people may ask for under privacy law: erasure, and not to be let in again.
    #[command(subcommand)]
    Privacy(Privacy),
    /// What people ask for under privacy law, and how far that is.
    #[command(subcommand)]
    Request(Request),
    /// How data are governed: what is collected for what, who approves, who answers for a field, how long things stay.
    #[command(subcommand)]
    Governance(Governance),
    /// What takes a second person.
    #[command(subcommand)]
    Approval(Approval),
    /// The data directory: every field, who answers for it, what it is for, and where it goes.
    Catalog(Catalog),
    /// What is kept too long.
    #[command(subcommand)]
    Retention(Retention),
    /// Reports for authorities.
    #[command(subcommand)]
    Report(Report),
    /// Who works here.
    #[command(subcommand)]
    User(User),
    /// What roles may do, and who has them.
    #[command(subcommand)]
    Role(Role),
    /// Keys of programs.
    #[command(subcommand)]
    Key(Key),
    /// Who read people's data in bulk, changed something, or was refused.
    #[command(subcommand)]
    Audit(Audit),
    /// What fields hold, and so who sees them.
    #[command(subcommand)]
    Field(Field),
    /// Events that were refused.
    #[command(subcommand)]
    Deadletter(Deadletter),
    /// Ask the tables: events, profiles, identifiers, segment_members, consents, deliveries.
    Sql {
        /// One SELECT in the dialect of PostgreSQL (`-`: from standard input).
        query: String,
        /// Ask the tables as they are, at most some seconds old, instead of waiting for what was just applied.
        #[arg(long)]
        no_wait: bool,
    },
    /// How the workspace stands.
    Stats,
    /// Every trait and property seen.
    Properties,
    /// What a person should look at: refused merges, clusters at their bound.
    Alarms,
    /// The log.
    #[command(subcommand)]
    Log(Log),
    /// Backups of the whole folder: encrypted, signed, made while it runs.
    #[command(subcommand)]
    Backup(Backup),
    /// Put a backup into an empty data folder; whoever was erased since is forgotten again.
    Restore(Restore),
    /// Make derived state anew from the log.
    Rebuild,
    /// Processes of the cluster engine; their ports belong into a private network.
    #[cfg(feature = "cluster")]
    #[command(subcommand)]
    Cluster(Cluster),
    /// Find which records of a file are the same person, without labels; asks no server.
    Link(Link),
    /// Measure.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Args)]
pub struct Link {
    /// A CSV file, compressed or not; ids stand in the column unique_id, or else in the first.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// What is compared, and how (TOML); without it a model is guessed from the columns.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Print the model that is guessed, or the one given, and end.
    #[arg(long, conflicts_with_all = ["output", "pairs", "report", "save", "explain"])]
    pub guess: bool,
    /// Write each record's id and its cluster's (CSV).
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the pairs that may be the same, with their scores (CSV).
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// Write a page about weights, scores, clusters and doubts (HTML).
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the model with the weights that were learned, to be used again (TOML).
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Print how the score of two records comes about, and end.
    #[arg(long, num_args = 2, value_names = ["ID", "ID"], conflicts_with_all = ["output", "pairs", "report", "save"])]
    pub explain: Vec<String>,
    /// Of the random pairs that it learns from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// Make a workspace.
    Add { name: String },
    /// The workspaces.
    List,
}

#[derive(Debug, Subcommand)]
pub enum Source {
    /// Make a source; prints its write key, this once.
    Add {
        name: String,
        /// http, webhook, import, …
        #[arg(long, default_value = "http")]
        kind: String,
        /// JSON: for webhooks the mapping.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The sources.
    List,
    /// A source.
    Show { name: String },
    /// Take no events from a source, until it is paused with --resume.
    Pause {
        name: String,
        #[arg(long)]
        resume: bool,
    },
    /// Revoke a source's write key and print a new one.
    Key { name: String },
    /// How good its newest events are: completeness, validity, uniqueness, volume, drift, and what to look at.
    Quality {
        name: String,
        /// On so many events.
        #[arg(long, default_value_t = 10_000)]
        events: usize,
    },
    /// What is done to its events before they are used, and what each step has changed; or set, try or end that.
    Prepare {
        name: String,
        /// Set this: a JSON file with steps (`-`: standard input).
        #[arg(long, value_name = "FILE", group = "how")]
        set: Option<PathBuf>,
        /// With --set: do it to all that came before as well, once `onefold rebuild` has run.
        #[arg(long, requires = "set")]
        replay: bool,
        /// Try this file on the newest events, and change nothing; without a file what is set.
        #[arg(long, value_name = "FILE", group = "how", num_args = 0..=1)]
        r#try: Option<Option<PathBuf>>,
        /// With --try: on so many events.
        #[arg(long, default_value_t = 1000, requires = "try")]
        events: usize,
        /// Do nothing to its events any more.
        #[arg(long, group = "how")]
        remove: bool,
    },
}

#[derive(Debug, Args)]
pub struct Import {
    /// Files, patterns with * and ?, or addresses that begin with https:// or http://.
    #[arg(required = true)]
    pub files: Vec<String>,
    /// The source; it is made where it is not there.
    #[arg(long)]
    pub source: String,
    /// How columns become events (TOML); without it a mapping is guessed and shown.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Show the mapping and the first events, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Use a guessed mapping without asking.
    #[arg(long)]
    pub yes: bool,
    /// Move all times so that the last event is now; for demonstrations.
    #[arg(long)]
    pub shift_to_now: bool,
    /// For exports that grow or overlap: a row that stood in an earlier file of this source is not taken again. Without
    /// it only the same file is known again.
    #[arg(long)]
    pub incremental: bool,
    /// Answer when all is in the log, not when all profiles are up to date.
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub enum Privacy {
    /// Erase people from everything that is kept, and keep them out. Without --yes: say who and what is meant.
    Erase {
        /// E-mail addresses, phone numbers with +, user ids, `kind:value`.
        #[arg(required_unless_present = "file")]
        identifiers: Vec<String>,
        /// A file with an identifier a line.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// Write everything that is held of a person into a ZIP of JSON and CSV, for the person.
    Access {
        identifier: String,
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// A signed link to a person's preference centre, and one to unsubscribe by one click.
    Link {
        identifier: String,
        /// What the unsubscribe is about; absent: everything.
        #[arg(long)]
        purpose: Option<String>,
        /// By which channel.
        #[arg(long, requires = "purpose")]
        channel: Option<String>,
        /// For how many days it is good.
        #[arg(long)]
        days: Option<u32>,
    },
    /// What was asked for, the newest first.
    Requests,
    /// A request, with its signed receipt.
    Show { request: String },
    /// Whether a receipt is genuine: a file with what `signed` of a request says.
    Check {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Keep people out from now on, without erasing what is there.
    Suppress {
        #[arg(required = true)]
        identifiers: Vec<String>,
    },
    /// Whether somebody is kept out.
    Suppressed { identifier: String },
    /// Let people in again who asked for it.
    Lift {
        #[arg(required = true)]
        identifiers: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Consent {
    /// The policy: what data are used for, on which legal ground, and the law where people live.
    Policy {
        /// A JSON file with a policy to set; - for standard input. Absent: the one in force is shown.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Do not set it: say whom it would let in and out.
        #[arg(long, requires = "file")]
        try_it: bool,
    },
    /// Enter a consent, for which you have the proof.
    Set {
        /// An e-mail address, a phone number with +, a user id, `kind:value`.
        identifier: String,
        /// A purpose; `*` for everything, `$processing`, `$sale`, `$sensitive`, `$automated` for these rights.
        purpose: String,
        /// granted, denied, withdrawn, objected, restricted, expired, not_collected.
        state: String,
        /// The channel; absent: all.
        #[arg(long)]
        channel: Option<String>,
        /// The person said so themselves: stronger than what any consent manager sends.
        #[arg(long)]
        by_person: bool,
        /// When it runs out.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Where the proof is.
        #[arg(long)]
        proof: Option<String>,
    },
    /// Enter consents from a CSV file with a header: identifier, purpose, state, and as needed channel, by, effective, expires,
    /// jurisdiction, basis, notice_id, notice_version, proof.
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Whether a person's data may be used for a purpose now, and which statement decides.
    Decide {
        identifier: String,
        purpose: String,
        #[arg(long)]
        channel: Option<String>,
    },
    /// How many match a condition, how many of them may be reached, and why not the others.
    Reach {
        /// A condition, such as `segment("buyers")`.
        condition: String,
        purpose: String,
        #[arg(long)]
        channel: Option<String>,
    },
    /// Look through the whole ledger: whether a row was changed, taken out, put in or moved.
    Verify,
}

#[derive(Debug, Subcommand)]
pub enum Profile {
    /// A profile, by any identifier.
    Show {
        identifier: String,
        /// With its newest events and the history of its traits.
        #[arg(long)]
        explain: bool,
    },
    /// Profiles in the order of their ids.
    List {
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[arg(long)]
        after: Option<String>,
    },
    /// Say that two identifiers are one person.
    Merge { a: String, b: String },
    /// Say that two identifiers are two people; with one alone: it and everybody it is joined with.
    Unmerge { a: String, b: Option<String> },
    /// Why its identifiers are one person: what was said of them, in order.
    Evidence { identifier: String },
    /// Who this was at a time: identifiers and traits, as far as was known then.
    Then {
        identifier: String,
        /// An instant: 2026-03-01T00:00:00Z.
        at: String,
    },
    /// Give a trait a value that goes before what any source says, until it is taken back.
    Override {
        identifier: String,
        /// The trait's name.
        name: String,
        /// The value as JSON, or as plain text; null: the trait is gone.
        #[arg(required_unless_present = "withdraw")]
        value: Option<String>,
        /// Take the value back that was given so.
        #[arg(long, conflicts_with = "value")]
        withdraw: bool,
    },
    /// Traits of which a profile's records say different things.
    Conflicts {
        /// Of this trait alone.
        #[arg(long = "trait", value_name = "TRAIT")]
        of: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Go on after this profile, as `next` of the last answer says.
        #[arg(long)]
        after: Option<String>,
    },
    /// Withdraw evidence: the profile is then what the rest gives.
    Withdraw {
        identifier: String,
        /// Ids, as `profile evidence` lists them.
        evidence: Vec<String>,
        /// All that joined its identifiers since this instant.
        #[arg(long)]
        since: Option<String>,
        /// Only say who they would be.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Linkage {
    /// Make a model of the records there are and of what was decided; it proposes nothing until it is made active.
    Train {
        /// A model file; guessed from the traits there are, if not given.
        #[arg(long)]
        model: Option<PathBuf>,
    },
    /// The models.
    Models,
    /// A model's file.
    Model { version: u32 },
    /// Let a model propose who is one person.
    Activate { version: u32 },
    /// Let none: what one joined is parted.
    Off,
    /// Pairs in doubt, the likeliest first.
    Queue {
        /// doubt, joined, accept, reject or never.
        #[arg(long, default_value = "doubt")]
        state: String,
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// They are one person.
    Accept { a: String, b: String },
    /// No link joins them; other evidence may.
    Reject { a: String, b: String },
    /// They are two people, whatever else is said.
    Never { a: String, b: String },
    /// Withdraw an earlier decision.
    Undo { a: String, b: String },
    /// Why two records have their weight.
    Explain { a: String, b: String },
    /// Profiles whose records speak against each other, the worst first; then those that hang by one weak link.
    Suspects {
        /// By at least so many bits.
        #[arg(long, default_value_t = 4.0)]
        bits: f64,
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Debug, Subcommand)]
pub enum Segment {
    /// Define a segment from a JSON file (`-`: standard input), or from --name and --text.
    Set {
        file: Option<PathBuf>,
        #[arg(long, requires = "text", conflicts_with = "file")]
        name: Option<String>,
        #[arg(long, requires = "name")]
        text: Option<String>,
    },
    /// The segments.
    List,
    /// How many are in.
    Count { name: String },
    /// Who is in, a profile a line.
    Members { name: String },
    /// All members of a segment or a condition as of now, as they stand in the tables: an object a line, or CSV.
    Export {
        /// The name of a segment, or a condition as text.
        segment: String,
        /// A trait to stand beside each id; may be given several times.
        #[arg(long, value_name = "TRAIT")]
        with: Vec<String>,
        /// Write CSV.
        #[arg(long)]
        csv: bool,
    },
    /// How many members have what in common, so coarse that nobody is told from at least k − 1 others.
    Anonymous {
        /// The name of a segment, or a condition as text.
        segment: String,
        /// TRAIT, or TRAIT=HOW: age_band, prefix:2, band:50, day, week, month, year; as often as need be.
        #[arg(long, value_name = "TRAIT=HOW", required = true)]
        by: Vec<String>,
        /// People in a group at least.
        #[arg(long, default_value_t = 10)]
        k: u32,
    },
    /// How many were in at the end of each day on which somebody entered or left.
    History {
        name: String,
        /// So many such days.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Why a person is in, or is not.
    Explain { name: String, identifier: String },
    /// Count a condition without making it a segment.
    Preview {
        /// The condition as text.
        text: String,
        /// Count those who are in by the values of a trait as well; may be given several times.
        #[arg(long, value_name = "TRAIT")]
        by: Vec<String>,
    },
    /// How segments overlap: who is in which of them, and in no other.
    Overlap {
        /// Names of segments, or conditions as text.
        #[arg(required = true, num_args = 2..=10)]
        segments: Vec<String>,
    },
    /// End a segment.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub enum Computed {
    /// Define a computed trait from a JSON file (`-`: standard input).
    Set { file: PathBuf },
    /// The computed traits.
    List,
    /// End a computed trait.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub enum Object {
    /// Define an object type from a JSON file (`-`: standard input).
    Set { file: PathBuf },
    /// The object types, or the objects of one.
    List { kind: Option<String> },
    /// An object with its traits; of an account or a household with its members and their roles.
    Show { kind: String, id: String },
}

#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// The settings.
    Show,
    /// Change settings from a JSON file (`-`: standard input); what is left out stays.
    Set { file: PathBuf },
    /// What other identity rules would have made of all that was said so far; changes nothing.
    Try { file: PathBuf },
}

#[derive(Debug, Subcommand)]
pub enum Destination {
    /// Set up a destination from a JSON file (`-`: standard input).
    Set { file: PathBuf },
    /// The destinations.
    List,
    /// Try a destination, without anybody's data.
    Test { name: String },
    /// Send all current members of its segments again.
    Sync { name: String },
    /// What became of its deliveries.
    Receipts { name: String },
    /// Put dead deliveries back.
    Replay {
        name: String,
        #[arg(long)]
        from: String,
        #[arg(long)]
        to: String,
        #[arg(long)]
        dry_run: bool,
    },
    /// End a destination.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub enum Deadletter {
    /// The newest.
    List {
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One, with what came.
    Show { id: String },
    /// Try all that wait again.
    Retry,
}

#[derive(Debug, Subcommand)]
pub enum Log {
    /// Accepted events, one a line.
    Dump {
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Read every block and check it.
    Verify,
}

#[cfg(feature = "cluster")]
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Take queries, and give their parts to executors.
    Scheduler {
        /// Where to listen.
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50050")]
        listen: std::net::SocketAddr,
        /// The name or address by which executors reach it, if not the one it listens at.
        #[arg(long)]
        host: Option<String>,
        /// `/readyz` answers 200 when so many executors are there.
        #[arg(long, default_value_t = 1)]
        executors_min: usize,
    },
    /// Work for a scheduler. It reads the object store of [lake] itself.
    Executor {
        /// Where the scheduler is.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
        scheduler: String,
        /// The address to listen at.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
        listen: std::net::IpAddr,
        /// The name or address by which the others reach it, if not the one it listens at.
        #[arg(long)]
        host: Option<String>,
        /// The ports for rows and for orders.
        #[arg(long, value_delimiter = ',', default_value = "50051,50052")]
        ports: Vec<u16>,
        /// Threads that work, if not one for each core.
        #[arg(long)]
        threads: Option<usize>,
        /// Memory of all of them.
        #[arg(long, default_value_t = 2048)]
        memory_mib: u64,
        /// Where it puts what others fetch and what does not fit into memory, if not the folder `executor` in the data
        /// folder. It is personal data as the tables are.
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// The eight audiences by executors of a cluster, beside the embedded engine; then with one of them killed.
    #[cfg(feature = "cluster")]
    Cluster {
        #[arg(long, default_value_t = 20_000)]
        users: u64,
        #[arg(long, default_value_t = 400_000)]
        events: u64,
        #[arg(long, default_value_t = 2)]
        executors: u16,
        /// Where the tables are put, such as s3://bucket/folder; else a folder of this machine.
        #[arg(long)]
        url: Option<url::Url>,
        /// Of the object store, as in [lake] options: NAME=VALUE.
        #[arg(long)]
        option: Vec<String>,
    },
    /// Durable ingest over HTTP, beside a server that only reads and writes.
    Ingest {
        /// Seconds for each of the four runs.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// A server at work: 5,000 events a second with 50 live segments, the time from an event to its webhook, profile
    /// reads beside it, merges and unmerges.
    Live {
        /// Seconds for each of the runs.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// Import of a CSV file: rows a second until they are durable, and until they are in profiles.
    Import {
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
    },
    /// Eight audiences over a shop: how long a count takes, beside DuckDB and ClickHouse where they are installed.
    Segments {
        #[arg(long, default_value_t = 1_000_000)]
        users: u64,
        #[arg(long, default_value_t = 20_000_000)]
        events: u64,
        /// A folder with profiles.parquet and events.parquet, instead of a shop that is made.
        #[arg(long, value_name = "DIR")]
        load: Option<PathBuf>,
        /// The instant as of which is counted.
        #[arg(long, default_value = "2026-01-01T00:00:00Z")]
        now: String,
        /// A folder with the Python environments duckdb and clickhouse; bench/run.sh makes it.
        #[arg(long, value_name = "DIR", default_value = "target/peers")]
        peers: PathBuf,
    },
    /// Records of a file linked, beside Splink where it is installed; with figures where the column person_id has the truth.
    Link {
        file: PathBuf,
        /// A folder with the Python environment splink; bench/run.sh makes it.
        #[arg(long, value_name = "DIR", default_value = "target/peers")]
        peers: PathBuf,
    },
    /// The whole pipeline: parse, dedupe, identity, fold, 50 live segments, commit.
    Pipeline {
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        #[arg(long, default_value_t = 100_000)]
        profiles: u64,
        /// With a policy of consent and 100,000 identifiers that are kept out.
        #[arg(long)]
        privacy: bool,
    },
    /// A decision about consent, a look at the suppression list, and erasures of one person and of a thousand among many.
    Privacy {
        #[arg(long, default_value_t = 1_000_000)]
        people: u64,
        #[arg(long, default_value_t = 20_000_000)]
        events: u64,
    },
}
