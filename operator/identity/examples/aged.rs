//! Reads a Secret on standard input, writes it with an authority past half its life.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluice_identity::Authority;
fn main() {
    let mut secret: serde_json::Value = serde_json::from_reader(std::io::stdin()).unwrap();
    let data = secret["data"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), STANDARD.decode(v.as_str().unwrap()).unwrap())).collect();
    let now = jiff::Timestamp::now();
    let old = Authority::from_data(&data).unwrap();
    let life = old.rotate_at().duration_since(now);
    let aged = old.rotated(now - life - jiff::SignedDuration::from_hours(1)).unwrap();
    eprintln!("needs rotation: {}", aged.needs_rotation(now));
    for (k, v) in aged.to_data() { secret["data"][&k] = STANDARD.encode(v).into(); }
    println!("{secret}");
}
