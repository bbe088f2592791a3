//! TC strings of the IAB's Transparency and Consent Framework, versions 2.0 to 2.3.
//!
//! After "Transparency and Consent String with Global Vendor & CMP List Formats" of the IAB Tech Lab: segments of base64url joined by
//! dots, the core first; of the others the first three bits say which it is. Integers are big-endian, in as many bits as the
//! table there says.

use super::bits::{Bits, Writer};

/// Purposes of a TC string.
const PURPOSES: usize = 24;
/// Special features.
const FEATURES: usize = 12;
/// From this policy on the segment of disclosed vendors must be there (TCF 2.3).
const DISCLOSING_POLICY: u8 = 5;

/// A TC string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcString {
    /// When it was made: tenths of a second since 1970.
    pub created: u64,
    /// When it was changed last: tenths of a second since 1970.
    pub last_updated: u64,
    /// The consent manager's number.
    pub cmp_id: u16,
    /// Its version.
    pub cmp_version: u16,
    /// On which of its screens.
    pub consent_screen: u8,
    /// In which language: two letters, `A` is 0.
    pub consent_language: [u8; 2],
    /// Version of the Global Vendor List.
    pub vendor_list_version: u16,
    /// Version of the policy.
    pub policy_version: u8,
    /// Whether it is about one site only.
    pub is_service_specific: bool,
    /// Whether other texts than the standard's were shown.
    pub use_non_standard_texts: bool,
    /// Special features opted in to; feature 1 is bit 0.
    pub special_features: u32,
    /// Purposes consented to; purpose 1 is bit 0.
    pub consents: u32,
    /// Purposes whose legitimate interest was disclosed and not objected to.
    pub legitimate_interests: u32,
    /// Whether purpose 1 was not disclosed at all.
    pub purpose_one_treatment: bool,
    /// The publisher's country: two letters, `A` is 0.
    pub publisher_country: [u8; 2],
    /// Vendors consented to.
    pub vendors: Vendors,
    /// Vendors whose legitimate interest was disclosed and not objected to.
    pub interested_vendors: Vendors,
    /// What the publisher restricts.
    pub restrictions: Vec<Restriction>,
    /// Vendors that were shown to the person; mandatory since policy 5.
    pub disclosed: Option<Vendors>,
    /// Vendors that the publisher allows out of band.
    pub allowed: Option<Vendors>,
    /// What the publisher asked for itself.
    pub publisher: Option<Publisher>,
}

/// Numbers of vendors, as ranges: ascending, apart, both ends in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vendors(pub Vec<(u16, u16)>);

/// What a publisher restricts for a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// Which purpose.
    pub purpose: u8,
    /// 0: not allowed; 1: needs consent; 2: needs legitimate interest; 3: undefined, which allows nothing.
    pub kind: u8,
    /// For which vendors.
    pub vendors: Vendors,
}

/// What a publisher asked for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publisher {
    /// Purposes consented to.
    pub consents: u32,
    /// Purposes on legitimate interest.
    pub legitimate_interests: u32,
    /// Custom purposes there are, their consents and legitimate interests; the first is bit 0.
    pub custom: (u8, u64, u64),
}

impl Vendors {
    /// Of these numbers.
    pub fn of(numbers: impl IntoIterator<Item = u16>) -> Vendors {
        let mut numbers: Vec<u16> = numbers.into_iter().collect();
        numbers.sort_unstable();
        let mut ranges: Vec<(u16, u16)> = vec![];
        for number in numbers {
            match ranges.last_mut() {
                Some((_, end)) if u32::from(number) <= u32::from(*end) + 1 => *end = number,
                _ => ranges.push((number, number)),
            }
        }
        Vendors(ranges)
    }

    /// Whether a vendor is among them.
    pub fn has(&self, vendor: u16) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= vendor);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, end)| vendor <= *end)
    }

    fn from_ranges(mut ranges: Vec<(u16, u16)>) -> Vendors {
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = vec![];
        for (start, end) in ranges {
            match joined.last_mut() {
                Some((_, last)) if u32::from(start) <= u32::from(*last) + 1 => *last = end.max(*last),
                _ => joined.push((start, end)),
            }
        }
        Vendors(joined)
    }

    fn read_ranges(bits: &mut Bits) -> Option<Vendors> {
        let mut ranges = vec![];
        for _ in 0..bits.number(12)? {
            let is_range = bits.bit()?;
            let start = bits.number(16)? as u16;
            let end = if is_range { bits.number(16)? as u16 } else { start };
            if start == 0 || end < start {
                return None;
            }
            ranges.push((start, end));
        }
        Some(Vendors::from_ranges(ranges))
    }

    fn read(bits: &mut Bits) -> Option<Vendors> {
        let max = bits.number(16)? as u16;
        if bits.bit()? {
            return Vendors::read_ranges(bits);
        }
        let mut set = vec![];
        for vendor in 1..=max {
            if bits.bit()? {
                set.push(vendor);
            }
        }
        Some(Vendors::of(set))
    }

    fn write_ranges(&self, to: &mut Writer) {
        to.number(self.0.len() as u64, 12);
        for (start, end) in &self.0 {
            to.bit(end > start);
            to.number((*start).into(), 16);
            if end > start {
                to.number((*end).into(), 16);
            }
        }
    }

    fn write(&self, to: &mut Writer) {
        let max = self.0.last().map_or(0, |(_, end)| *end);
        to.number(max.into(), 16);
        let ranges: usize = self.0.iter().map(|(start, end)| if end > start { 33 } else { 17 }).sum();
        let as_ranges = 12 + ranges < usize::from(max) && self.0.len() < 1 << 12;
        to.bit(as_ranges);
        match as_ranges {
            true => self.write_ranges(to),
            false => (1..=max).for_each(|vendor| to.bit(self.has(vendor))),
        }
    }
}

impl TcString {
    /// Reads a TC string; `None` where it is none of version 2.
    pub fn decode(text: &str) -> Option<TcString> {
        let mut segments = text.split('.');
        let mut tc = TcString::core(&mut Bits::of(segments.next()?)?)?;
        for segment in segments {
            let bits = &mut Bits::of(segment)?;
            match bits.number(3)? {
                1 if tc.disclosed.is_none() => tc.disclosed = Some(Vendors::read(bits)?),
                2 if tc.allowed.is_none() => tc.allowed = Some(Vendors::read(bits)?),
                3 if tc.publisher.is_none() => tc.publisher = Some(Publisher::read(bits)?),
                1..=3 => return None,
                // A segment of a later version says nothing about what we know.
                _ => {}
            }
        }
        Some(tc)
    }

    fn core(bits: &mut Bits) -> Option<TcString> {
        if bits.number(6)? != 2 {
            return None;
        }
        let mut tc = TcString { created: bits.number(36)?, last_updated: bits.number(36)?, ..TcString::default() };
        tc.cmp_id = bits.number(12)? as u16;
        tc.cmp_version = bits.number(12)? as u16;
        tc.consent_screen = bits.number(6)? as u8;
        tc.consent_language = letters(bits)?;
        tc.vendor_list_version = bits.number(12)? as u16;
        tc.policy_version = bits.number(6)? as u8;
        tc.is_service_specific = bits.bit()?;
        tc.use_non_standard_texts = bits.bit()?;
        tc.special_features = bits.set(FEATURES)?;
        tc.consents = bits.set(PURPOSES)?;
        tc.legitimate_interests = bits.set(PURPOSES)?;
        tc.purpose_one_treatment = bits.bit()?;
        tc.publisher_country = letters(bits)?;
        tc.vendors = Vendors::read(bits)?;
        tc.interested_vendors = Vendors::read(bits)?;
        for _ in 0..bits.number(12)? {
            let (purpose, kind) = (bits.number(6)? as u8, bits.number(2)? as u8);
            tc.restrictions.push(Restriction { purpose, kind, vendors: Vendors::read_ranges(bits)? });
        }
        Some(tc)
    }

    /// Writes it.
    pub fn encode(&self) -> String {
        let core = &mut Writer::default();
        core.number(2, 6);
        core.number(self.created, 36);
        core.number(self.last_updated, 36);
        core.number(self.cmp_id.into(), 12);
        core.number(self.cmp_version.into(), 12);
        core.number(self.consent_screen.into(), 6);
        self.consent_language.iter().for_each(|letter| core.number((*letter).into(), 6));
        core.number(self.vendor_list_version.into(), 12);
        core.number(self.policy_version.into(), 6);
        core.bit(self.is_service_specific);
        core.bit(self.use_non_standard_texts);
        core.set(self.special_features, FEATURES);
        core.set(self.consents, PURPOSES);
        core.set(self.legitimate_interests, PURPOSES);
        core.bit(self.purpose_one_treatment);
        self.publisher_country.iter().for_each(|letter| core.number((*letter).into(), 6));
        self.vendors.write(core);
        self.interested_vendors.write(core);
        core.number(self.restrictions.len() as u64, 12);
        for restriction in &self.restrictions {
            core.number(restriction.purpose.into(), 6);
            core.number(restriction.kind.into(), 2);
            restriction.vendors.write_ranges(core);
        }
        let mut text = core.text();
        let mut segment = |number: u64, write: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::default();
            writer.number(number, 3);
            write(&mut writer);
            text.push('.');
            text.push_str(&writer.text());
        };
        if let Some(vendors) = &self.disclosed {
            segment(1, &|to| vendors.write(to));
        }
        if let Some(vendors) = &self.allowed {
            segment(2, &|to| vendors.write(to));
        }
        if let Some(publisher) = &self.publisher {
            segment(3, &|to| publisher.write(to));
        }
        text
    }

    /// Whether it lacks the vendors that were disclosed, which since policy 5 makes it void.
    pub fn lacks_disclosed(&self) -> bool {
        self.policy_version >= DISCLOSING_POLICY && self.disclosed.is_none()
    }

    /// Whether the person consents to a purpose, for a vendor where one is named.
    pub fn allows(&self, purpose: u8, vendor: Option<u16>) -> bool {
        bit(self.consents, purpose)
            && vendor.is_none_or(|vendor| {
                self.vendors.has(vendor) && self.discloses(vendor) && !self.restricts(purpose, vendor, &[0, 2, 3])
            })
    }

    /// Whether a vendor may rest a purpose on its legitimate interest. Purposes 1 and 3 to 6 never may.
    pub fn allows_interest(&self, purpose: u8, vendor: Option<u16>) -> bool {
        !matches!(purpose, 1 | 3..=6)
            && bit(self.legitimate_interests, purpose)
            && vendor.is_none_or(|vendor| {
                let has = self.interested_vendors.has(vendor) && self.discloses(vendor);
                has && !self.restricts(purpose, vendor, &[0, 1, 3])
            })
    }

    /// Whether the person opted in to a special feature: 1, precise place; 2, scanning of the device.
    pub fn opted_in(&self, feature: u8) -> bool {
        bit(self.special_features, feature)
    }

    fn discloses(&self, vendor: u16) -> bool {
        self.disclosed.as_ref().is_none_or(|disclosed| disclosed.has(vendor))
    }

    fn restricts(&self, purpose: u8, vendor: u16, kinds: &[u8]) -> bool {
        let is = |r: &Restriction| r.purpose == purpose && kinds.contains(&r.kind) && r.vendors.has(vendor);
        self.restrictions.iter().any(is)
    }
}

impl Publisher {
    fn read(bits: &mut Bits) -> Option<Publisher> {
        let (consents, legitimate_interests) = (bits.set(PURPOSES)?, bits.set(PURPOSES)?);
        let count = bits.number(6)? as u8;
        let mut many = || {
            let mut set = 0u64;
            for place in 0..count {
                set |= u64::from(bits.bit()?) << place;
            }
            Some(set)
        };
        Some(Publisher { consents, legitimate_interests, custom: (count, many()?, many()?) })
    }

    fn write(&self, to: &mut Writer) {
        to.set(self.consents, PURPOSES);
        to.set(self.legitimate_interests, PURPOSES);
        let (count, consents, interests) = self.custom;
        to.number(count.into(), 6);
        for set in [consents, interests] {
            (0..count).for_each(|place| to.bit(set >> place & 1 == 1));
        }
    }
}

fn letters(bits: &mut Bits) -> Option<[u8; 2]> {
    Some([bits.number(6)? as u8, bits.number(6)? as u8])
}

fn bit(set: u32, number: u8) -> bool {
    (1..=32).contains(&number) && set >> (number - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A string of the framework's own documentation.
    const DOCUMENTED: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";

    #[test]
    fn the_documented_string_is_read() {
        let tc = TcString::decode(DOCUMENTED).unwrap();
        assert_eq!((tc.cmp_id, tc.vendor_list_version, tc.policy_version), (27, 15, 2));
        assert_eq!((tc.consents, tc.consent_language), (0b111, [4, 13]));
        assert_eq!(tc.vendors, Vendors::of([2, 6, 8]));
        assert!(tc.allows(1, None) && tc.allows(3, Some(6)) && !tc.allows(3, Some(7)) && !tc.allows(4, None));
        assert!(tc.disclosed.as_ref().is_some_and(|disclosed| disclosed.has(2)) && !tc.lacks_disclosed());
        assert_eq!(TcString::decode(&tc.encode()), Some(tc));
    }

    #[test]
    fn what_is_none_is_none() {
        for text in ["", ".", "BOvFyGBOvFyGBAbAAAENAPCAAOA", "C", "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCK", "%"] {
            assert_eq!(TcString::decode(text), None, "{text:?}");
        }
    }

    fn vendors() -> impl Strategy<Value = Vendors> {
        prop_oneof![
            proptest::collection::vec(1..60u16, 0..30).prop_map(Vendors::of),
            proptest::collection::vec(1..=u16::MAX, 0..12).prop_map(Vendors::of),
            (1..9000u16, 1..900u16).prop_map(|(start, length)| Vendors(vec![(start, start + length)])),
        ]
    }

    prop_compose! {
        fn strings()(
            times in (0..1u64 << 36, 0..1u64 << 36),
            small in (0..4096u16, 0..4096u16, 0..64u8, [0..26u8, 0..26u8], 0..4096u16, 0..64u8),
            flags in (any::<bool>(), any::<bool>(), any::<bool>()),
            sets in (0..1u32 << 12, 0..1u32 << 24, 0..1u32 << 24),
            country in [0..26u8, 0..26u8],
            of_vendors in (vendors(), vendors(), proptest::option::of(vendors()), proptest::option::of(vendors())),
            restrictions in proptest::collection::vec((1..12u8, 0..3u8, vendors()), 0..4),
            publisher in proptest::option::of((0..1u32 << 24, 0..1u32 << 24, 0..10u8, any::<u64>(), any::<u64>())),
        ) -> TcString {
            let (cmp_id, cmp_version, consent_screen, consent_language, vendor_list_version, policy_version) = small;
            let (vendors, interested_vendors, disclosed, allowed) = of_vendors;
            let within = |count: u8, set: u64| set & ((1 << count) - 1);
            TcString {
                created: times.0,
                last_updated: times.1,
                cmp_id,
                cmp_version,
                consent_screen,
                consent_language,
                vendor_list_version,
                policy_version,
                is_service_specific: flags.0,
                use_non_standard_texts: flags.1,
                special_features: sets.0,
                consents: sets.1,
                legitimate_interests: sets.2,
                purpose_one_treatment: flags.2,
                publisher_country: country,
                vendors,
                interested_vendors,
                restrictions: restrictions.into_iter().map(|(purpose, kind, vendors)| Restriction { purpose, kind, vendors }).collect(),
                disclosed,
                allowed,
                publisher: publisher.map(|(consents, legitimate_interests, count, a, b)| Publisher {
                    consents, legitimate_interests, custom: (count, within(count, a), within(count, b)),
                }),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tc in strings()) {
            prop_assert_eq!(TcString::decode(&tc.encode()), Some(tc));
        }

        #[test]
        fn no_text_is_too_strange(text in "[A-Za-z0-9_.=~-]{0,300}|\\PC{0,40}") {
            let read = TcString::decode(&text);
            if let Some(tc) = read {
                prop_assert_eq!(TcString::decode(&tc.encode()), Some(tc));
            }
        }
    }
}
