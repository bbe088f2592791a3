//! Which addresses destinations may reach: the guard against server-side request forgery.
//!
//! Whoever configures a destination names a host, and the host's owner names its addresses, so neither may reach into
//! the house: loopback, private and link-local networks, cloud metadata. The guard works on **addresses, at the
//! moment of connecting**: the HTTP client is given a resolver that gives only admitted addresses, and it connects to
//! exactly those. There is no second look-up, so a name that changes its mind in between (DNS rebinding) gains nothing.
//! Hosts written as addresses never come to a resolver and are checked by themselves.
//!
//! What is admitted is what IANA's special-purpose registries (RFC 6890 and its updates) call globally reachable,
//! less the few public addresses by which clouds serve metadata; and what the operator lists.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::config::ConfigError;

mod object_store;
#[cfg(test)]
mod tests;

pub use object_store::GuardedConnector;

/// See the module.
pub struct Egress {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
    lookup: Arc<dyn Lookup>,
}

/// Where the addresses of a name come from.
pub trait Lookup: Send + Sync {
    /// The addresses of `host`.
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Why a host is not reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It stands for addresses that destinations may not reach. Tried again, it may stand for others.
    #[error("{host} is at a {class} address, which destinations may not reach unless the operator allows it")]
    Refused {
        /// Which host.
        host: String,
        /// What kind of address; which one is not told, so that a configuration cannot map the house.
        class: &'static str,
    },
    /// Its addresses were not found. A retry can help.
    #[error("the addresses of {host} were not found: {cause}")]
    Unresolved {
        /// Which host.
        host: String,
        /// The resolver's words.
        #[source]
        cause: io::Error,
    },
}

impl Egress {
    /// The guard with the operator's list: networks (`10.1.0.0/16`, `::1`) and names of hosts (`crm.internal`), whose
    /// addresses are then not looked at. A Unix socket of PostgreSQL is listed by its folder.
    pub fn new(allowed: &[String]) -> Result<Egress, ConfigError> {
        let (mut networks, mut hosts) = (vec![], vec![]);
        for entry in allowed {
            let entry = entry.trim();
            if let Ok(network) = entry.parse::<IpNet>() {
                networks.push(network);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                networks.push(address.into());
            } else if entry.is_empty() || (entry.contains('/') && !entry.starts_with('/')) {
                let cause = format!("{entry:?} is no network and no host");
                return Err(ConfigError::new("egress", cause, "Write a network as 10.1.0.0/16, or a host's name"));
            } else {
                hosts.push(plain(entry));
            }
        }
        Ok(Egress { networks, hosts, lookup: Arc::new(SystemLookup) })
    }

    /// The same guard with another source of addresses.
    pub fn with_lookup(self, lookup: Arc<dyn Lookup>) -> Egress {
        Egress { lookup, ..self }
    }

    /// Whether the operator lists this host, or this address where it is one.
    pub fn lists(&self, host: &str) -> bool {
        let host = plain(host);
        let address = match host.as_str() {
            // RFC 6761, section 6.3: this name is always the loopback.
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            other => literal(other),
        };
        self.hosts.contains(&host) || address.is_some_and(|address| self.lists_address(address))
    }

    fn lists_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address) || network.contains(&embedded(address)))
    }

    /// The class for which this address is refused; `None` where it may be reached.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        if self.lists_address(address) { None } else { class(address) }
    }

    /// Checks a host that is written as an address; a name is checked when it is resolved.
    pub fn check_literal(&self, host: &str) -> Result<(), Error> {
        match literal(&plain(host)).and_then(|address| self.refusal(address)) {
            Some(class) => Err(Error::Refused { host: host.to_owned(), class }),
            None => Ok(()),
        }
    }

    /// The addresses of `host` that may be reached; connect to these and to no others.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        self.check_literal(host)?;
        let found = match literal(&plain(host)) {
            Some(address) => vec![address],
            None => {
                let unresolved = |cause| Error::Unresolved { host: host.to_owned(), cause };
                self.lookup.lookup(host).await.map_err(unresolved)?
            }
        };
        if self.hosts.contains(&plain(host)) {
            return Ok(found);
        }
        let admitted = found.iter().copied().filter(|address| self.refusal(*address).is_none()).collect::<Vec<_>>();
        if admitted.is_empty() {
            let class = found.iter().find_map(|address| self.refusal(*address));
            return Err(match class {
                Some(class) => Error::Refused { host: host.to_owned(), class },
                None => Error::Unresolved { host: host.to_owned(), cause: io::ErrorKind::NotFound.into() },
            });
        }
        Ok(admitted)
    }

    /// Checks the URL of an HTTP target, as far as that goes without resolving its name. Personal data goes over TLS;
    /// plain `http` only to hosts that the operator lists.
    pub fn check_url(&self, field: &str, text: &str) -> Result<Url, ConfigError> {
        let url = Url::parse(text)
            .map_err(|error| ConfigError::new(field, format!("no URL ({error})"), "Write https://host/path"))?;
        let host = match (url.scheme(), url.host()) {
            ("https" | "http", Some(host)) => host_text(&host),
            _ => return Err(ConfigError::new(field, "no http or https URL", "Write https://host/path")),
        };
        self.check_literal(&host).map_err(|error| {
            ConfigError::new(field, error.to_string(), "Use a public address, or have the operator list this one")
        })?;
        if url.scheme() == "http" && !self.lists(&host) {
            let cause = "personal data would travel unencrypted over http";
            return Err(ConfigError::new(field, cause, "Use https, or have the operator list this host"));
        }
        Ok(url)
    }

    /// An HTTP client that reaches what the guard admits: no redirects, no proxy, connections kept alive. Requests to
    /// a host written as an address must pass [`check_literal`](Self::check_literal) first: the client resolves only names.
    pub fn client(self: &Arc<Self>, timeout: Duration) -> Result<reqwest::Client, ConfigError> {
        reqwest::Client::builder()
            .dns_resolver(Arc::new(Resolver(Arc::clone(self))))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .user_agent(concat!("onefold/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                let cause = format!("the HTTP client cannot be made ({error})");
                ConfigError::new("config", cause, "Check the TLS certificates of this machine")
            })
    }
}

/// The guard as reqwest's resolver.
struct Resolver(Arc<Egress>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = egress.resolve(name.as_str()).await?;
            // Port 0: the client puts the URL's own.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

fn host_text(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291, 2.5.5.2), or translated by NAT64 under its
/// well-known prefix (RFC 6052). Other addresses stand for themselves.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => address,
    }
}

/// The class for which an address is refused; `None` for globally reachable unicast.
fn class(address: IpAddr) -> Option<&'static str> {
    match embedded(address) {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

/// IANA IPv4 Special-Purpose Address Registry.
fn class_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [100, 64..=127, ..] => Some("carrier-grade NAT"),
        // Azure serves its virtual machines from this public one.
        [168, 63, 129, 16] => Some("cloud metadata"),
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0, _] | [192, 88, 99, _] => Some("protocol"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("documentation"),
        [198, 18..=19, ..] => Some("benchmarking"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// IANA IPv6 Special-Purpose Address Registry; outside of 2000::/3 nothing is global unicast.
fn class_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0xfc00..=0xfdff, ..] => Some("unique local"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // 2001::/23 has Teredo, benchmarking and ORCHID; 2002::/16 is 6to4, which stands for an IPv4 address.
        [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Some("protocol"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("documentation"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}
