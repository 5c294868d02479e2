//! Makes sled's flush a real barrier.
//!
//! sled 0.34 flushes with `sync_file_range`, which promises nothing after a power cut; where the call does not exist
//! it uses `fsync`. So the daemon forbids itself the call, before its first thread: it answers ENOSYS from then on.

use std::collections::BTreeMap;

/// The flush could not be made a barrier.
#[derive(Debug, thiserror::Error)]
pub enum BarrierError {
    #[error(
        "seccomp has no name for this processor ({0}); the unit's SystemCallFilter must refuse sync_file_range"
    )]
    Processor(&'static str),
    #[error("can't refuse sync_file_range, without which the cache would not survive a power cut: {0}")]
    Filter(String),
    #[error("sync_file_range is still allowed (/proc/self/status says Seccomp: {0})")]
    NotInForce(String),
}

/// Linux's ENOSYS, "no such system call", on every architecture we build for.
const ENOSYS: u32 = 38;

/// The number of `sync_file_range`, which each architecture has of its own.
fn sync_file_range() -> Option<i64> {
    match std::env::consts::ARCH {
        "x86_64" => Some(277),
        "aarch64" => Some(84),
        _ => None,
    }
}

/// Refuses the call for this thread and all it will start.
pub fn install() -> Result<(), BarrierError> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let arch = std::env::consts::ARCH;
    let failed = |e: &dyn std::fmt::Display| BarrierError::Filter(e.to_string());
    let call = sync_file_range().ok_or(BarrierError::Processor(arch))?;
    let target = TargetArch::try_from(arch).map_err(|e| failed(&e))?;
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(ENOSYS),
        target,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| failed(&e))?;
    seccompiler::apply_filter(&program).map_err(|e| failed(&e))?;
    in_force()
}

/// Asks the kernel, rather than believing ourselves.
fn in_force() -> Result<(), BarrierError> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| BarrierError::Filter(format!("/proc/self/status: {e}")))?;
    let mode = status.lines().find_map(|l| l.strip_prefix("Seccomp:")).unwrap_or("absent").trim();
    if mode == "2" { Ok(()) } else { Err(BarrierError::NotInForce(mode.to_owned())) }
}
