//! Models that are built into a program.

use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Kernels, Model, Session, include_model};

/// Compares the model in the program with the one that the reader makes of the same file.
fn check<const NEEDS: u32>(constant: &Model<'static, NEEDS>, file: &[u8]) {
    let file = AlignedBytes::from(file);
    let model = Model::new(&file).unwrap();
    assert_eq!(NEEDS, model.artifact().needs().bits());
    assert_eq!(constant.artifact().needs(), model.artifact().needs());
    assert_eq!(constant.header(), model.header());
    assert_eq!(constant.arena_len(), model.arena_len());
    assert!(constant.artifact().steps().eq(model.artifact().steps()));
    assert_eq!(constant.artifact().steps().count(), model.header().steps as usize);
    assert_eq!(constant.artifact().sections(), model.artifact().sections());
    assert!(constant.artifact().sections().as_ptr().cast::<u128>().is_aligned());

    let input: Vec<f32> = (0..model.input_shape().elements().unwrap()).map(|i| i as f32 - 1.5).collect();
    let mut arenas = [(); 2].map(|()| AlignedBytes::zeroed(model.arena_len()));
    let [one, other] = &mut arenas;
    let mut session = Session::new(constant, one).unwrap();
    let mut reference = Session::with_kernels(&model, other, Kernels::GENERIC).unwrap();
    assert_eq!(session.run(&input).unwrap(), reference.run(&input).unwrap());
}

#[test]
fn constants_are_what_the_reader_decodes() {
    check(
        include_model!("../../../formats/tests/golden/example.tfc"),
        include_bytes!("../../../formats/tests/golden/example.tfc"),
    );
    check(
        include_model!(concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/golden/mixed.tfc")),
        include_bytes!("../../../formats/tests/golden/mixed.tfc"),
    );
}
