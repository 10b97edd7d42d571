use std::{io, sync::Mutex};

use futures_util::future::BoxFuture;

use super::*;

/// Returns one list after the other, and repeats the last one.
#[derive(Debug)]
struct Script(Mutex<Vec<Vec<IpAddr>>>);

impl Lookup for Script {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn answering(rules: ServerRules, answers: &[&[&str]]) -> Guard {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    let answers = answers.iter().map(parse).collect();
    Guard::with_lookup(rules, Arc::new(Script(Mutex::new(answers))))
}

fn allowing(allow: &[&str]) -> ServerRules {
    ServerRules {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        ..ServerRules::default()
    }
}

/// Returns the verdict on a URL and on every address that its host's name resolves to.
async fn verdict(guard: &Guard, text: &str) -> Result<(), Unresolved> {
    let url = guard.target(text)?;
    if let Some(Host::Domain(host)) = url.host() {
        guard
            .resolve(
                host,
                url.port_or_known_default().unwrap(),
                &Stopwatch::default(),
                (),
            )
            .await?;
    }
    Ok(())
}

const PUBLIC: &str = "public";

/// The verdict on each spelling of an address.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    // Usual spellings of IPv4, and the purpose of each range.
    ("http://93.184.215.14/mcp", PUBLIC),
    ("https://8.8.8.8", PUBLIC),
    ("wss://1.1.1.1:8443/ws", PUBLIC),
    ("http://0.0.0.0", "no host"),
    ("http://0.1.2.3", "no host"),
    ("http://10.0.0.1", "private"),
    ("http://10.255.255.255", "private"),
    ("http://11.0.0.0", PUBLIC),
    ("http://100.63.255.255", PUBLIC),
    ("http://100.64.0.1", "carrier"),
    ("http://100.100.100.200/latest/meta-data", "carrier"),
    ("http://127.0.0.1:8080", "machine itself"),
    ("http://127.255.255.254", "machine itself"),
    ("http://168.63.129.16", "metadata"),
    ("http://169.254.169.254/latest/meta-data", "link-local"),
    ("http://169.254.170.2/v2/credentials", "link-local"),
    ("http://172.15.255.255", PUBLIC),
    ("http://172.16.0.1", "private"),
    ("http://172.31.255.255", "private"),
    ("http://172.32.0.0", PUBLIC),
    ("http://192.0.0.192", "reserved"),
    ("http://192.0.2.1", "documentation"),
    ("http://192.88.99.1", "reserved"),
    ("http://192.168.1.1", "private"),
    ("http://198.18.0.1", "benchmarks"),
    ("http://198.19.255.255", "benchmarks"),
    ("http://198.51.100.1", "documentation"),
    ("http://203.0.113.1", "documentation"),
    ("http://224.0.0.1", "multicast"),
    ("http://239.255.255.250", "multicast"),
    ("http://240.0.0.1", "reserved"),
    ("http://255.255.255.255", "reserved"),
    // The same addresses in other spellings.
    ("http://127.1", "machine itself"),
    ("http://127.0.1", "machine itself"),
    ("http://2130706433", "machine itself"),
    ("http://0x7f000001", "machine itself"),
    ("http://0x7f.1", "machine itself"),
    ("http://0177.0.0.1", "machine itself"),
    ("http://017700000001", "machine itself"),
    ("http://0x7F.0x0.0x0.0x1", "machine itself"),
    ("http://127.0.0.1.", "machine itself"),
    ("http://１２７.０.０.１", "machine itself"),
    ("http://127。0。0。1", "machine itself"),
    ("http://①②⑦.⓪.⓪.①", "machine itself"),
    ("http://%31%32%37.0.0.1", "machine itself"),
    ("http:\\\\127.0.0.1\\", "machine itself"),
    ("http://127.0.\t0.1", "machine itself"),
    ("  http://127.0.0.1  ", "machine itself"),
    ("HTTP://127.0.0.1", "machine itself"),
    ("http:127.0.0.1", "machine itself"),
    ("http://0", "no host"),
    ("http://2852039166", "link-local"),
    ("http://256.0.0.1", "URL with a host"),
    ("http://4294967296", "URL with a host"),
    // IPv6, and IPv4 embedded in it.
    ("http://[2606:4700:4700::1111]", PUBLIC),
    ("http://[::]", "no host"),
    ("http://[::1]", "machine itself"),
    ("http://[0:0:0:0:0:0:0:1]:80", "machine itself"),
    ("http://[::ffff:127.0.0.1]", "machine itself"),
    ("http://[::ffff:7f00:1]", "machine itself"),
    ("http://[::ffff:8.8.8.8]", PUBLIC),
    ("http://[::ffff:169.254.169.254]", "link-local"),
    ("http://[::127.0.0.1]", "reserved"),
    ("http://[::8.8.8.8]", "reserved"),
    ("http://[::ffff:0:127.0.0.1]", "reserved"),
    ("http://[64:ff9b::127.0.0.1]", "machine itself"),
    ("http://[64:ff9b::a9fe:a9fe]", "link-local"),
    ("http://[64:ff9b::8.8.8.8]", PUBLIC),
    ("http://[64:ff9b:1::8.8.8.8]", "reserved"),
    ("http://[64:ff9b:1:7f00:0:100::]", "reserved"),
    ("http://[100::1]", "reserved"),
    ("http://[2001::1]", "reserved"),
    ("http://[2001:0:53aa:64c:0:ffff:80ff:fffe]", "reserved"),
    ("http://[2001:2::1]", "reserved"),
    ("http://[2001:db8::1]", "documentation"),
    ("http://[2002:7f00:1::]", "tunnel"),
    ("http://[2002:808:808::1]", "tunnel"),
    ("http://[3fff::1]", "documentation"),
    ("http://[5f00::1]", "reserved"),
    ("http://[fc00::1]", "private"),
    ("http://[fd00:ec2::254]", "private"),
    ("http://[fe80::1]", "link-local"),
    ("http://[fe80::1%25eth0]", "URL with a host"),
    ("http://[fe80::1%eth0]", "URL with a host"),
    ("http://[febf::1]", "link-local"),
    ("http://[fec0::1]", "private"),
    ("http://[ff02::1]", "multicast"),
    // Names, and other parts of a URL.
    ("https://mcp.example.com/mcp", PUBLIC),
    ("https://mcp.example.com./mcp", PUBLIC),
    ("https://bücher.example", PUBLIC),
    ("http://localhost:8000", "not at a public address"),
    ("http://LOCALHOST.", "not at a public address"),
    ("http://ｌｏｃａｌｈｏｓｔ", "not at a public address"),
    ("http://a.localhost", "not at a public address"),
    ("https://ann:secret@mcp.example.com", "password"),
    ("https://ann@mcp.example.com", "password"),
    ("https://mcp.example.com@127.0.0.1", "password"),
    ("http://127.0.0.1#@mcp.example.com", "machine itself"),
    ("ftp://mcp.example.com", "URL with a host"),
    ("file:///etc/passwd", "URL with a host"),
    ("gopher://127.0.0.1:70", "URL with a host"),
    ("mcp.example.com", "URL with a host"),
    ("https://", "URL with a host"),
    ("", "URL with a host"),
];

#[tokio::test]
async fn only_what_is_public_is_called() {
    let guard = answering(ServerRules::default(), &[&["93.184.215.14"]]);
    for (text, expected) in TABLE {
        let said = match verdict(&guard, text).await {
            Ok(()) => PUBLIC.to_owned(),
            Err(refused) => refused.to_string(),
        };
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[tokio::test]
async fn every_address_of_a_name_is_judged() {
    let to = |addresses: &[&'static str]| answering(ServerRules::default(), &[addresses]);
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fd00::1",
        "fe80::1",
    ] {
        let refused = to(&[address])
            .resolve("mcp.example.com", 443, &Stopwatch::default(), ())
            .await;
        // The error does not reveal the addresses of an internal name.
        assert_eq!(refused, Err(Refusal::Host.into()), "{address}");
    }
    let mixed = to(&["10.0.0.1", "8.8.8.8", "::1"]);
    let permitted = mixed
        .resolve("mcp.example.com", 443, &Stopwatch::default(), ())
        .await;
    assert_eq!(permitted, Ok(vec!["8.8.8.8:443".parse().unwrap()]));
    let none = to(&[])
        .resolve("mcp.example.com", 443, &Stopwatch::default(), ())
        .await;
    assert_eq!(none, Err(Unresolved::Unknown));
    let many: Vec<String> = (1..100).map(|n| format!("8.8.8.{n}")).collect();
    let many: Vec<IpAddr> = many.iter().map(|text| text.parse().unwrap()).collect();
    let guard = Guard::with_lookup(
        ServerRules::default(),
        Arc::new(Script(Mutex::new(vec![many]))),
    );
    assert_eq!(
        guard
            .resolve("mcp.example.com", 443, &Stopwatch::default(), ())
            .await
            .unwrap()
            .len(),
        ADDRESSES
    );
}

#[tokio::test]
async fn the_operator_allows_hosts_and_networks() {
    let inside = |allow: &[&str]| answering(allowing(allow), &[&["10.1.2.3"]]);
    for (allow, text, permitted) in [
        (&["mcp"][..], "http://mcp/", true),
        (&["mcp"], "http://MCP:8000/", true),
        (&["mcp."], "http://mcp:8000/", true),
        (&["mcp"], "http://mcp.:8000/", true),
        (&["mcp:8000"], "http://mcp:8000/", true),
        (&["mcp:8000"], "http://mcp:22/", false),
        (&["mcp:80"], "http://mcp/", true),
        (&["mcp:8000"], "http://other:8000/", false),
        (&["mcp:8000"], "http://10.1.2.3:8000/", false),
        (&["10.0.0.0/8"], "http://other:8000/", true),
        (&["10.0.0.0/8"], "http://10.9.9.9/", true),
        (&["10.0.0.0/8"], "http://[::ffff:10.9.9.9]/", true),
        (&["10.0.0.0/8"], "http://192.168.0.1/", false),
        (&["10.1.2.3"], "http://mcp/", true),
        (&["10.1.2.4"], "http://mcp/", false),
        (&["10.1.2.3:8000"], "http://mcp:8000/", true),
        (&["10.1.2.3:8000"], "http://mcp/", false),
        (&["192.168.0.0/16", "mcp"], "http://mcp/", true),
        (&["::1"], "http://[::1]:9/", true),
        (&["[::1]:8000"], "http://[::1]:8000/", true),
        (&["[::1]:8000"], "http://[::1]:8001/", false),
        (&["127.0.0.0/8"], "http://2130706433/", true),
        (&["169.254.169.254"], "http://169.254.169.254/", true),
        (&["*.internal"], "http://mcp.internal/", true),
        (&["*.internal"], "http://MCP.a.internal.:8000/", true),
        (&["*.internal"], "http://internal/", false),
        (&["*.internal"], "http://mcp.internal.example/", false),
        (&["*.internal"], "http://10.1.2.3/", false),
        (&["*.internal:8000"], "http://mcp.internal:8000/", true),
        (&["*.internal:8000"], "http://mcp.internal:22/", false),
    ] {
        let said = verdict(&inside(allow), text).await;
        assert_eq!(said.is_ok(), permitted, "{allow:?} {text}: {said:?}");
    }
    // A name of this machine is allowed by itself, or with the machine's addresses.
    for allow in ["localhost", "localhost:8000", "127.0.0.1", "::1"] {
        let guard = answering(allowing(&[allow]), &[&["127.0.0.1", "::1"]]);
        assert_eq!(
            verdict(&guard, "http://localhost:8000").await,
            Ok(()),
            "{allow}"
        );
    }
    // All names under localhost are this machine's.
    let guard = answering(allowing(&["*.localhost"]), &[&["127.0.0.1"]]);
    assert_eq!(verdict(&guard, "http://a.localhost").await, Ok(()));
    assert!(verdict(&guard, "http://localhost").await.is_err());
}

#[tokio::test]
async fn ports_and_schemes_are_restricted() {
    let rules = ServerRules {
        ports: vec![443..=443, 8400..=8499],
        schemes: vec![Scheme::Https, Scheme::Wss],
        ..allowing(&["mcp:9000", "*.internal:9000", "10.0.0.0/8"])
    };
    let guard = answering(rules, &[&["8.8.8.8"]]);
    for (text, expected) in [
        ("https://mcp.example.com", Ok(())),
        ("wss://mcp.example.com:8443", Ok(())),
        ("https://mcp.example.com:22", Err(Refusal::Port(22))),
        ("https://mcp.example.com:8500", Err(Refusal::Port(8500))),
        ("https://mcp:9000", Ok(())),
        ("https://a.internal:9000", Ok(())),
        ("https://mcp:9001", Err(Refusal::Port(9001))),
        // An allowed network permits its addresses; the rules for ports still apply.
        ("https://10.0.0.1:22", Err(Refusal::Port(22))),
        (
            "http://mcp.example.com:443",
            Err(Refusal::Scheme("http".to_owned())),
        ),
    ] {
        let said = verdict(&guard, text).await;
        assert_eq!(said, expected.map_err(Into::into), "{text}");
    }
}

#[tokio::test]
async fn a_port_that_is_allowed_of_a_network_is_open_there_alone() {
    let rules = ServerRules {
        ports: vec![443..=443],
        ..allowing(&["10.0.0.0/8", "10.1.2.3:9000"])
    };
    for (address, expected) in [
        ("10.1.2.3", Ok(())),
        ("10.1.2.4", Err(Refusal::Port(9000))),
        ("8.8.8.8", Err(Refusal::Port(9000))),
    ] {
        let guard = answering(rules.clone(), &[&[address]]);
        let said = verdict(&guard, "http://mcp.example.com:9000").await;
        assert_eq!(said, expected.clone().map_err(Into::into), "{address}");
        let said = verdict(&guard, &format!("http://{address}:9000")).await;
        assert_eq!(said, expected.map_err(Into::into), "{address}");
    }
}

#[test]
fn redirects_are_judged() {
    let guard = answering(ServerRules::default(), &[&["8.8.8.8"]]);
    let from = |url: &str| Url::parse(url).unwrap();
    let to = |url: &str, location: &str| guard.redirect(&from(url), location).map(String::from);
    assert_eq!(
        to("https://a.example/mcp?x=1", "/mcp/#part"),
        Ok("https://a.example/mcp/".to_owned())
    );
    assert_eq!(
        to("http://a.example", "//b.example/mcp"),
        Ok("http://b.example/mcp".to_owned())
    );
    assert!(to("http://a.example", "https://a.example").is_ok());
    for (location, expected) in [
        ("http://a.example/", "from https to http"),
        ("http://169.254.169.254/", "link-local"),
        ("//169.254.169.254/", "link-local"),
        ("https://0x7f.1/", "machine itself"),
        ("https://[::ffff:a00:1]/", "private"),
        ("https://localhost/", "not at a public address"),
        ("https://ann:secret@a.example/", "password"),
        ("file:///etc/passwd", "URL with a host"),
        ("data:text/html,x", "URL with a host"),
        ("https://[", "URL with a host"),
    ] {
        let refused = to("https://a.example/mcp", location).unwrap_err();
        assert!(
            refused.to_string().contains(expected),
            "{location}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_judged_again() {
    let guard = answering(ServerRules::default(), &[&["8.8.8.8"], &["127.0.0.1"]]);
    assert!(
        guard
            .resolve("rebind.example", 80, &Stopwatch::default(), ())
            .await
            .is_ok()
    );
    assert!(
        guard
            .resolve("rebind.example", 80, &Stopwatch::default(), ())
            .await
            .is_err()
    );
}
