//! Programs: conditions made ready to be asked for every person, at every event.
//!
//! Events become metrics (numbers), segments and computed traits are put in where they are named, dates and lists are
//! read once. A program never changes and is shared among threads.

use jiff::tz::TimeZone;

use super::{
    ast::{Condition, EventMatch, Events, Measure, Sequence, Test, Window},
    check::{self, CompileError, Lookup, Problem},
    explain::needs,
    measure::Measured,
    metric::{Horizon, Keeps, Metric, MetricId},
    sequence::Ready,
    test::{CountTest, Probe},
    text,
};

/// A condition made ready.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) root: Node,
    pub(super) zone: TimeZone,
    inputs: Inputs,
}

/// What a program reads: its answer for a person stays until one of these changes for that person, or its time comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The metrics, and how far back it needs their points one by one. One metric may stand here several times; see
    /// [`Horizon::start`].
    pub metrics: Vec<(MetricId, Horizon)>,
    /// The traits.
    pub traits: Vec<String>,
    /// The purposes it asks consent for.
    pub purposes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) op: Op,
    /// The condition in words.
    pub(super) text: Box<str>,
    /// What its measured value must be, in words.
    pub(super) needs: Box<str>,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    /// The condition of another segment.
    Segment(Box<Node>),
    Trait {
        name: Box<str>,
        test: Probe,
    },
    Count {
        metric: MetricId,
        window: Window,
        test: CountTest,
    },
    Value {
        metric: MetricId,
        window: Window,
        measured: Measured,
        test: Probe,
    },
    /// Whether the first or last is inside, or is not.
    Edge {
        metric: MetricId,
        window: Window,
        last: bool,
        inside: bool,
    },
    Sequence(Box<Ready>),
    Consent {
        purpose: Box<str>,
        channel: Option<Box<str>>,
    },
}

impl Program {
    /// Makes a condition ready. `metrics` gives each metric its number, and equal ones the same.
    pub fn compile(
        condition: &Condition,
        lookup: &dyn Lookup,
        metrics: &mut dyn FnMut(Metric) -> MetricId,
    ) -> Result<Program, CompileError> {
        let problems = check::problems(condition, lookup);
        if !problems.is_empty() {
            return Err(CompileError { problems });
        }
        let mut compiler = Compiler { lookup, metrics, inputs: Inputs::default() };
        let root = compiler.node(condition).ok_or_else(|| CompileError {
            problems: vec![Problem {
                path: "/condition".to_owned(),
                message: "what it names was there when it was checked and is gone".to_owned(),
            }],
        })?;
        let mut inputs = compiler.inputs;
        inputs.metrics.sort_unstable();
        inputs.metrics.dedup();
        inputs.traits.sort_unstable();
        inputs.traits.dedup();
        inputs.purposes.sort_unstable();
        inputs.purposes.dedup();
        Ok(Program { root, zone: lookup.time_zone().clone(), inputs })
    }

    /// Makes a condition ready by itself; gives the metrics that it reads as well, each at the place of its number.
    pub fn alone(condition: &Condition, lookup: &dyn Lookup) -> Result<(Program, Vec<Metric>), CompileError> {
        let mut metrics: Vec<Metric> = vec![];
        let program = Program::compile(condition, lookup, &mut |metric| {
            let known = metrics.iter().position(|known| *known == metric);
            MetricId(known.unwrap_or_else(|| {
                metrics.push(metric);
                metrics.len() - 1
            }) as u32)
        })?;
        Ok((program, metrics))
    }

    /// What it reads.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }
}

struct Compiler<'a> {
    lookup: &'a dyn Lookup,
    metrics: &'a mut dyn FnMut(Metric) -> MetricId,
    inputs: Inputs,
}

impl Compiler<'_> {
    /// `None` where something is named that is not there, or a test does not fit; checking has seen to both.
    fn node(&mut self, condition: &Condition) -> Option<Node> {
        let (op, needs) = match condition {
            Condition::All(of) => (Op::All(self.nodes(of)?), String::new()),
            Condition::Any(of) => (Op::Any(self.nodes(of)?), String::new()),
            Condition::Not(of) => (Op::Not(Box::new(self.node(of)?)), String::new()),
            Condition::Segment(name) => {
                let lookup = self.lookup;
                (Op::Segment(Box::new(self.node(lookup.segment(name)?)?)), String::new())
            }
            Condition::Trait { name, is } => {
                self.inputs.traits.push(name.clone());
                (Op::Trait { name: name.as_str().into(), test: Probe::new(is) }, needs(is))
            }
            Condition::Computed { name, is } => (self.computed(name, is)?, needs(is)),
            Condition::Events(events) => (self.events(events)?, needs(&events.is)),
            Condition::Sequence(sequence) => (self.sequence(sequence), String::new()),
            Condition::Consent { purpose, channel } => {
                self.inputs.purposes.push(purpose.clone());
                let channel = channel.as_deref().map(Into::into);
                (Op::Consent { purpose: purpose.as_str().into(), channel }, String::new())
            }
        };
        let text = match condition {
            Condition::All(_) => "all of these".into(),
            Condition::Any(_) => "one of these".into(),
            Condition::Not(_) => "not".into(),
            leaf => text::print(leaf).into(),
        };
        Some(Node { op, text, needs: needs.into() })
    }

    fn nodes(&mut self, of: &[Condition]) -> Option<Box<[Node]>> {
        of.iter().map(|part| self.node(part)).collect()
    }

    fn metric(&mut self, event: &EventMatch, keeps: Keeps, horizon: Horizon) -> MetricId {
        self.known(Metric { event: event.clone().normal(), keeps }, horizon)
    }

    fn known(&mut self, metric: Metric, horizon: Horizon) -> MetricId {
        let metric = (self.metrics)(metric);
        self.inputs.metrics.push((metric, horizon));
        metric
    }

    fn computed(&mut self, name: &str, is: &Test) -> Option<Op> {
        let lookup = self.lookup;
        let computed = lookup.computed(name)?;
        let (metric, horizon) = computed.metric();
        let ready = computed.compile(self.known(metric, horizon));
        Some(measured(ready.metric, ready.window, ready.measured, is))
    }

    fn events(&mut self, Events { measure, event, window, is }: &Events) -> Option<Op> {
        let (kind, keeps) = match measure {
            Measure::Count => (Measured::Count, Keeps::Time),
            Measure::Sum(path) => (Measured::Sum, Keeps::Amount(path.clone())),
            Measure::Average(path) => (Measured::Average, Keeps::Amount(path.clone())),
            Measure::Min(path) => (Measured::Min, Keeps::Amount(path.clone())),
            Measure::Max(path) => (Measured::Max, Keeps::Amount(path.clone())),
            Measure::Distinct(path) => (Measured::Distinct, Keeps::Value(path.clone())),
            Measure::First | Measure::Last => {
                let metric = self.metric(event, Keeps::Time, Horizon::None);
                let Test::Exists(inside) = *is else { return None };
                let last = *measure == Measure::Last;
                return Some(Op::Edge { metric, window: window.clone(), last, inside });
            }
        };
        let metric = self.metric(event, keeps, kind.horizon(window));
        Some(measured(metric, window.clone(), kind, is))
    }

    fn sequence(&mut self, Sequence { first, window, then, follows, within_ms }: &Sequence) -> Op {
        let horizon = window.horizon_of_each();
        let both = first.both(then).map(|both| self.metric(&both, Keeps::Time, horizon));
        Op::Sequence(Box::new(Ready {
            first: self.metric(first, Keeps::Time, horizon),
            then: self.metric(then, Keeps::Time, horizon),
            both,
            window: window.clone(),
            follows: *follows,
            within_ms: *within_ms,
        }))
    }
}

fn measured(metric: MetricId, window: Window, measured: Measured, is: &Test) -> Op {
    match CountTest::new(is) {
        Some(test) if measured == Measured::Count => Op::Count { metric, window, test },
        _ => Op::Value { metric, window, measured, test: Probe::new(is) },
    }
}

impl EventMatch {
    /// The same match in its one order, so that equal metrics are found equal.
    pub fn normal(mut self) -> EventMatch {
        self.filter.sort_unstable();
        self.filter.dedup();
        self
    }

    /// What matches an event that both match; `None` where no event can.
    fn both(&self, other: &EventMatch) -> Option<EventMatch> {
        let event = match (&self.event, &other.event) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.as_ref().or(b.as_ref()).cloned(),
        };
        Some(EventMatch { event, filter: [&self.filter[..], &other.filter[..]].concat() })
    }
}
