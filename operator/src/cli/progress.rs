//! What goes on during a long command: a line as each component is done, a spinner for
//! the one that is being worked on where a terminal shows it, or JSON.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use sluice_install::Event;

/// For whom progress and results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Human,
    Json,
}

/// Tells events as they come.
pub(super) struct Progress {
    output: Output,
    began: Instant,
    /// None where nobody watches.
    spinner: Option<ProgressBar>,
    /// The first line that could not be written.
    failed: Option<io::Error>,
}

const TICK: Duration = Duration::from_millis(100);

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        let watched = output == Output::Human && io::stderr().is_terminal();
        let spinner = watched.then(|| {
            let spinner = ProgressBar::new_spinner();
            // A template of this program's own that is wrong shows as the default one.
            if let Ok(style) = ProgressStyle::with_template("{elapsed:>6}  {msg} {spinner}") {
                spinner.set_style(style);
            }
            spinner
        });
        Self {
            output,
            began: Instant::now(),
            spinner,
            failed: None,
        }
    }

    pub(super) fn tell(&mut self, event: &Event) {
        if let (Some(spinner), Event::Began { component }) = (&self.spinner, event) {
            spinner.set_message(component.clone());
            spinner.enable_steady_tick(TICK);
        }
        let line = match self.output {
            Output::Json => serde_json::to_string(event)
                .map_err(io::Error::other)
                .map(Some),
            Output::Human => Ok(human(event, self.began.elapsed())),
        };
        let written = line.and_then(|line| match (line, &self.spinner) {
            (None, _) => Ok(()),
            (Some(line), Some(spinner)) => spinner.suspend(|| writeln!(io::stdout(), "{line}")),
            (Some(line), None) => writeln!(io::stdout(), "{line}"),
        });
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    /// Ends the spinner.
    pub(super) fn end(self) -> io::Result<()> {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

/// A line for people; none for the beginning of a component.
fn human(event: &Event, elapsed: Duration) -> Option<String> {
    match event {
        Event::Began { .. } => None,
        Event::Done {
            component, outcome, ..
        } => Some(format!(
            "{:>6.1}s  {component:<16} {outcome}",
            elapsed.as_secs_f64()
        )),
        Event::Note { text } => Some(format!("note: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_is_done_is_a_line_with_its_time() {
        let done = Event::Done {
            component: "sluice".into(),
            outcome: "24 of 24 objects applied".into(),
            seconds: 2.0,
        };
        assert_eq!(
            human(&done, Duration::from_millis(12_340)).as_deref(),
            Some("  12.3s  sluice           24 of 24 objects applied")
        );
        let began = Event::Began {
            component: "sluice".into(),
        };
        assert_eq!(human(&began, Duration::ZERO), None);
    }
}
