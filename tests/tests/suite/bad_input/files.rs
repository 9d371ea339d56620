//! Files that networks, data and inputs are not.

use tfc::encode::{Precision, encode};
use tfc_formats::dataset::npy;

use crate::common::{Folder, Sketch, idx, idx_folder, perceptron, safetensors};

/// Every kind of good and bad file that the cases below name.
pub(super) fn files() -> Folder {
    let folder = Folder::new();
    let good = perceptron(&[6]);
    folder.save("good.safetensors", &good);
    let bytes = folder.read("good.safetensors");
    folder.write("cut.safetensors", &bytes[..bytes.len() - 5]);
    folder.write("short.safetensors", &bytes[..6]);
    folder.write("empty.safetensors", b"");
    folder.write("png.safetensors", b"\x89PNG\r\n\x1a\n and so on");
    let mut lies = bytes.clone();
    lies[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    folder.write("lies.safetensors", &lies);
    let nan = [f32::NAN; 6];
    folder.write("nan.safetensors", &safetensors(&[("fc1.weight", &[2, 3], &nan)]));
    let chain: [(&str, &[usize], &[f32]); 2] =
        [("fc1.weight", &[3, 4], &[0.5; 12]), ("fc2.weight", &[5, 2], &[0.5; 10])];
    folder.write("chain.safetensors", &safetensors(&chain));
    let unknown: (&str, &[usize], &[f32]) = ("encoder.gamma", &[2, 3, 4, 1, 1], &[0.5; 24]);
    folder.write("unknown.safetensors", &safetensors(&[unknown]));

    let encoded = encode(&good, &vec![Precision::F32; good.tensors.len()]).unwrap().bytes;
    folder.write("good.tfc", &encoded);
    folder.write("cut.tfc", &encoded[..encoded.len() / 2]);
    folder.write("empty.tfc", b"");
    let mut flipped = encoded.clone();
    flipped[encoded.len() / 2] ^= 0x10;
    folder.write("flipped.tfc", &flipped);
    folder.write("text.tfc", b"this is a text of more than sixteen bytes\n");

    for (name, outputs) in [("small", 3), ("wider", 4), ("one", 1)] {
        let mut small = Sketch::new(tfc_formats::op::Shape::vector(25), 3);
        small.dense(0, outputs);
        let small = small.finish();
        folder.save(&format!("{name}.safetensors"), &small);
        folder.write(&format!("{name}.tfc"), &encode(&small, &[Precision::F32; 2]).unwrap().bytes);
    }

    idx_folder(&folder, "small", 5, &[[0; 6], [1; 6], [2; 6]].concat(), &[2, 1]);
    idx_folder(&folder, "twelve", 28, &[[0; 9], [11; 9]].concat(), &[1]);
    idx_folder(&folder, "labels", 5, &[0, 1], &[0, 7]);
    idx_folder(&folder, "none", 5, &[], &[]);
    idx_folder(&folder, "count", 5, &[0, 1], &[0]);
    folder.write("count/train-labels-idx1-ubyte", &idx(&[3], &[0, 1, 0]));
    idx_folder(&folder, "cut", 5, &[0, 1], &[0]);
    folder.write("cut/train-images-idx3-ubyte", &idx(&[2, 5, 5], &[0; 49]));
    folder.write("folder/notes.txt", b"no data set");
    folder.write("ragged/data_batch_1.bin", &[0; 3074]);
    folder.write("eleven/test_batch.bin", &[10; 3073]);
    folder.write("broken/cat/1.jpg", b"no image");
    let mut png = Vec::new();
    let image = image::GrayImage::new(28, 28);
    image.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    // As many as can be held out of.
    (1..=10).for_each(|i| folder.write(&format!("photos/{i}.png"), &png));
    folder.write("labels.csv", (1..=10).map(|i| format!("{i},0\n")).collect::<String>().as_bytes());
    folder.write("few.csv", b"2,0\n");
    folder.write("titles.csv", b"file,class\n1,0\n");
    let mut tall = Vec::new();
    let image = image::GrayImage::new(28, 30);
    image.write_to(&mut std::io::Cursor::new(&mut tall), image::ImageFormat::Png).unwrap();
    folder.write("tall/cat/1.png", &tall);

    folder.write("input.npy", &npy::encode(&[784], &[0.5; 784]));
    folder.write("short.npy", &npy::encode(&[783], &[0.5; 783]));
    folder.write("none.npy", &npy::encode(&[0, 784], &[]));
    folder.write("nan.npy", &npy::encode(&[784], &[f32::NAN; 784]));
    folder.write("notes.txt", b"no input");
    folder.write("bad.toml", b"[[node]\nname = 3");
    folder.write("exists.tfc", b"keep me");
    folder
}
