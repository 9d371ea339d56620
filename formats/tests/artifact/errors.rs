//! Every reason to refuse a file, by its exact variant.

use half::f16;
use tfc_formats::artifact::{
    AlignedBytes, Array, Artifact, ArtifactError, ColumnIndex, Dtype, Element, Matrix, StepError, Storage,
    ValueError, WriteError, Writer,
};
use tfc_formats::op::{Op, Padding, Shape, ShapeError};
use tfc_formats::preprocess::Resize;

use crate::crc32;
use crate::sample::{ARENA, Draft, SCRATCH, csr, example, mixed};

fn error_of(draft: Draft) -> ArtifactError {
    match draft.write() {
        Err(WriteError::Invalid(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The error after a change of the sample's records.
fn refused(change: impl FnOnce(&mut Draft)) -> ArtifactError {
    let mut draft = mixed();
    change(&mut draft);
    error_of(draft)
}

fn in_step(step: u32, error: StepError) -> ArtifactError {
    ArtifactError::Step { step, error }
}

/// The error after a change of the file's bytes, the checksum made right again.
fn tampered(change: impl FnOnce(&mut Vec<u8>)) -> ArtifactError {
    let mut file = mixed().write().unwrap();
    change(&mut file);
    crc32::repair(&mut file);
    Artifact::parse(&AlignedBytes::from(&*file)).unwrap_err()
}

#[test]
fn fixed_header() {
    let file = mixed().write().unwrap();
    let len = file.len();
    assert_eq!(tampered(|f| f[0] = 0x88), ArtifactError::Magic);
    assert_eq!(tampered(|f| f[4] = 4), ArtifactError::Version(4));
    assert_eq!(tampered(|f| f[4] = 1), ArtifactError::Version(1));
    assert_eq!(tampered(|f| f[6] = 1), ArtifactError::Reserved);
    assert_eq!(tampered(|f| f[31] = 1), ArtifactError::Reserved);
    assert_eq!(tampered(|f| f[28] = 1), ArtifactError::Reserved);
    let stated = Artifact::parse(&AlignedBytes::from(&*file)).unwrap().needs().bits();
    // A bit that says too much, one that means nothing, and one that is missing.
    for bit in [20, 31, stated.trailing_zeros()] {
        let error = tampered(|f| f[24 + bit as usize / 8] ^= 1 << (bit % 8));
        assert_eq!(error, ArtifactError::Needs { stated: stated ^ 1 << bit, found: stated });
    }
    assert_eq!(tampered(|f| f.push(0)), ArtifactError::Length { stated: len as u32, found: len + 1 });
    assert_eq!(tampered(|f| f[12] += 16), ArtifactError::Layout);
    assert_eq!(tampered(|f| f[8..12].fill(0xff)), ArtifactError::Layout);
    let past_the_end = |f: &mut Vec<u8>| {
        f[8..12].copy_from_slice(&0x1000_0000u32.to_le_bytes());
        f[12..16].copy_from_slice(&0x1000_0020u32.to_le_bytes());
    };
    assert_eq!(tampered(past_the_end), ArtifactError::Layout);
    assert_eq!(Artifact::parse(&file[..4]).unwrap_err(), ArtifactError::Short);
}

#[test]
fn padding_behind_the_manifest() {
    let mut draft = mixed();
    // Some length of the name leaves padding.
    draft.header.name = ["a", "ab"].into_iter().find(|name| padding(name) > 0).unwrap();
    let mut file = draft.write().unwrap();
    let sections = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    file[sections - 1] = 1;
    crc32::repair(&mut file);
    assert_eq!(Artifact::parse(&AlignedBytes::from(&*file)).unwrap_err(), ArtifactError::Reserved);
}

fn padding(name: &'static str) -> u32 {
    let mut draft = mixed();
    draft.header.name = name;
    let file = draft.write().unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    word(12) - 32 - word(8)
}

#[test]
fn checksum() {
    let mut file = AlignedBytes::from(&*mixed().write().unwrap());
    let stated = crc32::of_file(&file);
    let last = file.len() - 1;
    file[last] ^= 1;
    let computed = crc32::of_file(&file);
    assert_eq!(Artifact::parse(&file).unwrap_err(), ArtifactError::Crc { stated, computed });
}

#[test]
fn address() {
    let file = mixed().write().unwrap();
    for (shift, aligned) in [(1, false), (2, false), (3, false), (4, true)] {
        let mut buffer = AlignedBytes::zeroed(shift + file.len());
        buffer[shift..].copy_from_slice(&file);
        let error = Artifact::parse(&buffer[shift..]).err();
        assert_eq!(error, (!aligned).then_some(ArtifactError::Misaligned));
    }
}

#[test]
fn manifest() {
    // The network's name is longer than the manifest.
    assert_eq!(tampered(|f| f[32] = 0x7f), ArtifactError::Header);
    // The name ends in the middle of a character.
    assert_eq!(tampered(|f| f[33] = 0xff), ArtifactError::Header);
    let steps = steps_field();
    assert_eq!(tampered(|f| f[steps] += 1), in_step(7, StepError::Decode));
    assert_eq!(tampered(|f| f[steps] -= 1), ArtifactError::ManifestEnd);
}

/// Where the number of steps is: the last byte in front of the first step.
fn steps_field() -> usize {
    let file = mixed().write().unwrap();
    file.windows(5).position(|w| w == b"\x04conv").unwrap() - 1
}

#[test]
fn header_record() {
    assert_eq!(refused(|d| d.header.preprocess.scale = f32::NAN), ArtifactError::Preprocess);
    let no_side = |d: &mut Draft| d.header.preprocess.resize = Resize::Shorter(0);
    assert_eq!(refused(no_side), ArtifactError::Preprocess);
    let two_means = |d: &mut Draft| d.header.preprocess.mean.push(0.0).unwrap();
    assert_eq!(refused(two_means), ArtifactError::Preprocess);
    assert_eq!(refused(|d| d.header.scratch_len = ARENA + 1), ArtifactError::Arena);
    let no_scale = |d: &mut Draft| d.header.input.element = Element::I8 { scale: 0.0, zero: 1 };
    assert_eq!(refused(no_scale), ArtifactError::Quantize);
    assert_eq!(refused(|d| d.header.output.offset = 0), ArtifactError::Output(ValueError::Bounds));
    let halo = |d: &mut Draft| {
        d.header.output.offset = 32;
        d.header.output.halo.top = 1;
    };
    assert_eq!(refused(halo), ArtifactError::OutputHalo);
}

#[test]
fn values() {
    let input = |change: fn(&mut Draft)| match refused(change) {
        ArtifactError::Step { step: 2, error: StepError::Input(error) } => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        input(|d| d.steps[2].inputs[0].element = Element::I8 { scale: -1.0, zero: 0 }),
        ValueError::Scale
    );
    assert_eq!(input(|d| d.steps[2].inputs[0].offset += 4), ValueError::Alignment);
    assert_eq!(input(|d| d.steps[2].inputs[0].shape.h = 0), ValueError::Extent);
    assert_eq!(input(|d| d.steps[2].inputs[0].shape.h = u32::MAX), ValueError::Extent);
    assert_eq!(input(|d| d.steps[2].inputs[0].shape = Shape::vector(1 << 30)), ValueError::Extent);
    assert_eq!(input(|d| d.steps[2].inputs[0].offset = 16), ValueError::Bounds);
    assert_eq!(input(|d| d.steps[2].inputs[0].offset = ARENA - 112), ValueError::Bounds);
    assert_eq!(input(|d| d.steps[2].inputs[0].offset = u32::MAX - 15), ValueError::Bounds);
    let short_arena = |d: &mut Draft| d.header.arena_len -= 9;
    assert_eq!(refused(short_arena), ArtifactError::Output(ValueError::Bounds));
    let output = |d: &mut Draft| d.steps[6].output.offset += 16;
    assert_eq!(refused(output), in_step(6, StepError::Output(ValueError::Bounds)));
}

#[test]
fn shapes() {
    let two = |d: &mut Draft| {
        let input = d.steps[2].inputs[0];
        d.steps[2].inputs.push(input).unwrap();
    };
    assert_eq!(refused(two), in_step(2, StepError::Shape(ShapeError::InputCount)));
    assert_eq!(refused(|d| d.steps[2].inputs.clear()), in_step(2, StepError::Shape(ShapeError::InputCount)));
    let expected = Shape::new(2, 2, 2);
    let flat = |d: &mut Draft| d.steps[2].output.shape = Shape::vector(8);
    assert_eq!(refused(flat), in_step(2, StepError::OutputShape { expected }));
}

#[test]
fn places() {
    // Step 1 reads bytes 176..304.
    assert_eq!(refused(|d| d.steps[1].output.offset = 288), in_step(1, StepError::Overlap));
    assert_eq!(refused(|d| d.steps[1].output.offset = 64), in_step(1, StepError::Overlap));
    let second = |d: &mut Draft| {
        let mut other = d.steps[1].output;
        other.offset = 160;
        d.steps[1].op = Op::Add;
        d.steps[1].params.clear();
        d.steps[1].inputs.push(other).unwrap();
        d.steps[1].output.offset = 48;
    };
    assert_eq!(refused(second), in_step(1, StepError::Overlap));
    let narrow = |d: &mut Draft| d.steps[0].inputs[0].halo.right = 0;
    assert_eq!(refused(narrow), in_step(0, StepError::Halo));
    let wide = |d: &mut Draft| {
        let input = &mut d.steps[3].inputs[0];
        (input.halo, input.offset) = (Padding { left: 1, ..Padding::default() }, SCRATCH);
    };
    assert_eq!(refused(wide), in_step(3, StepError::Halo));
}

#[test]
fn matrices() {
    assert_eq!(refused(|d| d.steps[0].matrix = None), in_step(0, StepError::Matrix));
    assert_eq!(refused(|d| d.steps[2].matrix = d.steps[0].matrix), in_step(2, StepError::Matrix));
    let expected = StepError::MatrixShape { rows: 3, cols: 8 };
    assert_eq!(refused(|d| d.steps[3].matrix = d.steps[5].matrix), in_step(3, expected));
    // `gt` is the transpose of an 8 x 3 matrix: its shape does not depend on what shares it.
    assert_eq!(refused(|d| d.steps[4].matrix = d.steps[5].matrix), in_step(4, expected));
}

#[test]
fn arrays() {
    let row_len = |change: fn(&mut Array)| refused(|d| change(csr(&mut d.steps[3]).0));
    let values = |change: fn(&mut Array)| refused(|d| change(csr(&mut d.steps[3]).2));
    assert_eq!(row_len(|a| a.dtype = Dtype::F16), in_step(3, StepError::ArrayDtype));
    assert_eq!(values(|a| a.dtype = Dtype::U16), in_step(3, StepError::ArrayDtype));
    let as_delta = |d: &mut Draft| {
        let index = csr(&mut d.steps[3]).1;
        if let ColumnIndex::Absolute(array) = *index {
            *index = ColumnIndex::Delta(array);
        }
    };
    assert_eq!(refused(as_delta), in_step(3, StepError::ArrayDtype));
    assert_eq!(row_len(|a| a.len = 3), in_step(3, StepError::ArrayLen { expected: 2, found: 3 }));
    assert_eq!(values(|a| a.len = 5), in_step(3, StepError::ArrayLen { expected: 10, found: 5 }));
    assert_eq!(
        values(|a| a.len = u32::MAX),
        in_step(3, StepError::ArrayLen { expected: 10, found: u32::MAX })
    );
    assert_eq!(values(|a| a.offset += 2), in_step(3, StepError::Array));
    assert_eq!(values(|a| a.offset = 4096), in_step(3, StepError::Array));
    assert_eq!(values(|a| a.offset = u32::MAX - 15), in_step(3, StepError::Array));
    let dense = |d: &mut Draft| {
        if let Some(Matrix { storage: Storage::Dense { values }, .. }) = &mut d.steps[5].matrix {
            values.len = 15;
        }
    };
    assert_eq!(refused(dense), in_step(5, StepError::ArrayLen { expected: 16, found: 15 }));
    let large = |d: &mut Draft| d.steps[5].params[0].len = u32::MAX;
    assert_eq!(refused(large), in_step(5, StepError::ArrayLen { expected: 2, found: u32::MAX }));
}

/// The sample with other lengths of rows or column indices in the first layer, where they were
/// 4 and 2, and 0 1 4 8 and 2 8 of 9.
fn first_layer(change: impl FnOnce(&mut Writer, &mut Array, &mut ColumnIndex)) -> ArtifactError {
    refused(|d| {
        let (row_len, index, _) = csr(&mut d.steps[0]);
        change(&mut d.writer, row_len, index);
    })
}

#[test]
fn rows() {
    for lens in [[4, 1], [4, 3], [255, 255]] {
        assert_eq!(first_layer(|w, row_len, _| *row_len = w.u8s(&lens)), in_step(0, StepError::RowLen));
    }
    let overflow = [u32::MAX, 7];
    assert_eq!(first_layer(|w, row_len, _| *row_len = w.u32s(&overflow)), in_step(0, StepError::RowLen));
    let delta = |deltas: [u8; 6]| first_layer(|w, _, index| *index = ColumnIndex::Delta(w.u8s(&deltas)));
    assert_eq!(delta([0, 1, 3, 5, 2, 6]), in_step(0, StepError::Column { row: 0 }));
    assert_eq!(delta([0, 0, 3, 4, 2, 6]), in_step(0, StepError::Column { row: 0 }));
    assert_eq!(delta([0, 1, 3, 4, 9, 1]), in_step(0, StepError::Column { row: 1 }));
    let at = |columns: [u32; 6]| first_layer(|w, _, index| *index = ColumnIndex::Absolute(w.u32s(&columns)));
    assert_eq!(at([0, 1, 4, 4, 2, 8]), in_step(0, StepError::Column { row: 0 }));
    assert_eq!(at([0, 1, 4, 8, 8, 2]), in_step(0, StepError::Column { row: 1 }));
    assert_eq!(at([0, 1, 4, 8, 2, u32::MAX]), in_step(0, StepError::Column { row: 1 }));
}

#[test]
fn blocks() {
    let block = |found: u8| {
        refused(|d| {
            if let Some(Matrix { storage: Storage::Csr { block, .. }, .. }) = &mut d.steps[3].matrix {
                *block = found;
            }
        })
    };
    for found in [0, 3, 5, 8, 255] {
        assert_eq!(block(found), in_step(3, StepError::Block { found }));
    }
    // Three rows are three blocks of one, and one of four.
    assert_eq!(block(1), in_step(3, StepError::ArrayLen { expected: 3, found: 2 }));
    assert_eq!(block(4), in_step(3, StepError::ArrayLen { expected: 1, found: 2 }));
    let row_len = refused(|d| *csr(&mut d.steps[3]).0 = d.writer.u16s(&[2, 2]));
    assert_eq!(row_len, in_step(3, StepError::RowLen));
    let index = |columns: [u16; 5]| {
        refused(|d| *csr(&mut d.steps[3]).1 = ColumnIndex::Absolute(d.writer.u16s(&columns)))
    };
    assert_eq!(index([7, 1, 0, 3, 4]), in_step(3, StepError::Column { row: 0 }));
    assert_eq!(index([1, 7, 0, 3, 8]), in_step(3, StepError::Column { row: 2 }));
    // Twice so many values do not fit 32 bits.
    let overflow = |d: &mut Draft| {
        if let (_, ColumnIndex::Absolute(array), values) = csr(&mut d.steps[3]) {
            (array.len, values.len) = (1 << 31, 0);
        }
    };
    assert_eq!(refused(overflow), in_step(3, StepError::Array));
}

#[test]
fn params() {
    assert_eq!(refused(|d| d.steps[1].params.truncate(1)), in_step(1, StepError::Params));
    assert_eq!(refused(|d| d.steps[0].params = d.steps[1].params.clone()), in_step(0, StepError::Params));
    assert_eq!(refused(|d| d.steps[2].params = d.steps[0].params.clone()), in_step(2, StepError::Params));
    let integers = |d: &mut Draft| d.steps[0].params[0] = d.writer.u16s(&[1, 2]);
    assert_eq!(refused(integers), in_step(0, StepError::ArrayDtype));
}

#[test]
fn scratch() {
    // The longest row of the convolution has four entries of 8 bytes.
    assert_eq!(refused(|d| d.header.scratch_len = 31), in_step(0, StepError::Scratch));
    // As a block of two rows, it has four of 12.
    let block = |d: &mut Draft| {
        let index = ColumnIndex::Delta(d.writer.u8s(&[0, 1, 3, 4]));
        let (row_len, values) = (d.writer.u8s(&[4]), d.writer.f32s(&[1.0; 8]));
        d.steps[0].matrix =
            Some(Matrix { rows: 2, cols: 9, storage: Storage::Csr { block: 2, row_len, index, values } });
    };
    assert_eq!(refused(block), in_step(0, StepError::Scratch));
    let dense = |d: &mut Draft| {
        let values = d.writer.f16s(&[f16::ONE; 18]);
        d.steps[0].matrix = Some(Matrix { rows: 2, cols: 9, storage: Storage::Dense { values } });
    };
    assert_eq!(refused(dense), in_step(0, StepError::Scratch));
}

#[test]
fn sharing() {
    const COLS: u32 = 10_000;
    let mut draft = example();
    let mut deltas = vec![1; COLS as usize];
    deltas[0] = 0;
    let storage = Storage::Csr {
        block: 1,
        row_len: draft.writer.u32s(&[COLS]),
        index: ColumnIndex::Delta(draft.writer.u8s(&deltas)),
        values: draft.writer.f16s(&vec![f16::ONE; COLS as usize]),
    };
    let step = &mut draft.steps[0];
    step.inputs[0].shape = Shape::vector(COLS);
    step.op = Op::Dense(tfc_formats::op::Dense { out_features: 1, transposed: false });
    (step.output.shape, step.output.offset) = (Shape::vector(1), COLS * 4);
    step.matrix = Some(Matrix { rows: 1, cols: COLS, storage });
    step.params.clear();
    draft.header.arena_len = COLS * 4 + 16;
    draft.steps = vec![draft.steps[0].clone(); 64];
    assert!(error_free(&draft));
    draft.steps = vec![draft.steps[0].clone(); 640];
    assert!(matches!(error_of(draft), ArtifactError::Step { step: 64.., error: StepError::Sharing }));
}

fn error_free(draft: &Draft) -> bool {
    let copy =
        Draft { writer: draft.writer.clone(), header: draft.header.clone(), steps: draft.steps.clone() };
    copy.write().is_ok()
}

#[test]
fn messages_are_one_line() {
    let shown = [
        (ArtifactError::Version(9).to_string(), "format version 9, this program reads 3; update the program"),
        (
            in_step(3, StepError::Input(ValueError::Scale)).to_string(),
            "step 3: an input has a scale that is not finite and above 0",
        ),
        (
            in_step(4, StepError::OutputShape { expected: Shape::new(2, 4, 4) }).to_string(),
            "step 4: the output's shape should be 2x4x4",
        ),
    ];
    shown.iter().for_each(|(found, expected)| assert_eq!(found, expected));
}
