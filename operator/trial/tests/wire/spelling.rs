//! Ways to write an authority, from plain through allowed to absurd.

/// Every spelling of `host`; `other` is a host that the listener does serve,
/// for spellings that mix the two.
pub fn spellings(host: &str, other: &str) -> Vec<Vec<u8>> {
    let upper = host.to_uppercase();
    let mixed: String = host
        .chars()
        .enumerate()
        .map(|(i, c)| {
            if i % 2 == 0 {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    let title = format!("{}{}", upper.get(..1).unwrap(), host.get(1..).unwrap());
    let first_encoded = format!("%{:02x}{}", host.as_bytes()[0], host.get(1..).unwrap());
    let all_encoded: String = host.bytes().map(|b| format!("%{b:02x}")).collect();
    let wide: String = host
        .chars()
        .map(|c| {
            char::from_u32(c as u32 + 0xfee0)
                .filter(|_| c.is_ascii_lowercase())
                .unwrap_or(c)
        })
        .collect();
    let dotted = |dot: &str| host.replace('.', dot);
    let mut texts = vec![
        host.to_owned(),
        upper.clone(),
        mixed.clone(),
        title,
        format!("{host}."),
        format!("{host}.."),
        format!(".{host}"),
        format!("{upper}."),
        format!("{mixed}.:80"),
        format!(" {host}"),
        format!("{host} "),
        format!("\t{host}"),
        format!("{host}\t"),
        format!("{host} {other}"),
        format!("{other} {host}"),
        format!("user@{host}"),
        format!("user:pass@{host}"),
        format!("@{host}"),
        format!(":@{host}"),
        format!("{other}@{host}"),
        format!("{other}:80@{host}"),
        format!("{host}@{other}"),
        format!("{host},{other}"),
        format!("{other},{host}"),
        format!("{host}, {other}"),
        format!("{other}, {host}"),
        format!("{host};{other}"),
        format!("{host}:{other}"),
        format!("{other}:{host}"),
        format!("{host}:{host}"),
        format!("{host}:80:{host}"),
        format!("[{host}]"),
        format!("[{host}]:80"),
        format!("[{host}"),
        format!("{host}]"),
        format!("\"{host}\""),
        format!("'{host}'"),
        format!("<{host}>"),
        format!("({host})"),
        format!("{{{host}}}"),
        format!("{host}/"),
        format!("/{host}"),
        format!("//{host}"),
        format!("{host}/{other}"),
        format!("{other}/{host}"),
        format!("{host}\\{other}"),
        format!("{other}\\{host}"),
        format!("{host}?{other}"),
        format!("{other}?{host}"),
        format!("{host}#{other}"),
        format!("{other}#{host}"),
        format!("{host}&{other}"),
        format!("{host}|{other}"),
        format!("{host}%00"),
        format!("{host}%00.{other}"),
        format!("{other}%00{host}"),
        format!("{host}%20"),
        format!("{host}%2e"),
        format!("{host}%2e{other}"),
        format!("{host}%3a80"),
        format!("{other}%2c{host}"),
        format!("{other}%40{host}"),
        format!("http://{host}"),
        format!("http://{host}/"),
        format!("https://{host}"),
        format!("http:{host}"),
        format!("*.{host}"),
        format!("*{host}"),
        format!("{host}*"),
        format!("!{host}"),
        format!("_{host}"),
        format!("-{host}"),
        format!("{host}-"),
        format!("~{host}"),
        format!("${host}"),
        format!("+{host}"),
        format!("={host}"),
        format!("www.{host}"),
        format!("{host}.{other}"),
        format!("{other}.{host}"),
        format!("{host}.local"),
        format!("{host}.localhost"),
        format!("xn--{host}"),
        format!("xn--{host}-"),
        format!("{host}\u{200b}"),
        format!("\u{feff}{host}"),
        format!("{host}\u{3002}"),
        host.replacen('.', "\u{3002}", 1),
        host.replacen('l', "\u{212a}", 1),
        host.replacen('e', "\u{435}", 1),
        wide,
        first_encoded,
        all_encoded,
        dotted(".."),
        dotted("%2e"),
        dotted(":"),
        dotted("/"),
        dotted("_"),
        dotted(" ."),
        dotted("\u{ff0e}"),
        format!("{host}:{}", "0".repeat(64)),
        format!("{host}{}", ".".repeat(64)),
        format!("{}{host}", "a.".repeat(64)),
        format!("ext/{host}"),
        format!("int/{host}"),
        format!("{host}|{host}"),
    ];
    for port in [
        "",
        "0",
        "1",
        "80",
        "080",
        "443",
        "8080",
        "8081",
        "8443",
        "8444",
        "65535",
        "65536",
        "99999999999",
        "-80",
        "+80",
        "80.",
        "80 ",
        " 80",
        "http",
        "0x50",
        "80:80",
        ":80",
        "80/",
        "80@",
        "%38%30",
        "*",
    ] {
        texts.push(format!("{host}:{port}"));
        texts.push(format!("{host}.:{port}"));
        texts.push(format!("{upper}:{port}"));
    }
    let mut spellings: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    // Bytes that no text holds, before, within and after.
    for byte in [0x00, 0x01, 0x0b, 0x0c, 0x1f, 0x7f, 0x80, 0xa0, 0xff] {
        for place in [0, 1, host.len()] {
            let mut spelling = host.as_bytes().to_vec();
            spelling.insert(place, byte);
            spellings.push(spelling);
        }
    }
    spellings.sort();
    spellings.dedup();
    spellings
}
