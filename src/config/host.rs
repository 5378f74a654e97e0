//! A daemon's address: `name`, `name:port`, `[v6]:port` or a bare IPv6 address.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::settings::Host;

/// The port of rsync daemons.
pub(super) const PORT: u16 = 873;

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix('[') {
            let Some((address, after)) = rest.split_once(']') else {
                return Err(format!("`{text}` has no closing bracket; write it as `[2001:db8::1]:873`"));
            };
            let port = match after.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if after.is_empty() => PORT,
                None => return Err(format!("after the bracket of `{text}` only `:PORT` can follow")),
            };
            let name = ipv6(address).ok_or_else(|| format!("`{address}` is not an IPv6 address"))?;
            return Ok(Host { name, port });
        }
        // An address with several colons can only be IPv6 without brackets, which cannot carry a port.
        if text.matches(':').count() > 1 {
            let name = ipv6(text).ok_or_else(|| {
                format!("`{text}` is neither HOST:PORT nor an IPv6 address; with a port that is `[2001:db8::1]:873`")
            })?;
            return Ok(Host { name, port: PORT });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, parse_port(port)?),
            None => (text, PORT),
        };
        check_name(name)?;
        Ok(Host { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    /// The form that parses again; the usual port is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.contains(':'), self.port) {
            (false, PORT) => f.write_str(&self.name),
            (false, port) => write!(f, "{}:{port}", self.name),
            (true, PORT) => write!(f, "[{}]", self.name),
            (true, port) => write!(f, "[{}]:{port}", self.name),
        }
    }
}

/// The canonical form of an IPv6 address; a zone such as `%eth0` is kept as it is.
fn ipv6(text: &str) -> Option<String> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let address: Ipv6Addr = address.parse().ok()?;
    match zone {
        None => Some(address.to_string()),
        Some(zone) => check_name(zone).is_ok().then(|| format!("{address}%{zone}")),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() {
        return Err("the host has no name; write HOST or HOST:PORT".to_owned());
    }
    if name.starts_with(['-', '.']) || !name.chars().all(plain) {
        let shown = name.escape_debug();
        let user = if name.contains('@') { "; a user belongs in the key `user`" } else { "" };
        return Err(format!("`{shown}` is not a host name; write HOST, HOST:PORT or [IPV6]:PORT{user}"));
    }
    Ok(())
}

fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| format!("`{}` is not a port; it must be a number from 1 to 65535", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_parse_and_show_as_themselves() {
        for (text, name, port) in [
            ("10.0.0.2", "10.0.0.2", 873),
            ("nas", "nas", 873),
            ("nas.example.org:8730", "nas.example.org", 8730),
            ("[2001:db8::1]:8730", "2001:db8::1", 8730),
            ("[::1]", "::1", 873),
            ("[fe80::1%eth0]", "fe80::1%eth0", 873),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!(host, Host { name: name.to_owned(), port });
            assert_eq!(host.to_string(), text);
        }
        assert_eq!("2001:DB8:0::1".parse::<Host>().unwrap().to_string(), "[2001:db8::1]");
        assert_eq!("nas:873".parse::<Host>().unwrap().to_string(), "nas");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ":873", "a:", "a:0", "a:65536", "a:+1", "a:b", "[::1", "[::1]8", "[a]:1", "1:2:3", "-a", "a b"]
        {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
        assert!("u@h".parse::<Host>().unwrap_err().contains("`user`"));
    }
}
