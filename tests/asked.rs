//! What a person asks of a test run by the environment: more of something, or one seed again.

/// The number in this variable, if it is set.
#[expect(clippy::disallowed_methods, reason = "a test run is asked by its environment")]
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, and should be a number")))
}
