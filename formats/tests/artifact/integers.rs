//! Steps on i8: what is accepted, every reason to refuse, hostile bytes.

use tfc_formats::artifact::{
    Affine, AlignedBytes, Artifact, ArtifactError, Element, Matrix, Requantization, Residual, StepError,
    Storage, WriteError, Writer,
};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};

use crate::crc32;
use crate::sample::{Draft, step, value, walk};

const SIMPLE: Requantization =
    Requantization { left: 1, offset: -3, right: 2, lo: -3, hi: 127, residual: None };

fn bytes(shape: Shape, pad: u16, offset: u32) -> tfc_formats::artifact::Value {
    let element = Element::I8 { scale: 0.5, zero: -3 };
    tfc_formats::artifact::Value { element, ..value(shape, pad, offset) }
}

/// A convolution, a convolution that adds to its output's place, a pooling in place, dense, softmax.
pub(crate) fn integers() -> Draft {
    let mut w = Writer::new();
    let maps = Shape::new(1, 4, 4);
    let conv = Op::Conv2d(Conv2d {
        out_channels: 1,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(1),
        groups: 1,
    });
    let pool = Op::MaxPool(Pool {
        kernel: [2, 2],
        stride: [2, 2],
        pad: Padding::default(),
        ceil: false,
        count_include_pad: false,
    });
    let input = bytes(maps, 1, 48);
    let (first, second) = (bytes(maps, 0, 96), bytes(maps, 0, 112));
    let pooled = bytes(Shape::new(1, 2, 2), 0, 96);
    let (scores, output) = (bytes(Shape::vector(2), 0, 112), bytes(Shape::vector(2), 0, 128));
    let mut steps = vec![
        step("first", conv, input, first),
        step("table", Op::Activation(Activation::Sigmoid), first, second),
        step("second", conv, input, first),
        step("pool", pool, first, pooled),
        step("fc", Op::Dense(Dense { out_features: 2, transposed: false }), pooled, scores),
        step("softmax", Op::Softmax, scores, output),
    ];
    let values = w.i8s(&[1, -2, 3, -4, 5, -6, 7, -8, 9]);
    let matrix = Matrix { rows: 1, cols: 9, storage: Storage::Dense { values } };
    let constants = [w.i32s(&[17]), w.i32s(&[1 << 20])];
    for at in [0, 2] {
        steps[at].matrix = Some(matrix);
        steps[at].params.extend(constants);
        steps[at].requantization = Some(SIMPLE);
    }
    let residual = Residual { value: first, multiplier: -5 };
    steps[2].requantization = Some(Requantization { residual: Some(residual), ..SIMPLE });
    let table: Vec<i8> = (-128..=127).collect();
    steps[1].params.push(w.i8s(&table)).unwrap();
    let values = w.i8s(&[1, 2, 3, 4, 5, 6, 7, 8]);
    steps[4].matrix = Some(Matrix { rows: 2, cols: 4, storage: Storage::Dense { values } });
    steps[4].params.extend([w.i32s(&[1, 2]), w.i32s(&[6, 4])]);
    steps[4].requantization = Some(SIMPLE);
    let exponentials: Vec<u32> = (0..256).map(|i| 1000 - i).collect();
    steps[5].params.push(w.u32s(&exponentials)).unwrap();

    let mut draft = crate::sample::example();
    draft.writer = w;
    draft.steps = steps;
    draft.header.quantize.push(Affine { multiplier: 1 << 20, offset: -(128 << 20), shift: 20 }).unwrap();
    (draft.header.input, draft.header.output) = (input, output);
    (draft.header.arena_len, draft.header.scratch_len) = (512, 48);
    draft
}

fn refused(change: impl FnOnce(&mut Draft)) -> ArtifactError {
    let mut draft = integers();
    change(&mut draft);
    match draft.write() {
        Err(WriteError::Invalid(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn refused_step(at: usize, change: impl FnOnce(&mut tfc_formats::artifact::Step<'static>)) -> StepError {
    match refused(|d| change(&mut d.steps[at])) {
        ArtifactError::Step { step, error } if step == at as u32 => error,
        other => panic!("{other:?}"),
    }
}

fn constants(change: impl FnOnce(&mut Requantization)) -> StepError {
    refused_step(2, |s| change(s.requantization.as_mut().unwrap()))
}

#[test]
fn records_come_back() {
    let draft = integers();
    let (header, steps) = (draft.header.clone(), draft.steps.clone());
    let file = AlignedBytes::from(&*draft.write().unwrap());
    let artifact = Artifact::parse(&file).unwrap();
    walk(&artifact);
    assert_eq!(artifact.steps().collect::<Vec<_>>(), steps);
    assert_eq!(artifact.header().quantize, header.quantize);
    assert_eq!(artifact.i8s(steps[1].params[0]).unwrap()[3], -125);
}

#[test]
fn elements() {
    assert_eq!(refused_step(0, |s| s.output.element = Element::F32), StepError::Element);
    assert_eq!(refused_step(0, |s| s.inputs[0].element = Element::F32), StepError::Element);
    let other = Element::I8 { scale: 0.5, zero: 3 };
    assert_eq!(refused_step(3, |s| s.output.element = other), StepError::Element);
    let residual = |change: fn(&mut Residual)| constants(|c| change(c.residual.as_mut().unwrap()));
    assert_eq!(residual(|r| r.value.element = Element::F32), StepError::Element);
    assert_eq!(residual(|r| r.value.shape.h = 3), StepError::Element);
}

#[test]
fn ops_without_a_form_on_i8() {
    let transposed = Op::Dense(Dense { out_features: 2, transposed: true });
    let change = |s: &mut tfc_formats::artifact::Step<'static>| {
        s.op = transposed;
        s.matrix.as_mut().unwrap().rows = 4;
        s.matrix.as_mut().unwrap().cols = 2;
    };
    assert_eq!(refused_step(4, change), StepError::NotInteger);
    let lrn = Op::Lrn { size: 1, alpha: 1.0, beta: 1.0, bias: 1.0 };
    assert_eq!(refused_step(1, |s| s.op = lrn), StepError::NotInteger);
}

#[test]
fn shifts_and_bounds() {
    assert_eq!(constants(|c| c.left = 32), StepError::Requantization);
    assert_eq!(constants(|c| c.right = 32), StepError::Requantization);
    assert_eq!(constants(|c| (c.lo, c.hi) = (1, 0)), StepError::Requantization);
    assert_eq!(refused_step(2, |s| s.requantization = None), StepError::Requantization);
    assert_eq!(refused_step(3, |s| s.requantization = Some(SIMPLE)), StepError::Requantization);
    assert_eq!(refused_step(2, |s| s.activation = Some(Activation::Relu)), StepError::Requantization);
}

#[test]
fn parameters() {
    assert_eq!(refused_step(0, |s| _ = s.params.pop()), StepError::Params);
    assert_eq!(refused_step(3, |s| s.params = integers().steps[0].params.clone()), StepError::Params);
    let swapped = refused_step(5, |s| s.params = integers().steps[1].params.clone());
    assert_eq!(swapped, StepError::ArrayDtype);
    let odd = refused_step(0, |s| s.params[1] = s.params[0]);
    assert_eq!(odd, StepError::Multiplier);
    let negative = refused(|d| d.steps[0].params[1] = d.writer.i32s(&[-2]));
    assert_eq!(negative, ArtifactError::Step { step: 0, error: StepError::Multiplier });
    let short = refused(|d| d.steps[1].params[0] = d.writer.i8s(&[0; 255]));
    let error = StepError::ArrayLen { expected: 256, found: 255 };
    assert_eq!(short, ArtifactError::Step { step: 1, error });
}

#[test]
fn places() {
    let in_part = constants(|c| c.residual.as_mut().unwrap().value.halo = Padding::same(1));
    assert_eq!(in_part, StepError::Overlap);
    assert_eq!(refused_step(3, |s| s.inputs[0].halo.right = 1), StepError::Overlap);
    let padded = |s: &mut tfc_formats::artifact::Step<'static>| match &mut s.op {
        Op::MaxPool(pool) => {
            (pool.pad.top, pool.pad.bottom, pool.kernel, pool.stride) = (1, 0, [3, 2], [2, 2])
        }
        _ => unreachable!(),
    };
    assert_eq!(refused_step(3, padded), StepError::Overlap);
    assert_eq!(refused(|d| d.header.scratch_len = 0), ArtifactError::OutputScratch);
}

#[test]
fn raw_samples() {
    assert_eq!(refused(|d| d.header.quantize.clear()), ArtifactError::Quantize);
    assert_eq!(refused(|d| d.header.quantize[0].shift = 32), ArtifactError::Quantize);
    let two = |d: &mut Draft| d.header.quantize.push(d.header.quantize[0]).unwrap();
    assert_eq!(refused(two), ArtifactError::Quantize);
}

#[test]
fn every_flipped_bit_under_a_right_checksum_is_an_error_or_usable() {
    let file = integers().write().unwrap();
    let mut usable = 0;
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        crc32::repair(&mut flipped);
        let bytes = AlignedBytes::from(&*flipped);
        if let Ok(artifact) = Artifact::parse(&bytes) {
            walk(&artifact);
            usable += 1;
        }
    }
    assert!((1..file.len() * 8).contains(&usable), "{usable}");
}
