//! The names under which a gateway asks for certificates.
//!
//! A gateway asks by the SNI as the client wrote it, and keeps 26 KB for every
//! spelling that was answered. So only a few spellings of a host are.

use std::collections::HashMap;
use std::sync::Arc;

use sluice_ir::Host;

/// Which spellings of which hosts are answered on one stream.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    by_host: HashMap<String, Vec<Arc<str>>>,
}

impl Spellings {
    /// The host that a spelling means, as the store names it.
    pub(super) fn host(asked: &str) -> Option<Host> {
        Host::parse(asked).ok()
    }

    /// A gateway asked for this spelling; the first few of a host are answered.
    pub(super) fn ask(&mut self, asked: &Arc<str>, limit: usize) {
        let Some(host) = Self::host(asked) else {
            return;
        };
        let granted = self.by_host.entry(host.as_str().to_owned()).or_default();
        if granted.len() < limit && !granted.contains(asked) {
            granted.push(asked.clone());
        }
    }

    /// The gateway does not want it any more.
    pub(super) fn release(&mut self, asked: &str) {
        let Some(host) = Self::host(asked) else {
            return;
        };
        if let Some(granted) = self.by_host.get_mut(host.as_str()) {
            granted.retain(|spelling| **spelling != *asked);
            if granted.is_empty() {
                self.by_host.remove(host.as_str());
            }
        }
    }

    /// The spellings of a host that are answered.
    pub(super) fn of_host(&self, host: &str) -> &[Arc<str>] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_granted(&self, host: &Host, asked: &str) -> bool {
        self.of_host(host.as_str()).iter().any(|s| **s == *asked)
    }
}
