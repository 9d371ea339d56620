//! `tfc bench --on`: what is sent, run and printed, with programs in place of those that a person has.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tfc::bench::ramp;
use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Kernels, Model, Session};

use crate::common::{DIGITS, Folder, Outcome, trained};

/// What this machine's shell runs in place of the other one's: one temporary folder, a Raspberry Pi's
/// facts, everything else as it is asked.
const SSH: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "-o BatchMode=yes pi@there" ] || { echo "unexpected: $*" >&2; exit 255; }
case "$4" in
"uname -m") echo aarch64 ;;
"mktemp -d") mkdir there && echo "$PWD/there" ;;
*cpufreq*)
    echo "machine Raspberry Pi 4 Model B Rev 1.4"; echo "kernel Linux 6.12.34"; echo "governor ondemand"
    echo "clock 1500000"; echo "limit 1800000"; echo "temperature 48200"; echo "throttling 0x50000"; echo "limit" ;;
*) sh -c "$4" ;;
esac
"#;

const SCP: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "-q -o BatchMode=yes" ] || { echo "unexpected: $*" >&2; exit 255; }
cp "$4" "${5#pi@there:}"
"#;

/// Knows every target.
const RUSTC: &str = "#!/bin/sh\necho /\n";

/// "Builds" what lies beside it, for the target that it is asked for.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
*"--package linux"*"--target-dir target --target aarch64-unknown-linux-musl") ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
mkdir -p target/aarch64-unknown-linux-musl/release
cp linux target/aarch64-unknown-linux-musl/release/linux
"#;

/// A folder with the trained network compiled to `a.tfc`, and sources of a firmware.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder.done(&format!("compile m.safetensors --calibration {DIGITS} --quantize int8 -o a.tfc"));
    folder.write("firmware/icnt/Cargo.toml", b"");
    fs::create_dir(folder.path("bin")).unwrap();
    folder
}

fn program(folder: &Folder, name: &str, script: &str) {
    folder.write(name, script.as_bytes());
    fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the command with the programs in `bin` before all others.
fn bench(folder: &Folder, args: &str) -> Outcome {
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = folder.command(&format!("bench a.tfc --firmware firmware {args}"));
    command.env("PATH", path).env("RUSTC", folder.path("bin/rustc")).output().unwrap().into()
}

/// The lines of a program that costs 10, 20 or 30 microseconds a step and gives these bits.
fn linux(steps: u32, bits: &[u32]) -> String {
    let run = |ns: u32| {
        let steps = (0..steps).map(|i| format!("{{\"step\":{i},\"name\":\"s\",\"cost\":{ns}}}\n"));
        format!(
            "{{\"unit\":\"ns\"}}\n{{\"load\":5000}}\n{{\"run\":{}}}\n{}",
            steps.len() as u32 * ns,
            steps.collect::<String>()
        )
    };
    let output = format!("{{\"output\":{bits:?}}}");
    // The image begins as every file does, and there is a number of runs.
    let check = "[ \"$(head -c 4 \"$1\" | tail -c 3)\" = TFC ] && [ \"$2\" -gt 2 ] || exit 1";
    format!("#!/bin/sh\n{check}\ncat <<'end'\n{}{}{}{output}\nend\n", run(30_000), run(10_000), run(20_000))
}

#[test]
fn a_pi_is_reached_by_ssh() {
    let folder = folder();
    for (name, script) in [("ssh", SSH), ("scp", SCP), ("rustc", RUSTC), ("cargo", CARGO)] {
        program(&folder, &format!("bin/{name}"), script);
    }
    let file = AlignedBytes::from(folder.read("a.tfc").as_slice());
    let model = Model::new(&file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::with_kernels(&model, &mut arena, Kernels::GENERIC).unwrap();
    let input = ramp(model.input_shape().elements().unwrap() as usize);
    let bits: Vec<u32> = session.run(&input).unwrap().iter().map(|x| x.to_bits()).collect();
    let steps = model.header().steps;

    program(&folder, "firmware/linux", &linux(steps, &bits));
    let outcome = bench(&folder, "--on ssh:pi@there --against a.tfc --format json");
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let row = &report["models"][0];
    assert_eq!(row["unit"], "ns");
    assert_eq!(row["run"], 20_000 * steps);
    assert_eq!(row["steps"], Value::from(vec![20_000; steps as usize]));
    assert_eq!(row["same_bits"], true);
    assert_eq!(row["arena"], Value::from(model.arena_len()));
    let conditions = report["conditions"].to_string();
    for known in ["Pi 4 Model B", "ondemand", "1500 MHz", "1800 MHz", "48.2 C", "under-voltage before"] {
        assert!(conditions.contains(known), "{conditions}");
    }
    assert!(!folder.path("there").exists(), "what was copied is removed");

    let text = bench(&folder, "--on ssh:pi@there --against a.tfc").stdout;
    for shown in ["the bits of this machine", "governor: ondemand", "clock: 1500 MHz", "temperature: 48.2 C"]
    {
        assert!(text.contains(shown), "{text}");
    }

    // Other outputs than here are no success.
    program(&folder, "firmware/linux", &linux(steps, &vec![0; bits.len()]));
    let outcome = bench(&folder, "--on ssh:pi@there --against a.tfc");
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("differ from those here"), "{outcome:?}");

    program(&folder, "firmware/linux", "#!/bin/sh\necho illegal instruction >&2\nexit 132\n");
    let outcome = bench(&folder, "--on ssh:pi@there");
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("ssh: illegal instruction"), "{outcome:?}");
    assert!(!folder.path("there").exists(), "what was copied is removed");
}

#[test]
fn what_is_missing_is_said_with_the_command_that_installs_it() {
    let folder = folder();
    for (place, install) in [
        ("mps2-an386", "qemu-system-arm is not installed: apt-get install qemu-system-arm"),
        ("riscv32-virt", "qemu-system-riscv32 is not installed: apt-get install qemu-system-misc"),
        ("cortex-a72", "qemu-aarch64 is not installed: apt-get install qemu-user"),
        ("ssh:pi@there", "ssh is not installed: apt-get install openssh-client"),
        ("probe:STM32F446RETx", "probe-rs is not installed: cargo install probe-rs-tools --locked"),
        ("pdp-11", "\"pdp-11\" is no board; there are microbit, "),
    ] {
        let mut command = folder.command(&format!("bench a.tfc --firmware firmware --on {place}"));
        let outcome: Outcome = command.env("PATH", folder.path("bin")).output().unwrap().into();
        assert_eq!(outcome.status, Some(2), "{place}: {outcome:?}");
        assert!(outcome.stderr.contains(install), "{place}: {outcome:?}");
    }
    let outcome = folder.tfc("bench a.tfc --on mps2-an386 --firmware bin");
    assert!(outcome.stderr.contains("--firmware DIR names the folder examples/cortex-m"), "{outcome:?}");
}

#[test]
fn what_does_not_fit_a_device_is_refused() {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    let report = folder.json("compile m.safetensors --flash 1MB --ram 1MB -o a.tfc");
    let (model, arena) = (folder.read("a.tfc").len() as u64, report["arena_bytes"].as_u64().unwrap());
    let footprint = &report["footprint"];
    assert_eq!((footprint["model"].as_u64(), footprint["arena"].as_u64()), (Some(model), Some(arena)));
    assert_eq!(footprint["program"], Value::Null);
    assert_eq!(footprint["unknown"], "--target names no microcontroller");

    let compile = |limits: &str| folder.tfc(&format!("compile m.safetensors --force -o b.tfc {limits}"));
    let outcome = compile(&format!("--flash {model} --ram {arena}"));
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(folder.path("b.tfc").exists() && !folder.path("b.nearest.tfc").exists());
    std::fs::remove_file(folder.path("b.tfc")).unwrap();

    let largest = report["layers"].as_array().unwrap().iter().max_by_key(|layer| layer["bytes"].as_u64());
    let largest = largest.unwrap()["name"].as_str().unwrap();
    for (limits, said) in [
        (
            format!("--flash {}", model - 1),
            format!("needs {model} bytes of flash, there are {}; most is for {largest} ", model - 1),
        ),
        (
            format!("--ram {}", arena - 1),
            format!("needs {arena} bytes of RAM, there are {}; most is for ", arena - 1),
        ),
    ] {
        let outcome = compile(&limits);
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(&said), "{said}: {outcome:?}");
        assert!(outcome.stderr.contains("b.nearest.tfc"), "{outcome:?}");
        assert_eq!(folder.read("b.nearest.tfc"), folder.read("a.tfc"));
        assert!(!folder.path("b.tfc").exists());
    }
    let outcome = compile(&format!("--flash {}", model - 1));
    assert!(outcome.stderr.contains(&format!("--max-bytes {} would fit", model - 1)), "{outcome:?}");

    // The program around the model is not known where it cannot be built.
    let mut command = folder.command("compile m.safetensors -o c.tfc --target cortex-m4 --flash 1MB");
    let outcome: Outcome = command.env("PATH", "").output().unwrap().into();
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let said = "alone; the program's are not known: qemu-system-arm is not installed: apt-get install";
    assert!(outcome.stdout.contains(said), "{outcome:?}");
}
