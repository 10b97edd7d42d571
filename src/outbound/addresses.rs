//! Special-purpose addresses, which are not public.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::LazyLock,
};

use ipnet::IpNet;

/// Returns the IPv4 address that an IPv6 address embeds.
pub(crate) fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => match address.octets() {
            // IPv4-mapped (RFC 4291 §2.5.5.2), and NAT64's well-known prefix (RFC 6052 §2.1), which hosts without IPv4
            // use.
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
            | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => {
                Some(Ipv4Addr::new(a, b, c, d))
            }
            _ => None,
        },
    }
}

/// Returns the purpose of an address that is not public, or none. The ranges are the special-purpose registries (RFC
/// 6890) and the metadata services of clouds.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    match (embedded(address), address) {
        (Some(address), _) => of(address.into()),
        (None, address) => {
            of(address).or_else(|| (!GLOBAL.contains(&address)).then_some("it is reserved"))
        }
    }
}

fn of(address: IpAddr) -> Option<&'static str> {
    let found = SPECIAL.iter().find(|(net, _)| net.contains(&address));
    found.map(|(_, kind)| *kind)
}

/// The range of IPv6 that is assigned as global unicast (RFC 4291 §2.4).
static GLOBAL: LazyLock<IpNet> = LazyLock::new(|| net("2000::/3"));

static SPECIAL: LazyLock<Vec<(IpNet, &'static str)>> = LazyLock::new(|| {
    [
        ("0.0.0.0/8", "it means no host"),
        ("10.0.0.0/8", "it is private"),
        ("100.64.0.0/10", "it is a carrier's own"),
        ("127.0.0.0/8", "it is the machine itself"),
        // Azure's metadata address lies among public ones.
        ("168.63.129.16/32", "it is a cloud's metadata"),
        ("169.254.0.0/16", "it is link-local"),
        ("172.16.0.0/12", "it is private"),
        ("192.0.0.0/24", "it is reserved"),
        ("192.0.2.0/24", "it is for documentation"),
        ("192.88.99.0/24", "it is reserved"),
        ("192.168.0.0/16", "it is private"),
        ("198.18.0.0/15", "it is for benchmarks"),
        ("198.51.100.0/24", "it is for documentation"),
        ("203.0.113.0/24", "it is for documentation"),
        ("224.0.0.0/4", "it is multicast"),
        ("240.0.0.0/4", "it is reserved"),
        ("::/128", "it means no host"),
        ("::1/128", "it is the machine itself"),
        // The range contains Teredo, benchmarks and ORCHIDs.
        ("2001::/23", "it is reserved"),
        ("2001:db8::/32", "it is for documentation"),
        ("2002::/16", "it is a tunnel to IPv4"),
        ("3fff::/20", "it is for documentation"),
        ("fc00::/7", "it is private"),
        ("fe80::/10", "it is link-local"),
        ("fec0::/10", "it is private"),
        ("ff00::/8", "it is multicast"),
    ]
    .map(|(text, kind)| (net(text), kind))
    .to_vec()
});

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}
