//! The demo: what Sluice promises, shown on this machine in a few seconds.
//!
//! Every sentence it prints is checked first; one that does not hold ends the
//! demo with an error.

mod error;
mod stage;

pub use error::DemoError;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::backend::NAME_HEADER;
use crate::dial::Tls;
use crate::line::{Ask, Line, Mode, Reply, Target};
use crate::prober::{Load, Prober};
use stage::{Listen, Stage};

const HELLO: &str = "hello.default.example.com";
const SECURE: &str = "secure.default.example.com";
const INTERNAL: &str = "internal.default.svc.cluster.local";

/// Plays the demo and writes it down.
///
/// # Errors
/// Whatever is not as promised, and whatever the machine refuses.
pub async fn play(
    sluice: &Path,
    samples: &Path,
    out: &mut (dyn Write + Send),
) -> Result<(), DemoError> {
    let began = Instant::now();
    let mut story = Story {
        out,
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    story.title("Knative manifests in, live traffic out")?;
    let mut stage = Stage::set(sluice, samples).await?;
    let listen = ready(&mut stage, &mut story).await?;
    splits(listen.http, &mut story).await?;
    streams(listen.http, &mut story).await?;
    live_edit(&mut stage, listen.http, &mut story).await?;
    broken_edit(&mut stage, listen.http, &mut story).await?;
    encryption(&listen, &mut story).await?;
    inside_only(&stage, &listen, &mut story).await?;
    stage.strike().await?;
    story.farewell(began.elapsed())
}

async fn ready(stage: &mut Stage, story: &mut Story<'_>) -> Result<Listen, DemoError> {
    story.step("sluice dev serves config/samples/demo: no cluster, no container")?;
    let mut told = Vec::new();
    let event = stage
        .event(
            "a gateway that is ready",
            |event| event["event"] == "ready",
            |message| told.push(message.to_owned()),
        )
        .await?;
    for message in told {
        story.note(&message)?;
    }
    let listen: Listen =
        serde_json::from_value(event["listen"].clone()).map_err(|error| DemoError::Unexpected {
            what: "the gateway's addresses".into(),
            found: error.to_string(),
        })?;
    story.done(&format!(
        "5 files of real manifests; Envoy answers on http://{} and https://{}",
        listen.http, listen.https
    ))?;
    Ok(listen)
}

async fn splits(http: SocketAddr, story: &mut Story<'_>) -> Result<(), DemoError> {
    story.step("1,000 requests on a 90/10 split")?;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let line = Line::new(Target::plain(http, Mode::KeepAlive));
    for _ in 0..1000 {
        let reply = ok(&line, &Ask::get(HELLO, "/")).await?;
        *counts
            .entry(reply.header(NAME_HEADER).to_owned())
            .or_default() += 1;
    }
    for (name, count) in &counts {
        let bar = "▇".repeat(*count as usize / 25);
        story.note(&format!("{name:<12} {count:>4}  {bar}"))?;
    }
    let first = counts.get("hello-00001").copied().unwrap_or_default();
    // Five standard deviations of a fair 90/10 split of 1,000.
    story.check(
        "about nine in ten reach hello-00001",
        (853..=947).contains(&first),
        || format!("{first} of 1,000"),
    )?;

    story.step("a header instead of luck: Knative-Serving-Tag: candidate")?;
    let tagged = Ask::get(HELLO, "/").header("knative-serving-tag", "candidate");
    for _ in 0..20 {
        let reply = ok(&line, &tagged).await?;
        let name = reply.header(NAME_HEADER).to_owned();
        story.hold(
            "the tag leads to hello-00002",
            name == "hello-00002",
            || name,
        )?;
    }
    story.done("20 of 20 tagged requests reach hello-00002")
}

async fn streams(http: SocketAddr, story: &mut Story<'_>) -> Result<(), DemoError> {
    story.step("gRPC and WebSocket, by port name alone")?;
    let grpc = Line::new(Target::plain(http, Mode::Grpc));
    let reply = answer(&grpc, &Ask::ping("greeter.default.example.com", "ping")).await?;
    let name = reply.header(NAME_HEADER).to_owned();
    story.check(
        "a gRPC call is answered by greeter-00001",
        name == "greeter-00001",
        || name,
    )?;
    let sockets = Line::new(Target::plain(http, Mode::WebSockets(1)));
    for n in 0..10 {
        let text = format!("message {n}");
        let ask = Ask::post("echo.default.example.com", "/", text.clone());
        let reply = answer(&sockets, &ask).await?;
        let echo = String::from_utf8_lossy(&reply.body).into_owned();
        story.hold("a WebSocket echoes", echo == text, || echo)?;
    }
    story.done("10 messages over one WebSocket, 10 echoes")
}

async fn live_edit(
    stage: &mut Stage,
    http: SocketAddr,
    story: &mut Story<'_>,
) -> Result<(), DemoError> {
    story.step("edit the YAML to 50/50 while 200 requests a second arrive")?;
    let mut prober = Prober::start(Load {
        target: Target::plain(http, Mode::KeepAlive),
        ask: Ask::get(HELLO, "/"),
        rate: 200,
    });
    prober.more(100).await;
    stage.edit("hello.yaml", |text| {
        text.replace("percent: 90", "percent: 50")
            .replace("percent: 10\n", "percent: 50\n")
    })?;
    let milliseconds = applied(stage, |plan| plan["ingress"] == "default/hello").await?;
    let seen = Instant::now();
    prober.more(400).await;
    let report = prober.stop().await?;
    let lost = report.lost(200);
    story.hold("no request fails", lost.is_empty(), || lost.join("; "))?;
    let after: Vec<&str> = report
        .replies()
        .filter(|(answer, _)| answer.sent > seen)
        .map(|(_, reply)| reply.header(NAME_HEADER))
        .collect();
    let second = after.iter().filter(|name| **name == "hello-00002").count();
    let share = second * 100 / after.len().max(1);
    story.hold(
        "the new split is served",
        (30..=70).contains(&share),
        || format!("{share} %"),
    )?;
    story.done(&format!(
        "Envoy had it {milliseconds:.0} ms after the save; of {} requests since, {share} % reach hello-00002",
        after.len()
    ))?;
    story.done(&format!(
        "{} requests before, during and after: 0 failed",
        report.sent
    ))
}

async fn broken_edit(
    stage: &mut Stage,
    http: SocketAddr,
    story: &mut Story<'_>,
) -> Result<(), DemoError> {
    story.step("save a file that is broken")?;
    let good = std::fs::read_to_string(stage.path("hello.yaml"))
        .map_err(DemoError::io("read hello.yaml"))?;
    stage.edit("hello.yaml", |text| text.replacen("rules:", "rules: [", 1))?;
    let fault = stage
        .event(
            "a word about the broken file",
            |e| e["event"] == "fault",
            |_| {},
        )
        .await?;
    let said = sentence(&fault);
    story.note(&said)?;
    let line = Line::new(Target::plain(http, Mode::KeepAlive));
    for _ in 0..50 {
        ok(&line, &Ask::get(HELLO, "/")).await?;
    }
    story.done("50 of 50 requests are still answered from what was good")?;

    stage.edit("hello.yaml", |_| {
        good.replacen("percent: 50", "percent: 40", 1)
    })?;
    let verdict = stage
        .event(
            "a verdict on percentages that sum to 90",
            |e| e["event"] == "verdict" && e["outcome"] == "Refused",
            |_| {},
        )
        .await?;
    let rejection = &verdict["rejections"][0];
    story.note(&format!(
        "{}: {}: found {}, expected {}",
        text(&rejection["reason"]),
        text(&rejection["field"]),
        text(&rejection["found"]),
        text(&rejection["expected"])
    ))?;
    for _ in 0..50 {
        ok(&line, &Ask::get(HELLO, "/")).await?;
    }
    stage.edit("hello.yaml", |_| good)?;
    let mended = |e: &Value| e["event"] == "verdict" && e["outcome"] == "Accepted";
    stage.event("the mended file", mended, |_| {}).await?;
    story.done("percentages that sum to 90 are refused by name; what served before serves on")
}

async fn encryption(listen: &Listen, story: &mut Story<'_>) -> Result<(), DemoError> {
    story.step("TLS by server name, plain HTTP redirected")?;
    let plain = Line::new(Target::plain(listen.http, Mode::KeepAlive));
    let reply = answer(&plain, &Ask::get(SECURE, "/a?b=c")).await?;
    let location = reply.header("location").to_owned();
    let right = reply.status == 301 && location == format!("https://{SECURE}/a?b=c");
    story.check("http is answered 301 to https", right, || {
        format!("{} {location}", reply.status)
    })?;
    let tls = Target::tls(listen.https, Mode::Http2, Tls::http2(SECURE));
    let reply = ok(&Line::new(tls), &Ask::get(SECURE, "/")).await?;
    let name = reply.header(NAME_HEADER).to_owned();
    story.check(
        "https answers, over HTTP/2, from secure-00001",
        name == "secure-00001",
        || name,
    )
}

async fn inside_only(
    stage: &Stage,
    listen: &Listen,
    story: &mut Story<'_>,
) -> Result<(), DemoError> {
    story.step("a cluster-local host")?;
    let outside = Line::new(Target::plain(listen.http, Mode::Fresh));
    let spellings = [
        INTERNAL.to_owned(),
        INTERNAL.to_ascii_uppercase(),
        format!("{INTERNAL}."),
        format!("{INTERNAL}:80"),
        "internal.default".to_owned(),
    ];
    for spelling in &spellings {
        let reply = answer(&outside, &Ask::get(spelling, "/")).await?;
        story.hold("outside it is unknown", reply.status == 404, || {
            format!("{} for {spelling}", reply.status)
        })?;
    }
    let hits = stage.hits("internal-00001");
    story.check(
        "from outside: 404 in every spelling, none reached the backend",
        hits == 0,
        || format!("{hits} requests reached it"),
    )?;
    let inside = Line::new(Target::plain(listen.internal_http, Mode::KeepAlive));
    ok(&inside, &Ask::get(INTERNAL, "/")).await?;
    story.done("from inside: 200")
}

/// Waits for a plan to be served and acknowledged; milliseconds from the save.
async fn applied(stage: &mut Stage, of: impl Fn(&Value) -> bool) -> Result<f64, DemoError> {
    let plan = stage
        .event("a new plan", |e| e["event"] == "plan" && of(e), |_| {})
        .await?;
    let revision = plan["revision"].as_u64().unwrap_or_default();
    let held = |e: &Value| {
        e["event"] == "applied" && e["revision"].as_u64().is_some_and(|r| r >= revision)
    };
    let event = stage.event("Envoy's acknowledgement", held, |_| {}).await?;
    Ok(event["milliseconds"].as_f64().unwrap_or_default())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A fault event as one line: where and what.
fn sentence(fault: &Value) -> String {
    let mut said = text(&fault["file"]).to_owned();
    if let Some(line) = fault["line"].as_u64() {
        said = format!("{said}:{line}");
    }
    format!("{said}: {}", text(&fault["message"]))
}

async fn answer(line: &Line, ask: &Ask) -> Result<Reply, DemoError> {
    line.send(ask)
        .await
        .outcome
        .map_err(|failure| DemoError::Unexpected {
            what: format!("{} of {}{}", ask.method, ask.authority, ask.path),
            found: failure.to_string(),
        })
}

async fn ok(line: &Line, ask: &Ask) -> Result<Reply, DemoError> {
    let reply = answer(line, ask).await?;
    if reply.status == 200 {
        return Ok(reply);
    }
    Err(DemoError::Unexpected {
        what: format!("200 for {} of {}{}", ask.method, ask.authority, ask.path),
        found: reply.status.to_string(),
    })
}

/// What is printed: titles, steps, notes, ticks.
struct Story<'a> {
    out: &'a mut (dyn Write + Send),
    colour: bool,
}

impl Story<'_> {
    fn line(&mut self, text: &str) -> Result<(), DemoError> {
        writeln!(self.out, "{text}").map_err(DemoError::io("write to standard output"))
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn title(&mut self, text: &str) -> Result<(), DemoError> {
        let title = self.painted("1", &format!("Sluice: {text}"));
        self.line(&format!("\n{title}"))
    }

    fn step(&mut self, text: &str) -> Result<(), DemoError> {
        let step = self.painted("1", text);
        self.line(&format!("\n{step}"))
    }

    fn note(&mut self, text: &str) -> Result<(), DemoError> {
        let note = self.painted("2", text);
        self.line(&format!("    {note}"))
    }

    fn done(&mut self, text: &str) -> Result<(), DemoError> {
        let tick = self.painted("32", "✓");
        self.line(&format!("  {tick} {text}"))
    }

    /// Ends the demo if something does not hold; says nothing if it does.
    fn hold(
        &self,
        what: &str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), DemoError> {
        if holds {
            return Ok(());
        }
        Err(DemoError::Unexpected {
            what: what.to_owned(),
            found: found(),
        })
    }

    fn check(
        &mut self,
        what: &str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), DemoError> {
        self.hold(what, holds, found)?;
        self.done(what)
    }

    fn farewell(&mut self, took: Duration) -> Result<(), DemoError> {
        self.step(&format!(
            "All of it held, in {:.1} s. Try next:",
            took.as_secs_f64()
        ))?;
        for (command, what) in [
            (
                "target/debug/sluice dev config/samples/demo",
                "serve it yourself, and edit it",
            ),
            (
                "target/debug/sluice translate -f config/samples/demo/hello.yaml",
                "see what Envoy is told",
            ),
            ("make test", "every promise, counted request by request"),
        ] {
            let command = self.painted("36", command);
            self.line(&format!("    {command}\n        {what}"))?;
        }
        Ok(())
    }
}
