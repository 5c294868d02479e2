//! How the programs are linked: what the loader has to move at a start is written packed, a seventh of latchd otherwise.
//! Debian 12's loader can read it. Where another linker is used (`debian/cross`), it is left as it was.

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script everything by its environment")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let is_own = of("HOST") == of("TARGET");
    if is_own && of("CARGO_CFG_TARGET_ENV") == "gnu" && of("PROFILE") == "release" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
