use expect_test::{Expect, expect};

use super::*;

/// The eight audiences that Onefold is measured by.
const AUDIENCES: [&str; 8] = [
    r#"count("Order Completed") >= 3 within 30 days and trait country = "DE""#,
    r#"count("Product Viewed" where category = "cat07") >= 2 within 7 days and count("Order Completed") = 0 within 30 days"#,
    r#"sum("Order Completed", revenue) > 500 within 90 days and trait plan in ("pro", "enterprise")"#,
    r#"last("Product Added") within 7 days and "Product Added" within 7 days then no "Order Completed""#,
    r#"count("Order Completed") >= 1 and count(any event) = 0 within 60 days"#,
    r#"trait country in ("DE", "PL") and trait age between 25 and 40 and trait plan != "free" and trait email_consent = true"#,
    r#"first("Order Completed") within 30 days"#,
    r#"count("Email Clicked") >= 2 within 14 days and may be reached for marketing by email and count("Order Refunded") = 0 within 90 days"#,
];

#[test]
fn the_audiences_print_as_they_are_written() {
    let guide = include_str!("../../../../../docs/segments.md");
    for text in AUDIENCES {
        assert!(guide.contains(&format!("| `{text}` |")), "docs/segments.md names it: {text}");
        assert_eq!(print(&parse(text).unwrap()), text);
    }
}

#[test]
fn one_meaning_has_one_spelling() {
    let check = |text: &str, expect: &str| {
        let condition = parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(print(&condition), expect, "{text}");
        assert_eq!(parse(expect).unwrap(), condition, "{text}");
    };
    check("TRAIT Country IS \"DE\" AND Not trait a is not 1", "trait Country = \"DE\" and not trait a != 1");
    check("trait a=1 or trait b=2 and trait c<>3", "trait a = 1 or trait b = 2 and trait c != 3");
    check("(trait a = 1 or trait b = 2) and trait c = 3", "(trait a = 1 or trait b = 2) and trait c = 3");
    check("((trait a = 1 and (trait b = 2 and trait c = 3)))", "trait a = 1 and (trait b = 2 and trait c = 3)");
    check("not (trait a exists and trait b does not exist)", "not (trait a exists and trait b does not exist)");
    check("not not (everyone or nobody)", "not not (everyone or nobody)");
    check(
        "count(page where $context.device.type = \"ios\" and price>=0.5)>1# no",
        "count(\"page\" where $context.device.type = \"ios\" and price >= 0.5) > 1",
    );
}

#[test]
fn windows_and_tests_are_read() {
    let check = |text: &str, expect: &str| {
        let condition = parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(print(&condition), expect, "{text}");
        assert_eq!(parse(expect).unwrap(), condition, "{text}");
    };
    check("count(\"A\") at least 2 within 2 weeks", "count(\"A\") >= 2 within 14 days");
    check("count(A) at most 2 within 90 min", "count(\"A\") <= 2 within 90 minutes");
    check(
        "count(\"A\") between 1 and 2 between 2026-01-01 and 2026-02-01T10:00:00+01:00",
        "count(\"A\") between 1 and 2 between 2026-01-01 and 2026-02-01T09:00:00.000Z",
    );
    check("first(any event) today", "first(any event) today");
    check("last(\"A\") in the last 1 calendar day", "last(\"A\") today");
    check("last(\"A\") not in the last 30 calendar days", "last(\"A\") not in the last 30 calendar days");
    check("last(\"A\") more than 60 days ago", "last(\"A\") more than 60 days ago");
    check("last(\"A\") ever", "last(\"A\")");
    check("last(\"A\") not ever", "last(\"A\") never");
    check(
        "avg(\"A\" where a = 1 and b in (), c.d) does not exist within 24 hours",
        "average(\"A\" where a = 1 and b in (), c.d) does not exist within 1 day",
    );
    check(
        "any event today then event(\"B\" where x starts with \"a\") within 1 hour",
        "any event today then event(\"B\" where x starts with \"a\") within 1 hour",
    );
    check(
        "event(any event where x ends with \"a\") then no any event",
        "event(any event where x ends with \"a\") then no any event",
    );
    check("trait t is a date in the next 7 days", "trait t is a date in the next 7 days");
    check("trait t is a date in the past", "trait t is a date in the past");
    check(
        "trait t is a date between \"2026-01-01\" and 2026-02-01",
        "trait t is a date between 2026-01-01 and 2026-02-01",
    );
    check(
        "trait \"a b\" = \"x \\\"y\\\" \\n\" and trait tags contains \"ü\"",
        "trait \"a b\" = \"x \\\"y\\\" \\n\" and trait tags contains \"ü\"",
    );
    check("trait a = [1, {\"b\": \"]\"}] and trait b = 1e400", "trait a = [1, {\"b\": \"]\"}] and trait b = 1e400");
    check("trait in in (true, FALSE, -1.50)", "trait in in (true, false, -1.5)");
    check("in segment vip\n# who pays\nand computed \"x\" > 1 # or more", "in segment \"vip\" and computed x > 1");
    check("may be reached for \"third parties\"", "may be reached for \"third parties\"");
}

#[test]
fn errors_show_the_place_and_a_cure() {
    let check = |text: &str, expect: Expect| {
        let error = parse(text).expect_err(text);
        expect.assert_eq(&error.to_string());
    };
    check(
        "",
        expect![[r#"
            line 1, column 1: the text ends here
              write a condition, as in: count("Order Completed") >= 3 within 30 days, or: trait country = "DE""#]],
    );
    check(
        "count(\"A\") >= 1 within 30 dayz",
        expect![[r#"
        line 1, column 27: this is no unit of time
          count("A") >= 1 within 30 dayz
                                    ^^^^
          write a time, as in: 30 days (or minutes, hours, weeks)"#]],
    );
    check(
        "count(\"A\") >= 1 within 2 months",
        expect![[r#"
        line 1, column 26: months and years differ in length
          count("A") >= 1 within 2 months
                                   ^^^^^^
          write days, as in: 30 days or 365 days"#]],
    );
    check(
        "count(\"A\") within 30 days",
        expect![[r#"
        line 1, column 12: `within` does not fit here
          count("A") within 30 days
                     ^^^^^^
          write a test: = != < <= > >= in (…) between … and … contains, starts with, ends with, exists, does not exist, is a date …"#]],
    );
    check(
        "trait plan not in (\"a\")",
        expect![[r#"
        line 1, column 12: `not` does not fit here
          trait plan not in ("a")
                     ^^^
          write `not` before the whole condition, as in: not trait plan in ("pro", "free")"#]],
    );
    check(
        "trait plan in \"a\"",
        expect![[r#"
        line 1, column 15: this text does not fit here
          trait plan in "a"
                        ^^^
          write values in parentheses, as in: in ("pro", "enterprise")"#]],
    );
    check(
        "trait plan = pro",
        expect![[r#"
        line 1, column 14: `pro` does not fit here
          trait plan = pro
                       ^^^
          write a value: a number, true, false, or text in double quotes"#]],
    );
    check(
        "trait plan = “pro”",
        expect![[r#"
        line 1, column 14: this is not the quote that text needs
          trait plan = “pro”
                       ^
          use straight double quotes: "…""#]],
    );
    check(
        "trait plan = \"pro",
        expect![[r#"
        line 1, column 14: this text does not end
          trait plan = "pro
                       ^
          close it with a double quote: "…""#]],
    );
    check(
        "trait a = 1\nand trait é >> 2",
        expect![[r#"
        line 2, column 13: `>>` does not fit here
          and trait é >> 2
                      ^^
          write a test: = != < <= > >= in (…) between … and … contains, starts with, ends with, exists, does not exist, is a date …"#]],
    );
    check(
        "\"A\" where x = 1 then \"B\"",
        expect![[r#"
        line 1, column 5: `where` does not fit here
          "A" where x = 1 then "B"
              ^^^^^
          write parentheses around an event with `where`, as in: event("A" where category = "x") then "B""#]],
    );
    check(
        "\"A\" within 7 days",
        expect![[r#"
        line 1, column 18: the text ends here
          "A" within 7 days
                           ^
          write `then` and another event, as in: "A" within 7 days then "B" within 24 hours; or count("A") >= 1"#]],
    );
    check(
        "sum(\"A\") > 1",
        expect![[r#"
        line 1, column 8: `)` does not fit here
          sum("A") > 1
                 ^
          write a comma and a property, as in: sum("Order Completed", revenue)"#]],
    );
    check(
        "trait since > 2026-01-01",
        expect![[r#"
        line 1, column 15: a date is no value
          trait since > 2026-01-01
                        ^^^^^^^^^^
          write `is a date` and a window, or the date's text in double quotes"#]],
    );
    check(
        "trait since is a date between 2026-13-01 and 2026-02-01",
        expect![[r#"
        line 1, column 31: this is no date
          trait since is a date between 2026-13-01 and 2026-02-01
                                        ^^^^^^^^^^
          write it as 2026-01-31 or 2026-01-31T09:30:00Z"#]],
    );
    check(
        "first(\"A\") in the last 30 days",
        expect![[r#"
        line 1, column 27: `days` does not fit here
          first("A") in the last 30 days
                                    ^^^^
          write `within 30 days`, or `in the last 30 calendar days`"#]],
    );
    check(
        "(trait a = 1 and trait b = 2",
        expect![[r#"
        line 1, column 29: the text ends here
          (trait a = 1 and trait b = 2
                                      ^
          write `)`"#]],
    );
    check(
        "trait a = 1; trait b = 2",
        expect![[r#"
        line 1, column 12: this sign means nothing here
          trait a = 1; trait b = 2
                     ^
          put names that have it in double quotes: "…""#]],
    );
    check(
        "country = \"DE\"",
        expect![[r#"
        line 1, column 1: `country` does not fit here
          country = "DE"
          ^^^^^^^
          write a condition, as in: count("Order Completed") >= 3 within 30 days, or: trait country = "DE""#]],
    );
    check(
        &format!("{} and trait b = ", "trait a = 1 and ".repeat(20)),
        expect![[r#"
        line 1, column 322: `and` does not fit here
          t a = 1 and trait a = 1 and trait a = 1 and trait a = 1 and  and trait b =
                                                                       ^^^
          write a condition, as in: count("Order Completed") >= 3 within 30 days, or: trait country = "DE""#]],
    );
    check(
        &format!("trait a = {}", "x".repeat(60_000)),
        expect![[r#"
        line 1, column 11: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` does not fit here
          trait a = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          write a value: a number, true, false, or text in double quotes"#]],
    );
    check(
        &"(".repeat(70),
        expect![[r#"
        line 1, column 65: this is nested too deep
          (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
                                                                       ^
          put parts into segments of their own"#]],
    );
    check(
        &"not ".repeat(30_000),
        expect![[r#"
            line 1, column 1: the text has 120000 bytes; 65536 are allowed
              not not not not not not not not not not not not not not not
              ^
              put lists into a trait, or parts into segments of their own"#]],
    );
}

#[test]
fn computed_traits_are_lines() {
    for line in [
        "total_spent = sum(\"Order Completed\", revenue)",
        "orders_90 = count(\"Order Completed\" where revenue > 0) within 90 days",
        "first_order = first(\"Order Completed\")",
        "source = first(any event, $context.campaign.source)",
        "\"favourite category\" = most frequent(\"Product Viewed\", category) in the last 30 calendar days",
        "seen = list(\"Product Viewed\", category)",
        "kinds = distinct(\"Product Viewed\", category)",
        "last_price = last(\"Product Viewed\", price)",
        "mean = average(\"Order Completed\", revenue)",
    ] {
        let computed = parse_computed(line).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(print_computed(&computed), line);
        let json = serde_json::to_string(&computed).unwrap();
        assert_eq!(serde_json::from_str::<ComputedTrait>(&json).unwrap(), computed, "{json}");
    }
    let error = parse_computed("x = median(\"A\", b)").unwrap_err();
    expect![[r#"
        line 1, column 5: `median` does not fit here
          x = median("A", b)
              ^^^^^^
          write a measure: count, sum, average, min, max, first, last, most frequent, distinct or list"#]]
    .assert_eq(&error.to_string());
}
