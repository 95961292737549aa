//! Envoy's log, line by line: into tracing, and the last lines kept. Secrets
//! are taken out on the way in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::BindFailure;
use crate::redact::redact;

/// How Envoy is asked to write: level, component, message. With
/// `--log-format-escaped` each entry is one line.
pub(crate) const FORMAT: &str = "[%l][%n] %v";

/// How many lines an error message may quote.
const KEPT: usize = 40;

/// Longest line that is kept; Envoy repeats whole configurations in some.
const LONGEST: usize = 2_000;

/// One entry of Envoy's log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub level: tracing::Level,
    pub component: String,
    pub message: String,
}

impl Entry {
    /// Reads one line. What is not in [`FORMAT`] (the linker, a crash report,
    /// the last words on a bad bootstrap) is a warning of no component.
    pub(crate) fn parse(line: &str) -> Self {
        let formatted = line.strip_prefix('[').and_then(|rest| {
            let (level, rest) = rest.split_once("][")?;
            let (component, message) = rest.split_once("] ")?;
            let level = match level {
                "trace" => tracing::Level::TRACE,
                "debug" => tracing::Level::DEBUG,
                "info" => tracing::Level::INFO,
                "warning" => tracing::Level::WARN,
                "error" | "critical" => tracing::Level::ERROR,
                _ => return None,
            };
            Some(Self {
                level,
                component: component.to_owned(),
                message: redact(&unescape(message)).into_owned(),
            })
        });
        formatted.unwrap_or_else(|| Self {
            level: tracing::Level::WARN,
            component: String::new(),
            message: redact(line).into_owned(),
        })
    }

    fn emit(&self) {
        let component = self.component.as_str();
        let message = self.message.as_str();
        match self.level {
            tracing::Level::ERROR => tracing::error!(target: "envoy", component, "{message}"),
            tracing::Level::WARN => tracing::warn!(target: "envoy", component, "{message}"),
            tracing::Level::INFO => tracing::info!(target: "envoy", component, "{message}"),
            tracing::Level::DEBUG => tracing::debug!(target: "envoy", component, "{message}"),
            tracing::Level::TRACE => tracing::trace!(target: "envoy", component, "{message}"),
        }
    }
}

/// Undoes C escapes of quotes, backslashes and white space; others stay.
fn unescape(escaped: &str) -> String {
    let mut plain = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some(quoted @ ('\'' | '"' | '\\')) => plain.push(quoted),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// Reads a log to its end in a task of its own.
#[derive(Debug)]
pub(crate) struct LogReader {
    lines: Arc<Mutex<VecDeque<String>>>,
    bind_failures: watch::Receiver<Option<BindFailure>>,
    task: JoinHandle<()>,
}

impl LogReader {
    pub(crate) fn start(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT)));
        let (failed, bind_failures) = watch::channel(None);
        let kept = Arc::clone(&lines);
        let task = tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // Bytes rather than `lines()`: a header value that is no UTF-8 must
            // not end the log.
            while matches!(stream.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                if !text.is_empty() {
                    let entry = Entry::parse(text);
                    entry.emit();
                    if let Some(failure) = BindFailure::in_message(&entry.message) {
                        failed.send_replace(Some(failure));
                    }
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() == KEPT {
                        kept.pop_front();
                    }
                    kept.push_back(entry.message.chars().take(LONGEST).collect());
                }
                line.clear();
            }
        });
        Self {
            lines,
            bind_failures,
            task,
        }
    }

    /// The last messages, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// The latest address that Envoy could not listen on.
    pub(crate) fn bind_failures(&self) -> watch::Receiver<Option<BindFailure>> {
        self.bind_failures.clone()
    }

    /// Waits until the log has ended, for as long as `limit`: a process that
    /// Envoy left behind may hold its end open.
    pub(crate) async fn ended(&mut self, limit: std::time::Duration) {
        if !self.task.is_finished() {
            let _ = tokio::time::timeout(limit, &mut self.task).await;
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_carry_level_component_and_plain_message() {
        let entry = Entry::parse(r"[warning][config] listener \'a\' says\n\tno \d \\");
        assert_eq!(entry.level, tracing::Level::WARN);
        assert_eq!(entry.component, "config");
        assert_eq!(entry.message, "listener 'a' says\n\tno \\d \\");
    }

    #[test]
    fn other_lines_are_kept_whole() {
        for line in [
            "cannot bind 'x'",
            "[odd][main] text",
            "[info] text",
            "[",
            "",
        ] {
            let entry = Entry::parse(line);
            assert_eq!(entry.level, tracing::Level::WARN);
            assert_eq!(entry.message, line);
        }
    }

    #[tokio::test]
    async fn the_last_lines_survive_bytes_that_are_no_text() {
        let mut log: Vec<u8> = (0..KEPT + 5)
            .flat_map(|line| format!("[info][main] line {line}\n").into_bytes())
            .collect();
        log.extend(b"\xff\xfe odd\n\nlast, without an end");
        let mut reader = LogReader::start(std::io::Cursor::new(log));
        reader.ended(std::time::Duration::from_secs(5)).await;
        let lines = reader.last_lines();
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines[0], "line 7");
        assert_eq!(lines[KEPT - 1], "last, without an end");
    }
}
