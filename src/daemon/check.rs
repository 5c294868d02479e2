//! What `latchd check` finds beyond the configuration's text: files it names that can't serve.
//!
//! The daemon itself starts in spite of them: doors go on from the cache, and the link says why there is none.

use super::config::Config;
use crate::drivers::clock;

/// A sentence for each file that can't be used as it is.
pub fn check(config: &Config) -> Vec<String> {
    let tls = config.mqtt.broker.tls.as_ref().map(|files| files.check(clock::wall()));
    let login = config.mqtt.account.as_ref().map(|account| account.login().map(|_| ()));
    let errors = [tls, login].into_iter().flatten().filter_map(Result::err);
    errors.map(|error| error.to_string()).collect()
}
