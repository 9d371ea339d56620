//! The generic kernels, compiled for AVX2 and AVX-512 with fused multiply-add.
#![allow(unsafe_code)]

use std::is_x86_feature_detected;

use crate::kernels::generic::{self, MulAdd};
use crate::kernels::{Conv, Dense};

/// An instruction set that this processor has: only [`available`](Self::available) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Avx2,
    Avx512,
}

/// One instruction under the features below.
struct Fused;

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Isa {
    /// Those that this processor has, the fastest last. The standard library looks once and
    /// remembers.
    pub(in crate::kernels) fn available() -> impl Iterator<Item = Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        let levels = [avx2.then_some(Level::Avx2), avx512.then_some(Level::Avx512)];
        levels.into_iter().flatten().map(Self)
    }

    pub(in crate::kernels) const fn name(self) -> &'static str {
        match self.0 {
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    pub(in crate::kernels) fn conv(self, job: &mut Conv<'_>) -> Option<()> {
        // SAFETY: `self` exists only where the features were detected.
        unsafe {
            match self.0 {
                Level::Avx2 => conv_avx2(job),
                Level::Avx512 => conv_avx512(job),
            }
        }
    }

    pub(in crate::kernels) fn dense(self, job: &mut Dense<'_>) -> Option<()> {
        // SAFETY: `self` exists only where the features were detected.
        unsafe {
            match self.0 {
                Level::Avx2 => dense_avx2(job),
                Level::Avx512 => dense_avx512(job),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn conv_avx2(job: &mut Conv<'_>) -> Option<()> {
    generic::conv::<Fused>(job)
}

#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
fn conv_avx512(job: &mut Conv<'_>) -> Option<()> {
    generic::conv::<Fused>(job)
}

#[target_feature(enable = "avx2,fma")]
fn dense_avx2(job: &mut Dense<'_>) -> Option<()> {
    generic::dense::<Fused>(job)
}

#[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
fn dense_avx512(job: &mut Dense<'_>) -> Option<()> {
    generic::dense::<Fused>(job)
}
