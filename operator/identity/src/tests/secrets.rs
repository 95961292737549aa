use std::fmt::Debug;

use super::{channel, credentials, now};
use crate::{Authority, PrivateKeyPem, enrol_server_config, xds_server_config};

#[test]
fn no_debug_text_shows_a_key() {
    let authority = Authority::generate(now()).unwrap().rotated(now()).unwrap();
    let (_sender, trust) = channel(&authority);
    let current = trust.borrow().clone();
    let credentials = credentials(&authority, now());
    let server = authority.issue_server(&[], now()).unwrap();
    let shown: [&dyn Debug; 9] = [
        &authority,
        authority.key_pem(),
        &server,
        &current,
        &trust,
        &credentials,
        &credentials.client_config(),
        &xds_server_config(&trust),
        &enrol_server_config(&trust),
    ];
    let keys = [
        authority.key_pem(),
        server.key_pem(),
        current.server().key_pem(),
    ];
    for value in shown {
        let text = format!("{value:?} {value:#?}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        assert!(!text.contains(authority.probe_key()), "{text}");
        for key in keys {
            let inside = key.expose().lines().nth(1).unwrap();
            assert!(!text.contains(inside), "{text}");
        }
    }
    assert_eq!(
        format!("{:?}", PrivateKeyPem::new("secret".to_owned())),
        "PrivateKeyPem(hidden)"
    );
}
