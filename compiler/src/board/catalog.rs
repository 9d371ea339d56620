//! The boards and processors that QEMU emulates.

/// A board or processor that QEMU emulates.
#[derive(Debug)]
pub struct Board {
    /// Name for `--on`, and of its memory in `boards/` of the firmware.
    pub name: &'static str,
    /// Its processor, for people.
    pub core: &'static str,
    /// Rust's name of the target.
    pub target: &'static str,
    /// What the compiler is told of the processor beyond the target.
    pub cpu: Option<&'static str>,
    /// Program that emulates it.
    pub qemu: &'static str,
    /// What QEMU calls the machine or, of Linux on a processor, the processor.
    pub machine: &'static str,
    /// Whether the program runs under Linux.
    pub linux: bool,
}

/// All of them.
pub const BOARDS: [Board; 11] = [
    arm("microbit", "Cortex-M0", "thumbv6m-none-eabi", None),
    // What the processor of a micro:bit runs, on one with more memory.
    Board {
        machine: "mps2-an385",
        ..arm("cortex-m0", "Cortex-M0, on a Cortex-M3 with 4 MiB", "thumbv6m-none-eabi", None)
    },
    arm("lm3s6965evb", "Cortex-M3", "thumbv7m-none-eabi", None),
    arm("mps2-an386", "Cortex-M4F", "thumbv7em-none-eabihf", Some("cortex-m4")),
    arm("mps2-an500", "Cortex-M7", "thumbv7em-none-eabihf", Some("cortex-m7")),
    arm("mps2-an505", "Cortex-M33", "thumbv8m.main-none-eabihf", Some("cortex-m33")),
    arm("mps3-an547", "Cortex-M55", "thumbv8m.main-none-eabihf", Some("cortex-m55")),
    Board {
        name: "riscv32-virt",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        cpu: None,
        qemu: "qemu-system-riscv32",
        machine: "virt",
        linux: false,
    },
    linux("cortex-a53", "Cortex-A53, aarch64", "aarch64-unknown-linux-musl", "qemu-aarch64"),
    linux("cortex-a72", "Cortex-A72, aarch64", "aarch64-unknown-linux-musl", "qemu-aarch64"),
    linux("cortex-a7", "Cortex-A7, armv7", "armv7-unknown-linux-gnueabihf", "qemu-arm"),
];

impl Board {
    /// The board with the processor that a target of `tfc compile` is.
    pub fn of_target(target: &str) -> Option<&'static Self> {
        let name = match target {
            "cortex-m4" => "mps2-an386",
            "cortex-m7" => "mps2-an500",
            "cortex-m33" => "mps2-an505",
            "cortex-m55" => "mps3-an547",
            same => same,
        };
        BOARDS.iter().find(|board| board.name == name && !board.linux)
    }
}

const fn arm(
    name: &'static str,
    core: &'static str,
    target: &'static str,
    cpu: Option<&'static str>,
) -> Board {
    Board { name, core, target, cpu, qemu: "qemu-system-arm", machine: name, linux: false }
}

/// The emulated processor bears the board's name.
const fn linux(name: &'static str, core: &'static str, target: &'static str, qemu: &'static str) -> Board {
    Board { name, core, target, cpu: None, qemu, machine: name, linux: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    #[test]
    fn microcontrollers_among_targets_have_a_board() {
        for target in Target::built_in() {
            let board = Board::of_target(&target.name);
            assert_eq!(board.is_some(), target.name.starts_with("cortex-m"), "{}", target.name);
            let core = |board: &Board| board.core.to_lowercase().starts_with(&target.name);
            assert!(board.is_none_or(core), "{board:?}");
        }
    }
}
