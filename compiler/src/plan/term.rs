//! What time is counted in.

use serde::{Deserialize, Serialize};

macro_rules! terms {
    ($($(#[doc = $doc:literal])* $field:ident,)*) => {
        /// Numbers by what takes time: how often a step does it, or what it costs once.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Terms {
            $($(#[doc = $doc])* pub $field: f64,)*
        }

        impl Terms {
            /// Number of terms.
            pub const COUNT: usize = [$(stringify!($field)),*].len();

            /// Names, in the order of [`to_array`](Self::to_array), and what they mean.
            pub const ABOUT: [(&'static str, &'static str); Self::COUNT] =
                [$((stringify!($field), concat!($($doc),*))),*];

            /// The numbers in order.
            pub const fn to_array(self) -> [f64; Self::COUNT] {
                [$(self.$field),*]
            }

            /// From numbers in order.
            pub const fn from_array([$($field),*]: [f64; Self::COUNT]) -> Self {
                Self { $($field),* }
            }
        }
    };
}

// A vector is of as many positions of a plane as the target has lanes.
terms! {
    /// Convolution: column of a single output channel, over one vector of positions.
    tap_1,
    /// Column of a block of two output channels, over one vector.
    tap_2,
    /// Column of a block of four output channels, over one vector.
    tap_4,
    /// Column of a single output channel in a tile, whatever its length.
    entry_1,
    /// Column of a block of two in a tile.
    entry_2,
    /// Column of a block of four in a tile.
    entry_4,
    /// Column of any block over one vector, in addition, where a tile reads more than the first-level cache holds.
    far,
    /// Block of output channels in a tile.
    tile,
    /// Vector of a convolution's output that is stored.
    store,
    /// Vector of a convolution's input that is copied to where taps read it.
    copy,
    /// The same where columns are skipped or rows are no wider than the output's.
    copy_apart,
    /// Row that is copied by itself, since it is no multiple of half a cache line.
    copy_row,
    /// Column of a block of sparse rows that is read from the file while it runs.
    unpack,
    /// Matrix-vector product: dense f32 weight.
    dense_f32,
    /// Dense f16 weight.
    dense_f16,
    /// Column of a single sparse row.
    sparse_1,
    /// Column of a block of two sparse rows.
    sparse_2,
    /// Column of a block of four sparse rows.
    sparse_4,
    /// Output of a product.
    row,
    /// Vector of a pooling's window.
    pool,
    /// Vector of a plane whose mean is taken.
    mean,
    /// Element that any other step moves.
    element,
    /// Step.
    step,
}

impl Terms {
    /// The sum of all products.
    pub fn dot(self, other: Self) -> f64 {
        self.to_array().iter().zip(other.to_array()).map(|(a, b)| a * b).sum()
    }
}

impl std::ops::AddAssign for Terms {
    fn add_assign(&mut self, other: Self) {
        let (mut sum, other) = (self.to_array(), other.to_array());
        sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        *self = Self::from_array(sum);
    }
}
