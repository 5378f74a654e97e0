//! Who may connect to a daemon: elements of `hosts allow` in `rsyncd.conf`. Pure.

use std::net::{IpAddr, Ipv4Addr};

/// What rsyncd fills in with the client's own address or name, so that every client is the one that is meant.
const OWN: [&str; 2] = ["%RSYNC_HOST_ADDR%", "%RSYNC_HOST_NAME%"];

/// One element: an address, a network, a name or a pattern.
///
/// # Errors
/// Why it cannot be one.
pub fn allow(text: &str) -> Result<String, String> {
    let shown = text.escape_debug();
    if text.trim().is_empty() {
        return Err(format!(
            "\"{shown}\" names no host; write addresses, networks or names, with one comma between two"
        ));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:/_*?-%@+".contains(c);
    if !text.chars().all(is_plain) {
        return Err(format!(
            "\"{shown}\" is no host; write one address, network such as \"10.0.0.0/24\", or name each"
        ));
    }
    // One percent sign stands before the interface of an address, as in fe80::1%eth0.
    if text.matches('%').count() > 1 && !OWN.contains(&text) {
        return Err(format!("\"{shown}\" is no host: rsyncd would fill in what stands between the percent signs"));
    }
    if let Some((address, size)) = text.split_once('/') {
        network(address, size).map_err(|why| format!("\"{shown}\" is no network: {why}"))?;
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    if text.contains('.') && text.chars().all(is_number) && text.parse::<Ipv4Addr>().is_err() {
        return Err(format!("\"{shown}\" is no address: it has four numbers up to 255, as in \"10.0.0.3\""));
    }
    Ok(text.to_owned())
}

/// Whether a network is one: `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fd00::/8`.
fn network(address: &str, size: &str) -> Result<(), String> {
    let parsed = address.parse::<IpAddr>();
    let longest = match parsed.map_err(|_| format!("`{address}` is no address"))? {
        IpAddr::V4(_) if size.parse::<Ipv4Addr>().is_ok() => return Ok(()),
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    match size.parse::<u8>() {
        Ok(bits) if bits <= longest => Ok(()),
        _ => Err(format!("behind the slash stands a number up to {longest}, not `{size}`")),
    }
}

/// Whether everybody is meant.
#[must_use]
pub fn is_everybody(text: &str) -> bool {
    let is_any = |c: char| matches!(c, '*' | '?' | '.' | ':');
    let is_zero = |size: &str| size.parse() == Ok(0_u8) || size.parse() == Ok(Ipv4Addr::UNSPECIFIED);
    let all_of_a_network = text.split_once('/').is_some_and(|(_, size)| is_zero(size));
    OWN.contains(&text) || all_of_a_network || (text.contains('*') && text.chars().all(is_any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_and_everything_else_is_refused() {
        for host in ["10.0.0.0/24", "10.0.0.0/255.0.0.0", "fd00::/8", "::1", "*.example.org", "fe80::1%eth0", "nas"] {
            assert_eq!(allow(host).unwrap(), host);
            assert!(!is_everybody(host), "{host}");
        }
        for host in [
            "",
            " ",
            "a b",
            "a,b",
            "a\n",
            "a=b",
            "#",
            "10.0.0.300",
            "10.0.0",
            "10.0.0.0/99",
            "::/129",
            "nas/24",
            "10.0.0.0/",
            "a/b/c",
            "%HOME%",
        ] {
            let line = allow(host).unwrap_err();
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn whatever_means_everybody_is_known() {
        for host in ["*", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "10.1.2.3/0", "::/0", "*.*.*.*", "%RSYNC_HOST_ADDR%"] {
            assert!(allow(host).is_ok() && is_everybody(host), "{host}");
        }
    }
}
