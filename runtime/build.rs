//! Tells the kernels which instructions of Arm's small processors there are: attributes of the
//! language know only features that are stable.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(dsp, helium, thumb1)");
    let arm = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm");
    if let Some(features) = arm.then(features).flatten() {
        let has = |name: &str| features.contains(&format!("\"{name}\""));
        // Vectors, which compilers make of portable loops, take fewer instructions.
        let helium = has("mclass") && has("neon");
        if has("mclass") && !has("v6t2") {
            println!("cargo::rustc-cfg=thumb1");
        }
        if helium {
            println!("cargo::rustc-cfg=helium");
        } else if has("dsp") {
            println!("cargo::rustc-cfg=dsp");
        }
    }
}

/// What the compiler prints of the target and its flags, with what is not stable: asking changes
/// nothing of how the package is compiled.
fn features() -> Option<String> {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let output = Command::new(env::var_os("RUSTC")?)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--print", "cfg", "--target", &env::var("TARGET").ok()?])
        .args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()))
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}
