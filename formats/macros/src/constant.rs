//! Records as expressions of constants, with the names that the file's crate has for them.

use heapless::Vec as List;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use tfc_formats::artifact::*;
use tfc_formats::op::*;
use tfc_formats::preprocess::*;

/// What an expression can be made of.
pub(crate) trait Constant {
    /// The expression.
    fn constant(&self) -> TokenStream;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Constant for $number {
            fn constant(&self) -> TokenStream {
                self.to_token_stream()
            }
        }
    )*};
}

/// The compiler refuses a record whose fields are not all named.
macro_rules! records {
    ($($record:ident $(<$life:lifetime>)? { $($field:ident),* })*) => {$(
        impl Constant for $record $(<$life>)? {
            fn constant(&self) -> TokenStream {
                let Self { $($field),* } = self;
                $(let $field = $field.constant();)*
                quote!($record { $($field: #$field),* })
            }
        }
    )*};
}

macro_rules! choices {
    ($($choice:ident { $($variant:ident $(($inner:ident))? $({ $($field:ident),* })?),* })*) => {$(
        impl Constant for $choice {
            fn constant(&self) -> TokenStream {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        $(let $inner = $inner.constant();)?
                        $($(let $field = $field.constant();)*)?
                        quote!($choice::$variant $((#$inner))? $({ $($field: #$field),* })?)
                    })*
                }
            }
        }
    )*};
}

numbers! { bool i8 u8 u16 i32 u32 &str }

records! {
    Header<'_> {
        name, producer, preprocess, quantize, input, output, arena_len, scratch_len, steps
    }
    Step<'_> { name, op, inputs, output, matrix, params, activation, requantization }
    Preprocess { scale, mean, std, order, layout, resize }
    Value { shape, halo, element, offset }
    Affine { multiplier, offset, shift }
    Requantization { left, offset, right, lo, hi, residual }
    Residual { value, multiplier }
    Shape { c, h, w }
    Padding { top, left, bottom, right }
    Array { dtype, offset, len }
    Matrix { rows, cols, storage }
    Conv2d { out_channels, kernel, stride, dilation, pad, groups }
    Dense { out_features, transposed }
    Pool { kernel, stride, pad, ceil, count_include_pad }
}

choices! {
    Dtype { F32, F16, U8, U16, U32, I8, I32 }
    Element { F32, I8 { scale, zero } }
    Storage { Dense { values }, Csr { block, row_len, index, values } }
    ColumnIndex { Delta(array), Absolute(array) }
    Activation { Relu, Relu6, LeakyRelu { alpha }, Sigmoid, Tanh, HardSigmoid { alpha }, HardSwish }
    Op {
        Conv2d(spec), Dense(spec), MaxPool(spec), AvgPool(spec), GlobalAvgPool, BatchNorm { eps },
        Lrn { size, alpha, beta, bias }, Activation(activation), Maxout { pieces }, Add, Concat, Flatten,
        Softmax, Dropout { rate }
    }
    ChannelOrder { Rgb, Bgr }
    Layout { Chw, Hwc }
    Resize { Refuse, Crop, Shorter(side), Exact(sides) }
}

impl Constant for f32 {
    /// All bits of it, also where it is not a number.
    fn constant(&self) -> TokenStream {
        let bits = self.to_bits();
        quote!(f32::from_bits(#bits))
    }
}

impl<T: Constant> Constant for Option<T> {
    fn constant(&self) -> TokenStream {
        match self {
            Some(value) => {
                let value = value.constant();
                quote!(Some(#value))
            }
            None => quote!(None),
        }
    }
}

impl<T: Constant> Constant for [T; 2] {
    fn constant(&self) -> TokenStream {
        let elements = self.iter().map(T::constant);
        quote!([#(#elements),*])
    }
}

impl<T: Constant, const N: usize> Constant for List<T, N> {
    fn constant(&self) -> TokenStream {
        let elements = self.iter().map(T::constant);
        quote!(List::from_array([#(#elements),*]))
    }
}
