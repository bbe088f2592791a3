//! What each role may do and see, as a table; what a workspace's own policies change; what is refused.

use expect_test::expect;
use onefold_model::access::{Class, Mask};
use onefold_role::{Action, Circumstances, Policies, Principal, ROLES, Rights};

fn rights(policies: &Policies, role: &str) -> Rights {
    let principal = Principal {
        name: "ada@example.com".to_owned(),
        is_program: false,
        role: role.to_owned(),
        teams: vec!["crm".to_owned()],
    };
    policies.rights(&principal, &circumstances("administration"))
}

fn circumstances(purpose: &str) -> Circumstances {
    Circumstances { workspace: "default".to_owned(), purpose: purpose.to_owned(), second_factor: false }
}

/// One letter each: admin, privacy officer, data steward, marketer, analyst, developer, agency.
#[test]
fn the_table_of_roles() {
    let policies = Policies::read("").unwrap();
    let of: Vec<(char, Rights)> =
        "APSMNDG".chars().zip(ROLES).map(|(letter, role)| (letter, rights(&policies, role))).collect();
    let mut table = String::new();
    for action in Action::ALL {
        let line: String =
            of.iter().map(|(letter, rights)| if rights.allow(*action) { *letter } else { '-' }).collect();
        table.push_str(&format!("{line} {}\n", action.name()));
    }
    for class in Class::ALL {
        let masks: Vec<String> = of.iter().map(|(_, rights)| format!("{:?}", rights.mask(class).0)).collect();
        table.push_str(&format!("{}: {}\n", class.name(), masks.join(" ")));
    }
    expect![[r#"
        APSMNDG profiles.view
        A-S---- profiles.edit
        AP--N-- profiles.export
        APS-ND- events.view
        A----D- events.import
        APSMNDG segments.view
        A--M--- segments.edit
        A--M--- segments.delete
        AP-M-DG destinations.view
        A----D- destinations.edit
        A----D- destinations.delete
        A--M-D- destinations.use
        APS-ND- sources.view
        A----D- sources.edit
        APS--D- letters.view
        A----D- letters.use
        APS---- linkage.view
        A-S---- linkage.edit
        APSMN-- consents.view
        AP----- consents.edit
        AP----- privacy.view
        AP----- privacy.answer
        AP----- privacy.erase
        APS---- fields.edit
        APS-N-- sql.ask
        APSMND- settings.view
        A----D- settings.edit
        APSMND- stats.view
        AP---D- system.view
        A------ system.use
        A------ workspaces.edit
        AP----- people.view
        A------ people.edit
        APS---- governance.view
        AP----- governance.edit
        APS---- governance.approve
        AP----- audit.view
        AP----- audit.check
        identifier: Clear Clear Clear Partial Hashed Partial Partial
        contact: Clear Clear Clear Partial Hashed Partial Partial
        sensitive: Clear Clear Hidden Hidden Hidden Hidden Hidden
        special_category: Clear Clear Hidden Hidden Hidden Hidden Hidden
        financial: Clear Clear Generalised Generalised Generalised Hidden Hidden
        free: Clear Clear Clear Clear Clear Clear Clear
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_role_that_nobody_defined_may_nothing() {
    let rights = rights(&Policies::read("").unwrap(), "intern");
    assert!(Action::ALL.iter().all(|action| !rights.allow(*action)));
    assert_eq!(rights.masks(), [Mask::Hidden; 6]);
}

#[test]
fn a_workspace_permits_more_and_forbids() {
    let policies = Policies::read(
        r#"
        @id("interns-look")
        permit (principal in Role::"intern", action in [Action::"segments.view", Action::"stats.view"], resource == Workspace::"default");
        @id("crm-sees-contacts") @mask("partial")
        permit (principal in Team::"crm", action == Action::"see", resource == Class::"contact");
        @id("no-export-without-second-factor")
        forbid (principal, action in Action::"export", resource) unless { context.second_factor };
        @id("salaries-for-payroll-only")
        forbid (principal, action == Action::"see", resource == Class::"financial") unless { context.purpose == "payroll" };
        "#,
    )
    .unwrap();
    assert_eq!(policies.roles().last().map(String::as_str), Some("intern"));
    let intern = rights(&policies, "intern");
    assert!(intern.allow(Action::SegmentsView) && !intern.allow(Action::SegmentsEdit));
    assert_eq!(intern.ruling(Action::SegmentsView).unwrap().policies, ["interns-look"]);
    assert_eq!(intern.mask(Class::Contact), (Mask::Partial, &["crm-sees-contacts".to_owned()][..]));
    // The least of two masks counts.
    assert_eq!(rights(&policies, "admin").mask(Class::Contact).0, Mask::Clear);
    let admin = rights(&policies, "admin");
    assert!(!admin.allow(Action::ProfilesExport));
    assert_eq!(admin.ruling(Action::ProfilesExport).unwrap().policies, ["no-export-without-second-factor"]);
    assert_eq!(admin.mask(Class::Financial).0, Mask::Hidden);
    let principal = Principal { name: "a".to_owned(), is_program: false, role: "admin".to_owned(), teams: vec![] };
    let known = policies.rights(&principal, &Circumstances { second_factor: true, ..circumstances("payroll") });
    assert!(known.allow(Action::ProfilesExport));
    assert_eq!(known.mask(Class::Financial).0, Mask::Clear);
}

#[test]
fn what_says_nothing_is_refused_with_its_place() {
    let problem = |text: &str| Policies::read(text).unwrap_err().to_string();
    assert!(
        problem("permit (principal, action").contains("unexpected end"),
        "{}",
        problem("permit (principal, action")
    );
    let unknown = problem(r#"permit (principal, action == Action::"segments.veiw", resource);"#);
    assert!(unknown.contains("segments.veiw"), "{unknown}");
    let kind = problem(r#"permit (principal, action, resource) when { context.purpse == "x" };"#);
    assert!(kind.contains("purpse"), "{kind}");
    let mask = problem(r#"@mask("blurred") permit (principal, action == Action::"see", resource);"#);
    assert!(mask.contains("blurred"), "{mask}");
    let twice = problem(r#"@id("admin-sees-everything") permit (principal, action == Action::"see", resource);"#);
    assert!(twice.contains("admin-sees-everything"), "{twice}");
}
