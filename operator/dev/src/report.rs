//! Events for a person: a few stable lines each.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::{self, Write};

use sluice_ir::{Headers, Outcome, Side};

use crate::event::{Event, GatewayState, Listen, PlanView, RouteView, RuleView, SplitView};
use crate::fault::Severity;

/// Writes events as lines for a person.
pub struct Screen<W> {
    out: W,
    colour: bool,
    /// A host to try, from the first plan that serves plain HTTP outside.
    example: Option<String>,
    /// What a line of progress was last about, and its tenth.
    progress: Option<(String, u64)>,
    was_ready: bool,
    /// The Ingress whose verdict was just shown: its plan needs no headline.
    headed: Option<String>,
}

/// What colour is for: how things stand, never what they are.
#[derive(Clone, Copy)]
enum Tint {
    Good,
    Doubtful,
    Bad,
    Strong,
    Faint,
}

impl<W: Write> Screen<W> {
    /// A screen; `colour` only where a terminal shows it.
    pub fn new(out: W, colour: bool) -> Self {
        Self {
            out,
            colour,
            example: None,
            progress: None,
            was_ready: false,
            headed: None,
        }
    }

    /// Shows one event.
    ///
    /// # Errors
    /// What the writer says; a reader that is gone, mostly.
    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        let mut text = String::new();
        self.lines(&mut text, event);
        self.headed = match event {
            Event::Verdict { ingress, .. } => Some(ingress.clone()),
            _ => None,
        };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn lines(&mut self, text: &mut String, event: &Event) {
        match event {
            Event::Started {
                folder,
                files,
                objects,
                ..
            } => {
                let folder = plain(&folder.display().to_string());
                let (files, objects) = (count(*files, "file"), count(*objects, "object"));
                line(text, &format!("{folder}: {files}, {objects}"));
            }
            Event::Locating { message, bytes } => self.locating(text, message, *bytes),
            Event::Gateway { state, message, .. } => {
                let tint = match state {
                    GatewayState::Started | GatewayState::Draining => Tint::Faint,
                    GatewayState::Exited | GatewayState::StartFailed | GatewayState::BindFailed => {
                        Tint::Bad
                    }
                    GatewayState::Restarting => Tint::Doubtful,
                };
                line(text, &self.tinted(tint, &plain(message)));
            }
            Event::Ready {
                listen,
                milliseconds,
            } => self.ready(text, listen, *milliseconds),
            Event::Verdict {
                ingress,
                outcome,
                rejections,
            } => {
                let (word, tint) = match outcome {
                    Outcome::Accepted => ("accepted", Tint::Good),
                    Outcome::Partial => ("served in part", Tint::Doubtful),
                    Outcome::Refused => ("refused", Tint::Bad),
                };
                let word = self.tinted(tint, word);
                line(text, &format!("ingress {}: {word}", plain(ingress)));
                for rejection in rejections {
                    line(text, &format!("    {}", plain(&rejection.to_string())));
                }
            }
            Event::Plan {
                ingress, change, ..
            } => self.plan(text, ingress, change),
            Event::Endpoints {
                service, addresses, ..
            } => {
                let service = plain(service);
                if addresses.is_empty() {
                    let nobody = self.tinted(Tint::Doubtful, "no ready address, answers 503");
                    line(text, &format!("service {service}: {nobody}"));
                } else {
                    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                    line(text, &format!("service {service}: {}", addresses.join(" ")));
                }
            }
            Event::Applied {
                revision,
                milliseconds,
            } => {
                let words = format!("applied in {milliseconds:.1} ms (revision {revision})");
                line(text, &self.tinted(Tint::Faint, &words));
            }
            Event::Refused {
                kind, name, detail, ..
            } => {
                let word = self.tinted(Tint::Bad, "envoy refused");
                line(
                    text,
                    &format!("{word} {kind} {}: {}", plain(name), plain(detail)),
                );
            }
            Event::Fault(fault) => {
                let tint = match fault.severity {
                    Severity::Error => Tint::Bad,
                    Severity::Warning => Tint::Doubtful,
                    Severity::Note => Tint::Faint,
                };
                let severity = self.tinted(tint, &fault.severity.to_string());
                line(text, &format!("{severity}: {}", plain(&fault.to_string())));
            }
            Event::Mended { file } => {
                let word = self.tinted(Tint::Good, "reads well again");
                line(
                    text,
                    &format!("{}: {word}", plain(&file.display().to_string())),
                );
            }
            Event::Stopped => line(text, "stopped"),
        }
    }

    /// Progress in tenths: readable in a log as well as on a terminal.
    fn locating(&mut self, text: &mut String, message: &str, bytes: Option<(u64, u64)>) {
        let Some((done, of)) = bytes else {
            self.progress = None;
            return line(text, &self.tinted(Tint::Faint, &plain(message)));
        };
        let tenth = done * 10 / of.max(1);
        let now = (message.to_owned(), tenth);
        if self.progress.as_ref() != Some(&now) {
            let words = match done {
                0 => plain(message),
                _ => format!("{} {}%", plain(message), tenth * 10),
            };
            line(text, &self.tinted(Tint::Faint, &words));
            self.progress = Some(now);
        }
    }

    fn ready(&mut self, text: &mut String, listen: &Listen, milliseconds: f64) {
        let word = self.tinted(Tint::Good, "ready");
        if self.was_ready {
            return line(text, &format!("{word} again after {milliseconds:.0} ms"));
        }
        self.was_ready = true;
        line(text, &format!("{word} after {milliseconds:.0} ms"));
        let addresses = [
            ("http", format!("http://{}", listen.http)),
            ("https", format!("https://{}", listen.https)),
            (
                "cluster-local http",
                format!("http://{}", listen.internal_http),
            ),
            (
                "cluster-local https",
                format!("https://{}", listen.internal_https),
            ),
            ("readiness", format!("http://{}/ready", listen.readiness)),
            (
                "statistics",
                format!("http://{}/stats/prometheus", listen.statistics),
            ),
        ];
        for (name, address) in addresses {
            line(text, &format!("    {name:<20} {address}"));
        }
        if let Some(host) = &self.example {
            line(
                text,
                &format!("try: curl -H 'Host: {host}' http://{}/", listen.http),
            );
        }
    }

    fn plan(&mut self, text: &mut String, ingress: &str, change: &PlanView) {
        match change {
            PlanView::Serve { rules, .. } => {
                if self.example.is_none() {
                    self.example = rules
                        .iter()
                        .find(|rule| rule.sides.contains(&Side::External) && !rule.redirect)
                        .and_then(|rule| rule.hosts.first())
                        .map(|host| plain(host));
                }
                if self.headed.as_deref() != Some(ingress) {
                    line(text, &format!("ingress {} serves", plain(ingress)));
                }
                for rule in rules {
                    self.rule(text, rule);
                }
            }
            PlanView::Hold { .. } => {
                let ingress = plain(ingress);
                line(
                    text,
                    &format!("ingress {ingress} serves what it served before, else 503"),
                );
            }
            PlanView::Remove => line(text, &format!("ingress {} is gone", plain(ingress))),
        }
    }

    fn rule(&self, text: &mut String, rule: &RuleView) {
        let mut remarks = Vec::new();
        if !rule.sides.contains(&Side::External) {
            remarks.push("cluster-local");
        }
        if rule.tls {
            remarks.push("tls");
        }
        if rule.redirect {
            remarks.push("http is redirected");
        }
        let hosts: Vec<String> = rule
            .hosts
            .iter()
            .map(|host| self.tinted(Tint::Strong, &plain(host)))
            .collect();
        let remarks = if remarks.is_empty() {
            String::new()
        } else {
            format!(" ({})", remarks.join(", "))
        };
        line(text, &format!("    {}{remarks}", hosts.join(" ")));
        for route in &rule.routes {
            line(text, &format!("        {}", self.route(route)));
        }
    }

    fn route(&self, route: &RouteView) -> String {
        let mut words = plain(&route.prefix);
        words += &headers(&route.headers);
        words += "  ";
        if let Some((status, reason)) = &route.respond {
            let answer = format!("answers {status}: {}", plain(reason));
            return words + &self.tinted(Tint::Doubtful, &answer);
        }
        let splits: Vec<String> = route.splits.iter().map(|split| self.split(split)).collect();
        words + &splits.join(", ")
    }

    fn split(&self, split: &SplitView) -> String {
        let percent = split.percent;
        match (&split.service, &split.unavailable) {
            (Some(service), _) => format!("{percent}% {}", plain(service)),
            (None, reason) => {
                let reason = reason.as_deref().unwrap_or("unavailable");
                let answer = format!("{percent}% 503 ({})", plain(reason));
                self.tinted(Tint::Doubtful, &answer)
            }
        }
    }

    fn tinted(&self, tint: Tint, words: &str) -> String {
        if !self.colour {
            return words.to_owned();
        }
        let code = match tint {
            Tint::Good => 32,
            Tint::Doubtful => 33,
            Tint::Bad => 31,
            Tint::Strong => 1,
            Tint::Faint => 2,
        };
        format!("\x1b[{code}m{words}\x1b[0m")
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

fn count(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

fn headers(headers: &Headers) -> String {
    let mut words = String::new();
    for (name, value) in headers {
        // Writing to a string does not fail.
        let _ = write!(words, " [{}: {}]", plain(name), plain(value));
    }
    words
}

/// Text from files and from Envoy without what would steer a terminal.
fn plain(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            words.extend(character.escape_default());
        } else {
            words.push(character);
        }
    }
    words
}
