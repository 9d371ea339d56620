//! A plugin for QEMU: how many instructions a program executes between its functions `icnt_begin`
//! and `icnt_end`.
//!
//! `qemu-system-arm ... -plugin libicnt.so,out=FILE` appends a line to FILE for every such region, in
//! order: the number of instructions from the return of `icnt_begin` to the first instruction of
//! `icnt_end`. The same program and input give the same numbers, on any host.
//!
//! Instructions are counted a translation block at a time, when it is entered. A block that a fault
//! leaves early counts whole; regions of a program that works have none.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Version of QEMU's plugin interface that this is built for: 1 up to QEMU 8, 4 from QEMU 9.1 on
/// (`ICNT_API=4 cargo build`). What is used here is the same in both.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = match option_env!("ICNT_API") {
    None => 1,
    Some(_) => 4,
};

#[repr(C)]
struct Block {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Insn {
    _opaque: [u8; 0],
}

type Id = u64;
type OnEnter = extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: extern "C" fn(Id, *mut Block));
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        callback: OnEnter,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Insn;
    fn qemu_plugin_insn_symbol(insn: *const Insn) -> *const c_char;
}

/// Instructions so far.
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// [`TOTAL`] where the region began.
static BEGIN: AtomicU64 = AtomicU64::new(0);

/// Whether a region has begun and not ended.
static OPEN: AtomicBool = AtomicBool::new(false);

static OUT: Mutex<Option<File>> = Mutex::new(None);

/// `data` is not a pointer but the number of instructions.
extern "C" fn enter(_: c_uint, data: *mut c_void) {
    TOTAL.fetch_add(data.addr() as u64, Relaxed);
}

/// Every block of `icnt_begin` begins the region anew, so the last one counts.
extern "C" fn enter_begin(cpu: c_uint, data: *mut c_void) {
    enter(cpu, data);
    BEGIN.store(TOTAL.load(Relaxed), Relaxed);
    OPEN.store(true, Relaxed);
}

extern "C" fn enter_end(cpu: c_uint, data: *mut c_void) {
    if OPEN.swap(false, Relaxed) {
        let count = TOTAL.load(Relaxed) - BEGIN.load(Relaxed);
        // A line that cannot be written is missed by whoever reads the file.
        if let Some(out) = OUT.lock().ok().as_mut().and_then(|out| out.as_mut()) {
            let _ = writeln!(out, "{count}");
        }
    }
    enter(cpu, data);
}

extern "C" fn translate(_: Id, block: *mut Block) {
    // SAFETY: QEMU gives a block that is valid during this call, and instructions below its count.
    unsafe {
        let count = qemu_plugin_tb_n_insns(block);
        let symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(block, 0));
        let symbol = if symbol.is_null() { c"" } else { CStr::from_ptr(symbol) };
        let callback = match symbol.to_bytes() {
            b"icnt_begin" => enter_begin,
            b"icnt_end" => enter_end,
            _ => enter as OnEnter,
        };
        qemu_plugin_register_vcpu_tb_exec_cb(block, callback, 0, ptr::without_provenance_mut(count));
    }
}

/// Called by QEMU when the plugin is loaded; other than 0 is a refusal.
///
/// # Safety
/// `argv` holds `argc` strings, as QEMU passes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let mut path = None;
    for index in 0..argc as usize {
        // SAFETY: as above.
        let argument = unsafe { CStr::from_ptr(*argv.add(index)) }.to_string_lossy();
        match argument.split_once('=') {
            Some(("out", value)) => path = Some(value.to_owned()),
            _ => {
                eprintln!("icnt: unknown argument {argument}; there is only out=FILE");
                return 1;
            }
        }
    }
    let Some(path) = path else {
        eprintln!("icnt: out=FILE is missing");
        return 1;
    };
    match File::create(&path) {
        Ok(file) => *OUT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(file),
        Err(error) => {
            eprintln!("icnt: {path}: {error}");
            return 1;
        }
    }
    // SAFETY: `id` is this plugin's.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translate) };
    0
}
