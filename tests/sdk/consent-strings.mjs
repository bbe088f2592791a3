// node consent-strings.mjs make SEED COUNT: writes TC and GPP strings by the IAB's own packages, with what they say, a JSON a line.
// node consent-strings.mjs read: reads TC strings, one a line, and writes what the IAB's own package finds in them.
import { createInterface } from 'node:readline'
import { GVL, PurposeRestriction, PurposeRestrictionVector, RestrictionType, TCModel, TCString } from '@iabtechlabtcf/core'
import { GppModel } from '@iabgpp/cmpapi'

const [mode, seed, count] = process.argv.slice(2)

// mulberry32
let state = Number(seed) >>> 0
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const below = (bound) => Math.floor(random() * bound)
const some = (upTo, odds) => Array.from({ length: upTo }, (_, i) => i + 1).filter(() => random() < odds)

// The package writes only what a vendor list knows.
const list = () => {
  const purpose = (id) => ({ id, name: `${id}`, description: '', illustrations: [] })
  const of = (ids) => Object.fromEntries(ids.map((id) => [id, purpose(id)]))
  const ids = Array.from({ length: 11 }, (_, i) => i + 1)
  const vendors = {}
  for (let id = 1; id <= 900; id += 1 + (id % 7)) {
    vendors[id] = { id, name: `${id}`, purposes: ids, legIntPurposes: [], flexiblePurposes: ids, specialPurposes: [], features: [], specialFeatures: [] }
  }
  return new GVL({
    gvlSpecificationVersion: 3, vendorListVersion: 48, tcfPolicyVersion: 5, lastUpdated: '2026-01-01T00:00:00Z',
    purposes: of(ids), specialPurposes: of([1, 2]), features: of([1, 2, 3]), specialFeatures: of([1, 2]), stacks: {}, vendors, dataCategories: {},
  })
}

const ids = (vector) => { const found = []; vector.forEach((has, id) => has && found.push(id)); return found }
const view = (model) => ({
  cmp_id: model.cmpId, cmp_version: model.cmpVersion, screen: model.consentScreen, language: model.consentLanguage,
  vendor_list: model.vendorListVersion, policy: model.policyVersion, country: model.publisherCountryCode,
  service: model.isServiceSpecific, texts: model.useNonStandardTexts, one: model.purposeOneTreatment,
  created: model.created.getTime(), updated: model.lastUpdated.getTime(),
  features: ids(model.specialFeatureOptins), consents: ids(model.purposeConsents), interests: ids(model.purposeLegitimateInterests),
  vendors: ids(model.vendorConsents), interested: ids(model.vendorLegitimateInterests), disclosed: ids(model.vendorsDisclosed),
  restrictions: model.publisherRestrictions.getRestrictions().map((r) => [r.purposeId, r.restrictionType, model.publisherRestrictions.getVendors(r)]).sort(),
  publisher: ids(model.publisherConsents),
})

const tcf = () => {
  const model = new TCModel(list())
  model.cmpId = 2 + below(4000)
  model.cmpVersion = 1 + below(4000)
  model.consentScreen = below(63)
  model.consentLanguage = ['EN', 'DE', 'PL', 'FR'][below(4)]
  model.publisherCountryCode = ['DE', 'US', 'AA', 'ZZ'][below(4)]
  model.isServiceSpecific = true
  model.purposeOneTreatment = random() < 0.5
  model.useNonStandardTexts = random() < 0.5
  const odds = random()
  const vendors = Object.keys(model.gvl.vendors).map(Number)
  model.purposeConsents.set(some(11, odds))
  model.purposeLegitimateInterests.set(some(11, odds).filter((id) => id > 6 || id === 2))
  model.specialFeatureOptins.set(some(2, odds))
  model.vendorConsents.set(vendors.filter(() => random() < odds))
  model.vendorLegitimateInterests.set(vendors.filter(() => random() < odds * 0.2))
  model.vendorsDisclosed.set(vendors.filter((id) => random() < 0.3 || id > 500))
  model.publisherConsents.set(some(11, odds))
  for (const purpose of some(11, 0.1)) {
    const restriction = new PurposeRestriction(purpose, [RestrictionType.NOT_ALLOWED, RestrictionType.REQUIRE_CONSENT][below(2)])
    for (const vendor of vendors.filter(() => random() < 0.05)) model.publisherRestrictions.add(vendor, restriction)
  }
  const text = TCString.encode(model)
  return { kind: 'tcf', text, says: view(TCString.decode(text)) }
}

const STATES = ['usnat', 'usca', 'usva', 'usco', 'usut', 'usct', 'usfl', 'usmt', 'usor', 'ustx', 'usde', 'usia', 'usne', 'usnh', 'usnj', 'ustn', 'usmn', 'usmd', 'usin', 'usky', 'usri']
const OPT_OUTS = ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut']

const gpp = () => {
  const model = new GppModel()
  const says = { opted_out: 0, limited: 0, sections: [] }
  const note = (what, choice) => { if (choice === 1) says[what] = 1; else if (choice === 2 && says[what] === 0) says[what] = 2 }
  for (const section of STATES.filter(() => random() < 0.1)) {
    for (const field of OPT_OUTS) {
      const choice = below(3)
      try { model.setFieldValue(section, field, choice) } catch { continue }
      note('opted_out', choice)
    }
    try { model.setFieldValue(section, 'SaleOptOutNotice', 1 + below(2)) } catch { /* it has none */ }
    try {
      const before = model.getFieldValue(section, 'SensitiveDataProcessing')
      if (Array.isArray(before)) {
        const choices = before.map(() => random() < 0.5 ? 0 : 1 + below(2))
        model.setFieldValue(section, 'SensitiveDataProcessing', choices)
        choices.forEach((choice) => note('limited', choice))
      }
    } catch { /* it has none */ }
    if (model.hasSection(section) && random() < 0.3) {
      try { model.setFieldValue(section, 'Gpc', true); says.opted_out = 1 } catch { /* it has none */ }
    }
  }
  if (random() < 0.3) {
    const sale = ['Y', 'N', '-'][below(3)]
    model.setFieldValue('uspv1', 'OptOutSale', sale)
    model.setFieldValue('uspv1', 'Notice', 'Y')
    note('opted_out', { Y: 1, N: 2, '-': 0 }[sale])
  }
  const text = model.encode()
  says.sections = model.getSectionIds()
  return { kind: 'gpp', text, says }
}

if (mode === 'make') {
  for (let n = 0; n < Number(count); n++) {
    console.log(JSON.stringify(tcf()))
    console.log(JSON.stringify(gpp()))
  }
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(view(TCString.decode(line))))
  }
}
