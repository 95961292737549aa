use jiff::SignedDuration;

use super::{hours, now};
use crate::certificate::{facts, read_pem};
use crate::{
    AUTHORITY_LIFE, Authority, BUNDLE, CERTIFICATE, CLOCK_SKEW, IdentityError, KEY, PROBE_KEY,
};

#[test]
fn data_make_the_same_authority_again() {
    let first = Authority::generate(now()).unwrap();
    for authority in [first.rotated(now()).unwrap(), first] {
        let data = authority.to_data();
        let read = Authority::from_data(&data).unwrap();
        // Compared without being shown: keys are among them.
        assert!(read.to_data() == data);
        assert_eq!(read.rotate_at(), authority.rotate_at());
        // What it signs now is trusted by what it was.
        let server = read.issue_server(&[], now()).unwrap();
        assert!(server.expires_at() > now());
    }
}

#[test]
fn data_with_a_final_newline_or_other_keys_are_read() {
    let mut data = Authority::generate(now()).unwrap().to_data();
    for value in data.values_mut() {
        value.push(b'\n');
    }
    data.insert("note".to_owned(), b"mine".to_vec());
    Authority::from_data(&data).unwrap();
}

#[test]
fn a_key_among_the_trusted_certificates_goes_to_nobody() {
    let mut data = Authority::generate(now()).unwrap().to_data();
    let key = data[KEY].clone();
    data.get_mut(BUNDLE).unwrap().extend(&key);
    data.get_mut(CERTIFICATE).unwrap().extend(&key);
    let read = Authority::from_data(&data).unwrap();
    assert!(!read.bundle_pem().contains("PRIVATE KEY"));
    assert!(!read.certificate_pem().contains("PRIVATE KEY"));
}

#[test]
fn a_missing_or_empty_key_is_named() {
    let data = Authority::generate(now()).unwrap().to_data();
    assert_eq!(data.len(), 4);
    for key in [CERTIFICATE, KEY, BUNDLE, PROBE_KEY] {
        for value in [None, Some(Vec::new()), Some(vec![0xff])] {
            let mut data = data.clone();
            data.remove(key);
            data.extend(value.map(|value| (key.to_owned(), value)));
            let error = Authority::from_data(&data).unwrap_err();
            assert!(matches!(error, IdentityError::Missing { key: named, .. } if named == key));
            let text = error.to_string();
            assert!(text.starts_with(&format!("authority data: {key}: found ")));
            assert!(text.contains(", expected "), "{text}");
        }
    }
}

#[test]
fn a_tampered_key_is_named() {
    let data = Authority::generate(now()).unwrap().to_data();
    for key in [CERTIFICATE, KEY, BUNDLE, PROBE_KEY] {
        for cut in [1, 40, 100] {
            let mut data = data.clone();
            let value = data.get_mut(key).unwrap();
            let middle = value.len() / 2;
            value.drain(middle..(middle + cut).min(value.len()));
            let error = Authority::from_data(&data).unwrap_err();
            assert!(error.to_string().starts_with(key), "{key}: {error}");
        }
        let mut data = data.clone();
        data.insert(key.to_owned(), b"something else".to_vec());
        let error = Authority::from_data(&data).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{key}: found ")), "{text}");
        assert!(text.contains(", expected "), "{text}");
        assert!(!text.contains("something else"), "{text}");
    }
}

#[test]
fn parts_of_another_authority_are_refused() {
    let ours = Authority::generate(now()).unwrap().to_data();
    let theirs = Authority::generate(now()).unwrap().to_data();
    let with = |key: &str| {
        let mut data = ours.clone();
        data.insert(key.to_owned(), theirs[key].clone());
        Authority::from_data(&data).unwrap_err().to_string()
    };
    assert!(with(KEY).starts_with("ca.crt and ca.key: found a key of another certificate"));
    assert!(with(CERTIFICATE).starts_with("ca.crt and ca.key: "));
    assert!(with(BUNDLE).starts_with("bundle.crt: found 1 certificates, none of them"));
}

#[test]
fn a_leaf_is_no_authority() {
    let authority = Authority::generate(now()).unwrap();
    let server = authority.issue_server(&[], now()).unwrap();
    let mut data = authority.to_data();
    data.insert(CERTIFICATE.to_owned(), server.chain_pem().into());
    data.insert(KEY.to_owned(), server.key_pem().expose().into());
    let error = Authority::from_data(&data).unwrap_err().to_string();
    assert!(
        error.starts_with("ca.crt: found one of CN=sluice-operator"),
        "{error}"
    );
}

#[test]
fn it_lasts_a_year_and_is_rotated_at_half() {
    let at = now();
    let authority = Authority::generate(at).unwrap();
    assert_eq!(authority.expires_at(), at + AUTHORITY_LIFE);
    let half = at + AUTHORITY_LIFE / 2;
    assert!(!authority.needs_rotation(at));
    assert!(!authority.needs_rotation(half - hours(1)));
    assert!(authority.needs_rotation(half + hours(1)));
}

#[test]
fn a_rotation_keeps_the_probe_key_and_one_older_root() {
    let at = now();
    let first = Authority::generate(at).unwrap();
    let second = first.rotated(at + hours(1)).unwrap();
    let third = second.rotated(at + hours(2)).unwrap();
    let roots = |authority: &Authority| {
        read_pem("bundle", authority.bundle_pem().as_bytes(), "")
            .unwrap()
            .iter()
            .map(|root| facts(root).unwrap().subject)
            .collect::<Vec<_>>()
    };
    let name = |authority: &Authority| roots(authority)[0].clone();
    assert_eq!(roots(&first).len(), 1);
    assert_eq!(roots(&second), [name(&second), name(&first)]);
    assert_eq!(roots(&third), [name(&third), name(&second)]);
    assert_eq!(first.probe_key(), third.probe_key());
    assert_eq!(first.probe_key().len(), 32);
    assert_ne!(
        first.probe_key(),
        Authority::generate(at).unwrap().probe_key()
    );
    assert!(!second.needs_rotation(at + hours(1)));
    assert!(!third.bundle_pem().contains("PRIVATE KEY"));
}

#[test]
fn one_that_is_over_is_not_carried_along() {
    let at = now();
    let old = Authority::generate(at - AUTHORITY_LIFE - hours(1)).unwrap();
    let error = old.issue_server(&[], at).unwrap_err();
    assert!(matches!(error, IdentityError::NotValidNow { .. }));
    let next = old.rotated(at).unwrap();
    assert_eq!(next.bundle_pem(), next.certificate_pem());
    assert_eq!(next.probe_key(), old.probe_key());
}

#[test]
fn a_leaf_lasts_a_day_and_never_longer_than_its_authority() {
    let at = now();
    let authority = Authority::generate(at).unwrap();
    let server = authority.issue_server(&[], at).unwrap();
    assert_eq!(server.expires_at(), at + hours(24));
    let renewed_after = server.renew_at().duration_since(at);
    assert!(renewed_after > hours(15) && renewed_after < hours(16) + CLOCK_SKEW);
    let late = at + AUTHORITY_LIFE - SignedDuration::from_mins(10);
    let server = authority.issue_server(&[], late).unwrap();
    assert_eq!(server.expires_at(), authority.expires_at());
}
