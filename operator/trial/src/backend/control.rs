//! How a request steers its answer.

use std::time::Duration;

/// Read from the query of a request; what is left out or cannot be read stays
/// at its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `status=503`: the status of the answer; 200 where absent.
    pub status: Option<u16>,
    /// `delay-ms=10000`: wait before the headers of the answer.
    pub delay: Duration,
    /// `pause-ms=10000`: wait between the headers and the body of the answer.
    pub pause: Duration,
    /// `reset`: read the request, then break off without an answer.
    pub reset: bool,
    /// `size=3000000`: that many bytes of body in place of the echo.
    pub size: Option<usize>,
}

impl Control {
    /// Longest wait that is granted: ten minutes, Serving's longest revision timeout.
    pub const LONGEST: Duration = Duration::from_secs(600);

    /// Reads a query such as `status=503&delay-ms=100`.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut control = Self::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "status" => {
                    control.status = value.parse().ok().filter(|s| (200..600).contains(s));
                }
                "delay-ms" => control.delay = milliseconds(value),
                "pause-ms" => control.pause = milliseconds(value),
                "reset" => control.reset = true,
                "size" => control.size = value.parse().ok().filter(|s| *s <= 64 << 20),
                _ => {}
            }
        }
        control
    }
}

fn milliseconds(value: &str) -> Duration {
    Duration::from_millis(value.parse().unwrap_or(0)).min(Control::LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_leaves_the_rest() {
        let control = Control::parse("status=503&delay-ms=20&x=1&reset&pause-ms=oh&size=7");
        let expected = Control {
            status: Some(503),
            delay: Duration::from_millis(20),
            pause: Duration::ZERO,
            reset: true,
            size: Some(7),
        };
        assert_eq!(control, expected);
        assert_eq!(Control::parse(""), Control::default());
        assert_eq!(Control::parse("status=99").status, None);
    }
}
