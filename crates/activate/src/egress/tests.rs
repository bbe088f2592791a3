use super::*;
use proptest::prelude::*;

fn guard(allowed: &[&str]) -> Egress {
    Egress::new(&allowed.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn addresses_by_class() {
    let check = |address: &str, expect: Option<&str>| {
        assert_eq!(guard(&[]).refusal(address.parse().unwrap()), expect, "{address}");
    };
    check("8.8.8.8", None);
    check("1.1.1.1", None);
    check("172.15.255.255", None);
    check("172.32.0.0", None);
    check("100.63.255.255", None);
    check("100.128.0.0", None);
    check("0.0.0.0", Some("unspecified"));
    check("0.1.2.3", Some("unspecified"));
    check("127.0.0.1", Some("loopback"));
    check("127.255.255.254", Some("loopback"));
    check("10.0.0.1", Some("private"));
    check("172.16.0.1", Some("private"));
    check("172.31.255.255", Some("private"));
    check("192.168.1.1", Some("private"));
    check("100.64.0.1", Some("carrier-grade NAT"));
    check("100.100.100.200", Some("carrier-grade NAT"));
    check("168.63.129.16", Some("cloud metadata"));
    check("169.254.169.254", Some("link-local"));
    check("192.0.0.192", Some("protocol"));
    check("192.0.2.1", Some("documentation"));
    check("198.18.0.1", Some("benchmarking"));
    check("224.0.0.1", Some("multicast"));
    check("255.255.255.255", Some("reserved"));
    check("2606:4700::1111", None);
    check("::", Some("unspecified"));
    check("::1", Some("loopback"));
    check("::127.0.0.1", Some("reserved"));
    check("::ffff:127.0.0.1", Some("loopback"));
    check("::ffff:169.254.169.254", Some("link-local"));
    check("::ffff:8.8.8.8", None);
    check("64:ff9b::10.0.0.1", Some("private"));
    check("64:ff9b::8.8.8.8", None);
    check("fd00:ec2::254", Some("unique local"));
    check("fe80::1", Some("link-local"));
    check("fec0::1", Some("site-local"));
    check("ff02::1", Some("multicast"));
    check("2001::1", Some("protocol"));
    check("2001:db8::1", Some("documentation"));
    check("2002:7f00:1::", Some("protocol"));
    check("4000::1", Some("reserved"));
}

#[test]
fn what_the_operator_lists_is_reached() {
    let guard = guard(&["127.0.0.0/8", "fd00::/16", "CRM.internal."]);
    let check = |address: &str, expect: bool| {
        assert_eq!(guard.refusal(address.parse().unwrap()).is_none(), expect, "{address}");
    };
    check("127.0.0.1", true);
    check("::ffff:127.0.0.1", true);
    check("fd00::7", true);
    check("10.0.0.1", false);
    check("::1", false);
    assert!(guard.lists("crm.internal") && guard.lists("localhost") && !guard.lists("crm.example"));
    let wrong = Egress::new(&["10.0.0.0/99".to_owned()]).err().unwrap().to_string();
    assert_eq!(
        wrong,
        "egress: \"10.0.0.0/99\" is no network and no host. Write a network as 10.1.0.0/16, or a host's name."
    );
}

#[test]
fn urls_that_can_be_judged_by_their_text() {
    let check = |url: &str, expect: &str| {
        let told = guard(&["127.0.0.0/8"]).check_url("url", url).map_or_else(|error| error.cause, |_| "fits".into());
        assert!(told.contains(expect), "{url}: {told}");
    };
    check("https://example.com/hook", "fits");
    check("http://127.0.0.1:8080/", "fits");
    check("http://localhost:8080/", "fits");
    check("http://example.com/", "unencrypted");
    check("https://169.254.169.254/latest", "link-local");
    // Other ways to write an address, which the URL standard reads as one.
    check("https://0xa.1/", "private");
    check("https://167772161/", "private");
    check("https://[::ffff:10.0.0.1]/", "private");
    check("https://[::1]/", "loopback");
    check("ftp://example.com/", "no http or https URL");
    check("example.com", "no URL");
}

struct Names(Vec<IpAddr>);

impl Lookup for Names {
    fn lookup<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

#[tokio::test]
async fn a_name_gives_only_admitted_addresses() {
    let names = |addresses: &[&str]| Arc::new(Names(addresses.iter().map(|a| a.parse().unwrap()).collect()));
    let mixed = guard(&[]).with_lookup(names(&["10.0.0.1", "8.8.8.8", "::1"]));
    assert_eq!(mixed.resolve("a.example").await.unwrap(), ["8.8.8.8".parse::<IpAddr>().unwrap()]);
    let inside = guard(&[]).with_lookup(names(&["10.0.0.1"]));
    let told = inside.resolve("a.example").await.unwrap_err().to_string();
    assert!(told.contains("private") && !told.contains("10.0.0.1"), "{told}");
    let listed = guard(&["a.example"]).with_lookup(names(&["10.0.0.1"]));
    assert_eq!(listed.resolve("A.example.").await.unwrap().len(), 1);
    assert!(guard(&[]).with_lookup(names(&[])).resolve("a.example").await.is_err());
}

/// The client connects to what the guard resolved and nothing else: a receiver listens on the loopback, its name
/// resolves there, and no request comes.
#[tokio::test]
async fn a_name_that_points_inside_is_not_connected_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://a.example:{}/", listener.local_addr().unwrap().port());
    let loopback = Arc::new(Names(vec![Ipv4Addr::LOCALHOST.into()]));
    let refusing = Arc::new(guard(&[]).with_lookup(loopback.clone()));
    let error = refusing.client(Duration::from_secs(5)).unwrap().get(&url).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("loopback"), "{error:?}");
    let admitting = Arc::new(guard(&["127.0.0.0/8"]).with_lookup(loopback));
    let request = admitting.client(Duration::from_secs(5)).unwrap().get(&url);
    let request = tokio::spawn(async move { request.send().await.map(drop) });
    // The first connection that comes is the admitted one; the refused one never reached the listener.
    let (_connection, _) = listener.accept().await.unwrap();
    request.abort();
}

proptest! {
    #[test]
    fn a_mapped_address_is_judged_as_what_it_stands_for(bits: u32) {
        let v4 = Ipv4Addr::from(bits);
        prop_assert_eq!(class(v4.to_ipv6_mapped().into()), class(v4.into()));
    }

    #[test]
    fn nothing_that_the_standard_library_calls_special_is_reached(bits: u32) {
        let v4 = Ipv4Addr::from(bits);
        let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            || v4.is_unspecified() || v4.is_broadcast() || v4.is_documentation();
        prop_assert!(!special || class(v4.into()).is_some());
    }

    #[test]
    fn only_global_unicast_of_ipv6_is_reached(bits: u128) {
        let v6 = Ipv6Addr::from(bits);
        let embeds = embedded(v6.into()) != IpAddr::V6(v6);
        prop_assert!(embeds || class(v6.into()).is_some() || bits >> 125 == 1);
    }
}
