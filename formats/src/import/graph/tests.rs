mod errors;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::attributes::OPS;
use super::*;
use crate::op::{Activation, Conv2d, Dense, Padding, Pool};
use crate::preprocess::{ChannelOrder, Layout, Resize};

fn conv(out_channels: u32, kernel: [u16; 2]) -> Conv2d {
    Conv2d { out_channels, kernel, stride: [1; 2], dilation: [1; 2], pad: Padding::default(), groups: 1 }
}

fn pool(kernel: [u16; 2], count_include_pad: bool) -> Pool {
    Pool { kernel, stride: kernel, pad: Padding::default(), ceil: false, count_include_pad }
}

fn names(params: &[&str]) -> Vec<String> {
    params.iter().map(ToString::to_string).collect()
}

/// A network that has every op, with fields that are no defaults.
fn every_op() -> Network {
    let uneven = Padding { top: 0, left: 1, bottom: 1, right: 0 };
    let mut graph = Graph::new(Shape::new(4, 12, 10));
    graph.name = "every op".into();
    graph.preprocess.mean.push(0.1).unwrap();
    graph.preprocess.order = ChannelOrder::Bgr;
    graph.preprocess.layout = Layout::Hwc;
    let c = Conv2d { stride: [2, 1], dilation: [1, 2], pad: uneven, groups: 2, ..conv(8, [3, 2]) };
    graph.push("conv", Op::Conv2d(c), names(&["k", "b"]));
    let bn = ["g", "be", "m", "v"];
    graph.push("norm", Op::BatchNorm { eps: 1e-3 }, names(&bn));
    graph.push("lrn", Op::Lrn { size: 3, alpha: 0.1, beta: 0.5, bias: 2.0 }, Vec::new());
    let max =
        Pool { stride: [1, 2], pad: uneven, ceil: true, count_include_pad: true, ..pool([2, 3], false) };
    graph.push("max", Op::MaxPool(max), Vec::new());
    let average = Pool { count_include_pad: false, pad: Padding::same(1), ..pool([2, 2], true) };
    graph.push("avg", Op::AvgPool(average), Vec::new());
    for activation in [
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu { alpha: 0.2 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSigmoid { alpha: 0.2 },
        Activation::HardSwish,
    ] {
        graph.push(activation.name(), Op::Activation(activation), Vec::new());
    }
    graph.push("maxout", Op::Maxout { pieces: 2 }, Vec::new());
    graph.push("add", Op::Add, Vec::new());
    graph.nodes.last_mut().unwrap().inputs.push(13);
    graph.push("concat", Op::Concat, Vec::new());
    graph.nodes.last_mut().unwrap().inputs.push(13);
    graph.push("gap", Op::GlobalAvgPool, Vec::new());
    graph.push("flatten", Op::Flatten, Vec::new());
    graph.push("input", Op::Dropout { rate: 0.25 }, Vec::new());
    graph.push("dense", Op::Dense(Dense { out_features: 8, transposed: true }), names(&["w"]));
    graph.push("dense again", Op::Dense(Dense { out_features: 8, transposed: false }), names(&["w", "b"]));
    graph.push("softmax", Op::Softmax, Vec::new());
    graph.push("not the output", Op::Softmax, Vec::new());
    graph.output -= 1;
    let mut network = graph.bind(None).unwrap();
    for (n, value) in network.tensors.iter_mut().flat_map(|t| &mut t.data).enumerate() {
        *value = n as f32 / 7.0;
    }
    network
}

/// A shortcut without weights over 2x3x3 inputs.
const SELECTION: &str = r#"
input.shape = [2, 3, 3]
[[node]]
name = "shortcut"
op = "conv2d"
out_channels = 4
stride = 2
select = 1
"#;

#[test]
fn selections_have_weights_that_no_file_holds() {
    let network = from_toml(SELECTION, &Tensors::default()).unwrap();
    let weight = &network.tensors[0];
    assert_eq!((weight.name.as_str(), &weight.shape[..]), ("shortcut.weight", &[4, 2, 1, 1][..]));
    assert_eq!(weight.data, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!((network.selection(0), network.shapes().unwrap()[1]), (Some(1), Shape::new(4, 2, 2)));
    assert_eq!((network.weight(0), network.prunable(0)), (Some(0), None));
    assert!(to_toml(&network).contains("select = 1"));
    assert_eq!(from_toml(&to_toml(&network), &Tensors::default()), Ok(network.clone()));
    assert_eq!(Graph::parse(SELECTION, None, None).unwrap().bind(None), Ok(network.clone()));

    // Once a weight has changed, it is one like others.
    let mut trained = network;
    trained.tensors[0].data[2] = 0.5;
    assert_eq!((trained.selection(0), trained.prunable(0)), (None, Some(0)));
    let tensors = Tensors::from(&trained.tensors[..]);
    assert_eq!(from_toml(&to_toml(&trained), &tensors), Ok(trained.clone()));
    trained.tensors[0].data = Vec::from([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(trained.selection(0), None);
}

#[test]
fn selections_that_cannot_be() {
    let error = |from: &str, to: &str| {
        from_toml(&SELECTION.replace(from, to), &Tensors::default()).unwrap_err().to_string()
    };
    for (from, to, reason) in [
        ("select = 1", "select = 1\nkernel = 3", "`select` goes with a 1x1 kernel, one group and no bias"),
        ("select = 1", "select = 1\nbias = true", "`select` goes with a 1x1 kernel, one group and no bias"),
        ("select = 1", "select = 1\ngroups = 2", "`select` goes with a 1x1 kernel, one group and no bias"),
        ("out_channels = 4", "", "with `select`, `out_channels` must be stated"),
        ("select = 1", "select = 3", "`select = 3` moves 2 channels, but the output has 4"),
        ("out_channels = 4", "out_channels = 200000000", "the weights have more than 268435456 values"),
    ] {
        let text = error(from, to);
        assert!(text.ends_with(reason), "{text}");
    }
}

#[test]
fn every_op_round_trips() {
    let network = every_op();
    for op in OPS {
        assert!(network.nodes.iter().any(|n| n.op.name() == op), "{op} is missing");
    }
    let text = to_toml(&network);
    let tensors = Tensors::from(&network.tensors[..]);
    assert_eq!(from_toml(&text, &tensors), Ok(network), "{text}");
}

#[test]
fn the_documented_example_loads() {
    let lines = include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let example: Vec<&str> =
        lines.skip_while(|l| *l != " ```toml").skip(1).take_while(|l| *l != " ```").collect();
    let network = Graph::parse(&example.join("\n"), None, None).unwrap().bind(None).unwrap();
    assert_eq!(network.shapes().unwrap().last(), Some(&Shape::vector(10)));
    assert_eq!(network.name, "small");
}

#[test]
fn defaults() {
    let network = every_op();
    let mut tensors = network.tensors.clone();
    for (tensor, name) in tensors.iter_mut().zip(["c.weight", "c.bias", "n.weight", "n.bias"]) {
        tensor.name = name.into();
    }
    tensors[4].name = "n.running_mean".into();
    tensors[5].name = "n.running_var".into();
    let text = r#"
        input.shape = [4, 12, 10]
        [[node]]
        name = "c"
        op = "conv2d"
        groups = 2
        [[node]]
        name = "n"
        op = "batch_norm"
        [[node]]
        op = "max_pool"
        kernel = 2
        [[node]]
        op = "avg_pool"
        kernel = [2, 1]
        pad = [1, 0]
        [[node]]
        op = "lrn"
        size = 5
        [[node]]
        op = "leaky_relu"
        [[node]]
        op = "dropout"
        [[node]]
        op = "relu"
        inputs = ["input"]
        [[node]]
        op = "hard_sigmoid"
    "#;
    let graph = Graph::parse(text, Some(&Tensors::from(&tensors[..])), None).unwrap();
    let ops: Vec<Op> = graph.nodes.iter().map(|n| n.op).collect();
    let average = Pool { pad: Padding { top: 1, left: 0, bottom: 1, right: 0 }, ..pool([2, 1], true) };
    assert_eq!(
        ops,
        [
            Op::Conv2d(Conv2d { groups: 2, ..conv(8, [3, 2]) }),
            Op::BatchNorm { eps: 1e-5 },
            Op::MaxPool(pool([2, 2], false)),
            Op::AvgPool(average),
            Op::Lrn { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 },
            Op::Activation(Activation::LeakyRelu { alpha: 0.01 }),
            Op::Dropout { rate: 0.5 },
            Op::Activation(Activation::Relu),
            Op::Activation(Activation::HardSigmoid { alpha: 1.0 / 6.0 }),
        ]
    );
    assert_eq!(graph.nodes[0].params, ["c.weight", "c.bias"]);
    assert_eq!(graph.nodes[1].params, ["n.weight", "n.bias", "n.running_mean", "n.running_var"]);
    assert_eq!(graph.nodes[2].name, "max_pool_3");
    assert_eq!((&graph.nodes[6].inputs[..], &graph.nodes[7].inputs[..]), (&[6][..], &[0][..]));
    assert_eq!((graph.output, graph.preprocess, &graph.name[..]), (9, Preprocess::default(), ""));
}

#[test]
fn bias_may_be_refused_or_required() {
    let weight =
        |name: &str| Tensor { name: name.into(), shape: Vec::from([1, 2]), data: Vec::from([1.0, 2.0]) };
    let bias = Tensor { name: "d.bias".into(), shape: Vec::from([1]), data: Vec::from([3.0]) };
    let params = |tensors: &[Tensor], bias: &str| {
        let text = format!("input.shape = [2]\n[[node]]\nname = \"d\"\nop = \"dense\"\n{bias}");
        from_toml(&text, &Tensors::from(tensors)).map(|n| n.tensors.len())
    };
    let both = [weight("d.weight"), bias];
    assert_eq!(params(&both, ""), Ok(2));
    assert_eq!(params(&both, "bias = false"), Ok(1));
    assert_eq!(params(&both, "bias = \"d.bias\""), Ok(2));
    assert_eq!(params(&both[..1], ""), Ok(1));
    let missing = GraphError::MissingTensor { node: "d".into(), tensor: "d.bias".into() };
    assert_eq!(params(&both[..1], "bias = true"), Err(missing));
}

#[test]
fn untrained_sizes_must_be_stated_and_bounded() {
    let bind = |node: &str| {
        let text = format!("input.shape = [2]\n[[node]]\nname = \"d\"\nop = \"dense\"\n{node}");
        Graph::parse(&text, None, None)?.bind(None)
    };
    let network = bind("out_features = 3").unwrap();
    let shapes: Vec<_> = network.tensors.iter().map(|t| (&t.name[..], &t.shape[..])).collect();
    assert_eq!(shapes, [("d.weight", &[3, 2][..]), ("d.bias", &[3][..])]);
    assert!(matches!(bind(""), Err(GraphError::Field { .. })));
    assert_eq!(bind("out_features = 4000000000"), Err(GraphError::TooLarge));
}

fn ops() -> impl Strategy<Value = Op> {
    let number = || any::<f32>().prop_filter("finite", |x| x.is_finite());
    let pad =
        || any::<[u16; 4]>().prop_map(|[top, left, bottom, right]| Padding { top, left, bottom, right });
    let pools = || {
        (any::<[u16; 2]>(), any::<[u16; 2]>(), pad(), any::<bool>(), any::<bool>()).prop_map(
            |(kernel, stride, pad, ceil, count_include_pad)| Pool {
                kernel,
                stride,
                pad,
                ceil,
                count_include_pad,
            },
        )
    };
    let conv = (any::<u32>(), any::<[u16; 2]>(), any::<[u16; 2]>(), any::<[u16; 2]>(), pad(), any::<u32>());
    prop_oneof![
        conv.prop_map(|(out_channels, kernel, stride, dilation, pad, groups)| Op::Conv2d(Conv2d {
            out_channels,
            kernel,
            stride,
            dilation,
            pad,
            groups
        })),
        (any::<u32>(), any::<bool>())
            .prop_map(|(out_features, transposed)| Op::Dense(Dense { out_features, transposed })),
        pools().prop_map(Op::MaxPool),
        pools().prop_map(Op::AvgPool),
        number().prop_map(|eps| Op::BatchNorm { eps }),
        (any::<u16>(), number(), number(), number()).prop_map(|(size, alpha, beta, bias)| Op::Lrn {
            size,
            alpha,
            beta,
            bias
        }),
        (number(), any::<bool>()).prop_map(|(alpha, hard)| Op::Activation(match hard {
            true => Activation::HardSigmoid { alpha },
            false => Activation::LeakyRelu { alpha },
        })),
        any::<u16>().prop_map(|pieces| Op::Maxout { pieces }),
        number().prop_map(|rate| Op::Dropout { rate }),
        Just(Op::Concat),
    ]
}

fn graphs() -> impl Strategy<Value = Graph> {
    let node = (ops(), "[^\\pC]{0,8}", any::<[u16; 3]>(), any::<bool>());
    let head = ("[^\\pC]{0,8}", any::<[u32; 3]>(), any::<u16>(), any::<[i16; 4]>());
    (head, prop::collection::vec(node, 0..8)).prop_map(|((name, [c, h, w], output, numbers), nodes)| {
        let mut graph = Graph { name, ..Graph::new(Shape { c, h, w }) };
        graph.preprocess.scale = f32::from(numbers[0]) / 3.0;
        let side = numbers[0].unsigned_abs().max(1);
        graph.preprocess.resize =
            [Resize::Refuse, Resize::Crop, Resize::Shorter(side), Resize::Exact([side, 7])]
                [usize::from(side % 4)];
        graph.preprocess.mean.extend(numbers.map(|n| f32::from(n) * 0.1));
        for (index, (mut op, name, inputs, bias)) in nodes.into_iter().enumerate() {
            let mut select = None;
            if let (Op::Conv2d(conv), false, 1) = (&mut op, bias, inputs[0] % 2) {
                (conv.kernel, conv.groups) = ([1; 2], 1);
                select = Some(u32::from(inputs[0]));
            }
            let params = match op {
                Op::Conv2d(_) | Op::Dense(_) => 1 + usize::from(bias),
                Op::BatchNorm { .. } => 4,
                _ => 0,
            };
            graph.nodes.push(GraphNode {
                name: format!("{name}{index}"),
                op,
                inputs: inputs.iter().map(|i| usize::from(*i) % (index + 1)).collect(),
                params: (0..params).map(|p| format!("{name}\"{p}")).collect(),
                select,
            });
        }
        graph.output = usize::from(output) % (graph.nodes.len() + 1);
        graph
    })
}

proptest! {
    #[test]
    fn any_graph_round_trips(graph in graphs()) {
        let text = graph.to_text(&Comments::default());
        prop_assert_eq!(Graph::parse(&text, None, None), Ok(graph), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC*", at in any::<prop::sample::Index>(), patch in "(\\PC|\n){0,6}", cut in 0..9usize) {
        let network = every_op();
        let tensors = Tensors::from(&network.tensors[..]);
        let _ = from_toml(&text, &tensors);
        let whole: Vec<char> = to_toml(&network).chars().collect();
        let at = at.index(whole.len());
        let after = whole.len().min(at + cut);
        let changed: String = whole[..at].iter().copied().chain(patch.chars()).chain(whole[after..].iter().copied()).collect();
        if let Ok(network) = from_toml(&changed, &tensors) {
            prop_assert_eq!(network.check(), Ok(()));
        }
    }
}
