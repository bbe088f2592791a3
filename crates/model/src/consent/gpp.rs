//! Strings of the IAB's Global Privacy Platform: what of them is about selling, sharing and sensitive data, and the TC string within.
//!
//! After "GPP String Specification" and the section specifications of the IAB Tech Lab: a header and sections joined by `~`, the
//! header with the sections' numbers as ranges of Fibonacci numbers, a section's subsections joined by dots. Sections of
//! United States' laws are a version in 6 bits and choices of 2 bits each; [`LAYOUTS`] says which choice stands where.

use super::{
    bits::{Bits, TEXT_MAX},
    tcf::TcString,
};

/// Sections of a string at most.
const SECTIONS_MAX: usize = 64;

/// A GPP string, as far as it decides something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpp {
    /// Numbers of its sections.
    pub sections: Vec<u16>,
    /// The TC string for Europe.
    pub tcf: Option<TcString>,
    /// What it says of the sale and sharing of data, and of targeted advertising: whether the person opted out of any.
    pub opted_out: Option<bool>,
    /// Whether the person opted out of, or did not consent to, the use of any kind of sensitive data.
    pub limited: Option<bool>,
}

/// What a choice is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Sale, sharing, targeted advertising: 1, opted out; 2, did not.
    Sale,
    /// Sensitive data: 1, opted out or no consent; 2, did not opt out or consent.
    Sensitive,
    /// Something else.
    Other,
}

/// The choices of a section after its version: what they are about, and how many of that.
type Layout = &'static [(Of, u8)];

use Of::{Other, Sale, Sensitive};

/// By section: the national one, California, and the other states.
const LAYOUTS: [(u16, Layout); 21] = [
    (7, &[(Other, 6), (Sale, 3), (Sensitive, 16), (Other, 7)]),
    (8, &[(Other, 3), (Sale, 2), (Sensitive, 9), (Other, 6)]),
    (9, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 4)]),
    (10, &[(Other, 3), (Sale, 2), (Sensitive, 7), (Other, 4)]),
    (11, &[(Other, 4), (Sale, 2), (Sensitive, 8), (Other, 4)]),
    (12, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 6)]),
    (13, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 7)]),
    (14, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 7)]),
    (15, &[(Other, 3), (Sale, 2), (Sensitive, 11), (Other, 7)]),
    (16, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 5)]),
    (17, &[(Other, 3), (Sale, 2), (Sensitive, 9), (Other, 9)]),
    (18, &[(Other, 4), (Sale, 2), (Sensitive, 8), (Other, 4)]),
    (19, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 5)]),
    (20, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 7)]),
    (21, &[(Other, 3), (Sale, 2), (Sensitive, 10), (Other, 9)]),
    (22, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 5)]),
    (23, &[(Other, 3), (Sale, 2), (Sensitive, 8), (Other, 5)]),
    (24, &[(Other, 5), (Sale, 2), (Other, 1)]),
    (25, &[(Other, 5), (Sale, 2), (Other, 2)]),
    (26, &[(Other, 5), (Sale, 2), (Other, 2)]),
    (27, &[(Other, 5), (Sale, 2), (Other, 2)]),
];

fn bits_of(layout: Layout) -> usize {
    layout.iter().map(|(_, count)| usize::from(*count) * 2).sum()
}

/// The national section of version 1 has fewer kinds of sensitive data.
const NATIONAL_1: Layout = &[(Other, 6), (Sale, 3), (Sensitive, 12), (Other, 6)];

/// Sections (Indiana, Kentucky, Rhode Island) that have sensitive data in a subsection of their own.
const SENSITIVE_APART: [u16; 3] = [25, 26, 27];

impl Gpp {
    /// Reads a GPP string; `None` where it is none, or a section that we know cannot be read.
    pub fn decode(text: &str) -> Option<Gpp> {
        let mut parts = text.split('~').filter(|_| text.len() <= TEXT_MAX);
        let sections = header(parts.next()?)?;
        let mut gpp = Gpp { sections: sections.clone(), ..Gpp::default() };
        for section in sections {
            let text = parts.next()?;
            match section {
                2 => gpp.tcf = Some(TcString::decode(text)?),
                6 => gpp.privacy_string(text)?,
                // A law that we do not know says nothing to us.
                other => LAYOUTS
                    .iter()
                    .find(|(number, _)| *number == other)
                    .map_or(Some(()), |(_, layout)| gpp.states(other, layout, text))?,
            }
        }
        parts.next().is_none().then_some(gpp)
    }

    /// A section of a United States' law.
    fn states(&mut self, section: u16, layout: Layout, text: &str) -> Option<()> {
        let mut subsections = text.split('.');
        let bits = &mut Bits::of(subsections.next()?)?;
        let layout = match (section, bits.number(6)?) {
            // Some writers of version 1 have the kinds of version 2 already.
            (7, 1) if bits.left() < bits_of(layout) => NATIONAL_1,
            (7, 1 | 2) | (_, 1) => layout,
            // A later version may have its choices elsewhere.
            _ => return None,
        };
        self.choices(bits, layout)?;
        for subsection in subsections {
            let bits = &mut Bits::of(subsection)?;
            if SENSITIVE_APART.contains(&section) {
                self.choices(bits, &[(Sensitive, 8)])?;
            } else if bits.number(2)? <= 1 && bits.bit()? {
                // Global Privacy Control, whose type is 1; writers of 0 are read as well.
                self.opted_out = Some(true);
            }
        }
        Some(())
    }

    fn choices(&mut self, bits: &mut Bits, layout: Layout) -> Option<()> {
        for (of, count) in layout {
            for _ in 0..*count {
                let said = match bits.number(2)? {
                    0 => None,
                    1 => Some(true),
                    2 => Some(false),
                    _ => return None,
                };
                match of {
                    Sale => self.opted_out = self.opted_out.max(said),
                    Sensitive => self.limited = self.limited.max(said),
                    Other => {}
                }
            }
        }
        Some(())
    }

    /// The U.S. Privacy String, `1YNN`: version, notice, opt-out of sale, agreement of service providers.
    fn privacy_string(&mut self, text: &str) -> Option<()> {
        let [b'1', notice, opt_out, covered] = text.as_bytes() else { return None };
        let known = |choice: &u8| matches!(choice, b'Y' | b'N' | b'-');
        if ![notice, opt_out, covered].into_iter().all(known) {
            return None;
        }
        let said = match opt_out {
            b'Y' => Some(true),
            b'N' => Some(false),
            _ => None,
        };
        self.opted_out = self.opted_out.max(said);
        Some(())
    }
}

/// The sections' numbers: type 3 and version 1 in 6 bits each, then ranges.
fn header(text: &str) -> Option<Vec<u16>> {
    let bits = &mut Bits::of(text)?;
    if (bits.number(6)?, bits.number(6)?) != (3, 1) {
        return None;
    }
    let mut sections: Vec<u16> = vec![];
    let mut last = 0;
    for _ in 0..bits.number(12)? {
        let is_range = bits.bit()?;
        let start = last + fibonacci(bits)?;
        last = if is_range { start + fibonacci(bits)? } else { start };
        if sections.len() + (last - start) as usize >= SECTIONS_MAX {
            return None;
        }
        sections.extend((start..=last).filter_map(|number| u16::try_from(number).ok()));
    }
    Some(sections)
}

/// A number in Fibonacci coding: the sum of the Fibonacci numbers (1, 2, 3, 5, …) whose bits are set, ended by `11`.
fn fibonacci(bits: &mut Bits) -> Option<u32> {
    let (mut number, mut of, mut next, mut before) = (0u32, 1u32, 2u32, false);
    loop {
        let bit = bits.bit()?;
        if bit && before {
            return Some(number);
        }
        if bit {
            number = number.checked_add(of)?;
        }
        // Sections have small numbers; what is larger is no header.
        if of > 1 << 20 {
            return None;
        }
        (of, next, before) = (next, of + next, bit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documented_strings_are_read() {
        // Of the specification: TCF for Europe, alone and with the U.S. Privacy String.
        let alone = Gpp::decode("DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA").unwrap();
        assert_eq!((alone.sections.as_slice(), alone.opted_out), (&[2][..], None));
        assert!(alone.tcf.is_some());
        let both = Gpp::decode("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN").unwrap();
        assert_eq!((both.sections.as_slice(), both.opted_out), (&[2, 6][..], Some(false)));
        assert_eq!(Gpp::decode("DBABTA~1YYN").unwrap().opted_out, Some(true));
    }

    #[test]
    fn the_national_section_of_version_1_has_twelve_or_sixteen_kinds_of_sensitive_data() {
        let text = |kinds: usize, others: usize| {
            let writer = &mut super::super::bits::Writer::default();
            writer.number(1, 6);
            (0..9).for_each(|_| writer.number(2, 2));
            (0..kinds).for_each(|kind| writer.number(if kind + 1 == kinds { 1 } else { 2 }, 2));
            (0..others).for_each(|_| writer.number(0, 2));
            format!("DBABLA~{}", writer.text())
        };
        for (kinds, others) in [(12, 6), (16, 7)] {
            assert_eq!(Gpp::decode(&text(kinds, others)).unwrap().limited, Some(true), "{kinds}: the last was refused");
        }
    }

    #[test]
    fn what_is_none_is_none() {
        for text in ["", "~", "DBABMA", "DBABMA~", "DBABTA~2YNN", "DBABTA~1YNN~1YNN", "CBABMA~1YNN", "DBABTA~1YXN"] {
            assert_eq!(Gpp::decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(DB[A-Za-z0-9_-]{2,8}~)?[A-Za-z0-9_.~=-]{0,120}|\\PC{0,40}") {
            let _ = Gpp::decode(&text);
        }
    }
}
