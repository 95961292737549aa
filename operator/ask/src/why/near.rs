//! What may have been meant by a host that nobody serves.

use serde_json::Value;

use super::answer::is_ours;
use super::request::From;
use crate::object::Object;

/// Names that are told where a host is not served.
const NEAREST: usize = 3;

/// The hosts on this side whose names differ least; none where all differ by a third
/// or more.
pub(super) fn nearest(host: &str, from: From, ingresses: &[Object]) -> Vec<String> {
    let rules = ingresses
        .iter()
        .filter(|one| is_ours(one))
        .flat_map(|one| one.list("/spec/rules"))
        .filter(|rule| from == From::Inside || rule["visibility"] != "ClusterLocal");
    let hosts = rules.flat_map(|rule| rule["hosts"].as_array().into_iter().flatten());
    let mut near: Vec<(usize, String)> = hosts
        .filter_map(Value::as_str)
        .map(|one| (distance(host, one), one.to_owned()))
        .filter(|(distance, _)| *distance * 3 < host.chars().count())
        .collect();
    near.sort();
    near.dedup();
    near.truncate(NEAREST);
    near.into_iter().map(|(_, host)| host).collect()
}

/// How many letters are to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut last = at + 1;
        let mut row = vec![last];
        for (against, pair) in other.iter().zip(above.windows(2)) {
            let changed = pair[0] + usize::from(letter != *against);
            last = changed.min(pair[1] + 1).min(last + 1);
            row.push(last);
        }
        above = row;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_names_is_in_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("hello", "hello", 0),
            ("hello", "helo", 1),
            ("hello", "jelly", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
            assert_eq!(distance(other, one), letters, "{other} {one}");
        }
    }
}
