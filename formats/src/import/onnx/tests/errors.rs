//! What is said about models that cannot be imported.

use std::format;
use std::fs;
use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::import;
use crate::import::onnx::UnsupportedNode;
use crate::op::Shape;

fn error(model: &Builder) -> OnnxError {
    match model.load() {
        Err(ImportError::Onnx { error, .. }) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            *error
        }
        other => panic!("{other:?}"),
    }
}

fn relu() -> Builder {
    Builder::new(13, &[0, 4]).node("Relu", &["x"], "y")
}

#[test]
fn all_unsupported_nodes_are_listed() {
    let model = Builder::new(17, &[0, 4]).node("Relu", &["x"], "a").node("Mystery", &["a"], "b");
    let model = model.node("Elu", &["b"], "c").node("Tanh", &["c"], "d").node("Clip", &["a"], "e");
    let mut model = model.node("Add", &["d", "e"], "f").node("Gelu", &["f"], "y");
    model.graph().node[1].name = "odd\none".into();
    model.graph().node[6].domain = "com.microsoft".into();
    let found = model.unsupported();
    assert_eq!((found.opset, found.total), (17, 7));
    let nodes: Vec<_> = found.nodes.iter().map(|n| (n.node.as_str(), n.op.as_str())).collect();
    let expected =
        [("odd one", "Mystery"), ("elu_2", "Elu"), ("clip_4", "Clip"), ("gelu_6", "com.microsoft.Gelu")];
    assert_eq!(nodes, expected);
    let message = model.load().unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(
        lines[0],
        "dir/small.onnx: 4 of 7 nodes cannot be imported (opset 17): Clip, Elu, Mystery, com.microsoft.Gelu"
    );
    assert_eq!(lines[1], "  `odd one` (Mystery, opset 17): this operator is not supported");
    assert_eq!(lines.len(), 5);
}

#[test]
fn long_lists_are_cut_in_the_message_only() {
    let mut model = Builder::new(13, &[0, 4]);
    for at in 0..300 {
        let input = if at == 0 { "x".into() } else { format!("{}", at - 1) };
        model = model.node("Mystery", &[&input], &format!("{at}"));
    }
    let model = model.node("Relu", &["299"], "y");
    assert_eq!(model.unsupported().nodes.len(), 300);
    let message = model.load().unwrap_err().to_string();
    assert!(message.ends_with("\n  and 100 more"), "{message}");
}

#[test]
fn opsets() {
    for opset in [9, 13, 21] {
        assert!(Builder::new(opset, &[0, 4]).node("Relu", &["x"], "y").load().is_ok());
    }
    for opset in [-1, 8, 22] {
        let model = Builder::new(opset, &[0, 4]).node("Relu", &["x"], "y");
        assert!(matches!(error(&model), OnnxError::Opset(Some(found)) if found == opset));
    }
    let mut none = relu();
    none.model().opset_import[0].domain = "ai.onnx.ml".into();
    assert!(matches!(error(&none), OnnxError::Opset(None)));
    none.model().opset_import[0].domain = "ai.onnx".into();
    assert!(none.load().is_ok());
}

#[test]
fn inputs_and_outputs() {
    let mut model = relu();
    model.model().graph = None;
    assert!(matches!(error(&model), OnnxError::NoGraph));
    let mut model = relu();
    model.graph().input.push(ValueInfoProto { name: "z".into(), r#type: None });
    assert!(matches!(error(&model), OnnxError::Inputs(names) if names == ["x", "z"]));
    let mut model = relu();
    model.graph().output.clear();
    assert!(matches!(error(&model), OnnxError::Outputs(names) if names.is_empty()));
    let mut model = relu();
    model.graph().output[0].name = "nothing".into();
    assert!(matches!(error(&model), OnnxError::Value { name, .. } if name == "nothing"));
    for dims in
        [&[][..], &[0], &[0, 3, 4], &[0, 1, 2, 3, 4], &[0, 0], &[0, 3, 0, 8], &[0, -1], &[0, 1 << 31, 2, 1]]
    {
        let model = Builder::new(13, dims).node("Relu", &["x"], "y");
        assert!(matches!(error(&model), OnnxError::Value { name, .. } if name == "x"), "{dims:?}");
    }
    let mut model = relu();
    model.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type =
        data_type::INT64;
    assert!(matches!(error(&model), OnnxError::Value { .. }));
    model.graph().input[0].r#type = None;
    assert!(matches!(error(&model), OnnxError::Value { .. }));
}

#[test]
fn a_stated_shape_replaces_what_is_not_known() {
    let model = Builder::new(13, &[0, 3, 0, 0]).node("Relu", &["x"], "y");
    let options = ImportOptions { input: Some(Shape::new(3, 20, 30)), ..Default::default() };
    let network = load_bytes(Path::new("m.onnx"), &model.bytes(), &options).unwrap();
    assert_eq!((network.input, network.name.as_str()), (Shape::new(3, 20, 30), "m"));
}

#[test]
fn graphs_that_are_no_graphs() {
    let twice = relu().node("Tanh", &["x"], "y");
    assert!(matches!(error(&twice.node("Relu", &["y"], "z")), OnnxError::Duplicate(name) if name == "y"));
    let mut shadow = relu().floats("x", &[1], &[1.0]);
    let input = ValueInfoProto { name: "z".into(), ..shadow.graph().input[0].clone() };
    shadow.graph().input.push(input);
    assert!(shadow.load().is_err());
    let cycle = Builder::new(13, &[0, 4]).node("Add", &["x", "b"], "a").node("Relu", &["a"], "b");
    assert!(
        cycle.node("Relu", &["b"], "y").unsupported().nodes[0]
            .reason
            .contains("no node before it computes `b`")
    );
    assert!(Builder::new(13, &[0, 4]).node("Relu", &[], "y").reason().contains("missing"));
    assert!(Builder::new(13, &[0, 4]).node("Relu", &["ghost"], "y").reason().contains("`ghost`"));
    let mut mask = Builder::new(13, &[0, 4]).node("Dropout", &["x"], "a").node("Relu", &["mask"], "b");
    mask.graph().node[0].output.push("mask".into());
    let mask = mask.node("Add", &["a", "b"], "y");
    let [UnsupportedNode { reason, .. }] = &mask.unsupported().nodes[..] else { panic!() };
    assert!(reason.contains("output 1 is used"));
    let constant = Builder::new(13, &[0, 4]).floats("c", &[2], &[1.0, 2.0]).node("Identity", &["c"], "y");
    assert!(matches!(error(&constant), OnnxError::Value { .. }));
    assert!(Builder::new(13, &[0, 4]).node("Constant", &[], "y").reason().contains("value"));
    let identity = Builder::new(13, &[0, 4]).node("Identity", &["x"], "y");
    assert!(matches!(identity.load(), Err(ImportError::Network { .. })));
}

#[test]
fn descriptions_of_models() {
    let dir = tempfile::tempdir().unwrap();
    let (path, graph) = (dir.path().join("m.onnx"), dir.path().join("graph.toml"));
    let model = Builder::new(13, &[0, 3]).weight("some.weight", &[2, 3]);
    let model = model.node_with("Gemm", &["x", "some.weight"], "y", Vec::from([int("transB", 1)]));
    fs::write(&path, model.bytes()).unwrap();
    let text = import::draft(&path).unwrap();
    assert!(text.starts_with("# ") && text.contains("weight = \"some.weight\""), "{text}");
    fs::write(&graph, text.replace("shape = [3]", "shape = [3, 1, 1]")).unwrap();
    let options = ImportOptions { graph: Some(&graph), ..Default::default() };
    assert_eq!(import::load(&path, &options).unwrap(), model_named(&model, "m"));
    assert_eq!(import::read_tensors(&path).unwrap(), model.network().tensors);
}

fn model_named(model: &Builder, name: &str) -> Network {
    Network { name: name.into(), ..model.network() }
}
