//! What the standard members of the convolutional families do not show.

use super::*;
use crate::op::{Activation, Op};
use crate::preprocess::{ChannelOrder, Preprocess};

fn shape(shapes: &mut Shapes, name: &str, shape: &[usize]) {
    shapes.push((name.into(), shape.to_vec()));
}

fn norm(shapes: &mut Shapes, name: &str, channels: usize) {
    for part in ["weight", "bias", "running_mean", "running_var"] {
        shape(shapes, &format!("{name}.{part}"), &[channels]);
    }
}

/// A ResNet of `blocks` blocks a stage and 4, 8, 16 channels.
fn resnet(blocks: usize, shortcut: Option<&str>, head: &str) -> Shapes {
    let mut s = Shapes::new();
    shape(&mut s, "conv1.weight", &[4, 3, 3, 3]);
    norm(&mut s, "bn1", 4);
    let mut channels = 4;
    for (stage, out) in [(1, 4), (2, 8), (3, 16)] {
        for block in 0..blocks {
            let name = format!("layer{stage}.{block}");
            shape(&mut s, &format!("{name}.conv1.weight"), &[out, channels, 3, 3]);
            norm(&mut s, &format!("{name}.bn1"), out);
            shape(&mut s, &format!("{name}.conv2.weight"), &[out, out, 3, 3]);
            norm(&mut s, &format!("{name}.bn2"), out);
            if let Some(shortcut) = shortcut.filter(|_| out != channels) {
                shape(&mut s, &format!("{name}.{shortcut}.0.weight"), &[out, channels, 1, 1]);
                norm(&mut s, &format!("{name}.{shortcut}.1"), out);
            }
            channels = out;
        }
    }
    shape(&mut s, &format!("{head}.weight"), &[5, 16]);
    shape(&mut s, &format!("{head}.bias"), &[5]);
    s
}

fn colours(mean: &[f32], std: &[f32]) -> Preprocess {
    let list = |values: &[f32]| values.iter().copied().collect();
    Preprocess { mean: list(mean), std: list(std), ..Preprocess::default() }
}

#[test]
fn residual_networks_of_any_depth() {
    for blocks in [1, 2, 5] {
        let network = load_owned(&resnet(blocks, None, "linear"), &ImportOptions::default()).unwrap();
        // Two convolutions and norms, two ReLUs, an addition a block; two shortcuts.
        assert_eq!(network.nodes.len(), 3 + 3 * 7 * blocks + 2 + 2);
        assert_eq!(network.shapes().unwrap()[network.output], Shape::vector(5));
        assert_eq!(network.preprocess, colours(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]));
    }
}

#[test]
fn shortcuts_without_weights_take_every_second_value_and_pad_channels() {
    let network = load_owned(&resnet(1, None, "linear"), &ImportOptions::default()).unwrap();
    let at = network.nodes.iter().position(|n| n.name == "layer2.0.shortcut").unwrap();
    assert_eq!(network.selection(at), Some(2));
    let Op::Conv2d(conv) = network.nodes[at].op else { panic!() };
    assert_eq!((conv.stride, conv.kernel, conv.out_channels), ([2; 2], [1; 2], 8));
    assert_eq!(network.nodes.iter().enumerate().filter(|(n, _)| network.selection(*n).is_some()).count(), 2);
    // A quarter of the planes before and after: twice as many planes, no other number, fit.
    let mut shapes = resnet(1, None, "linear");
    for (name, shape) in &mut shapes {
        if name.starts_with("layer3") || name == "linear.weight" {
            shape.iter_mut().take(2).filter(|n| **n == 16).for_each(|n| *n = 12);
        }
    }
    assert_eq!(recognised(&shapes), None);
}

#[test]
fn shortcuts_with_weights_of_both_names() {
    for (shortcut, head, preprocess) in [
        ("downsample", "fc", colours(&[0.5; 3], &[0.5; 3])),
        ("shortcut", "linear", colours(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])),
    ] {
        let network = load_owned(&resnet(2, Some(shortcut), head), &ImportOptions::default()).unwrap();
        let add = network.nodes.iter().find(|n| n.name == "layer2.0.add").unwrap();
        let names: Vec<_> = add.inputs.iter().map(|&value| network.nodes[value - 1].name.as_str()).collect();
        assert_eq!(names, ["layer2.0.bn2", &format!("layer2.0.{shortcut}.1")]);
        assert_eq!(network.preprocess, preprocess);
    }
    // Nothing tells how the inputs of this one are normalised.
    let network = load_owned(&resnet(1, None, "fc"), &ImportOptions::default()).unwrap();
    assert_eq!(network.preprocess, Preprocess::default());
}

#[test]
fn what_pytorch_adds_to_checkpoints_is_overlooked() {
    let plain = load_owned(&resnet(1, None, "linear"), &ImportOptions::default()).unwrap();
    let mut shapes = resnet(1, None, "linear");
    for (name, _) in &mut shapes {
        name.insert_str(0, "module.");
    }
    shape(&mut shapes, "module.bn1.num_batches_tracked", &[]);
    let wrapped = load_owned(&shapes, &ImportOptions::default()).unwrap();
    assert_eq!(wrapped.nodes, plain.nodes);
    assert_eq!(wrapped.tensors[0].name, "module.conv1.weight");
    shape(&mut shapes, "extra.num_batches_tracked", &[]);
    assert_eq!(recognised(&shapes), None);
}

#[test]
fn grey_images_have_no_colours_to_normalise() {
    let mut shapes = resnet(1, None, "linear");
    shapes[0].1[1] = 1;
    let network = load_owned(&shapes, &ImportOptions::default()).unwrap();
    assert_eq!((network.input, network.preprocess), (Shape::new(1, 32, 32), Preprocess::default()));
}

#[test]
fn what_the_caller_states_wins() {
    let mut options = ImportOptions { input: Some(Shape::new(3, 48, 64)), ..Default::default() };
    options.preprocess.mean = Some([0.25].into_iter().collect());
    options.preprocess.order = Some(ChannelOrder::Bgr);
    let network = load_owned(&resnet(1, None, "linear"), &options).unwrap();
    assert_eq!(network.input, Shape::new(3, 48, 64));
    assert_eq!((&network.preprocess.mean[..], network.preprocess.order), (&[0.25][..], ChannelOrder::Bgr));
    assert_eq!(network.preprocess.std[..], [0.229, 0.224, 0.225]);
}

/// A VGG for CIFAR with batch norms: two convolutions, a pooling, a convolution, a pooling.
fn vgg(third: usize) -> Shapes {
    let mut s = Shapes::new();
    for (index, out, channels) in [(0, 4, 3), (3, 4, 4), (third, 6, 4)] {
        shape(&mut s, &format!("features.{index}.weight"), &[out, channels, 3, 3]);
        norm(&mut s, &format!("features.{}", index + 1), out);
    }
    shape(&mut s, "classifier.weight", &[5, 6 * 8 * 8]);
    s
}

#[test]
fn vgg_takes_poolings_and_extents_from_numbers_and_sizes() {
    let network = load_owned(&vgg(7), &ImportOptions::default()).unwrap();
    assert_eq!((network.input, &network.preprocess), (Shape::new(3, 32, 32), &Preprocess::default()));
    let ops: Vec<_> = network.nodes.iter().map(|n| n.op.name()).collect();
    let expected = "conv2d batch_norm relu conv2d batch_norm relu max_pool conv2d batch_norm relu max_pool flatten dense";
    assert_eq!(ops.join(" "), expected);
    assert_eq!(network.nodes[10].name, "features.10");
    assert_eq!(load_owned(&vgg(6), &ImportOptions::default()).unwrap().input, Shape::new(3, 16, 16));
    for other in [5, 8] {
        assert_eq!(recognised(&vgg(other)), None);
    }
    assert_eq!(recognised(&vgg(u32::MAX as usize)), None);
    let mut signed = vgg(7);
    shape(&mut signed, "classifier.+3.weight", &[5, 5]);
    shape(&mut signed, "classifier.1.weight", &[5, 5]);
    assert_eq!(recognised(&signed), None);
    let mut uneven = vgg(7);
    uneven.last_mut().unwrap().1[1] = 6 * 5;
    assert_eq!(recognised(&uneven), None);
}

#[test]
fn squeezenet_1_0_is_told_by_its_first_kernel() {
    for (standard, first) in [("squeezenet1_1", "conv1"), ("squeezenet1_1_torchvision", "features.0")] {
        let family = FAMILIES.iter().find(|f| f.standard == standard).unwrap();
        let mut shapes = small_shapes(family);
        shapes[0].1 = Vec::from([8, 3, 7, 7]);
        // Fire modules are numbered after poolings, too.
        if first == "features.0" {
            for (name, _) in &mut shapes {
                let number = |from: usize| format!("features.{from}.");
                let moved =
                    [(6, 5), (9, 8), (10, 9), (11, 10)].into_iter().map(|(a, b)| (number(a), number(b)));
                if let Some((from, to)) = moved.into_iter().find(|(from, _)| name.starts_with(from.as_str()))
                {
                    *name = name.replacen(&from, &to, 1);
                }
            }
        }
        let (found, graph) = recognised(&shapes).unwrap_or_else(|| panic!("{first}"));
        assert_eq!(found, standard);
        let pools: Vec<_> =
            graph.nodes.iter().filter(|n| n.op.name() == "max_pool").map(|n| n.name.as_str()).collect();
        let expected = if first == "conv1" {
            ["pool1", "pool4", "pool8"]
        } else {
            ["features.2", "features.6", "features.11"]
        };
        assert_eq!(pools, expected);
        let last = graph.nodes.iter().rev().find(|n| n.op.name() == "conv2d").unwrap();
        let Op::Conv2d(conv) = last.op else { panic!() };
        assert_eq!(conv.pad.top, u16::from(first == "conv1"));
    }
}

fn cifar10_quick(dense: [&str; 2]) -> Shapes {
    let mut s = Shapes::new();
    for (name, weight) in [("conv1", [2, 3, 5, 5]), ("conv2", [2, 2, 5, 5]), ("conv3", [3, 2, 5, 5])] {
        shape(&mut s, &format!("{name}.weight"), &weight);
        shape(&mut s, &format!("{name}.bias"), &weight[..1]);
    }
    for (name, weight) in [(dense[0], [4, 48]), (dense[1], [5, 4])] {
        shape(&mut s, &format!("{name}.weight"), &weight);
        shape(&mut s, &format!("{name}.bias"), &weight[..1]);
    }
    s
}

#[test]
fn mean_images_are_refused_unless_a_mean_is_stated() {
    let refused = |shapes: &Shapes| match load_owned(shapes, &ImportOptions::default()) {
        Err(error @ ImportError::MeanImage { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let mut shapes = cifar10_quick(["fc1", "fc2"]);
    shape(&mut shapes, "input_mean", &[3, 1, 2]);
    let text = refused(&shapes);
    assert!(text.contains("--mean 0.1,0.3,0.6"), "{text}");
    assert!(refused(&cifar10_quick(["ip1", "ip2"])).contains("--mean M1,M2,..."));

    let mut options = ImportOptions::default();
    options.preprocess.mean = Some([0.0].into_iter().collect());
    let network = load_owned(&shapes, &options).unwrap();
    assert_eq!(network.preprocess.scale, 1.0);
    let averages = network.nodes.iter().filter(|n| n.op.name() == "avg_pool").count();
    assert_eq!(averages, 2);
    assert!(network.tensors.iter().all(|t| t.name != "input_mean"));

    let rectified = load_owned(&cifar10_quick(["fc1", "fc2"]), &ImportOptions::default()).unwrap();
    let relus = rectified.nodes.iter().filter(|n| n.op == Op::Activation(Activation::Relu)).count();
    assert_eq!(relus, 4);
}

#[test]
fn pruned_convolutions_of_alexnet_are_expanded() {
    let family = FAMILIES.iter().find(|f| f.standard == "alexnet_conv").unwrap();
    let dense: Shapes =
        small_shapes(family).into_iter().filter(|(name, _)| name.ends_with(".weight")).collect();
    let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape) in &dense {
        // One value a row: the row's number, in the column of that number.
        let (layer, rows) = (name.trim_end_matches(".weight"), shape[0]);
        let bytes = |values: Vec<u32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let values = (0..rows).flat_map(|row| (row as f32).to_le_bytes()).collect();
        let numbers = |n: usize| (0..n as u32).collect::<Vec<_>>();
        let extents = shape.iter().map(|&n| n as u32).collect();
        parts.push((format!("{layer}.values"), Dtype::F32, Vec::from([rows]), values));
        parts.push((format!("{layer}.indices"), Dtype::U32, Vec::from([rows]), bytes(numbers(rows))));
        parts.push((format!("{layer}.indptr"), Dtype::U32, Vec::from([rows + 1]), bytes(numbers(rows + 1))));
        parts.push((format!("{layer}.shape"), Dtype::U32, Vec::from([4]), bytes(extents)));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), ::safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let mut bytes = ::safetensors::serialize(views, None).unwrap();
    let options = ImportOptions::default();
    let network = load_bytes(Path::new("m.safetensors"), &bytes, &options).unwrap();
    assert_eq!(network.nodes, load_owned(&dense, &options).unwrap().nodes);
    let conv2 = network.tensors.iter().find(|t| t.name == "conv2.weight").unwrap();
    let columns: usize = conv2.shape[1..].iter().product();
    let expected = |at: usize| if at / columns == at % columns { (at / columns) as f32 } else { 0.0 };
    assert!(conv2.data.iter().enumerate().all(|(at, v)| *v == expected(at)));
    let groups: Vec<u32> = network
        .nodes
        .iter()
        .filter_map(|n| if let Op::Conv2d(conv) = n.op { Some(conv.groups) } else { None })
        .collect();
    assert_eq!(groups, [1, 2, 1, 2, 2]);

    // The last bytes are those of one of the four parts.
    let end = bytes.len() - 1;
    bytes[end] = 0xff;
    match load_bytes(Path::new("m.safetensors"), &bytes, &options) {
        Err(ImportError::Damaged { reason, .. }) => assert!(reason.contains("conv"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ds_cnn_has_the_parameters_of_mlperf_tiny() {
    let family = FAMILIES.iter().find(|f| f.standard == "ds_cnn").unwrap();
    let parameters: usize =
        standard_shapes(family).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // As the summary of the Keras model says.
    assert_eq!(parameters, 24_908);
    // Rows are padded by 4 and 5 and halved; the last of 25 is in no window.
    let graph = standard("ds_cnn").unwrap();
    let Op::Conv2d(conv) = graph.nodes[0].op else { panic!() };
    assert_eq!(conv.output_shape(graph.input), Ok(Shape::new(64, 25, 5)));
    let Op::AvgPool(pool) = graph.nodes[graph.nodes.len() - 2].op else { panic!() };
    assert_eq!((pool.kernel, pool.output_shape(Shape::new(64, 25, 5))), ([24, 5], Ok(Shape::vector(64))));
}
