//! Cycles on a real board: of the DWT, or of SysTick where there is none (Cortex-M0). In QEMU nothing
//! is read: its plugin counts.

use measure::Clock;

/// The board's clock.
#[derive(Debug)]
pub struct Cycles(u32);

impl Clock for Cycles {
    const UNIT: &str = if cfg!(feature = "rtt") { "cycles" } else { "none" };

    fn now() -> Self {
        Self(counter::read())
    }

    fn elapsed(self) -> u64 {
        counter::read().wrapping_sub(self.0).into()
    }
}

pub(crate) use counter::init;

#[cfg(not(feature = "rtt"))]
mod counter {
    pub(crate) fn init() {}

    pub(super) fn read() -> u32 {
        0
    }
}

#[cfg(all(feature = "rtt", not(armv6m)))]
mod counter {
    use cortex_m::Peripherals;
    use cortex_m::peripheral::DWT;

    pub(crate) fn init() {
        if let Some(mut peripherals) = Peripherals::take() {
            peripherals.DCB.enable_trace();
            peripherals.DWT.enable_cycle_counter();
        }
    }

    pub(super) fn read() -> u32 {
        DWT::cycle_count()
    }
}

#[cfg(all(feature = "rtt", armv6m))]
mod counter {
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use cortex_m::Peripherals;
    use cortex_m::peripheral::SYST;
    use cortex_m::peripheral::syst::SystClkSource;

    /// Bits of SysTick.
    const BITS: u32 = 24;

    /// How often SysTick reached zero.
    static WRAPS: AtomicU32 = AtomicU32::new(0);

    #[cortex_m_rt::exception]
    fn SysTick() {
        WRAPS.store(WRAPS.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(crate) fn init() {
        if let Some(mut peripherals) = Peripherals::take() {
            let timer = &mut peripherals.SYST;
            timer.set_clock_source(SystClkSource::Core);
            timer.set_reload((1 << BITS) - 1);
            timer.clear_current();
            timer.enable_interrupt();
            timer.enable_counter();
        }
    }

    pub(super) fn read() -> u32 {
        loop {
            let (wraps, left) = (WRAPS.load(Relaxed), SYST::get_current());
            if WRAPS.load(Relaxed) == wraps {
                return (wraps << BITS).wrapping_add((1 << BITS) - 1 - left);
            }
        }
    }
}
