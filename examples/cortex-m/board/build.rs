//! Puts the memory of the board that the variable BOARD names where the linker looks for it.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=BOARD");
    println!("cargo:rerun-if-changed=../boards");
    let board = env::var("BOARD").unwrap_or_else(|_| "mps2-an386".into());
    let memory = Path::new("../boards").join(format!("{board}.x"));
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let script = fs::read_to_string(&memory).unwrap_or_else(|error| panic!("{}: {error}", memory.display()));
    fs::write(out.join("memory.x"), script).unwrap();
    // Behind the linker script of the runtime crate, which defines the ends of RAM.
    let symbols = "_ram = ORIGIN(RAM); _model = ORIGIN(MODEL); _model_end = ORIGIN(MODEL) + LENGTH(MODEL);\n";
    fs::write(out.join("model.x"), symbols).unwrap();
    // Names of interrupts, of which there are none.
    fs::write(out.join("device.x"), "").unwrap();
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-check-cfg=cfg(armv6m)");
    if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv6m")) {
        println!("cargo:rustc-cfg=armv6m");
    }
}
