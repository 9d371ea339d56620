//! Images of any size: what was said of them when a network was compiled holds wherever it runs.

use image::{Rgb, RgbImage};
use serde_json::json;
use tfc_formats::op::{Activation, Conv2d, Op, Padding, Shape};

use crate::common::{Folder, Random, Sketch};

/// A network for 3 x 6 x 5 and photos of four sizes in two classes.
fn files() -> Folder {
    let folder = Folder::new();
    let mut sketch = Sketch::new(Shape::new(3, 6, 5), 4);
    let conv = Conv2d {
        out_channels: 4,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(1),
        groups: 1,
    };
    let value = sketch.weighted(Op::Conv2d(conv), 0);
    let value = sketch.node(Op::Activation(Activation::Relu), &[value], Vec::new());
    let value = sketch.node(Op::Flatten, &[value], Vec::new());
    sketch.dense(value, 2);
    folder.save("net.safetensors", &sketch.finish());
    let mut random = Random(9);
    for (name, width, height) in
        [("bird/a.png", 12, 9), ("bird/b.jpg", 8, 20), ("cat/c.png", 10, 10), ("cat/d.jpeg", 31, 16)]
    {
        let path = folder.path(&format!("photos/test/{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let noise = |_, _| Rgb([0; 3].map(|_: u8| (255.0 * random.unit()) as u8));
        RgbImage::from_fn(width, height, noise).save(path).unwrap();
    }
    folder
}

#[test]
fn run_and_eval_see_the_same_images() {
    let folder = files();
    let photos = ["bird/a.png", "bird/b.jpg", "cat/c.png", "cat/d.jpeg"];
    let mut outputs = Vec::new();
    for resize in ["7", "8x9", "crop"] {
        folder.done(&format!(
            "compile net.safetensors -o net.tfc --force --resize {resize} --mean 0.5,0.4,0.3 --order bgr"
        ));
        let mut confusion = [[0, 0], [0, 0]];
        for (photo, class) in photos.into_iter().zip([0, 0, 1, 1]) {
            let run = folder.json(&format!("run net.tfc photos/test/{photo} --top 1"));
            confusion[class][run[0]["outputs"][0]["index"].as_u64().unwrap() as usize] += 1;
            outputs.push(folder.done(&format!("run net.tfc photos/test/{photo}")).stdout);
        }
        let eval = folder.json("eval net.tfc --data photos");
        assert_eq!(eval["confusion"], json!(confusion), "{resize}");
        assert_eq!((&eval["samples"], &eval["class_names"]), (&json!(4), &json!(["bird", "cat"])));
        assert!(folder.done("eval net.tfc --data photos").stdout.contains("cat"));
    }
    // They would agree on nothing, too.
    outputs.sort();
    outputs.dedup();
    assert_eq!(outputs.len(), 12);
}

#[test]
fn sizes_are_refused_where_nothing_was_said() {
    let folder = files();
    folder.done("compile net.safetensors -o net.tfc");
    for args in ["run net.tfc photos/test/bird/a.png", "eval net.tfc --data photos"] {
        let outcome = folder.tfc(args);
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        let named = "a.png: image is 12 wide and 9 high, which does not fit the network's input 3x6x5";
        assert!(outcome.stderr.contains(named), "{outcome:?}");
        assert!(outcome.stderr.contains("compile the network with --resize"), "{outcome:?}");
    }
}

#[test]
fn a_network_is_trained_and_compiled_on_images() {
    let folder = files();
    std::fs::rename(folder.path("photos/test"), folder.path("photos/train")).unwrap();
    let how = "--data photos --resize 7 --epochs 1 --held-out 0.5 --flip --shift-crop 2 --device cpu";
    folder.done(&format!("compile net.safetensors -o net.tfc --sparsity 0.5 --report r.json {how}"));
    let report: serde_json::Value = serde_json::from_slice(&folder.read("r.json")).unwrap();
    assert_eq!(report["options"]["training"]["augment"], json!({ "flip": true, "shift": 2 }));
    // There is no test set, and nothing is said of one.
    assert_eq!((&report["test"], &report["test_confusion"]), (&json!(null), &json!(null)));
    assert!(report["validation"].is_object());
    assert!(folder.done("inspect net.tfc").stdout.contains("images of another size: 7"));
    assert_eq!(folder.json("eval net.tfc --data photos --split train")["samples"], 4);
}
