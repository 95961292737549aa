//! Reads the Secret of the authority from standard input, as JSON, and writes it
//! with one that follows it and is past half of its life: so that a rotation can be
//! seen without waiting for months.

use std::error::Error;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sluice_identity::Authority;

fn main() -> Result<(), Box<dyn Error>> {
    let mut secret: Value = serde_json::from_reader(io::stdin())?;
    let data = secret["data"].as_object().ok_or("a Secret without data")?;
    let decoded = data.iter().map(|(key, value)| {
        let value = value.as_str().ok_or("data that is no text")?;
        Ok((key.clone(), STANDARD.decode(value)?))
    });
    let current = Authority::from_data(&decoded.collect::<Result<_, Box<dyn Error>>>()?)?;
    let now = Timestamp::now();
    let half_of_life = current.rotate_at().duration_since(now);
    let aged = current.rotated(now - half_of_life - SignedDuration::from_hours(1))?;
    for (key, value) in aged.to_data() {
        secret["data"][&key] = STANDARD.encode(value).into();
    }
    serde_json::to_writer(io::stdout(), &secret)?;
    Ok(())
}
