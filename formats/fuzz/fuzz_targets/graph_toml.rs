#![no_main]

use libfuzzer_sys::fuzz_target;
use tfc_formats::import::Tensors;
use tfc_formats::import::graph::{from_toml, to_toml};
use tfc_formats::network::Tensor;

// What loads is written and loads again as the same network.
fuzz_target!(|text: &str| {
    let shapes: [(&str, &[usize]); 4] =
        [("c.weight", &[2, 1, 3, 3]), ("c.bias", &[2]), ("d.weight", &[3, 2]), ("d.bias", &[3])];
    let tensors = shapes.map(|(name, shape)| Tensor {
        name: name.into(),
        shape: shape.into(),
        data: vec![0.5; shape.iter().product()],
    });
    let tensors = Tensors::from(&tensors[..]);
    if let Ok(network) = from_toml(text, &tensors) {
        assert_eq!(from_toml(&to_toml(&network), &tensors), Ok(network));
    }
});
